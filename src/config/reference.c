/* SPDX-License-Identifier: MIT */
/* docs/configuration.md, from the rows. */
#include "config/internal.h"

#include <string.h>

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "<!-- Made by `llem config reference` from the rows of src/config/fields*. Edit those, not this page. -->\n"
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
    "duplicate keys and values out of range are errors, all reported at once. YAML anchors, aliases and merge keys (`<<`)\n"
    "are honoured within a file. Dotted paths may be written out (`decoder.temperature: 0`) or nested.\n"
    "\n"
    "Values come in layers; the later wins:\n"
    "\n"
    "1. the default of the table below\n"
    "2. the user's file, `${XDG_CONFIG_HOME:-~/.config}/llem/config.yaml`: only fields marked *user*\n"
    "3. the experiment or study file\n"
    "4. the cell of a sweep\n"
    "5. the environment: only fields that name a variable\n"
    "6. the command line: `llem run FILE max_output_tokens=64 sweep.precision=[fp16,bf16]`; a value for a swept\n"
    "   field takes the place of its axis\n"
    "\n"
    "A field that has no meaning under the other values (`decoder.top_p` while decoding is greedy) does not apply: it is\n"
    "not handed to the engine and not hashed, and writing it is warned about.\n"
    "\n"
    "Defaults differ from other harnesses where theirs make cells incomparable: decoding is greedy, and every prompt\n"
    "generates exactly `max_output_tokens` because `decoder.ignore_eos` is true.\n"
    "\n"
    "## Data sets\n"
    "\n"
    "`dataset` is `aienergyscore`, which comes with llem, or the path of a `.jsonl` file: UTF-8, one JSON object a line.\n"
    "\n"
    "```json\n"
    "{\"_provenance\": \"questions of our help desk, October 2026\"}\n"
    "{\"prompt\": \"How do I reset my password?\", \"source\": \"account\"}\n"
    "{\"prompt\": \"The printer shows error 49.\", \"source\": \"hardware\"}\n"
    "```\n"
    "\n"
    "The prompt is the first of `prompt`, `text`, `instruction`, `input`, `question` that is there, a text that is not\n"
    "empty. `source` is optional: `dataset_order` spreads or groups by it. Other keys are ignored; an object whose keys all\n"
    "begin with `_` says where the prompts are from and is no prompt; blank lines are skipped. Every line that is none of\n"
    "this is reported, with its place, before anything runs, and so is a file with fewer than `n` prompts.\n"
    "\n"
    "## The configuration hash\n"
    "\n"
    "The identity of a cell is the first 16 hex digits of SHA-256 over the canonical JSON (sorted keys, no blanks,\n"
    "shortest numbers) of `{\"fields\": {\"path\": value, …}, \"schema\": 1}` with the fields marked *hashed* that apply. It\n"
    "does not change with the order of keys, with a default written out, or with where results go; it changes with\n"
    "everything that changes the work or its measurement. A data set or model given as a local file enters by the SHA-256\n"
    "of its content, a model folder by that of the list of its files; names of the catalogue or of a hub enter as names.\n"
    "The runner, images and versions are not part of it. A run is named by (configuration hash, cycle).\n"
    "\n";

static char *default_text(const struct config_field *row)
{
    const struct vllm_arg *arg =
        g_str_has_prefix(row->path, "vllm.engine.") ? vllm_arg_find(row->path + strlen("vllm.engine.")) : NULL;
    if (row->flags & CONFIG_REQUIRED)
        return g_strdup("**required**");
    if (row->initial) {
        size_t length = strlen(row->initial);
        return *row->initial == '"' ? g_strdup_printf("`%.*s`", (int)length - 2, row->initial + 1)
                                    : g_strdup_printf("`%s`", row->initial);
    }
    if (arg && strcmp(arg->initial, "None"))
        return g_strdup_printf("unset (vLLM: `%s`)", arg->initial);
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

static void append_notes(GString *out, size_t index)
{
    const struct config_field *row = &field_table()->rows[index];
    g_autofree char *gates = gate_describe(field_table()->info[index].gates);
    if (*gates)
        g_string_append_printf(out, " Applies while %s.", gates);
    for (const struct config_choice *c = row->choices; c && c->name; c++)
        if (c->help)
            g_string_append_printf(out, "<br>`%s`: %s", c->name, c->help);
    if (row->env)
        g_string_append_printf(out, " Environment: `%s`.", row->env);
    static const struct {
        unsigned flag;
        const char *word;
    } marks[] = {{CONFIG_HASHED, "hashed"}, {CONFIG_SWEEP, "sweepable"}, {CONFIG_USER, "user"}};
    bool first = true;
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
        if (!(row->flags & marks[i].flag))
            continue;
        g_string_append_printf(out, "%s*%s*", first ? "<br>" : ", ", marks[i].word);
        first = false;
    }
}

static void append_row(GString *out, size_t index)
{
    const struct config_field *row = &field_table()->rows[index];
    g_autofree char *expects = config_field_expects(row);
    g_autofree char *initial = default_text(row);
    g_string_append_printf(out, "| `%s` | ", row->path);
    append_cell(out, expects);
    if (row->unit)
        g_string_append_printf(out, " (%s)", row->unit);
    g_string_append_printf(out, " | %s | ", initial);
    append_cell(out, row->help);
    append_notes(out, index);
    g_string_append(out, " |\n");
}

static char *section_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? g_strndup(path, (size_t)(dot - path)) : g_strdup("");
}

static void append_table(GString *out)
{
    const struct field_table *table = field_table();
    g_autofree char *section = g_strdup("?");
    for (size_t i = 0; i < table->n; i++) {
        char *own = section_of(table->rows[i].path);
        if (strcmp(own, section)) {
            if (*own)
                g_string_append_printf(out, "\n### `%s`\n", own);
            else
                g_string_append(out, (table->rows[i].flags & CONFIG_STUDY) ? "\n### The study\n" : "\n### Top level\n");
            g_string_append(out, "\n| field | value | default | meaning |\n|---|---|---|---|\n");
        }
        g_free(section);
        section = own;
        append_row(out, i);
    }
}

static void append_audit(GString *out)
{
    g_string_append_printf(
        out,
        "\n## Arguments of vLLM\n\n"
        "The rows `vllm.engine.*` were audited against the engine arguments of vLLM %s. These llem sets itself:\n\n"
        "| argument | from |\n|---|---|\n",
        VLLM_AUDITED_VERSION);
    for (const struct vllm_arg *arg = vllm_args; arg->name; arg++)
        if (arg->treatment == VLLM_OWNED)
            g_string_append_printf(out, "| `%s` | %s |\n", arg->name, arg->note);
    g_string_append(out, "\nThe others can be given in `passthrough_kwargs`:\n");
    bool first = true;
    for (const struct vllm_arg *arg = vllm_args; arg->name; arg++) {
        if (arg->treatment == VLLM_PASS)
            g_string_append_printf(out, "%s`%s`", first ? "" : ", ", arg->name);
        first = first && arg->treatment != VLLM_PASS;
    }
    g_string_append(out, ".\n");
}

char *config_reference(void)
{
    GString *out = g_string_new(introduction);
    g_string_append(out, "## Rules between fields\n\n");
    rules_describe(out);
    g_string_append(out, "\n## Fields\n");
    append_table(out);
    append_audit(out);
    return g_string_free(out, FALSE);
}
