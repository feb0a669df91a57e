/* SPDX-License-Identifier: MIT */
/* llem meter: what sensors there are, why others are not, how they behave, and what they show now. */
#include "cli/cli.h"

#include "base/proc.h"
#include "cli/columns.h"
#include "cli/engine_load.h"
#include "cli/watched.h"
#include "meter/meter.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WATCH_NS NS_PER_S

static char **option_sources;
static char *option_sysroot, *option_replay, *option_pid_file, *option_engine, *option_model, *option_precision;
static char **option_set;
static int option_pid, option_count;
static double option_low = NAN, option_high = NAN; /* NAN: not given */
static double option_duration = 2;
static gboolean option_json;

/* Which sensors: of every action. */
#define SENSOR_OPTIONS                                                                                                     \
    {"source", 's', 0, G_OPTION_ARG_STRING_ARRAY, &option_sources, "Only this source, opt-in ones too (repeat)", "NAME"},  \
    {"pid", 0, 0, G_OPTION_ARG_INT, &option_pid, "modelled: count the CPU time of this process", "PID"},                   \
    {"low-watts", 0, 0, G_OPTION_ARG_DOUBLE, &option_low,                                                                  \
     "modelled: least watts per busy core (default " G_STRINGIFY(MODELLED_LOW_W) ")", "W"},                                \
    {"high-watts", 0, 0, G_OPTION_ARG_DOUBLE, &option_high,                                                                \
     "modelled: most watts per busy core (default " G_STRINGIFY(MODELLED_HIGH_W) ")", "W"},                                \
    {"replay", 0, 0, G_OPTION_ARG_FILENAME, &option_replay, "replay: the trace to play", "TRACE"},                         \
    {"sysroot", 0, 0, G_OPTION_ARG_FILENAME, &option_sysroot, "Read /sys and /proc below this folder", "DIR"}

static const GOptionEntry list_options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &option_json, "As JSON", NULL},
    SENSOR_OPTIONS,
    {0},
};

static const GOptionEntry watch_options[] = {
    {"count", 'n', 0, G_OPTION_ARG_INT, &option_count, "End after this many updates", "N"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &option_json, "As JSON, one object a line", NULL},
    SENSOR_OPTIONS,
    {0},
};

static const GOptionEntry characterise_options[] = {
    {"duration", 0, 0, G_OPTION_ARG_DOUBLE, &option_duration, "How long (default 2)", "SECONDS"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &option_json, "As JSON", NULL},
    SENSOR_OPTIONS,
    {0},
};

static const GOptionEntry selftest_options[] = {
    {"engine", 'e', 0, G_OPTION_ARG_STRING, &option_engine,
     "The load: this engine at work, for sensors that a CPU load does not reach", "NAME"},
    {"model", 'm', 0, G_OPTION_ARG_FILENAME, &option_model, "With --engine: the model to load", "PATH"},
    {"precision", 'p', 0, G_OPTION_ARG_STRING, &option_precision, "With --engine: fp32, fp16 or bf16", "NAME"},
    {"option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &option_set,
     "With --engine: an option of the engine (repeat); VALUE is JSON, or text", "KEY=VALUE"},
    {"pid-file", 0, 0, G_OPTION_ARG_FILENAME, &option_pid_file,
     "Write the process group of the load there (for a simulator that follows it)", "FILE"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &option_json, "As JSON", NULL},
    SENSOR_OPTIONS,
    {0},
};

/* --- list ---------------------------------------------------------------------------------------------------------- */

static const char *state_word(const struct meter_source_state *state)
{
    return state->open ? "open" : state->asked ? "absent" : "not asked";
}

static void print_sources(const struct meter *meter)
{
    static const struct cli_column columns[] = {{"SOURCE", 0}, {"STATE", 0},
                                                {"WHAT IT IS, OR WHY IT IS NOT THERE", CLI_WORDS}};
    struct cli_columns *table = cli_columns_new(columns, G_N_ELEMENTS(columns));
    for (size_t i = 0; i < meter_source_count(meter); i++) {
        const struct meter_source_state *state = meter_source_at(meter, i);
        const char *text = state->reason ? state->reason : state->row->summary;
        cli_columns_row(table, (const char *const[]){state->row->name, state_word(state), text});
    }
    cli_columns_print(table);
}

/* True if any channel has values; says on stderr why none has. */
static bool has_sensor(const struct meter *meter, const char *what)
{
    for (size_t i = 0; i < meter_channel_count(meter); i++)
        if (meter_channel_at(meter, i)->status != QUANTITY_ABSENT)
            return true;
    cli_misuse("no sensor is here to %s:", what);
    for (size_t i = 0; i < meter_source_count(meter); i++) {
        const struct meter_source_state *state = meter_source_at(meter, i);
        cli_say("  %s: %s\n", state->row->name, state->reason ? state->reason : "its channels are absent");
    }
    return false;
}

/* The codes of a trace are for programs; the modelled source alone waits for something, a process. */
static const char *read_words(enum meter_read_status status)
{
    return status == METER_READ_NOT_READY ? WATCHED_NO_PROCESS : meter_read_name(status);
}

/* "412 W", "61 degC"; counters have no value of their own. New string. */
static char *value_text(const struct meter_channel *channel, const struct meter_reading *reading)
{
    if (reading->status != METER_READ_OK)
        return g_strdup(reading->status == METER_READ_NONE ? "" : read_words(reading->status));
    if (meter_kind_cumulative(channel->kind))
        return g_strdup("counts");
    if (channel->kind == METER_MEMORY_USED)
        return num_format_bytes(reading->raw);
    g_autofree char *number = num_format_3((double)reading->raw * channel->scale);
    return g_strdup_printf("%s %s", number, channel->kind == METER_PROCESSES ? "" : meter_kind_unit(channel->kind));
}

/* "100 ms", "1 s", "?" where nothing is assumed. New string. */
static char *time_text(int64_t ns)
{
    if (ns <= 0)
        return g_strdup("?");
    g_autofree char *number = num_format_3((double)ns * 1e-6);
    return g_strdup_printf("%s ms", number);
}

static void print_channels(struct meter *meter)
{
    static const struct cli_column columns[] = {{"CHANNEL", 0},
                                            {"SCOPE", 0},
                                            {"STATUS", 0},
                                            {"NOW", CLI_RIGHT},
                                            {"REFRESH", CLI_RIGHT},
                                            {"WINDOW", CLI_RIGHT},
                                            {"REMARK", CLI_WORDS}};
    size_t count = meter_channel_count(meter);
    if (!count)
        return;
    g_autofree struct meter_reading *readings = g_new0(struct meter_reading, count);
    meter_read(meter, METER_ALL_RATES, readings);
    struct cli_columns *table = cli_columns_new(columns, G_N_ELEMENTS(columns));
    for (size_t i = 0; i < count; i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        g_autofree char *now = value_text(c, &readings[i]);
        bool sensor = strcmp(c->sensor_class, METER_CLASS_NONE) != 0 && c->status != QUANTITY_ABSENT;
        g_autofree char *refresh = sensor ? time_text(c->refresh_ns) : g_strdup("");
        g_autofree char *window = sensor ? time_text(c->window_ns) : g_strdup("");
        cli_columns_row(table,
                  (const char *const[]){c->id, c->scope, quantity_status_name(c->status), now, refresh, window,
                                        c->reason});
    }
    cli_print("\n");
    cli_columns_print(table);
    cli_print("\nREFRESH and WINDOW are assumed from the architecture; 'llem meter characterise' measures the refresh.\n");
}

/* --- characterise ------------------------------------------------------------------------------------------------- */

static const char *verdict_of(const struct meter_sensor *s)
{
    return s->usable        ? "usable"
           : s->stuck       ? "stuck: it did not move"
           : s->decreasing  ? "runs backwards"
           : s->implausible ? "rises faster than the device can draw"
                            : "cannot be read";
}

static int characterise_with(struct meter *meter)
{
    if (!option_json && !has_sensor(meter, "characterise"))
        return CLI_FAILED;
    json_t *tree = meter_characterise(meter, (int64_t)(option_duration * (double)NS_PER_S));
    g_autoptr(GError) error = NULL;
    if (!meter_characterisation_save(meter, tree, &error)) /* runs then watch for themselves */
        cli_say("llem: not kept for the next runs: %s\n", error->message);
    if (option_json)
        return cli_print_json(tree);
    static const struct cli_column columns[] = {{"CHANNEL", 0},
                                            {"PERIOD", CLI_RIGHT},
                                            {"PERIOD P95", CLI_RIGHT},
                                            {"READ P50", CLI_RIGHT},
                                            {"READ P99", CLI_RIGHT},
                                            {"COUNTER/POWER", CLI_RIGHT},
                                            {"VERDICT", 0}};
    struct cli_columns *table = cli_columns_new(columns, G_N_ELEMENTS(columns));
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        struct meter_sensor s;
        const char *id = meter_channel_at(meter, i)->id;
        if (!meter_characterisation_get(tree, id, &s))
            continue;
        g_autofree char *period = s.period_ns ? time_text(s.period_ns) : g_strdup("no change");
        g_autofree char *p95 = s.period_ns ? time_text(s.period_p95_ns) : g_strdup("");
        g_autofree char *r50 = g_strdup_printf("%.1f us", (double)s.read_p50_ns * 1e-3);
        g_autofree char *r99 = g_strdup_printf("%.1f us", (double)s.read_p99_ns * 1e-3);
        g_autofree char *ratio = isnan(s.power_ratio) ? g_strdup("") : g_strdup_printf("%.3f", s.power_ratio);
        cli_columns_row(table, (const char *const[]){id, period, p95, r50, r99, ratio, verdict_of(&s)});
    }
    cli_columns_print(table);
    json_decref(tree);
    return CLI_OK;
}

/* --- watch -------------------------------------------------------------------------------------------------------- */

/* The last second of a channel: mean power of a counter, last value of the others. */
static struct quantity last_second(struct sampler *sampler, struct meter *meter, size_t index, int64_t now_ns)
{
    const struct meter_channel *c = meter_channel_at(meter, index);
    if (c->status == QUANTITY_ABSENT)
        return quantity_absent(c->reason);
    g_autoptr(GArray) points = sampler_series(sampler, index, now_ns - WATCH_NS, now_ns);
    const struct meter_point *last =
        points->len ? &g_array_index(points, struct meter_point, points->len - 1) : NULL;
    double rate;
    if (!last || last->status != METER_READ_OK)
        return quantity_absent(last ? read_words(last->status) : "no reading yet");
    if (c->kind == METER_THROTTLE && points->len == 1)
        return quantity_of(c->status, 0, "stood still for the last second", c->id);
    if (!meter_kind_cumulative(c->kind))
        return quantity_of(c->status, (double)last->raw * c->scale, NULL, c->id);
    if (!meter_points_rate(c, points, &rate))
        return quantity_absent("fewer than two changes in the last second");
    return quantity_of(c->status, rate, "slope of the last second", c->id);
}

static const char *shown_unit(const struct meter_channel *c)
{
    return c->kind == METER_ENERGY ? "W" : meter_kind_cumulative(c->kind) ? "s/s" : meter_kind_unit(c->kind);
}

static void watch_json(struct sampler *sampler, struct meter *meter, int64_t now_ns)
{
    json_t *tree = json_object(), *channels = json_object();
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        struct quantity q = last_second(sampler, meter, i, now_ns);
        json_object_set_new(channels, meter_channel_at(meter, i)->id, quantity_json(&q));
    }
    json_object_set_new(tree, "t_mono_ns", json_integer(now_ns));
    json_object_set_new(tree, "channels", channels);
    cli_print_json_line("", tree, "");
    cli_flush_stdout();
}

static void watch_table(struct sampler *sampler, struct meter *meter, int64_t now_ns)
{
    static const struct cli_column columns[] = {{"CHANNEL", 0}, {"SCOPE", 0}, {"STATUS", 0}, {"LAST SECOND", CLI_RIGHT},
                                                {"", 0}};
    struct cli_columns *table = cli_columns_new(columns, G_N_ELEMENTS(columns));
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *c = meter_channel_at(meter, i);
        if (c->status == QUANTITY_ABSENT)
            continue;
        struct quantity q = last_second(sampler, meter, i, now_ns);
        g_autofree char *number = q.status == QUANTITY_ABSENT ? g_strdup("-") : num_format_3(q.value);
        cli_columns_row(table,
                  (const char *const[]){c->id, c->scope, quantity_status_name(q.status), number,
                                        q.status == QUANTITY_ABSENT ? q.reason : shown_unit(c)});
    }
    if (isatty(fileno(cli_out())))
        cli_control(cli_out(), CLI_CLEAR_PAGE);
    cli_columns_print(table);
    cli_flush_stdout();
}

/* Waits for a second or a signal; true: go on. */
static bool wait_second(int interrupt_fd)
{
    struct pollfd fd = {.fd = interrupt_fd, .events = POLLIN};
    int64_t end_ns = clock_mono_ns() + WATCH_NS, left_ns;
    while ((left_ns = end_ns - clock_mono_ns()) > 0)
        if (poll(&fd, 1, (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS)) > 0)
            return false;
    return true;
}

static int watch_with(struct meter *meter)
{
    g_autoptr(GError) error = NULL;
    if (!has_sensor(meter, "watch"))
        return CLI_FAILED;
    int interrupt_fd = interrupt_open();
    g_autoptr(owned_sampler) sampler = sampler_new(meter, NULL, &error);
    if (!sampler || !sampler_start(sampler, &error))
        return cli_fail(error);
    struct sampler_stats stats;
    sampler_stats(sampler, &stats);
    if (stats.notice)
        cli_say("llem: %s\n", stats.notice);
    g_autoptr(owned_watched) watched = watched_begin(meter, sampler);
    for (int n = 0; (!option_count || n < option_count) && wait_second(interrupt_fd); n++) {
        if (option_json)
            watch_json(sampler, meter, clock_mono_ns());
        else
            watch_table(sampler, meter, clock_mono_ns());
        if (ferror(cli_out())) /* nobody reads on */
            return CLI_FAILED;
    }
    watched_end(watched);
    if (option_json)
        watched_print_json(watched);
    else
        watched_print_table(watched);
    return sampler_stop(sampler, &error) ? CLI_OK : cli_fail(error);
}

/* --- selftest ----------------------------------------------------------------------------------------------------- */

/* "0.12 %" of a share. New string. */
static char *share_text(json_t *value)
{
    if (!json_is_number(value))
        return g_strdup("");
    return g_strdup_printf("%.3g %%", 100 * json_number_value(value));
}

static void selftest_table(json_t *tree)
{
    static const struct cli_column columns[] = {{"CHANNEL", 0},       {"STATUS", 0},        {"CHECK", 0},
                                                {"VALUE", CLI_RIGHT}, {"LIMIT", CLI_RIGHT}, {"VERDICT", 0},
                                                {"WHAT IT IS", CLI_WORDS}};
    struct cli_columns *table = cli_columns_new(columns, G_N_ELEMENTS(columns));
    json_t *row;
    size_t index;
    json_array_foreach(json_object_get(tree, "rows"), index, row) {
        const char *channel = json_string_value(json_object_get(row, "channel"));
        const char *status = json_string_value(json_object_get(row, "status"));
        const char *check = json_string_value(json_object_get(row, "check"));
        const char *verdict = json_string_value(json_object_get(row, "verdict"));
        const char *words = json_string_value(json_object_get(row, "words"));
        g_autofree char *value = share_text(json_object_get(row, "value"));
        g_autofree char *limit = share_text(json_object_get(row, "limit"));
        cli_columns_row(table, (const char *const[]){channel, status, check, value, limit, verdict, words});
    }
    cli_columns_print(table);
    if (json_is_false(json_object_get(tree, "quiet")))
        cli_print("\nThe machine was busy: the load got %.0f %% of a CPU. Repeat it when nothing else runs.\n",
                  100 * json_number_value(json_object_get(tree, "load_cpu_share")));
    cli_print("\nThis shows consistency, not accuracy: only an external meter shows the gain and offset of a sensor.\n");
}

static bool has_failed(const json_t *tree)
{
    const json_t *rows = json_object_get(tree, "rows");
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!g_strcmp0(json_string_value(json_object_get(json_array_get(rows, i), "verdict")), "fail"))
            return true;
    return false;
}

static struct meter_load *selftest_load(GError **error)
{
    if (!option_engine)
        return meter_load_new(error);
    proc_become_subreaper(); /* what the engine leaves behind is ended with it */
    const struct engine_load_options options = {
        .engine = option_engine, .model_path = option_model, .precision = option_precision, .settings = option_set};
    return engine_load_new(&options, error);
}

/* Null on failure. New reference. */
static json_t *selftest_run(struct meter *meter, struct meter_load *load, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)load->pids[0]);
    if (option_pid_file && !file_write_durable(option_pid_file, text, strlen(text), error))
        return NULL;
    cli_say("llem: this takes two minutes or so; keep the machine quiet meanwhile\n");
    json_t *tree = meter_selftest(meter, load, NULL, error);
    if (option_pid_file)
        unlink(option_pid_file); /* the number may be another's soon */
    return tree;
}

static int selftest_with(struct meter *meter)
{
    g_autoptr(GError) error = NULL;
    struct meter_load *load = selftest_load(&error);
    if (!load)
        return cli_fail(error);
    g_autoptr(json_t) tree = selftest_run(meter, load, &error);
    g_autofree char *name = g_strdup(load->name);
    meter_load_free(load);
    if (!tree)
        return cli_fail(error);
    if (meter_selftest_keep(meter, tree, name, &error) < 0) /* runs then go on assuming the worst */
        cli_say("llem: not kept for the next runs: %s\n", error->message);
    bool failed = has_failed(tree);
    if (option_json)
        cli_print_json(json_incref(tree));
    else
        selftest_table(tree);
    return failed ? CLI_FAILED : CLI_OK;
}

/* --- actions ------------------------------------------------------------------------------------------------------ */

static int list_with(struct meter *meter)
{
    if (option_json) {
        json_t *tree = meter_json(meter);
        json_object_set_new(tree, "gpus", meter_gpu_facts(meter));
        return cli_print_json(tree);
    }
    print_sources(meter);
    print_channels(meter);
    return CLI_OK;
}

/* True if every number is one that means something; NAN: not given. */
static bool numbers_fit(void)
{
    const struct {
        const char *option;
        double value, least, most;
    } rows[] = {{"--duration", option_duration, 1e-3, 3600}, {"--count", option_count, 0, 1e9},
                {"--pid", option_pid, 0, 1e9},
                {"--low-watts", option_low, 1e-3, 1e4},      {"--high-watts", option_high, 1e-3, 1e4}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!isnan(rows[i].value) && !(rows[i].value >= rows[i].least && rows[i].value <= rows[i].most)) {
            cli_misuse("%s %g: a number above 0 is wanted, at most %g", rows[i].option, rows[i].value, rows[i].most);
            return false;
        }
    return true;
}

/* True if no option is of a source that was not named: it would do nothing. */
static bool sources_fit(void)
{
    const struct {
        const char *option;
        unsigned source;
        bool given;
    } rows[] = {
        {"--replay", SOURCE_RECORDING, option_replay != NULL},
        {"--pid", SOURCE_MODEL, option_pid != 0},
        {"--low-watts", SOURCE_MODEL, !isnan(option_low)},
        {"--high-watts", SOURCE_MODEL, !isnan(option_high)},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *source = meter_source_row_with(rows[i].source)->name;
        if (rows[i].given && !(option_sources && g_strv_contains((const char *const *)option_sources, source))) {
            cli_misuse("%s is for the source %s: add -s %s", rows[i].option, source, source);
            return false;
        }
    }
    if (!option_engine && (option_model || option_precision || option_set)) {
        cli_misuse("--model, --precision and --option are of the engine that is the load: add --engine NAME");
        return false;
    }
    if (!option_pid || kill(option_pid, 0) == 0 || errno != ESRCH)
        return true;
    cli_misuse("there is no process %d", option_pid);
    return false;
}

static int with_meter(int (*run)(struct meter *meter))
{
    if (!numbers_fit() || !sources_fit())
        return CLI_USAGE;
    g_autoptr(GError) error = NULL;
    bool given = !isnan(option_low) || !isnan(option_high);
    struct meter_options open = {
        .sysroot = option_sysroot,
        .sources = (const char *const *)option_sources,
        .replay_path = option_replay,
        .modelled_low_w = !given ? 0 : isnan(option_low) ? MODELLED_LOW_W : option_low,
        .modelled_high_w = !given ? 0 : isnan(option_high) ? MODELLED_HIGH_W : option_high,
    };
    g_autoptr(owned_meter) meter = meter_open(&open, &error);
    if (!meter)
        return cli_fail(error);
    pid_t pid = option_pid;
    if (pid)
        meter_set_engine_pids(meter, &pid, 1);
    return run(meter);
}

static int list(int argc, char **argv)
{
    (void)argc, (void)argv;
    return with_meter(list_with);
}

static int watch(int argc, char **argv)
{
    (void)argc, (void)argv;
    return with_meter(watch_with);
}

static int characterise(int argc, char **argv)
{
    (void)argc, (void)argv;
    return with_meter(characterise_with);
}

static int selftest(int argc, char **argv)
{
    (void)argc, (void)argv;
    return with_meter(selftest_with);
}

static const struct cli_action actions[] = {
    {
        .name = "list",
        .arguments = "",
        .summary = "List the sources and their channels: what each is, or why it is absent",
        .details = "A value from the simulator is 'simulated', one from the CPU-time model is 'modelled'; neither is ever\n"
                   "shown as measured.",
        .options = list_options,
        .run = list,
    },
    {
        .name = "watch",
        .arguments = "",
        .summary = "Show the values live until Ctrl-C",
        .details = "  llem meter watch                            power now\n"
                   "  llem meter watch -s modelled --pid 4242     of one process, by the CPU-time model\n\n"
                   "When it ends, by Ctrl-C or --count, it tells the energy of each scope over the time that was watched:\n"
                   "joules with an interval of 95 %, its statistical and systematic parts, mean watts, by what method and\n"
                   "sensors, or why it is absent. With --json that is one last object, {\"scopes\": […]}, whose entries are\n"
                   "those of energy.scopes in a record.",
        .options = watch_options,
        .run = watch,
    },
    {
        .name = "characterise",
        .arguments = "",
        .summary = "Measure each sensor's refresh period, cost of a read, agreement of counter and power",
        .details = "What is found is kept for the next runs.",
        .options = characterise_options,
        .run = characterise,
    },
    {
        .name = "selftest",
        .arguments = "",
        .summary = "Check the energy counters against themselves, under a CPU load or an engine's",
        .details = "Whether a counter is stuck, mis_scaled (against the power beside it), duty_cycled (sees a part of each of\n"
                   "its periods) or follows_average; linearity, additivity, repeatability: consistency, not accuracy. A GPU\n"
                   "needs an engine that works on it. Takes two minutes or so; exit status 1 when a check failed.\n\n"
                   "  llem meter selftest --engine llamacpp --model model.gguf --option n_gpu_layers=-1\n\n"
                   "The verdict on each counter is kept by board and driver, and runs use it.",
        .options = selftest_options,
        .run = selftest,
    },
    {0},
};

const struct cli_command cli_meter = {
    .name = "meter",
    .summary = "List the energy sensors, watch, characterise or test them",
    .actions = actions,
};
