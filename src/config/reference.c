/* SPDX-License-Identifier: MIT */
/* docs/configuration.md, from the rows. */
#include "config/internal.h"

#include <string.h>

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "<!-- Made by `llem config reference` from src/config/fields.def and engines/*/engine.json. Edit those, not this page. -->\n"
    "\n"
    "One YAML (or JSON) file describes an experiment, or a study of many. `llem config check FILE` says everything that\n"
    "is wrong with it and what it would run; `llem config show FILE` prints every value and where it came from.\n"
    "\n"
    "```yaml\n"
    "model: smollm2-135m-instruct\n"
    "backend: llamacpp\n"
    "n: 20\n"
    "sweep:                              # every combination is a cell\n"
    "  llamacpp.quantization: [null, q8_0]  # null: no quantisation, `precision` picks the file\n"
    "  llamacpp.n_threads: [1, 2]\n"
    "execution:\n"
    "  n_cycles: 3                       # each cell three times, in three differently shuffled cycles\n"
    "```\n"
    "\n"
    "A file with `sweep` or `execution` is a study, any other a single experiment. An axis of `sweep` takes a list (one\n"
    "value counts as a list of one); an axis of a backend's section applies to the cells of that backend only; `backend`\n"
    "itself can be an axis. Cells that break a rule are skipped and named; cells that would do the same work are run once.\n"
    "\n"
    "## Values\n"
    "\n"
    "Values are read by the type of their field: `yes`, `no`, `on` and `off` are switches for a switch and text for a\n"
    "name; `012` is text for a name and refused for a count; a revision `1e5` stays the text it is. Unknown fields,\n"
    "duplicate keys and values out of range are errors, all reported at once. Dotted paths may be written out\n"
    "(`decoder.temperature: 0`) or nested.\n"
    "\n"
    "An integer is `128`, `+128`, `0x80`, `0o200`, or a number without a fraction (`128.0`, `1e3`); a number is any of these,\n"
    "or `0.25`, `.25`, `2.5e-1`. The point is a point in every language. Separators (`1_000`, `1,000`), fractions in\n"
    "hexadecimal, `.inf`, `.nan` and what 64 bits cannot hold (`1e400`, `1e-400`) are errors.\n"
    "\n"
    "YAML anchors, aliases and merge keys (`<<`) are honoured within a file. A block that is there only to be referred to\n"
    "stands at the top under a key that begins with `x-`, which is no field:\n"
    "\n"
    "```yaml\n"
    "x-sampling: &sampling {temperature: 0.7, top_p: 0.9}\n"
    "model: smollm2-135m-instruct\n"
    "decoder: {<<: *sampling, top_k: 20}\n"
    "```\n"
    "\n"
    "A text is a path where a name could stand (`model`, `dataset`) if it begins with `/`, `./`, `../` or `~/` or ends in\n"
    "`.gguf`, `.jsonl` or `.csv`; any other is a name, whatever lies in the folder. `~` and `~/` are your home folder in every\n"
    "path.\n"
    "\n"
    "Values come in layers; the later wins:\n"
    "\n"
    "1. the default of the table below\n"
    "2. the user's file, `${XDG_CONFIG_HOME:-~/.config}/llem/config.yaml`: only fields marked *user*\n"
    "3. the experiment or study file\n"
    "4. the cell of a sweep\n"
    "5. the environment: only fields that name a variable\n"
    "6. the command line: `llem run FILE max_output_tokens=64 sweep.precision=[fp16,bf16]`; a value for a swept\n"
    "   field takes the place of its axis, `sweep={}` that of all axes, and `decoder={top_k: 20, top_p: 1}` sets the fields\n"
    "   of a section\n"
    "\n"
    "On the command line and in the environment the value of a text is taken as it is, quotes, `#` and all: the shell has\n"
    "unquoted it already. Values of other fields are YAML.\n"
    "\n"
    "`runners` says who runs the runs of each engine: `runners: {llamacpp: docker:IMAGE}` is short for\n"
    "`runners: {llamacpp: {use: docker:IMAGE}}`. The user's file may speak of engines that a study does not use. Who runs a\n"
    "cell, on which GPUs, is not hashed.\n"
    "\n"
    "A field that has no meaning under the other values (`decoder.top_p` while decoding is greedy) does not apply: it is\n"
    "not handed to the engine and not hashed, and writing it is warned about.\n"
    "\n"
    "Defaults differ from other harnesses where theirs make cells incomparable: decoding is greedy, and every prompt\n"
    "generates exactly `max_output_tokens` because `decoder.ignore_eos` is true.\n"
    "\n"
    "## Data sets\n"
    "\n"
    "`dataset` is the name of a data set ([datasets.md](datasets.md): `llem-mix` comes with llem) or the path of a `.jsonl`\n"
    "file: UTF-8, one JSON object a line.\n"
    "\n"
    "```json\n"
    "{\"_provenance\": \"questions of our help desk, October 2026\"}\n"
    "{\"prompt\": \"How do I reset my password?\", \"source\": \"account\"}\n"
    "{\"prompt\": \"The printer shows error 49.\", \"source\": \"hardware\"}\n"
    "```\n"
    "\n"
    "The prompt is that of `prompt`, `text`, `instruction`, `input`, `question` which is there, a text that is not empty.\n"
    "Where a record has several of them, or another one, the study says which: `dataset: {path: FILE, prompt: KEY}`. FILE\n"
    "may also be a `.csv` table (RFC 4180) whose first row has the names. `source` is optional: `dataset_order` spreads or\n"
    "groups by it. Other keys are ignored; an object whose keys all begin with `_` says where the prompts are from and is\n"
    "no prompt; blank lines are skipped. Every line that is none of this is reported, with its place, before anything\n"
    "runs, and so is a file with fewer than `n` prompts.\n"
    "\n"
    "## The configuration hash\n"
    "\n"
    "The identity of a cell is the first 16 hex digits of SHA-256 over the canonical JSON (sorted keys, no blanks,\n"
    "shortest numbers) of this object, which every run keeps in its `config.json` as `hashed`:\n"
    "\n"
    "```json\n"
    "{\"backend\": {\"hash_version\": 1, \"name\": \"…\"}, \"fields\": {\"path\": \"value\"}, \"hash_version\": 1, \"schema\": 3}\n"
    "```\n"
    "\n"
    "The fields are those marked *hashed* that apply and whose value is not what holds where nothing is written: the default\n"
    "of their row, the value of what they follow, or the engine's own default (the one that the reference names behind *unset*;\n"
    "of a parameter that only the installed engine knows, the one that it reports). It does not change\n"
    "with the order of keys, with a default written out, with where results go, or when llem learns another field, option\n"
    "or engine; it changes with everything that changes the work or its measurement. The two numbers are raised when a\n"
    "default or a meaning changes: the inner one with an engine's options, the outer one with the shared fields.\n"
    "\n"
    "- `load` is not there where the engine's option for the batch has the value that it means: `load: {mode: batch, size: 4}`\n"
    "  and `pytorch.batch_size: 4` are one cell.\n"
    "- `dataset` is always there: `{\"prompts\": …, \"sources\": …}`, SHA-256 over the JSON array of the prompts, and over that\n"
    "  of their sources where some have one.\n"
    "- `model` is `{\"sha256\": …}` of a local file (of a folder: over the list of its files), `{\"pin\": …}` where an engine\n"
    "  that reads GGUF files takes a model of the catalogue, else its name; a revision is an option of the engine.\n"
    "- A parameter that only the installed engine knows stands by its path and value, like an option of `engine.json`.\n"
    "\n"
    "`schema` is raised when this rule changes: 3 leaves out the engine's own defaults and such a `load`, which 2 had in it. A\n"
    "study that was planned under an earlier rule keeps its hashes: it is shown and reported under them. Planned\n"
    "again from its file, those of its cells that have one of the two get new ones; what it did is the same work.\n"
    "\n"
    "The runner, images and versions are not part of it. A run is named by (configuration hash, cycle).\n"
    "\n";

static char *default_text(const struct config_field *row)
{
    if (row->flags & CONFIG_REQUIRED)
        return g_strdup("**required**");
    if (row->initial) {
        g_autofree char *plain = config_plain_words(row->initial);
        return g_strdup_printf("`%s`", plain);
    }
    if (row->option && row->option->engine_default)
        return g_strdup_printf("unset (%s: `%s`)", backend_title(row->engine), row->option->engine_default);
    return g_strdup("unset");
}

static void append_cell(GString *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '|')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *p);
    }
}

static void append_marks(GString *out, unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *word;
    } marks[] = {{CONFIG_HASHED, "hashed"}, {CONFIG_SWEEP, "sweepable"}, {CONFIG_USER, "user"}};
    bool first = true;
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
        if (!(flags & marks[i].flag))
            continue;
        g_string_append_printf(out, "%s*%s*", first ? "<br>" : ", ", marks[i].word);
        first = false;
    }
}

static void append_versions(GString *out, const struct backend_option *option)
{
    if (option && option->since)
        g_string_append_printf(out, " Since %s.", option->since);
    if (option && option->until)
        g_string_append_printf(out, " Until %s.", option->until);
}

static void append_notes(GString *out, const struct config_table *table, size_t index)
{
    const struct config_field *row = &table->rows[index];
    g_autofree char *gates = gates_describe(&table->info[index]);
    if (*gates)
        g_string_append_printf(out, " Applies while %s.", gates);
    append_versions(out, row->option);
    for (const struct backend_choice *c = row->choices; c && c->name; c++)
        if (c->help)
            g_string_append_printf(out, "<br>`%s`: %s", c->name, c->help);
    if (row->env)
        g_string_append_printf(out, " Environment: `%s`.", row->env);
    append_marks(out, row->flags);
}

/* Rows that every engine has are shown once, of no engine by name. */
static void append_shared(GString *out, const struct config_field *row, const char *text)
{
    g_autofree char *section = config_runner_path(backend_name(row->engine), "");
    g_autofree char *variable = config_runner_variable(backend_name(row->engine));
    g_auto(GStrv) parts = g_strsplit(text, section, -1);
    g_autofree char *general = g_strjoinv("runners.ENGINE.", parts);
    g_auto(GStrv) rest = g_strsplit(general, variable, -1);
    g_autofree char *whole = g_strjoinv("LLEM_RUNNER_ENGINE", rest);
    g_string_append(out, whole);
}

static void append_row(GString *out, const struct config_table *table, size_t index)
{
    const struct config_field *row = &table->rows[index];
    g_autofree char *expects = config_field_expects(row);
    g_autofree char *initial = default_text(row);
    g_string_append_printf(out, "| `%s` | ", row->path);
    append_cell(out, expects);
    if (row->unit)
        g_string_append_printf(out, " (%s)", row->unit);
    g_string_append_printf(out, " | %s | ", initial);
    append_cell(out, row->help);
    append_notes(out, table, index);
    g_string_append(out, " |\n");
}

static char *section_of(const char *path)
{
    return g_strndup(path, (size_t)MAX(field_last_part(path) - path - 1, 0));
}

static void append_heading(GString *out, const struct config_field *row, const char *section)
{
    if (row->runner)
        g_string_append(out, "\n### `runners.ENGINE`\n");
    else if (*section)
        g_string_append_printf(out, "\n### `%s`\n", section);
    else
        g_string_append(out, (row->flags & CONFIG_STUDY) ? "\n### The study\n" : "\n### Top level\n");
    g_string_append(out, "\n| field | value | default | meaning |\n|---|---|---|---|\n");
}

static void append_table(GString *out, const struct config_table *table)
{
    g_autofree char *section = g_strdup("?");
    for (size_t i = 0; i < table->n; i++) {
        const struct config_field *row = &table->rows[i];
        if (row->runner && row->engine != table->engines->pdata[0])
            continue;
        g_autoptr(GString) text = g_string_new(NULL);
        char *own = section_of(row->path);
        if (strcmp(own, section))
            append_heading(text, row, own);
        g_free(section);
        section = own;
        append_row(text, table, i);
        if (row->runner)
            append_shared(out, row, text->str);
        else
            g_string_append(out, text->str);
    }
}

/* Arguments of an engine that are no options of it. */
static void append_arguments(GString *out, const struct backend *engine)
{
    const struct backend_argument *owned, *passed;
    size_t n = backend_owned(engine, &owned), m = backend_passed(engine, &passed);
    if (n + m == 0)
        return;
    g_autofree char *audited = backend_with_version(engine, backend_audited(engine));
    g_string_append_printf(out, "\n## Arguments of %s\n\nThe rows of `%s` were audited against the arguments of %s.",
                           backend_title(engine), backend_name(engine), audited);
    if (n)
        g_string_append(out, " These llem sets itself:\n\n| argument | from |\n|---|---|\n");
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "| `%s` | %s |\n", owned[i].name, owned[i].note);
    static const char others[] =
        "\nThe others are known by what the installed engine says of itself (`llem engine schema`):\n";
    g_string_append(out, m ? others : "\n");
    for (size_t i = 0; i < m; i++)
        g_string_append_printf(out, "`%s`%s", passed[i].name, i + 1 < m ? ", " : ".\n");
}

char *config_reference(const struct config_table *table)
{
    GString *out = g_string_new(introduction);
    g_string_append(out, "## Rules between fields\n\n");
    rules_describe(table, out);
    g_string_append(out, "\n## Fields\n");
    append_table(out, table);
    for (unsigned i = 0; i < table->engines->len; i++)
        append_arguments(out, table->engines->pdata[i]);
    return g_string_free(out, FALSE);
}
