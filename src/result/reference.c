/* SPDX-License-Identifier: MIT */
/* docs/results.md, made from the rows. */
#include "result/parts.h"

#include <string.h>

static const char head[] =
    "# Results\n"
    "\n"
    "<!-- Made by `llem result reference`; change the rows in src/result/result.h and parts.def instead. -->\n"
    "\n"
    "`llem run` makes one folder per study below the results folder:\n"
    "\n"
    "| file | what it holds |\n"
    "|---|---|\n"
    "| `study.json` | what is to be done: name, hash, order, seed, axes, the values that cells share, the cell of every run |\n"
    "| `cells.jsonl` | one line a cell: hash, label, levels, and what differs from the shared values |\n"
    "| `journal.jsonl` | a line when a run begins and one, with its figures, when it ends; each on disk before more follows |\n"
    "| `NNN_cC_MODEL-BACKEND_HASH/` | one folder per run: its number, cycle and configuration hash |\n"
    "\n"
    "The folder needs neither the study file nor its place: it can be moved and read elsewhere. Each line of the journal ends\n"
    "with a checksum, `sum`: the first 8 hex digits of the SHA-256 of what stands before `,\"sum\"`; a damaged line is told and\n"
    "not heeded.\n"
    "\n"
    "In the folder of a run:\n"
    "\n"
    "| file | what it holds |\n"
    "|---|---|\n";

static const char records[] =
    "\n"
    "A record is whole or absent; nothing rewrites it. What `llem` prints, exports or compares is `result.json` joined with\n"
    "`host_energy.json`: its scopes are added, and where no scope of the record counts before it, its figures of energy, and\n"
    "what follows from them, are the run's. One that is torn or of another result is never joined, and said.\n"
    "`llem show FOLDER` prints the table again, of a run its figures.\n"
    "\n"
    "The table has one row a run: `tokens/s` is output tokens over the seconds of the window; `TTFT`, time to first token,\n"
    "and `TPOT`, time per output token after the first, are means over the requests; `peak MB` is the peak of the engine's\n"
    "allocator, `peak MB (process)`, of engines without one, that of its processes ([memory.md](memory.md)); `J/token` is\n"
    "energy over output tokens, its status in the heading. They are the figures `output_tokens_per_s`, `ttft_mean_s`,\n"
    "`tpot_mean_s`, `peak_memory_mb`, `host_peak_memory_mb` and `joules_per_output_token` below. Energy of a\n"
    "sensor has two half-widths of 95 % beside it, in per cent, which are never blended in print: `read-out 95%`, what the\n"
    "readings left open, and `syst 95%`, gain and offset of the sensor. A modelled one has the range of its model in\n"
    "brackets.\n"
    "\n"
    "`energy.scopes` holds every scope, the one that counts first: joules with both parts of the uncertainty\n"
    "(`statistical_half_width_j`, `systematic_half_width_j` with its source), what is outside of the scope, method, checks by\n"
    "other methods, guard levels, and `per_board` where it has several boards.\n"
    "\n"
    "## Figures\n"
    "\n"
    "Every figure of `metrics` in `result.json` is an object: `status` is `measured`, `modelled`, `simulated` or\n"
    "`absent`; `value` is a number, or null when absent, and then `reason` says why; `low` and `high` are the 95 %\n"
    "interval where one is stated; `method` and `sensor` say how it was obtained; `unit` is its unit. MB is 10^6 bytes.\n"
    "\n"
    "| figure | unit | meaning |\n"
    "|---|---|---|\n";

static const char requests[] =
    "\n## Requests\n\n"
    "`requests.csv` has a line for each request of the measured window, repeats included, in the order handed over.\n"
    "Stamps are nanoseconds of `CLOCK_MONOTONIC`, as `timing.window.t0_ns` and `t1_ns` of the record are, within which\n"
    "they lie. Some engines have stamps of their own beside those that the adapter takes when it sees a token; both are\n"
    "there. What nobody told is empty, never 0. Where the status of `ttft_mean_s` is `simulated`, so are these.\n"
    "`pandas.read_csv` takes the file as it is.\n\n"
    "| column | unit | meaning |\n|---|---|---|\n";

const struct result_file_row result_files[RESULT_FILE_COUNT] = {
#define X(code, name, prefixed, meaning) [RESULT_FILE_##code] = {name, prefixed, meaning},
    RESULT_FILES(X)
#undef X
};

char *result_reference(void)
{
    GString *out = g_string_new(head);
    for (int i = 0; i < RESULT_FILE_COUNT; i++)
        g_string_append_printf(out, "| `%s` | %s |\n", result_files[i].name, result_files[i].meaning);
    g_string_append(out, records);
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct result_metric_row *row = result_metric_row(i);
        g_string_append_printf(out, "| `%s` | %s | %s |\n", row->id, row->unit, row->help);
    }
    g_string_append(out, requests);
    result_requests_describe(out);
    g_string_append(out, "\n## Parts\n\nBeside the figures a record has these members. `estimate.*` describes the objects of "
                         "`energy.scopes` and of\ntheir `per_board`. Where a type says so, null has its reason beside it, "
                         "as `NAME_reason`.\n\n| member | type | meaning |\n|---|---|---|\n");
    for (int i = 0; i < PART_COUNT; i++) {
        const struct result_part_row *row = &result_parts[i];
        g_string_append_printf(out, "| `%s` | %s%s | %s |\n", row->path, result_part_type_name(row->type),
                               row->need == RESULT_OPTIONAL ? ", optional" : "", row->meaning);
    }
    g_string_append(out, "\n## Exchange file\n\nWhat `llem` tells the worker of a run, `{hash}_config.json`, and later the "
                         "`config.json` of its folder. `result.json`\ncopies `config`, `origins` and `context`. Paths are "
                         "those that hold where the worker is.\n\n");
    exchange_describe(out);
    g_string_append(out, "\n## Error classes\n\nThe `class` of an `error.json`, and the exit code of `llem` when nothing "
                         "else ran:\n\n| class | exit code |\n|---|---|\n");
    for (int i = 0; i < LLEM_ERROR_COUNT; i++) {
        GError error = {.domain = LLEM_ERROR, .code = i};
        g_string_append_printf(out, "| `%s` | %d |\n", llem_error_name(i), llem_error_exit_code(&error));
    }
    return g_string_free(out, FALSE);
}
