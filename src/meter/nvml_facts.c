/* SPDX-License-Identifier: MIT */
/* What is known of NVIDIA boards beside their sensors: static facts. */
#include "meter/nvml.h"

#include <string.h>

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
    int64_t memory_bytes = 0;
    unsigned long long reasons = 0;
    json_object_set_new(tree, "uuid", json_string(board->uuid));
    json_object_set_new(tree, "name", json_string(board->name));
    if (board->parent >= 0)
        json_object_set_new(tree, "instance_of", json_string(nvml->boards[board->parent].uuid));
    nvml_return code = api->vbios ? api->vbios(board->device, vbios, sizeof vbios) : NVML_FUNCTION_NOT_FOUND;
    set_fact(tree, api, "vbios", code, json_string(vbios));
    code = api->pci ? api->pci(board->device, &pci) : NVML_FUNCTION_NOT_FOUND;
    pci.bus_id[sizeof pci.bus_id - 1] = '\0';
    set_fact(tree, api, "pci", code, json_string(pci.bus_id));
    g_autofree char *capability = g_strdup_printf("%d.%d", board->capability / 10, board->capability % 10);
    set_fact(tree, api, "compute_capability", board->capability ? NVML_OK : NVML_NOT_SUPPORTED,
             json_string(capability));
    add_numbers(tree, api, board->device);
    code = nvml_memory_total(api, board->device, &memory_bytes);
    set_fact(tree, api, "memory_total_bytes", code, json_integer(memory_bytes));
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
