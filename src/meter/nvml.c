/* SPDX-License-Identifier: MIT */
/*
 * nvml: NVIDIA boards. Found by UUID, read by one batched nvmlDeviceGetFieldValues a board and tick, with the older
 * single calls where a field is refused. Which quantity a call shows depends on the architecture: see sensor_rows.
 */
#include "meter/nvml.h"

#include <string.h>

#define FIELD_MAX    16 /* choice: more than a board is asked for in one call */

/* Of eight boards newer than Kepler six miss an external meter by about 5 % or more, root mean square 6.6 % of which
 * part is the offset (Yang et al., "Part-time Power Measurements", SC'24, arXiv 2312.02741). Offsets found reach -22.6
 * W on a GeForce (RTX 4090) and -1.2 W on an A100; the meter itself missed the 3.3 V rail. */
#define CLASS_BOARD   "nvidia" /* data-centre and workstation boards */
#define CLASS_GEFORCE "nvidia.geforce"
static const struct meter_class classes[] = {
    {CLASS_BOARD, 0.05, 5, .source = "assumed normal, 5 % and 5 W: spread of boards against an external meter in Yang et "
                                     "al., SC'24 (arXiv 2312.02741)"},
    {CLASS_GEFORCE, 0.05, 15, .source = "assumed normal, 5 % and 15 W: spread of GeForce boards against an external meter "
                                        "in Yang et al., SC'24 (arXiv 2312.02741)"},
    {0},
};

enum call { /* how a channel is read when not by a field */
    CALL_FIELD,
    CALL_ENERGY,
    CALL_POWER,
    CALL_MEMORY,
    CALL_TEMPERATURE,
    CALL_UTILISATION,
    CALL_CLOCK,
    CALL_PROCESSES,
};

struct reader {
    unsigned device;
    enum call call;
    uint32_t field, scope;
};

/* Assumed refresh and window in ms (arXiv 2312.02741, table of results; Hopper's row for Blackwell until measured).
 * usage_average: nvmlDeviceGetPowerUsage is the 1-s average (nvml.h). GA100 is told apart by its capability 8.0. */
static const struct sensor_row {
    unsigned architecture;
    int capability; /* major × 10 + minor; 0: any */
    int refresh_ms, window_ms;
    bool usage_average;
} sensor_rows[] = {
    {NVML_ARCH_PASCAL, 0, 20, 10, false},
    {NVML_ARCH_VOLTA, 0, 20, 10, false},
    {NVML_ARCH_TURING, 0, 100, 100, false},
    {NVML_ARCH_AMPERE, 80, 100, 25, false},
    {NVML_ARCH_AMPERE, 0, 100, 100, true},
    {NVML_ARCH_ADA, 0, 100, 100, true},
    {NVML_ARCH_HOPPER, 0, 100, 25, true},
    {NVML_ARCH_BLACKWELL, 0, 100, 25, true},
};
#define MODULE_WINDOW_MS 10 /* of the CPU's part, the least of a module's (the same) */
static const struct sensor_row sensor_unknown = {.usage_average = true};

static const struct sensor_row *sensor_row_of(const struct nvml_board *board)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sensor_rows); i++)
        if (sensor_rows[i].architecture == board->architecture &&
            (!sensor_rows[i].capability || sensor_rows[i].capability == board->capability))
            return &sensor_rows[i];
    return &sensor_unknown;
}

static enum meter_read_status status_of(nvml_return code)
{
    switch (code) {
    case NVML_OK:
        return METER_READ_OK;
    case NVML_NOT_SUPPORTED:
    case NVML_FUNCTION_NOT_FOUND:
        return METER_READ_NOT_SUPPORTED;
    case NVML_NO_PERMISSION:
        return METER_READ_NO_PERMISSION;
    case NVML_GPU_IS_LOST:
        return METER_READ_LOST;
    default:
        return METER_READ_ERROR;
    }
}

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static nvml_return call_one(const struct nvml_api *api, nvml_device device, enum call call, int64_t *ret)
{
    unsigned value = 0;
    unsigned long long big = 0;
    struct nvml_utilisation utilisation;
    nvml_return code = NVML_FUNCTION_NOT_FOUND;
    switch (call) {
    case CALL_ENERGY:
        code = api->energy ? api->energy(device, &big) : code;
        *ret = (int64_t)big;
        return code;
    case CALL_POWER:
        code = api->power ? api->power(device, &value) : code;
        *ret = value;
        return code;
    case CALL_UTILISATION:
        code = api->utilisation ? api->utilisation(device, &utilisation) : code;
        *ret = code == NVML_OK ? utilisation.gpu : 0;
        return code;
    case CALL_CLOCK:
        code = api->clock ? api->clock(device, NVML_CLOCK_SM, &value) : code;
        *ret = value;
        return code;
    case CALL_TEMPERATURE:
        return nvml_temperature_c(api, device, ret);
    case CALL_MEMORY:
        return nvml_memory_used(api, device, ret);
    case CALL_PROCESSES:
        return nvml_process_count(api, device, ret);
    default:
        return code;
    }
}

static void take_field(struct meter_reading *ret, nvml_return code, const struct nvml_field_value *field)
{
    ret->status = status_of(code != NVML_OK ? code : field->status);
    if (ret->status == METER_READ_OK && !nvml_field_int(field, &ret->raw))
        ret->status = METER_READ_ERROR;
}

static void read_fields(struct nvml *nvml, size_t first, size_t end, unsigned rates, struct meter_reading *readings)
{
    struct nvml_field_value fields[FIELD_MAX];
    size_t channels[FIELD_MAX];
    int count = 0;
    nvml_device device = NULL;
    for (size_t i = first; i < end && count < FIELD_MAX; i++) {
        const struct meter_channel *channel = source_channel(&nvml->head, i);
        const struct reader *reader = &g_array_index(nvml->readers, struct reader, i);
        if (reader->call != CALL_FIELD || channel->status == QUANTITY_ABSENT || !(channel->rate & rates))
            continue;
        fields[count] = (struct nvml_field_value){.field_id = reader->field, .scope_id = reader->scope};
        device = nvml->boards[reader->device].device;
        channels[count++] = i;
    }
    if (!count)
        return;
    int64_t before_ns = clock_mono_ns();
    nvml_return code = nvml->api.field_values(device, count, fields);
    int64_t after_ns = clock_mono_ns();
    for (int i = 0; i < count; i++) {
        struct meter_reading *r = &readings[channels[i]];
        r->before_ns = before_ns;
        r->after_ns = after_ns;
        take_field(r, code, &fields[i]);
    }
}

static void read_call(const struct nvml *nvml, const struct reader *reader, struct meter_reading *ret)
{
    ret->before_ns = clock_mono_ns();
    ret->status = status_of(call_one(&nvml->api, nvml->boards[reader->device].device, reader->call, &ret->raw));
    ret->after_ns = clock_mono_ns();
}

static void nvml_read(struct meter_source *source, unsigned rates, struct meter_reading *readings)
{
    struct nvml *nvml = (struct nvml *)source;
    for (unsigned d = 0; d < nvml->board_count; d++) {
        size_t first = nvml->boards[d].first_channel, end = nvml->boards[d].end_channel;
        if (rates & (METER_FAST | METER_MEDIUM))
            read_fields(nvml, first, end, rates & (METER_FAST | METER_MEDIUM), readings);
        if (rates & METER_SLOW)
            read_fields(nvml, first, end, METER_SLOW, readings);
        for (size_t i = first; i < end; i++) {
            const struct meter_channel *channel = source_channel(source, i);
            const struct reader *reader = &g_array_index(nvml->readers, struct reader, i);
            if (reader->call == CALL_FIELD || channel->status == QUANTITY_ABSENT || !(channel->rate & rates))
                continue;
            read_call(nvml, reader, &readings[i]);
        }
    }
}

static void nvml_read_one(struct meter_source *source, size_t index, struct meter_reading *ret)
{
    struct nvml *nvml = (struct nvml *)source;
    const struct reader *reader = &g_array_index(nvml->readers, struct reader, index);
    if (reader->call != CALL_FIELD)
        return read_call(nvml, reader, ret);
    struct nvml_field_value field = {.field_id = reader->field, .scope_id = reader->scope};
    ret->before_ns = clock_mono_ns();
    nvml_return code = nvml->api.field_values(nvml->boards[reader->device].device, 1, &field);
    ret->after_ns = clock_mono_ns();
    take_field(ret, code, &field);
}

/* --- opening --------------------------------------------------------------------------------------------------------------- */

/* Asks the driver once for what this reader reads; the code says why it does not answer. */
static nvml_return try_reader(struct nvml *nvml, const struct reader *reader)
{
    nvml_device device = nvml->boards[reader->device].device;
    int64_t value;
    if (reader->call != CALL_FIELD)
        return call_one(&nvml->api, device, reader->call, &value);
    if (!nvml->api.field_values)
        return NVML_FUNCTION_NOT_FOUND;
    struct nvml_field_value field = {.field_id = reader->field, .scope_id = reader->scope};
    nvml_return code = nvml->api.field_values(device, 1, &field);
    if (code == NVML_OK)
        code = field.status;
    return code == NVML_OK && !nvml_field_int(&field, &value) ? NVML_UNKNOWN : code;
}

struct wanted {
    const char *suffix;
    enum meter_kind kind;
    enum meter_rate rate;
    double scale;
    const char *raw_unit, *why; /* what its absence usually means */
    struct reader readers[3];   /* in the order of preference; ended by a field of 0 with CALL_FIELD */
};

/* A counter whose call states no scope, or that of the GPU, is of what it was found to be of. */
static const char *scope_of(const struct nvml_board *board, const struct wanted *wanted, const struct reader *reader)
{
    bool module = reader->call == CALL_FIELD && reader->scope == NVML_SCOPE_MODULE;
    bool found = board->energy_scope && wanted->kind == METER_ENERGY;
    return board->parent >= 0                                               ? METER_SCOPE_INSTANCE
           : module                                                         ? METER_SCOPE_MODULE
           : found                                                          ? board->energy_scope
           : board->mig                                                     ? METER_SCOPE_MIG
                                                                            : METER_SCOPE_GPU;
}

/* The first of the readers that answers, or the first of all; the code is that of the first real refusal. */
static nvml_return choose_reader(struct nvml *nvml, unsigned d, const struct wanted *wanted, struct reader *ret)
{
    nvml_return code = NVML_FUNCTION_NOT_FOUND;
    for (size_t i = 0; i < G_N_ELEMENTS(wanted->readers); i++) {
        struct reader reader = wanted->readers[i];
        if (reader.call == CALL_FIELD && !reader.field)
            break;
        reader.device = d;
        nvml_return now = try_reader(nvml, &reader);
        if (i == 0 || now == NVML_OK)
            *ret = reader;
        if (i == 0 || code == NVML_FUNCTION_NOT_FOUND || now == NVML_OK)
            code = now; /* the first real refusal is the one to quote */
        if (now == NVML_OK)
            break;
    }
    return code;
}

static void say_absent(struct nvml *nvml, size_t index, nvml_return code, const struct wanted *wanted)
{
    source_absent(&nvml->head, index, "the driver says '%s'%s%s", nvml_api_error(&nvml->api, code),
                  code == NVML_NOT_SUPPORTED && wanted->why ? ": " : "",
                  code == NVML_NOT_SUPPORTED && wanted->why ? wanted->why
                  : code == NVML_NO_PERMISSION ? "; run as root or ask for the device's permission" : "");
}

static void add_wanted(struct nvml *nvml, unsigned d, const struct wanted *wanted)
{
    const struct nvml_board *board = &nvml->boards[d];
    const struct sensor_row *row = sensor_row_of(board);
    struct reader chosen = {0};
    nvml_return code = choose_reader(nvml, d, wanted, &chosen);
    bool energy = wanted->kind == METER_ENERGY, instant = wanted->kind == METER_POWER_INSTANT;
    bool power = energy || instant || wanted->kind == METER_POWER_AVERAGE;
    const char *scope = scope_of(board, wanted, &chosen);
    bool beyond = !strcmp(scope, METER_SCOPE_MODULE) || !strcmp(scope, METER_SCOPE_UNCLEAR);
    int window_ms = beyond ? MODULE_WINDOW_MS : row->window_ms;
    g_autofree char *id = g_strdup_printf("nvml:%s:%s", board->uuid, wanted->suffix);
    g_autofree char *label = g_strdup_printf("%s #%u", board->name, board->number);
    struct meter_channel channel = {
        .id = id, .device = board->uuid, .label = label, .scope = scope, .kind = wanted->kind, .rate = wanted->rate,
        .scale = wanted->scale, .raw_unit = wanted->raw_unit,
        .max_power_w = power && !beyond ? board->limit_w * METER_PLAUSIBLE_SHARE : 0, /* the limit is the GPU's */
        .refresh_ns = power ? row->refresh_ms * NS_PER_MS : 0,
        .window_ns = energy || instant ? window_ms * NS_PER_MS : power ? NS_PER_S : 0,
        .part_ns = window_ms == row->refresh_ms ? window_ms * NS_PER_MS : 0,
        .sensor_class = !power               ? METER_CLASS_NONE
                        : board->geforce     ? CLASS_GEFORCE
                                             : CLASS_BOARD,
        .status = nvml->api.simulated ? QUANTITY_SIMULATED : QUANTITY_MEASURED,
    };
    size_t index = source_add(&nvml->head, &channel);
    g_array_append_val(nvml->readers, chosen);
    if (board->parent >= 0 && power) /* whatever a driver answers: it is no figure of the instance */
        source_absent(&nvml->head, index, "%s is divided (MIG): its sensor counts the whole board, and an instance of it "
                      "has none of its own", nvml->boards[board->parent].uuid);
    else if (code != NVML_OK)
        say_absent(nvml, index, code, wanted);
}

#define FIELD(id) {.call = CALL_FIELD, .field = (id)}
#define FIELD_OF(id, of) {.call = CALL_FIELD, .field = (id), .scope = NVML_SCOPE_##of}
#define CALL(name) {.call = CALL_##name}
static void add_power(struct nvml *nvml, unsigned d)
{
    const struct sensor_row *row = sensor_row_of(&nvml->boards[d]);
    struct wanted instant = {"power_instant", METER_POWER_INSTANT, METER_FAST, 1e-3, "mW",
                             "field 186 appeared with driver 530", {FIELD(NVML_FI_POWER_INSTANT)}};
    struct wanted average = {"power_average", METER_POWER_AVERAGE, METER_FAST, 1e-3, "mW",
                             "this architecture or driver has no 1-s average", {FIELD(NVML_FI_POWER_AVERAGE)}};
    struct wanted *usage = row->usage_average ? &average : &instant;
    usage->readers[1] = (struct reader)CALL(POWER);
    add_wanted(nvml, d, &instant);
    add_wanted(nvml, d, &average);
}

static const struct wanted energy_row = {
    "energy", METER_ENERGY, METER_FAST, 1e-3, "mJ", "boards before Volta and many vGPUs have no energy counter",
    {FIELD(NVML_FI_ENERGY), CALL(ENERGY),
     FIELD_OF(NVML_FI_ENERGY, MODULE)}};

static const struct wanted other_rows[] = {
    {"throttle_sw_power", METER_THROTTLE, METER_MEDIUM, 1e-9, "ns", NULL, {FIELD(NVML_FI_THROTTLE_SW_POWER)}},
    {"throttle_sync_boost", METER_THROTTLE, METER_MEDIUM, 1e-9, "ns", NULL, {FIELD(NVML_FI_THROTTLE_SYNC_BOOST)}},
    {"throttle_sw_thermal", METER_THROTTLE, METER_MEDIUM, 1e-9, "ns", NULL, {FIELD(NVML_FI_THROTTLE_SW_THERMAL)}},
    {"throttle_hw_thermal", METER_THROTTLE, METER_MEDIUM, 1e-9, "ns", NULL, {FIELD(NVML_FI_THROTTLE_HW_THERMAL)}},
    {"throttle_power_brake", METER_THROTTLE, METER_MEDIUM, 1e-9, "ns", NULL, {FIELD(NVML_FI_THROTTLE_POWER_BRAKE)}},
    {"temperature", METER_TEMPERATURE, METER_SLOW, 1, "degC", NULL, {CALL(TEMPERATURE)}},
    {"temperature_memory", METER_TEMPERATURE, METER_SLOW, 1, "degC", "not on all boards", {FIELD(NVML_FI_MEMORY_TEMP)}},
    {"memory_used", METER_MEMORY_USED, METER_SLOW, 1, "B", NULL, {CALL(MEMORY)}},
    {"utilisation", METER_UTILISATION, METER_SLOW, 1e-2, "%", "not with MIG", {CALL(UTILISATION)}},
    {"clock_sm", METER_CLOCK, METER_SLOW, 1e6, "MHz", NULL, {CALL(CLOCK)}},
    {"processes", METER_PROCESSES, METER_SLOW, 1, "processes", NULL, {CALL(PROCESSES)}},
};

/* What a driver says of a module; nothing of it is there on other boards. */
static const struct wanted module_rows[] = {
    {"energy_module", METER_ENERGY, METER_FAST, 1e-3, "mJ", NULL, {FIELD_OF(NVML_FI_ENERGY, MODULE)}},
    {"power_instant_module", METER_POWER_INSTANT, METER_FAST, 1e-3, "mW", NULL,
     {FIELD_OF(NVML_FI_POWER_INSTANT, MODULE)}},
    {"power_average_module", METER_POWER_AVERAGE, METER_FAST, 1e-3, "mW", NULL,
     {FIELD_OF(NVML_FI_POWER_AVERAGE, MODULE)}},
};

/* The counter that is read without the driver's word for its scope. */
static bool read_energy(const struct nvml *nvml, nvml_device device, double *ret_j)
{
    struct nvml_field_value field = {.field_id = NVML_FI_ENERGY};
    int64_t value = 0;
    bool ok = nvml->api.field_values && nvml->api.field_values(device, 1, &field) == NVML_OK &&
              field.status == NVML_OK && nvml_field_int(&field, &value);
    if (!ok)
        ok = call_one(&nvml->api, device, CALL_ENERGY, &value) == NVML_OK;
    *ret_j = (double)value * 1e-3;
    return ok;
}

/* Channels of the module; a counter that is one of them already is not there twice. */
static void add_module(struct nvml *nvml, unsigned d)
{
    const struct meter_channel *energy = source_channel(&nvml->head, nvml->boards[d].first_channel);
    bool counted = energy->status != QUANTITY_ABSENT && !strcmp(energy->scope, METER_SCOPE_MODULE);
    for (size_t i = 0; i < G_N_ELEMENTS(module_rows); i++) {
        struct reader reader = module_rows[i].readers[0];
        reader.device = d;
        if (!(counted && module_rows[i].kind == METER_ENERGY) && try_reader(nvml, &reader) == NVML_OK)
            add_wanted(nvml, d, &module_rows[i]);
    }
}

/* False: it has no UUID, by which everything else is found. */
static bool name_board(const struct nvml_api *api, struct nvml_board *board)
{
    if (api->uuid(board->device, board->uuid, sizeof board->uuid) != NVML_OK)
        return false;
    if (!api->name || api->name(board->device, board->name, sizeof board->name) != NVML_OK)
        g_strlcpy(board->name, "NVIDIA GPU", sizeof board->name);
    return true;
}

static bool open_board(struct nvml *nvml, unsigned index, struct nvml_board *board)
{
    const struct nvml_api *api = &nvml->api;
    if (api->by_index(index, &board->device) != NVML_OK || !name_board(api, board))
        return false;
    board->number = index;
    board->parent = -1;
    int major = 0, minor = 0;
    unsigned limit_mw = 0, mig = 0, pending;
    if (api->architecture)
        api->architecture(board->device, &board->architecture);
    if (api->capability && api->capability(board->device, &major, &minor) == NVML_OK)
        board->capability = major * 10 + minor;
    if (!api->enforced_limit || api->enforced_limit(board->device, &limit_mw) != NVML_OK)
        if (api->limit && api->limit(board->device, &limit_mw) != NVML_OK)
            limit_mw = 0;
    board->limit_w = limit_mw * 1e-3;
    board->mig = api->mig && api->mig(board->device, &mig, &pending) == NVML_OK && mig == 1;
    board->geforce = strstr(board->name, "GeForce") != NULL;
    return true;
}

static struct nvml_board *new_board(struct nvml *nvml)
{
    nvml->boards = g_renew(struct nvml_board, nvml->boards, nvml->board_count + 1);
    nvml->boards[nvml->board_count] = (struct nvml_board){.parent = -1};
    return &nvml->boards[nvml->board_count];
}

/* The instances of a divided board follow it. They are numbered with gaps. */
static void open_instances(struct nvml *nvml, unsigned d)
{
    const struct nvml_api *api = &nvml->api;
    unsigned most = 0;
    if (!nvml->boards[d].mig || !api->instances_most || !api->instance ||
        api->instances_most(nvml->boards[d].device, &most) != NVML_OK)
        return;
    for (unsigned i = 0; i < most; i++) {
        struct nvml_board *instance = new_board(nvml);
        const struct nvml_board *board = &nvml->boards[d];
        instance->number = board->number;
        instance->parent = (int)d;
        instance->architecture = board->architecture;
        instance->capability = board->capability;
        if (api->instance(board->device, i, &instance->device) == NVML_OK && name_board(api, instance))
            nvml->board_count++;
    }
}

static void add_board(struct nvml *nvml, unsigned d)
{
    struct nvml_board *board = &nvml->boards[d];
    double joules;
    board->first_channel = nvml->head.channels->len;
    board->module = board->parent < 0 && nvml_is_module(nvml, board->device);
    if (board->module && read_energy(nvml, board->device, &joules))
        board->module = (board->energy_scope = nvml_energy_scope(nvml, board->device, read_energy)) != NULL;
    add_wanted(nvml, d, &energy_row);
    add_power(nvml, d);
    if (board->module)
        add_module(nvml, d);
    for (size_t i = 0; i < G_N_ELEMENTS(other_rows); i++)
        add_wanted(nvml, d, &other_rows[i]);
    board->end_channel = nvml->head.channels->len;
}

static void nvml_close(struct meter_source *source)
{
    struct nvml *nvml = (struct nvml *)source;
    if (nvml->initialised)
        nvml->api.shutdown();
    nvml_api_unload(&nvml->api);
    g_array_unref(nvml->readers);
    g_free(nvml->boards);
}

static struct meter_source *give_up(struct nvml *nvml)
{
    source_free(&nvml->head);
    return NULL;
}

static const struct {
    nvml_return code;
    const char *advice;
} init_advice[] = {
    {NVML_DRIVER_NOT_LOADED, "the kernel module is not loaded: try 'sudo modprobe nvidia' or 'nvidia-smi'"},
    {NVML_NO_PERMISSION, "this user may not open /dev/nvidia*: run as root or join the group that owns the files"},
    {NVML_OPERATING_SYSTEM, "the container or cgroup blocks the devices: start it with --gpus"},
    {NVML_LIB_RM_VERSION_MISMATCH, "library and kernel module are of different drivers: reboot or reload the module"},
};

#define STUB_ADVICE                                                                                \
    "it is the stub of the CUDA toolkit, to link against, and no driver's library: take its folder out of "        \
    "LD_LIBRARY_PATH, or name the driver's by LLEM_NVML_LIBRARY"

static char *init_reason(const struct nvml_api *api, nvml_return code, const char *said)
{
    const char *advice = "run 'nvidia-smi' to see whether the driver works";
    for (size_t i = 0; i < G_N_ELEMENTS(init_advice); i++)
        if (init_advice[i].code == code)
            advice = init_advice[i].advice;
    if (nvml_api_is_stub(api, said))
        advice = STUB_ADVICE;
    g_autofree char *file = nvml_api_file(api);
    return g_strdup_printf("NVML (%s) does not start: '%s'; %s", file, nvml_api_error(api, code), advice);
}

static const char *library_path(const struct meter_context *context)
{
    const char *path = context->options->library;
    if (!path || !*path)
        path = g_getenv("LLEM_NVML_LIBRARY");
    return path && *path ? path : NULL;
}

static bool nvml_probe(const struct meter_context *context, char **ret_reason)
{
    struct nvml_api api;
    if (!nvml_api_load(&api, library_path(context), ret_reason))
        return false;
    nvml_api_unload(&api);
    return true;
}

/* All that the driver lists. Returns which of them it does not open, and why: new string, "" for none. */
static char *open_boards(struct nvml *nvml, unsigned count)
{
    GString *lost = g_string_new(NULL);
    for (unsigned i = 0; i < count; i++) {
        nvml_device device;
        if (open_board(nvml, i, new_board(nvml))) {
            open_instances(nvml, nvml->board_count++);
            continue;
        }
        nvml_return code = nvml->api.by_index(i, &device);
        g_string_append_printf(lost, "%sGPU #%u cannot be opened: %s", lost->len ? "; " : "", i,
                               code != NVML_OK ? nvml_api_error(&nvml->api, code) : "it has no UUID");
    }
    return g_string_free(lost, FALSE);
}

static struct meter_source *nvml_open(const struct meter_context *context, char **ret_reason, GError **error)
{
    (void)error;
    struct nvml *nvml = g_new0(struct nvml, 1);
    source_init(&nvml->head, &meter_nvml);
    nvml->readers = g_array_new(FALSE, FALSE, sizeof(struct reader));
    if (!nvml_api_load(&nvml->api, library_path(context), ret_reason))
        return give_up(nvml);
    g_autofree char *said = NULL;
    nvml_return code = nvml_api_start(&nvml->api, &said);
    unsigned count = 0;
    if (code == NVML_OK) {
        nvml->initialised = true;
        code = nvml->api.count(&count);
    }
    if (code != NVML_OK || count == 0) {
        *ret_reason = code != NVML_OK ? init_reason(&nvml->api, code, said)
                                      : g_strdup("NVML finds no GPU; in a container start it with --gpus");
        return give_up(nvml);
    }
    g_autofree char *lost = open_boards(nvml, count);
    if (!nvml->board_count) {
        *ret_reason = g_strdup_printf("NVML lists %u GPU(s) and opens none (%s); run 'nvidia-smi'", count, lost);
        return give_up(nvml);
    }
    for (unsigned d = 0; d < nvml->board_count; d++)
        add_board(nvml, d);
    if (nvml->api.simulated)
        nvml->head.remark = g_strconcat("a simulated NVML: every value is 'simulated'", *lost ? "; " : "", lost, NULL);
    else if (*lost)
        nvml->head.remark = g_steal_pointer(&lost);
    return &nvml->head;
}

const struct meter_ops meter_nvml = {
    .name = "nvml",
    .classes = classes,
    .probe = nvml_probe,
    .open = nvml_open,
    .read = nvml_read,
    .read_one = nvml_read_one,
    .close = nvml_close,
    .facts = nvml_facts,
    .boards = nvml_boards,
    .variable = NVML_VARIABLE,
    .visible = nvml_visible,
    .memory = nvml_memory_of,
    .use = nvml_use_of,
};
