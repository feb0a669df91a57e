/* SPDX-License-Identifier: MIT */
#include "analysis/analysis.h"

static const char head[] =
    "\n## What is compared\n"
    "\n"
    "Runs are compared, ranked and averaged within a group alone. A group is made of the rows below, each a key of the\n"
    "record. *refuse*: runs that differ in it are in different groups. *factor or refuse*: runs of different cells may\n"
    "differ in it, since a sweep varies it or it follows from what a sweep varies; a run that differs from the others of\n"
    "its cell is in a group of its own. *refuse, of one engine*: runs of different engines may differ in it. Factors that\n"
    "no sweep varies yet refuse. *warn*: runs that differ are compared, and the table says so; so it does of the flags of a\n"
    "run (`phase_locked`, `foreign_cpu`, …), with the runs they hold for, and of runs whose work began more than 5 K warmer\n"
    "than another's of the group (`temperature_start_c` of the hottest board, else of the CPU).\n"
    "Modelled joules are never sorted on or compared. What a record does not hold has no row yet: requests have no\n"
    "arrival times, and pinning, locked clocks and images are not recorded.\n"
    "\n"
    "The table is sorted by J/token, best first, where it is measured or simulated, else by tokens/s. Groups stay together,\n"
    "in them the runs of a cell, by the mean over the cell.\n"
    "\n"
    "| key | of the record | rule | why |\n"
    "|---|---|---|---|\n";

char *frame_reference(void)
{
    GString *out = g_string_new(head);
    for (int i = 0; i < FRAME_KEY_COUNT; i++) {
        const struct frame_key_row *row = frame_key_row(i);
        g_string_append_printf(out, "| %s | `%s` | %s | %s |\n", row->words, row->path, frame_rule_name(row->rule),
                               row->why);
    }
    return g_string_free(out, FALSE);
}
