/* SPDX-License-Identifier: MIT */
#include "cli/watched.h"

#include "cli/cli.h"
#include "cli/columns.h"
#include "energy/scopes.h"

#include <math.h>
#include <string.h>

#define LOOK_NS     (20 * NS_PER_MS)
#define PATIENCE_NS NS_PER_S       /* a sensor that shows nothing for so long will not */
#define REACH_NS    (5 * NS_PER_S) /* of readings that tell whether an end was shown */
#define ANY_WIDTH   1e9            /* of an interval: nobody asked for a resolution */

/* One scope and its energy. */
struct answer {
    const char *name;
    const struct energy_scope *scope; /* NULL: no channel of it can be used */
    struct energy_estimate sum, *boards;
};

struct watched {
    struct sampler *sampler;
    const struct meter_channel **channels;
    struct meter_sensor *sensors;
    struct energy_known known;
    int64_t from_ns, t0_ns, t1_ns; /* readings begin; the stretch */
    struct energy_scopes *scopes;
    GArray *answers; /* struct answer */
};

/* --- The stretch -------------------------------------------------------------------------------------------------- */

static struct energy_scopes *scopes_since(const struct watched *watched, int64_t from_ns)
{
    int64_t now_ns = clock_mono_ns();
    return energy_scopes_new(&watched->known,
                             energy_readings_take(&watched->known, watched->sampler, from_ns, now_ns, NULL));
}

static void wait_for_begin(const struct watched *watched)
{
    int64_t limit_ns = clock_mono_ns() + PATIENCE_NS, now_ns;
    while ((now_ns = clock_mono_ns()) < limit_ns) {
        g_autoptr(owned_scopes) scopes = scopes_since(watched, watched->from_ns);
        if (energy_scopes_may_begin(scopes, now_ns))
            return;
        g_usleep(LOOK_NS / NS_PER_US);
    }
}

static void wait_for_end(const struct watched *watched)
{
    int64_t limit_ns = watched->t1_ns + PATIENCE_NS;
    while (clock_mono_ns() < limit_ns) {
        g_autoptr(owned_scopes) scopes = scopes_since(watched, MAX(watched->from_ns, watched->t1_ns - REACH_NS));
        if (energy_scopes_may_end(scopes, watched->t1_ns))
            return;
        g_usleep(LOOK_NS / NS_PER_US);
    }
}

/* Whatever is here, of all boards: nobody said what works on which. */
static void know(struct meter *meter, struct watched *ret)
{
    g_autoptr(json_t) found = meter_characterisation_load(meter);
    size_t n = meter_channel_count(meter);
    ret->channels = energy_known_channels(meter);
    ret->sensors = g_new0(struct meter_sensor, n + 1);
    energy_known_sensors(meter, found, ret->sensors);
    ret->known = (struct energy_known){
        .channels = ret->channels, .sensors = ret->sensors, .channel_count = n, .on_boards = true};
}

struct watched *watched_begin(struct meter *meter, struct sampler *sampler)
{
    struct watched *watched = g_new0(struct watched, 1);
    watched->sampler = sampler;
    watched->answers = g_array_new(FALSE, TRUE, sizeof(struct answer));
    know(meter, watched);
    wait_for_begin(watched);
    watched->t0_ns = clock_mono_ns();
    return watched;
}

static bool waits_for_process(const struct energy_scope_board *b)
{
    for (size_t i = 0; i < ENERGY_SLOT_COUNT; i++)
        if (b->channels[i].count && b->channels[i].points[b->channels[i].count - 1].status == METER_READ_NOT_READY)
            return true;
    return false;
}

static void answer_scope(struct watched *watched, const struct energy_scope *scope)
{
    struct energy_window window = {watched->t0_ns, watched->t0_ns, watched->t1_ns, watched->t1_ns, 1, 0, 0};
    struct energy_options options = {.unguarded = true, .resolution = ANY_WIDTH};
    struct answer answer = {.name = scope->name,
                            .scope = scope,
                            .boards = g_new0(struct energy_estimate, scope->boards->len)};
    energy_scope_estimate(scope, &window, &options, &answer.sum, answer.boards);
    const struct energy_scope_board *first = g_ptr_array_index(scope->boards, 0);
    if (answer.sum.joules.status == QUANTITY_ABSENT && waits_for_process(first))
        energy_estimate_missing(first->device, scope->name, WATCHED_NO_PROCESS, &answer.sum);
    g_array_append_val(watched->answers, answer);
}

static void answer_absence(struct watched *watched, const struct energy_absence *absence)
{
    static const struct energy_board nothing;
    struct energy_window window = {watched->t0_ns, watched->t0_ns, watched->t1_ns, watched->t1_ns, 1, 0, 0};
    struct answer answer = {.name = absence->scope};
    g_autofree char *why = g_strdup_printf("%s: %s", absence->device, absence->why);
    energy_estimate_board(&nothing, &window, NULL, &answer.sum);
    energy_estimate_missing(absence->device, absence->scope, why, &answer.sum);
    g_array_append_val(watched->answers, answer);
}

void watched_end(struct watched *watched)
{
    watched->t1_ns = clock_mono_ns();
    wait_for_end(watched);
    watched->scopes = scopes_since(watched, watched->from_ns);
    for (guint i = 0; i < watched->scopes->all->len; i++)
        answer_scope(watched, g_ptr_array_index(watched->scopes->all, i));
    g_autoptr(GArray) absences = energy_scopes_absent(&watched->known, watched->scopes);
    for (guint i = 0; i < absences->len; i++)
        answer_absence(watched, &g_array_index(absences, struct energy_absence, i));
}

void watched_free(struct watched *watched)
{
    if (!watched)
        return;
    for (guint i = 0; i < watched->answers->len; i++) {
        struct answer *a = &g_array_index(watched->answers, struct answer, i);
        for (guint k = 0; a->scope && k < a->scope->boards->len; k++)
            energy_estimate_clear(&a->boards[k]);
        energy_estimate_clear(&a->sum);
        g_free(a->boards);
    }
    g_array_unref(watched->answers);
    energy_scopes_free(watched->scopes);
    g_free(watched->channels);
    g_free(watched->sensors);
    g_free(watched);
}

/* --- In words ----------------------------------------------------------------------------------------------------- */

/* "± 0.25 %" of the joules; a model has its range instead. New string. */
static char *share_text(const struct energy_estimate *e, double half_width_j)
{
    bool stated = (e->joules.status == QUANTITY_MEASURED || e->joules.status == QUANTITY_SIMULATED) &&
                  isfinite(half_width_j) && e->joules.value > 0;
    double percent = stated ? 100 * half_width_j / e->joules.value : 0;
    if (!stated)
        return g_strdup("-");
    return percent < 0.01 ? g_strdup("< 0.01 %") : g_strdup_printf("± %.2g %%", percent);
}

/* New string. */
static char *number_text(const struct quantity *q)
{
    return q->status == QUANTITY_ABSENT ? g_strdup("-") : num_format_3(q->value);
}

/* New string. */
static char *interval_text(const struct quantity *q)
{
    if (q->status == QUANTITY_ABSENT || !isfinite(q->low) || !isfinite(q->high))
        return g_strdup("-");
    g_autofree char *low = num_format_3(q->low), *high = num_format_3(q->high);
    return g_strdup_printf("[%s, %s]", low, high);
}

/* "edge_counter: nvml:GPU-…:energy, …" of each board, or why there is no energy. New string. */
static char *origin_text(const struct answer *a)
{
    if (a->sum.joules.status == QUANTITY_ABSENT)
        return g_strdup(a->sum.joules.reason);
    GString *text = g_string_new(a->sum.joules.method);
    for (guint i = 0; i < a->scope->boards->len; i++)
        g_string_append_printf(text, "%s%s", i ? ", " : ": ", a->boards[i].joules.sensor);
    return g_string_free(text, FALSE);
}

static void add_answer(struct cli_columns *table, const struct answer *a)
{
    g_autofree char *joules = number_text(&a->sum.joules), *range = interval_text(&a->sum.joules);
    g_autofree char *statistical = share_text(&a->sum, a->sum.statistical_j);
    g_autofree char *systematic = share_text(&a->sum, a->sum.systematic_j);
    g_autofree char *watts = number_text(&a->sum.average_w), *origin = origin_text(a);
    cli_columns_row(table, (const char *const[]){a->name, quantity_status_name(a->sum.joules.status), joules, range,
                                                 statistical, systematic, watts, origin});
}

/* Doubts. Here no sensor is calibrated, which its systematic part says; a model has its range instead. */
static void print_flags(const struct answer *a)
{
    bool modelled = a->sum.joules.status == QUANTITY_MODELLED;
    uint32_t flags = modelled ? 0 : a->sum.flags & ~ENERGY_FLAG(UNCALIBRATED);
    for (int i = 0; i < ENERGY_FLAG_COUNT; i++)
        if (flags & (UINT32_C(1) << i))
            cli_print("%s: %s: %s\n", a->name, energy_flag_name(i), energy_flag_meaning(i));
}

static void print_warnings(const struct watched *watched)
{
    for (guint i = 0; i < watched->scopes->warnings->len; i++)
        cli_say("llem: %s\n", (const char *)g_ptr_array_index(watched->scopes->warnings, i));
}

void watched_print_table(const struct watched *watched)
{
    static const struct cli_column columns[] = {{"SCOPE", 0}, {"STATUS", 0}, {"JOULES", CLI_RIGHT}, {"INTERVAL", 0},
                                                {"STATISTICAL", CLI_RIGHT}, {"SYSTEMATIC", CLI_RIGHT},
                                                {"MEAN W", CLI_RIGHT}, {"HOW, OR WHY IT IS ABSENT", CLI_WORDS}};
    g_autofree char *seconds = num_format_3(clock_seconds(watched->t1_ns - watched->t0_ns));
    print_warnings(watched);
    if (watched->answers->len == 0) {
        cli_print("\nNo sensor that was watched gives the energy of the %s s.\n", seconds);
        return;
    }
    cli_print("\nEnergy of the %s s that were watched:\n\n", seconds);
    struct cli_columns *table = cli_columns_new(columns, G_N_ELEMENTS(columns));
    for (guint i = 0; i < watched->answers->len; i++)
        add_answer(table, &g_array_index(watched->answers, struct answer, i));
    cli_columns_print(table);
    cli_print("\nAn interval is one of 95 %%, of a modelled value the range that was stated for it.\n");
    for (guint i = 0; i < watched->answers->len; i++) {
        const struct answer *a = &g_array_index(watched->answers, struct answer, i);
        const char *outside = meter_scope_find(a->name)->outside;
        if (outside && a->sum.joules.status != QUANTITY_ABSENT)
            cli_print("%s: not in it: %s\n", a->name, outside);
        print_flags(a);
    }
}

/* --- As JSON ------------------------------------------------------------------------------------------------------ */

/* As in energy.scopes of a record. New reference. */
static json_t *answer_json(const struct answer *a)
{
    if (a->scope)
        return energy_scope_json(a->scope, &a->sum, a->boards);
    json_t *tree = energy_estimate_json(&a->sum);
    json_object_set_new(tree, "outside", json_string(meter_scope_find(a->name)->outside));
    return tree;
}

void watched_print_json(const struct watched *watched)
{
    json_t *list = json_array();
    print_warnings(watched);
    for (guint i = 0; i < watched->answers->len; i++)
        json_array_append_new(list, answer_json(&g_array_index(watched->answers, struct answer, i)));
    g_autoptr(json_t) tree = json_pack("{s:o}", "scopes", list);
    g_autofree char *text = jsonx_dump(tree, JSONX_COMPACT);
    cli_print("%s\n", text);
}
