/* SPDX-License-Identifier: MIT */
/* The rows of checks as a table for people. */
#include "preflight/rows.h"

#include <string.h>

static void add_row(GString *text, const char *id, const char *what, const char *why, const char *remedy)
{
    g_string_append_printf(text, "| `%s` | %s | %s | %s |\n", id, what, why, remedy);
}

static const char *kind_of(const struct preflight_check *row)
{
    return row->evidence ? "evidence" : row->thorough ? "verdict, of `llem doctor` alone" : "verdict";
}

/* Those of runners: what another has said in the same words is not said again. */
static void add_runners(GString *text)
{
    size_t n;
    const struct runner_ops *const *rows = runner_rows(&n);
    g_autoptr(GHashTable) said = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < n; i++)
        for (const struct runner_check *check = rows[i]->checks; check && check->id; check++) {
            g_autofree char *what = g_strdup_printf("verdict, of `%s`", rows[i]->name);
            if (g_hash_table_add(said, (void *)(uintptr_t)check->why))
                add_row(text, check->id, what, check->why, check->remedy);
        }
}

char *preflight_reference(void)
{
    GString *text = g_string_new("| check | what it is | why it matters | what to do |\n|---|---|---|---|\n");
    for (const struct preflight_check *const *table = preflight_tables; *table; table++)
        for (const struct preflight_check *row = *table; row->id; row++)
            if (*table == preflight_runner_rows)
                add_runners(text);
            else
                add_row(text, row->id, kind_of(row), row->why, row->remedy);
    return g_string_free(text, FALSE);
}
