/* SPDX-License-Identifier: MIT */
/* What is known of NVIDIA boards beside their sensors: static facts, memory, and the processes that hold it. */
#include "meter/nvml.h"

#include <stdio.h>
#include <string.h>

#define PID_LIMIT 4194304 /* the kernel's own maximum (PID_MAX_LIMIT) */

nvml_return nvml_temperature_c(const struct nvml_api *api, nvml_device device, int64_t *ret)
{
    nvml_return code = NVML_FUNCTION_NOT_FOUND;
    if (api->temperature_v) {
        struct nvml_temperature t = {.version = NVML_TEMPERATURE_V1};
        code = api->temperature_v(device, &t);
        *ret = t.celsius;
    }
    if (code != NVML_OK && api->temperature) {
        unsigned celsius = 0;
        code = api->temperature(device, 0, &celsius);
        *ret = celsius;
    }
    return code;
}

static nvml_return read_memory(const struct nvml_api *api, nvml_device device, struct meter_gpu_memory *ret)
{
    nvml_return code = NVML_FUNCTION_NOT_FOUND;
    if (api->memory_v2) {
        struct nvml_memory_v2 m = {.version = NVML_MEMORY_V2};
        code = api->memory_v2(device, &m);
        if (code == NVML_OK) {
            ret->total_bytes = (int64_t)m.total;
            ret->used_bytes = (int64_t)m.used;
            ret->free_bytes = (int64_t)m.free;
            ret->reserved_bytes = (int64_t)m.reserved;
            return code;
        }
    }
    if (api->memory) {
        struct nvml_memory m = {0};
        code = api->memory(device, &m);
        ret->total_bytes = (int64_t)m.total;
        ret->used_bytes = (int64_t)m.used;
        ret->free_bytes = (int64_t)m.free;
        ret->reserved_bytes = -1;
    }
    return code;
}

nvml_return nvml_memory_used(const struct nvml_api *api, nvml_device device, int64_t *ret)
{
    struct meter_gpu_memory memory;
    nvml_return code = read_memory(api, device, &memory);
    *ret = code == NVML_OK ? memory.used_bytes : 0;
    return code;
}

/* --- processes -------------------------------------------------------------------------------------------------------------- */

#define LIST_BYTES ((METER_GPU_PIDS_MAX + 1) * sizeof(struct nvml_process_32))
union process_list { /* aligned for the driver; roomy enough for entries of 32 bytes */
    struct nvml_process entries[LIST_BYTES / sizeof(struct nvml_process)];
    unsigned char bytes[LIST_BYTES];
};

static nvml_return read_list(const struct nvml_api *api, nvml_device device, union process_list *list, unsigned *count)
{
    if (!api->processes)
        return NVML_FUNCTION_NOT_FOUND;
    memset(list, 0, sizeof *list);
    *count = METER_GPU_PIDS_MAX;
    return api->processes(device, count, list->entries);
}

/* True if the entries make sense at a stride: pids that can be, memory a board can have. */
static bool plausible_at(const union process_list *list, unsigned count, size_t stride)
{
    for (unsigned i = 0; i < count; i++) {
        struct nvml_process p;
        memcpy(&p, list->bytes + i * stride, sizeof p);
        if (p.pid == 0 || p.pid > PID_LIMIT || (p.used_memory != NVML_NOT_AVAILABLE && p.used_memory >> 44))
            return false; /* more than 16 TiB is not memory of one board */
    }
    for (size_t i = count * stride; i < sizeof list->bytes; i++)
        if (list->bytes[i])
            return false; /* the driver wrote further than such entries reach */
    return true;
}

/* Drivers of the early 535 series return 32-byte entries under the name of the 24-byte ones. 0: neither makes sense. */
static size_t stride_of(const union process_list *list, unsigned count)
{
    if (plausible_at(list, count, sizeof(struct nvml_process)))
        return sizeof(struct nvml_process);
    if (plausible_at(list, count, sizeof(struct nvml_process_32)))
        return sizeof(struct nvml_process_32);
    return 0;
}

nvml_return nvml_process_count(const struct nvml_api *api, nvml_device device, int64_t *ret)
{
    union process_list list;
    unsigned count = 0;
    nvml_return code = read_list(api, device, &list, &count);
    *ret = count;
    return code == NVML_INSUFFICIENT_SIZE ? NVML_OK : code; /* the count is right even where the list is short */
}

static void fill_pids(const struct nvml_api *api, nvml_device device, struct meter_gpu_memory *ret)
{
    union process_list list;
    unsigned count = 0;
    nvml_return code = read_list(api, device, &list, &count);
    size_t stride = code == NVML_OK ? stride_of(&list, count) : 0;
    if (code != NVML_OK || !stride) {
        snprintf(ret->pids_reason, sizeof ret->pids_reason, "%s",
                 code == NVML_INSUFFICIENT_SIZE ? "more processes than the list holds"
                 : code != NVML_OK              ? nvml_api_error(api, code)
                                                : "the driver's process list has an unknown layout");
        return;
    }
    ret->pids_known = true;
    ret->pid_count = MIN(count, METER_GPU_PIDS_MAX);
    for (size_t i = 0; i < ret->pid_count; i++) {
        struct nvml_process p;
        memcpy(&p, list.bytes + i * stride, sizeof p);
        ret->pids[i] = (pid_t)p.pid;
        ret->pid_bytes[i] = p.used_memory == NVML_NOT_AVAILABLE ? -1 : (int64_t)p.used_memory;
    }
}

bool nvml_memory_of(struct meter_source *source, const char *uuid, struct meter_gpu_memory *ret, GError **error)
{
    struct nvml *nvml = (struct nvml *)source;
    for (unsigned d = 0; d < nvml->board_count; d++) {
        if (strcmp(nvml->boards[d].uuid, uuid) != 0)
            continue;
        memset(ret, 0, sizeof *ret);
        nvml_return code = read_memory(&nvml->api, nvml->boards[d].device, ret);
        if (code != NVML_OK) {
            g_set_error(error, LLEM_ERROR, LLEM_ERROR_METER, "the memory of GPU %s cannot be read: %s", uuid,
                        nvml_api_error(&nvml->api, code));
            return false;
        }
        fill_pids(&nvml->api, nvml->boards[d].device, ret);
        return true;
    }
    g_set_error(error, LLEM_ERROR, LLEM_ERROR_METER, "no GPU %s here; 'llem meter list' names the ones there are", uuid);
    return false;
}

/* --- facts ------------------------------------------------------------------------------------------------------------------ */

static void set_fact(json_t *tree, const struct nvml_api *api, const char *key, nvml_return code, json_t *value)
{
    if (code == NVML_OK) {
        json_object_set_new(tree, key, value);
        return;
    }
    json_decref(value);
    jsonx_set_null(tree, key, nvml_api_error(api, code));
}

/* Facts that are one unsigned number. */
static const struct {
    const char *key;
    size_t offset; /* of the getter in struct nvml_api */
} number_rows[] = {
    {"architecture", offsetof(struct nvml_api, architecture)},
    {"brand", offsetof(struct nvml_api, brand)},
    {"power_limit_mw", offsetof(struct nvml_api, limit)},
    {"power_limit_enforced_mw", offsetof(struct nvml_api, enforced_limit)},
    {"power_limit_default_mw", offsetof(struct nvml_api, default_limit)},
    {"persistence_mode", offsetof(struct nvml_api, persistence)},
    {"compute_mode", offsetof(struct nvml_api, compute_mode)},
    {"performance_state", offsetof(struct nvml_api, performance_state)},
    {"pcie_generation", offsetof(struct nvml_api, pcie_generation)},
    {"pcie_width", offsetof(struct nvml_api, pcie_width)},
};

static const struct {
    const char *key, *second; /* two numbers from one call */
    size_t offset;
} pair_rows[] = {
    {"power_limit_min_mw", "power_limit_max_mw", offsetof(struct nvml_api, limit_range)},
    {"ecc_mode", "ecc_mode_pending", offsetof(struct nvml_api, ecc)},
    {"mig_mode", "mig_mode_pending", offsetof(struct nvml_api, mig)},
};

static const struct {
    const char *current, *maximum;
    unsigned type;
} clock_rows[] = {
    {"clock_graphics_mhz", "clock_graphics_max_mhz", NVML_CLOCK_GRAPHICS},
    {"clock_sm_mhz", "clock_sm_max_mhz", NVML_CLOCK_SM},
    {"clock_memory_mhz", "clock_memory_max_mhz", NVML_CLOCK_MEM},
};

typedef nvml_return (*number_getter)(nvml_device device, unsigned *ret);
typedef nvml_return (*pair_getter)(nvml_device device, unsigned *a, unsigned *b);
typedef nvml_return (*clock_getter)(nvml_device device, unsigned type, unsigned *mhz);

static void add_clock(json_t *tree, const struct nvml_api *api, nvml_device device, const char *key,
                      clock_getter getter, unsigned type)
{
    unsigned mhz = 0;
    nvml_return code = getter ? getter(device, type, &mhz) : NVML_FUNCTION_NOT_FOUND;
    set_fact(tree, api, key, code, json_integer(mhz));
}

static void add_numbers(json_t *tree, const struct nvml_api *api, nvml_device device)
{
    for (size_t i = 0; i < G_N_ELEMENTS(number_rows); i++) {
        number_getter getter;
        memcpy(&getter, (const char *)api + number_rows[i].offset, sizeof getter);
        unsigned value = 0;
        nvml_return code = getter ? getter(device, &value) : NVML_FUNCTION_NOT_FOUND;
        set_fact(tree, api, number_rows[i].key, code, json_integer(value));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(pair_rows); i++) {
        pair_getter getter;
        memcpy(&getter, (const char *)api + pair_rows[i].offset, sizeof getter);
        unsigned a = 0, b = 0;
        nvml_return code = getter ? getter(device, &a, &b) : NVML_FUNCTION_NOT_FOUND;
        set_fact(tree, api, pair_rows[i].key, code, json_integer(a));
        set_fact(tree, api, pair_rows[i].second, code, json_integer(b));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(clock_rows); i++) {
        add_clock(tree, api, device, clock_rows[i].current, api->clock, clock_rows[i].type);
        add_clock(tree, api, device, clock_rows[i].maximum, api->max_clock, clock_rows[i].type);
    }
}

static json_t *board_facts(struct nvml *nvml, const struct nvml_board *board)
{
    const struct nvml_api *api = &nvml->api;
    json_t *tree = json_object();
    char vbios[NVML_VBIOS_BYTES] = "";
    struct nvml_pci pci = {0};
    struct meter_gpu_memory memory = {0};
    unsigned long long reasons = 0;
    json_object_set_new(tree, "uuid", json_string(board->uuid));
    json_object_set_new(tree, "name", json_string(board->name));
    nvml_return code = api->vbios ? api->vbios(board->device, vbios, sizeof vbios) : NVML_FUNCTION_NOT_FOUND;
    set_fact(tree, api, "vbios", code, json_string(vbios));
    code = api->pci ? api->pci(board->device, &pci) : NVML_FUNCTION_NOT_FOUND;
    pci.bus_id[sizeof pci.bus_id - 1] = '\0';
    set_fact(tree, api, "pci", code, json_string(pci.bus_id));
    g_autofree char *capability = g_strdup_printf("%d.%d", board->capability / 10, board->capability % 10);
    set_fact(tree, api, "compute_capability", board->capability ? NVML_OK : NVML_NOT_SUPPORTED,
             json_string(capability));
    add_numbers(tree, api, board->device);
    code = read_memory(api, board->device, &memory);
    set_fact(tree, api, "memory_total_bytes", code, json_integer(memory.total_bytes));
    code = api->clock_reasons ? api->clock_reasons(board->device, &reasons) : NVML_FUNCTION_NOT_FOUND;
    set_fact(tree, api, "clocks_event_reasons", code, json_integer((json_int_t)reasons));
    return tree;
}

json_t *nvml_facts(struct meter_source *source)
{
    struct nvml *nvml = (struct nvml *)source;
    const struct nvml_api *api = &nvml->api;
    json_t *tree = json_object(), *devices = json_array();
    char text[NVML_VERSION_BYTES] = "";
    int cuda = 0;
    json_object_set_new(tree, "simulated", json_boolean(api->simulated));
    nvml_return code = api->driver_version ? api->driver_version(text, sizeof text) : NVML_FUNCTION_NOT_FOUND;
    set_fact(tree, api, "driver_version", code, json_string(text));
    text[0] = '\0';
    code = api->nvml_version ? api->nvml_version(text, sizeof text) : NVML_FUNCTION_NOT_FOUND;
    set_fact(tree, api, "nvml_version", code, json_string(text));
    code = api->cuda_version ? api->cuda_version(&cuda) : NVML_FUNCTION_NOT_FOUND;
    g_autofree char *version = g_strdup_printf("%d.%d", cuda / 1000, cuda % 1000 / 10);
    set_fact(tree, api, "cuda_version", code, json_string(version));
    for (unsigned d = 0; d < nvml->board_count; d++)
        json_array_append_new(devices, board_facts(nvml, &nvml->boards[d]));
    json_object_set_new(tree, "devices", devices);
    return tree;
}

/* Numbers mean PCI order when CUDA was told so; with one board there is no other. */
static bool numbers_are_driver_order(size_t boards)
{
    return boards == 1 || !g_strcmp0(g_getenv("CUDA_DEVICE_ORDER"), "PCI_BUS_ID");
}

void nvml_visible(char *const *boards, GPtrArray *ret)
{
    const char *visible = g_getenv("CUDA_VISIBLE_DEVICES");
    g_auto(GStrv) wanted = g_strsplit(visible ? visible : "", ",", -1);
    size_t n = 0;
    while (boards[n])
        n++;
    for (char **w = wanted; *w; w++) {
        int64_t number;
        g_strstrip(*w);
        if (num_parse_int(*w, 0, (int64_t)n - 1, &number, NULL) && numbers_are_driver_order(n))
            g_ptr_array_add(ret, g_strdup(boards[number]));
        for (size_t i = 0; g_str_has_prefix(*w, "GPU-") && i < n; i++)
            if (g_str_has_prefix(boards[i], *w))
                g_ptr_array_add(ret, g_strdup(boards[i]));
    }
}
