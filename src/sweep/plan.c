/* SPDX-License-Identifier: MIT */
#include "sweep/told.h"

#include <string.h>

#define NO_LEVEL UINT16_MAX
#define LEVELS_MAX 10000 /* levels of one axis; far below NO_LEVEL */

struct cell {
    char hash[17];
    uint16_t *levels; /* by axis; NO_LEVEL: the axis does not apply to this cell */
};

struct plan {
    const struct config_file *study;
    const struct config_axis *axes;
    size_t n_axes;
    GArray *cells;     /* of struct cell */
    GPtrArray *blocks; /* of the levels */
    GArray *skips;     /* of struct plan_skip */
    GArray *repeats;   /* of struct plan_skip */
    GArray *runs; /* of struct plan_run */
    int cycles;
    char hash[17];
    uint64_t seed;
};

static const struct cell *cell_at(const struct plan *plan, size_t i)
{
    return &g_array_index(plan->cells, struct cell, i);
}

static void skip_clear(void *data)
{
    struct plan_skip *skip = data;
    g_free(skip->label);
    g_free(skip->reason);
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    g_array_unref(plan->cells);
    g_array_unref(plan->skips);
    g_array_unref(plan->repeats);
    g_array_unref(plan->runs);
    g_ptr_array_unref(plan->blocks);
    g_free(plan);
}

/* --- Grids: one for each backend, over the axes that apply to it ------------------------------------------------ */

/* An odometer over the axes of one backend. A grid is what the richer forms of a sweep will come down to. */
struct grid {
    size_t n;      /* axes that take part */
    size_t *axes;  /* their indexes */
    uint16_t *at;  /* current level of every axis of the study; NO_LEVEL where it takes no part */
    int fixed;     /* axis held at one level (the backend), or -1 */
};

static void grid_clear(struct grid *grid)
{
    g_free(grid->axes);
    g_free(grid->at);
}

static struct grid grid_for(const struct plan *plan, const char *engine, int fixed, uint16_t level)
{
    struct grid grid = {
        .axes = g_new0(size_t, plan->n_axes + 1), .at = g_new0(uint16_t, plan->n_axes + 1), .fixed = fixed};
    for (size_t a = 0; a < plan->n_axes; a++) {
        const struct backend *owner = plan->axes[a].field->engine;
        bool applies = !owner || !engine || !strcmp(backend_name(owner), engine);
        grid.at[a] = (int)a == fixed ? level : applies ? 0 : NO_LEVEL;
        if (applies && (int)a != fixed)
            grid.axes[grid.n++] = a;
    }
    return grid;
}

static bool grid_next(const struct plan *plan, struct grid *grid)
{
    for (size_t k = grid->n; k-- > 0;) {
        size_t a = grid->axes[k];
        if (++grid->at[a] < plan->axes[a].n)
            return true;
        grid->at[a] = 0;
    }
    return false;
}

/* Saturating, so that a huge grid is counted without being made. */
static size_t grid_size(const struct plan *plan, const struct grid *grid)
{
    size_t size = 1;
    for (size_t k = 0; k < grid->n; k++)
        if (!g_size_checked_mul(&size, size, plan->axes[grid->axes[k]].n))
            return SIZE_MAX;
    return size;
}

/* --- Cells --------------------------------------------------------------------------------------------------------- */

/* New string. */
static char *level_text(const struct config_axis *axis, uint16_t level)
{
    json_t *json = config_value_json(axis->values[level]);
    return json_is_string(json) ? g_strdup(json_string_value(json)) : jsonx_dump(json, JSONX_COMPACT);
}

static char *label_of(const struct plan *plan, const uint16_t *levels)
{
    GString *out = g_string_new(NULL);
    for (size_t a = 0; a < plan->n_axes; a++) {
        if (levels[a] == NO_LEVEL)
            continue;
        g_autofree char *text = level_text(&plan->axes[a], levels[a]);
        g_string_append_printf(out, "%s%s=%s", out->len ? " " : "", plan->axes[a].field->path, text);
    }
    return g_string_free(out, FALSE);
}

static size_t settings_of(const struct plan *plan, const uint16_t *levels, struct config_setting *settings)
{
    size_t n = 0;
    for (size_t a = 0; a < plan->n_axes; a++)
        if (levels[a] != NO_LEVEL)
            settings[n++] = (struct config_setting){plan->axes[a].field, plan->axes[a].values[levels[a]]};
    return n;
}

/* While cells are being made. */
struct making {
    struct plan *plan;
    struct diag *scratch; /* of the cells; replaced when something was said in it */
    GHashTable *seen;     /* hash → its cell, from 1 */
    struct config_setting *settings;
    bool *used;      /* by field: applies in some cell */
    uint16_t *block; /* room for levels */
    size_t block_left;
};

#define BLOCK_CELLS 1024

static uint16_t *keep_levels(struct making *m, const uint16_t *levels)
{
    size_t n = MAX(m->plan->n_axes, 1);
    if (m->block_left == 0) {
        m->block = g_new(uint16_t, n * BLOCK_CELLS);
        m->block_left = BLOCK_CELLS;
        g_ptr_array_add(m->plan->blocks, m->block);
    }
    uint16_t *kept = m->block + n * (BLOCK_CELLS - m->block_left--);
    memcpy(kept, levels, m->plan->n_axes * sizeof *kept);
    return kept;
}

/* The first line of what was said of a cell, without the place. */
static char *reason_of(const struct diag *scratch)
{
    g_autofree char *text = diag_render(scratch, false);
    const char *mark = strstr(text, "error: ");
    const char *begin = mark ? mark + strlen("error: ") : text;
    return g_strndup(begin, strcspn(begin, "\n"));
}

static void skip_cell(struct making *m, const uint16_t *levels)
{
    struct plan_skip skip = {label_of(m->plan, levels), reason_of(m->scratch)};
    g_array_append_val(m->plan->skips, skip);
    diag_free(m->scratch);
    m->scratch = diag_new();
}

/* Why a cell is the work of an earlier one, by the axes on which they differ. New string. */
static char *repeat_reason(const struct plan *plan, const uint16_t *levels, const uint16_t *earlier)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (size_t a = 0; a < plan->n_axes; a++) {
        const struct config_axis *axis = &plan->axes[a];
        if (levels[a] == earlier[a] || levels[a] == NO_LEVEL || earlier[a] == NO_LEVEL)
            continue;
        g_autofree char *own = level_text(axis, levels[a]), *other = level_text(axis, earlier[a]);
        const char *between = out->len ? "; " : "";
        if (strcmp(own, other))
            g_string_append_printf(out, "%s%s=%s comes to the same work as %s=%s", between, axis->field->path, own,
                                   axis->field->path, other);
        else
            g_string_append_printf(out, "%s%s=%s stands twice", between, axis->field->path, own);
    }
    return out->len ? g_string_free(g_steal_pointer(&out), FALSE) : g_strdup("it is the work of another engine's cell");
}

/* True if an earlier cell has the hash; else it is this one's. */
static bool is_repeat(struct making *m, const char *hash, const uint16_t *levels)
{
    struct plan *plan = m->plan;
    unsigned earlier = *hash ? GPOINTER_TO_UINT(g_hash_table_lookup(m->seen, hash)) : 0;
    if (*hash && !earlier)
        g_hash_table_insert(m->seen, g_strdup(hash), GUINT_TO_POINTER(plan->cells->len + 1));
    if (!earlier)
        return false;
    struct plan_skip repeat = {label_of(plan, levels), repeat_reason(plan, levels, cell_at(plan, earlier - 1)->levels)};
    g_array_append_val(plan->repeats, repeat);
    return true;
}

static void make_cell(struct making *m, const uint16_t *levels)
{
    size_t n = settings_of(m->plan, levels, m->settings);
    g_autoptr(owned_config) config = config_file_resolve(m->plan->study, m->settings, n, m->scratch);
    if (!config) {
        skip_cell(m, levels);
        return;
    }
    config_mark_used(config, m->used);
    struct cell cell = {{0}, NULL};
    g_strlcpy(cell.hash, config_hash(config) ? config_hash(config) : "", sizeof cell.hash);
    if (is_repeat(m, cell.hash, levels))
        return;
    cell.levels = keep_levels(m, levels);
    g_array_append_val(m->plan->cells, cell);
}

static void make_grid(struct making *m, struct grid *grid)
{
    do {
        make_cell(m, grid->at);
    } while (grid_next(m->plan, grid));
}

static int backend_axis(const struct plan *plan)
{
    for (size_t a = 0; a < plan->n_axes; a++)
        if (plan->axes[a].field->flags & CONFIG_ENGINE)
            return (int)a;
    return -1;
}

/* The grids of the study: one, or one per level of the backend axis. */
static GArray *make_grids(const struct plan *plan)
{
    GArray *grids = g_array_new(FALSE, FALSE, sizeof(struct grid));
    g_array_set_clear_func(grids, (GDestroyNotify)grid_clear);
    int fixed = backend_axis(plan);
    size_t n = fixed < 0 ? 1 : plan->axes[fixed].n;
    for (size_t level = 0; level < n; level++) {
        const char *name = fixed < 0 ? NULL : json_string_value(config_value_json(plan->axes[fixed].values[level]));
        /* Without a backend axis every axis applies: the study refuses those of other backends. */
        struct grid grid = grid_for(plan, name, fixed, (uint16_t)level);
        g_array_append_val(grids, grid);
    }
    return grids;
}

static bool count_levels(const struct plan *plan, struct diag *diag)
{
    bool ok = true;
    for (size_t a = 0; a < plan->n_axes; a++) {
        if (plan->axes[a].n <= LEVELS_MAX)
            continue;
        ok = false;
        diag_add(diag, DIAG_ERROR, &plan->axes[a].at, "sweep: %s has %zu levels; the limit is %d",
                 plan->axes[a].field->path, plan->axes[a].n, LEVELS_MAX);
    }
    return ok;
}

static bool count_cells(const struct plan *plan, const GArray *grids, struct diag *diag)
{
    size_t total = 0;
    for (unsigned g = 0; g < grids->len; g++) {
        size_t size = grid_size(plan, &g_array_index(grids, struct grid, g));
        total = size > SIZE_MAX - total ? SIZE_MAX : total + size;
    }
    if (!count_levels(plan, diag))
        return false;
    if (total <= LIMIT_SWEEP_CELLS)
        return true;
    GString *product = g_string_new(NULL);
    for (size_t a = 0; a < plan->n_axes; a++)
        g_string_append_printf(product, "%s%zu", a ? " × " : "", plan->axes[a].n);
    diag_add(diag, DIAG_ERROR, &plan->axes[0].at, "the sweep has %s cells; the limit is %d", product->str,
             LIMIT_SWEEP_CELLS);
    diag_hint(diag, "shorten an axis, or split the study");
    g_string_free(product, TRUE);
    return false;
}

static void make_cells(struct making *m, GArray *grids, struct diag *diag)
{
    struct plan *plan = m->plan;
    const struct config_field *unused;
    m->used = g_new0(bool, config_table_fields(config_file_rows(plan->study), &unused));
    m->scratch = diag_new();
    m->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    m->settings = g_new0(struct config_setting, plan->n_axes + 1);
    for (unsigned g = 0; g < grids->len; g++)
        make_grid(m, &g_array_index(grids, struct grid, g));
    if (plan->cells->len)
        config_file_warn_unused(plan->study, m->used, diag);
    g_free(m->used);
    g_free(m->settings);
    g_hash_table_unref(m->seen);
    diag_free(m->scratch);
}

static bool report_cells(const struct plan *plan, struct diag *diag)
{
    bool none = plan->cells->len == 0;
    const struct diag_span *at = plan->n_axes ? &plan->axes[0].at : NULL;
    if (plan->skips->len && plan->n_axes == 0) { /* no sweep: said where it stands, when the file was checked */
        diag_add(diag, DIAG_ERROR, NULL, "%s", g_array_index(plan->skips, struct plan_skip, 0).reason);
        return false;
    }
    unsigned total = plan->skips->len + plan->cells->len + plan->repeats->len;
    bool one = plan->skips->len == 1;
    if (none && plan->skips->len)
        diag_add(diag, DIAG_ERROR, at, one ? "the only cell breaks a rule" : "all %u cells break a rule", total);
    else if (plan->skips->len)
        diag_add(diag, DIAG_WARNING, at, "%u of %u cells break%s a rule and %s skipped", plan->skips->len, total,
                 one ? "s" : "", one ? "is" : "are");
    if (plan->skips->len)
        told_reasons(diag, plan->skips, total);
    if (plan->repeats->len)
        diag_add(diag, DIAG_WARNING, at, "%u cell%s the work of an earlier one: run once", plan->repeats->len,
                 plan->repeats->len == 1 ? " repeats" : "s repeat");
    if (plan->repeats->len)
        told_reasons(diag, plan->repeats, total);
    return !none;
}

/* --- Order --------------------------------------------------------------------------------------------------------- */

static void order_sequential(struct plan *plan)
{
    for (size_t cell = 0; cell < plan->cells->len; cell++)
        for (int cycle = 1; cycle <= plan->cycles; cycle++) {
            struct plan_run run = {cell, cycle};
            g_array_append_val(plan->runs, run);
        }
}

static void order_cycles(struct plan *plan, bool shuffled)
{
    size_t n = plan->cells->len;
    g_autofree size_t *cells = g_new(size_t, n);
    uint64_t state = plan->seed;
    for (int cycle = 1; cycle <= plan->cycles; cycle++) {
        for (size_t i = 0; i < n; i++)
            cells[i] = i;
        if (shuffled)
            random_shuffle(cells, n, sizeof *cells, &state);
        for (size_t i = 0; i < n; i++) {
            struct plan_run run = {cells[i], cycle};
            g_array_append_val(plan->runs, run);
        }
    }
}

static void hash_plan(struct plan *plan)
{
    g_autoptr(json_t) list = json_array();
    for (size_t i = 0; i < plan->cells->len; i++)
        json_array_append_new(list, json_string(cell_at(plan, i)->hash));
    g_autofree char *digest = jsonx_sha256(list);
    g_strlcpy(plan->hash, digest, sizeof plan->hash);
}

static bool order_runs(struct plan *plan, struct diag *diag)
{
    plan->cycles = (int)config_file_int(plan->study, FIELD_EXECUTION_N_CYCLES);
    hash_plan(plan);
    g_autofree char *low = g_strndup(plan->hash + 8, 8); /* the low 32 bits of the hash */
    plan->seed = config_file_has(plan->study, FIELD_EXECUTION_SEED)
                 ? (uint64_t)config_file_int(plan->study, FIELD_EXECUTION_SEED)
                                                          : g_ascii_strtoull(low, NULL, 16);
    size_t total;
    if (!g_size_checked_mul(&total, plan->cells->len, (size_t)plan->cycles) || total > 10u * LIMIT_SWEEP_CELLS) {
        diag_add(diag, DIAG_ERROR, NULL, "%u cells × %d cycles are more than %u runs", plan->cells->len, plan->cycles,
                 10u * LIMIT_SWEEP_CELLS);
        return false;
    }
    g_array_set_size(plan->runs, (unsigned)total);
    g_array_set_size(plan->runs, 0);
    if (!strcmp(plan_order(plan), "sequential"))
        order_sequential(plan);
    else
        order_cycles(plan, !strcmp(plan_order(plan), "shuffled"));
    return true;
}

struct plan *plan_new(const struct config_file *study, struct diag *diag)
{
    struct plan *plan = g_new0(struct plan, 1);
    plan->study = study;
    plan->n_axes = config_file_axes(study, &plan->axes);
    plan->cells = g_array_new(FALSE, FALSE, sizeof(struct cell));
    plan->skips = g_array_new(FALSE, FALSE, sizeof(struct plan_skip));
    plan->runs = g_array_new(FALSE, FALSE, sizeof(struct plan_run));
    plan->blocks = g_ptr_array_new_with_free_func(g_free);
    plan->repeats = g_array_new(FALSE, FALSE, sizeof(struct plan_skip));
    g_array_set_clear_func(plan->skips, skip_clear);
    g_array_set_clear_func(plan->repeats, skip_clear);
    g_autoptr(GArray) grids = make_grids(plan);
    struct making making = {.plan = plan};
    bool ok = count_cells(plan, grids, diag);
    if (ok)
        make_cells(&making, grids, diag);
    if (ok && report_cells(plan, diag) && order_runs(plan, diag))
        return plan;
    plan_free(plan);
    return NULL;
}

/* --- Reading --------------------------------------------------------------------------------------------------------- */

size_t plan_cells(const struct plan *plan)
{
    return plan->cells->len;
}

int plan_cycles(const struct plan *plan)
{
    return plan->cycles;
}

size_t plan_runs(const struct plan *plan, const struct plan_run **ret)
{
    *ret = (const struct plan_run *)(const void *)plan->runs->data;
    return plan->runs->len;
}

struct config *plan_cell_config(const struct plan *plan, size_t cell)
{
    g_autofree struct config_setting *settings = g_new0(struct config_setting, plan->n_axes + 1);
    size_t n = settings_of(plan, cell_at(plan, cell)->levels, settings);
    g_autoptr(owned_diag) diag = diag_new();
    struct config *config = config_file_resolve(plan->study, settings, n, diag);
    if (!config)
        g_error("sweep: a cell of the plan is no longer valid");
    return config;
}

const char *plan_cell_hash(const struct plan *plan, size_t cell)
{
    return cell_at(plan, cell)->hash;
}

char *plan_cell_label(const struct plan *plan, size_t cell)
{
    return label_of(plan, cell_at(plan, cell)->levels);
}

size_t plan_axes(const struct plan *plan)
{
    return plan->n_axes;
}

const char *plan_axis_path(const struct plan *plan, size_t axis)
{
    return plan->axes[axis].field->path;
}

json_t *plan_cell_level(const struct plan *plan, size_t cell, size_t axis)
{
    uint16_t level = cell_at(plan, cell)->levels[axis];
    return level == NO_LEVEL ? NULL : config_value_json(plan->axes[axis].values[level]);
}

size_t plan_skips(const struct plan *plan, const struct plan_skip **ret)
{
    *ret = (const struct plan_skip *)(const void *)plan->skips->data;
    return plan->skips->len;
}

size_t plan_repeats(const struct plan *plan, const struct plan_skip **ret)
{
    *ret = (const struct plan_skip *)(const void *)plan->repeats->data;
    return plan->repeats->len;
}

const char *plan_hash(const struct plan *plan)
{
    return plan->hash;
}

uint64_t plan_seed(const struct plan *plan)
{
    return plan->seed;
}

const char *plan_order(const struct plan *plan)
{
    return config_file_string(plan->study, FIELD_EXECUTION_ORDER);
}
