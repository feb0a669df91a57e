/* SPDX-License-Identifier: MIT */
/* The NVML source against the simulator: values, fall-backs, every missing symbol, every refusal. */
#include "fixture.h"

#include <dlfcn.h>

#define GPU0 "nvml:GPU-00000000-0000-4000-8000-000000000000:"
#define UUID0 "GPU-00000000-0000-4000-8000-000000000000"

static struct meter_reading read_one(struct meter *meter, const char *id)
{
    g_autofree struct meter_reading *all = g_new0(struct meter_reading, meter_channel_count(meter));
    meter_read(meter, METER_ALL_RATES, all);
    return all[fixture_channel(meter, id)];
}

static int64_t value_of(struct meter *meter, const char *id)
{
    struct meter_reading r = read_one(meter, id);
    g_assert_cmpstr(meter_read_name(r.status), ==, "ok");
    g_assert_cmpint(r.before_ns, <=, r.after_ns);
    return r.raw;
}

static void test_values(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'clock': 'clock', 'devices': [{'load': [{'type': 'steps', 'points': [[0, 100], [5, 300]]}],"
                       "'memory': [[0, 1000], [4, 2000]], 'temperature_c': 61, 'utilisation': 37,"
                       "'average': {'window_ms': 1000}}]}");
    g_autoptr(owned_meter) meter = fixture_nvml(&f);
    *f.clock = 3 * NS_PER_S;
    g_assert_cmpint(value_of(meter, GPU0 "power_instant"), ==, 100000);
    *f.clock = 5550 * MS; /* the average's last update was at 5.5 s, 50 ms late: 450 ms of 300 W in 1 s */
    g_assert_cmpint(value_of(meter, GPU0 "power_average"), ==, 190000);
    g_assert_cmpint(value_of(meter, GPU0 "power_instant"), ==, 300000);
    g_assert_cmpint(value_of(meter, GPU0 "memory_used"), ==, INT64_C(2000) << 20);
    g_assert_cmpint(value_of(meter, GPU0 "temperature"), ==, 61);
    g_assert_cmpint(value_of(meter, GPU0 "utilisation"), ==, 37);
    int64_t e1 = value_of(meter, GPU0 "energy");
    *f.clock = 15550 * MS;
    int64_t e2 = value_of(meter, GPU0 "energy");
    g_assert_cmpfloat_with_epsilon((double)(e2 - e1) * 1e-3, f.energy_j(0, 5450 * MS, 15450 * MS), 0.01);
    for (size_t i = 0; i < meter_channel_count(meter); i++)
        g_assert_cmpint(meter_channel_at(meter, i)->status, ==, QUANTITY_SIMULATED);
    g_assert_cmpfloat(meter_channel_at(meter, fixture_channel(meter, GPU0 "energy"))->max_power_w, ==, 1050);
    /* One batched call a tick. */
    unsigned before = f.calls("nvmlDeviceGetFieldValues");
    struct meter_reading *all = g_new0(struct meter_reading, meter_channel_count(meter));
    meter_read(meter, METER_FAST | METER_MEDIUM, all);
    g_assert_cmpint(f.calls("nvmlDeviceGetFieldValues"), ==, before + 1);
    g_assert_cmpint(all[fixture_channel(meter, GPU0 "temperature")].status, ==, METER_READ_NONE);
    g_free(all);
    owned_meter *closing = g_steal_pointer(&meter);
    meter_close(closing);
    fixture_close(&f);
}

/* A copy of the simulator whose exported symbol has another name: as if the driver lacked it. */
static char *library_without(struct fixture *f, const char *symbol)
{
    g_autofree char *path = fixture_sim_path();
    char *copy = fixture_path(f, symbol);
    size_t length;
    g_autofree char *bytes = file_read(path, 64 << 20, &length, NULL);
    size_t size = strlen(symbol) + 2;
    g_autofree char *pattern = g_malloc0(size);
    memcpy(pattern + 1, symbol, size - 2);
    char *at = bytes;
    int found = 0;
    while ((at = memmem(at, length - (size_t)(at - bytes), pattern, size))) {
        at[1] = 'X';
        at++;
        found++;
    }
    g_assert_cmpint(found, >=, 1);
    g_assert_true(g_file_set_contents(copy, bytes, (gssize)length, NULL));
    return copy;
}

/* What must still hold without a symbol: `absent` names the channel that is gone, NULL if another call takes over. */
static const struct {
    const char *symbol, *absent;
    bool required;
} missing_rows[] = {
    {"nvmlInit_v2", NULL, false}, /* nvmlInit takes over */
    {"nvmlShutdown", NULL, true},
    {"nvmlErrorString", NULL, false},
    {"nvmlSystemGetDriverVersion", NULL, false},
    {"nvmlSystemGetNVMLVersion", NULL, false},
    {"nvmlSystemGetCudaDriverVersion_v2", NULL, false},
    {"nvmlDeviceGetCount_v2", NULL, false},
    {"nvmlDeviceGetHandleByIndex_v2", NULL, false},
    {"nvmlDeviceGetUUID", NULL, true},
    {"nvmlDeviceGetName", NULL, false},
    {"nvmlDeviceGetVbiosVersion", NULL, false},
    {"nvmlDeviceGetPciInfo_v3", NULL, false},
    {"nvmlDeviceGetArchitecture", NULL, false},
    {"nvmlDeviceGetCudaComputeCapability", NULL, false},
    {"nvmlDeviceGetFieldValues", GPU0 "power_instant", false},
    {"nvmlDeviceGetPowerUsage", NULL, false},
    {"nvmlDeviceGetTotalEnergyConsumption", NULL, false},
    {"nvmlDeviceGetMemoryInfo_v2", NULL, false},
    {"nvmlDeviceGetMemoryInfo", NULL, false},
    {"nvmlDeviceGetTemperatureV", NULL, false},
    {"nvmlDeviceGetTemperature", NULL, false},
    {"nvmlDeviceGetUtilizationRates", GPU0 "utilisation", false},
    {"nvmlDeviceGetComputeRunningProcesses_v3", NULL, false},
    {"nvmlDeviceGetClockInfo", GPU0 "clock_sm", false},
    {"nvmlDeviceGetMaxClockInfo", NULL, false},
    {"nvmlDeviceGetPowerManagementLimit", NULL, false},
    {"nvmlDeviceGetEnforcedPowerLimit", NULL, false},
    {"nvmlDeviceGetPowerManagementDefaultLimit", NULL, false},
    {"nvmlDeviceGetPowerManagementLimitConstraints", NULL, false},
    {"nvmlDeviceGetPersistenceMode", NULL, false},
    {"nvmlDeviceGetEccMode", NULL, false},
    {"nvmlDeviceGetMigMode", NULL, false},
    {"nvmlDeviceGetComputeMode", NULL, false},
    {"nvmlDeviceGetPerformanceState", NULL, false},
    {"nvmlDeviceGetCurrPcieLinkGeneration", NULL, false},
    {"nvmlDeviceGetCurrPcieLinkWidth", NULL, false},
    {"nvmlDeviceGetCurrentClocksEventReasons", NULL, false},
};

static void test_missing_symbols(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'devices': [{'load': [{'type': 'constant', 'watts': 150}],"
                       "'processes': [{'pid': 77, 'memory_mib': 10}]}]}");
    for (size_t i = 0; i < G_N_ELEMENTS(missing_rows); i++) {
        g_test_message("without %s", missing_rows[i].symbol);
        g_autofree char *library = library_without(&f, missing_rows[i].symbol);
        struct meter_options options = {.library = library, .sources = (const char *const[]){"nvml", NULL}};
        g_autoptr(GError) error = NULL;
        struct meter *meter = meter_open(&options, &error);
        g_assert_no_error(error);
        if (missing_rows[i].required) {
            g_assert_cmpint(meter_channel_count(meter), ==, 0);
            g_assert_nonnull(strstr(fixture_reason(meter, "nvml"), missing_rows[i].symbol));
        } else {
            const char *absent = missing_rows[i].absent;
            value_of(meter, GPU0 "energy");
            for (size_t c = 0; c < meter_channel_count(meter); c++) {
                const struct meter_channel *channel = meter_channel_at(meter, c);
                g_assert_true((channel->status == QUANTITY_ABSENT) == (channel->reason != NULL));
            }
            if (absent)
                g_assert_cmpint(meter_channel_at(meter, fixture_channel(meter, absent))->status, ==, QUANTITY_ABSENT);
            else
                value_of(meter, GPU0 "power_average");
            struct meter_gpu_memory memory;
            g_assert_true(meter_gpu_memory(meter, UUID0, &memory, NULL));
            g_assert_cmpint(memory.pid_count, ==, 1);
            g_autoptr(json_t) facts = meter_gpu_facts(meter);
            g_assert_cmpint(json_array_size(json_object_get(facts, "devices")), ==, 1);
        }
        meter_close(meter);
    }
    fixture_close(&f);
}

/* A refusal by the driver: the channel's status and words, or the call that takes over. */
static const struct {
    const char *name, *fault, *channel, *reason;
    enum quantity_status status;
} refusal_rows[] = {
    {"energy field", "{'field': 83, 'return': 'NOT_SUPPORTED'}", GPU0 "energy", NULL, QUANTITY_SIMULATED},
    {"energy at all",
     "{'field': 83, 'return': 'NOT_SUPPORTED'}, {'call': 'nvmlDeviceGetTotalEnergyConsumption', 'return': 'NOT_SUPPORTED'}",
     GPU0 "energy", "before Volta", QUANTITY_ABSENT},
    {"average field falls back", "{'field': 185, 'return': 'NOT_SUPPORTED'}", GPU0 "power_average", NULL,
     QUANTITY_SIMULATED},
    {"instant field has no fall-back", "{'field': 186, 'return': 'NOT_SUPPORTED'}", GPU0 "power_instant", "driver 530",
     QUANTITY_ABSENT},
    {"no permission for utilisation", "{'call': 'nvmlDeviceGetUtilizationRates', 'return': 'NO_PERMISSION'}",
     GPU0 "utilisation", "root", QUANTITY_ABSENT},
    {"temperature falls back", "{'call': 'nvmlDeviceGetTemperatureV', 'return': 'ARGUMENT_VERSION_MISMATCH'}",
     GPU0 "temperature", NULL, QUANTITY_SIMULATED},
    {"memory falls back", "{'call': 'nvmlDeviceGetMemoryInfo_v2', 'return': 'NOT_SUPPORTED'}", GPU0 "memory_used", NULL,
     QUANTITY_SIMULATED},
    {"memory at all (unified memory)",
     "{'call': 'nvmlDeviceGetMemoryInfo_v2', 'return': 'NOT_SUPPORTED'}, "
     "{'call': 'nvmlDeviceGetMemoryInfo', 'return': 'NOT_SUPPORTED'}",
     GPU0 "memory_used", "Not Supported", QUANTITY_ABSENT},
};

static void test_refusals(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refusal_rows); i++) {
        struct fixture f;
        fixture_open(&f);
        g_test_message("%s", refusal_rows[i].name);
        g_autofree char *script = g_strdup_printf(
            "{'devices': [{'load': [{'type': 'constant', 'watts': 150}]}], 'faults': [%s]}", refusal_rows[i].fault);
        fixture_script(&f, script);
        struct meter *meter = fixture_nvml(&f);
        const struct meter_channel *channel =
            meter_channel_at(meter, fixture_channel(meter, refusal_rows[i].channel));
        g_assert_cmpint(channel->status, ==, refusal_rows[i].status);
        if (refusal_rows[i].reason)
            g_assert_nonnull(strstr(channel->reason, refusal_rows[i].reason));
        else
            value_of(meter, refusal_rows[i].channel);
        meter_close(meter);
        fixture_close(&f);
    }
}

static const struct {
    const char *code, *advice;
} init_rows[] = {
    {"DRIVER_NOT_LOADED", "modprobe"},
    {"NO_PERMISSION", "/dev/nvidia"},
    {"OPERATING_SYSTEM", "--gpus"},
    {"LIB_RM_VERSION_MISMATCH", "reboot"},
    {"UNKNOWN", "nvidia-smi"},
};

static void test_init_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(init_rows); i++) {
        struct fixture f;
        fixture_open(&f);
        g_autofree char *script = g_strdup_printf(
            "{'devices': [{}], 'faults': [{'call': 'nvmlInit_v2', 'return': '%s'}]}", init_rows[i].code);
        fixture_script(&f, script);
        struct meter *meter = fixture_nvml(&f);
        g_assert_cmpint(meter_channel_count(meter), ==, 0);
        g_assert_nonnull(strstr(fixture_reason(meter, "nvml"), init_rows[i].advice));
        g_autoptr(json_t) facts = meter_gpu_facts(meter);
        g_assert_nonnull(json_object_get(facts, "absent"));
        meter_close(meter);
        fixture_close(&f);
    }
}

static void test_no_library(void)
{
    g_autoptr(GError) error = NULL;
    struct meter_options options = {.library = "/nowhere/libnvidia-ml.so.1",
                                    .sources = (const char *const[]){"nvml", NULL}};
    g_autoptr(owned_meter) meter = meter_open(&options, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(fixture_reason(meter, "nvml"), "/nowhere/libnvidia-ml.so.1"));
    struct meter_gpu_memory memory;
    g_assert_false(meter_gpu_memory(meter, UUID0, &memory, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_METER);
}

static void test_processes(void)
{
    static const char *const lists[] = {
        "",
        "{'pid': 4242, 'memory_mib': 100}",
        "{'pid': 4242, 'memory_mib': 100}, {'pid': 77, 'memory_mib': 3}",
        "{'pid': 4242, 'memory_mib': 100}, {'pid': 77, 'memory_mib': 3}, {'pid': 4194303, 'memory_mib': 81000}",
    };
    for (unsigned stride = 24; stride <= 32; stride += 8)
        for (size_t n = 0; n < G_N_ELEMENTS(lists); n++) {
            struct fixture f;
            fixture_open(&f);
            g_autofree char *script = g_strdup_printf("{'devices': [{'process_stride': %u, 'processes': [%s],"
                                                      "'memory': [[0, 103]]}]}", stride, lists[n]);
            fixture_script(&f, script);
            struct meter *meter = fixture_nvml(&f);
            struct meter_gpu_memory memory;
            g_assert_true(meter_gpu_memory(meter, UUID0, &memory, NULL));
            g_assert_true(memory.pids_known);
            g_assert_cmpint(memory.pid_count, ==, n);
            if (n > 0) {
                g_assert_cmpint(memory.pids[0], ==, 4242);
                g_assert_cmpint(memory.pid_bytes[0], ==, INT64_C(100) << 20);
            }
            if (n > 1)
                g_assert_cmpint(memory.pids[1], ==, 77);
            g_assert_cmpint(memory.used_bytes, ==, INT64_C(103) << 20);
            g_assert_cmpint(memory.reserved_bytes, >, 0);
            g_assert_cmpint(value_of(meter, GPU0 "processes"), ==, (gint64)n);
            meter_close(meter);
            fixture_close(&f);
        }
}

static void test_lost(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'clock': 'clock', 'devices': [{'lost_s': 2}]}");
    struct meter *meter = fixture_nvml(&f);
    *f.clock = NS_PER_S;
    value_of(meter, GPU0 "energy");
    *f.clock = 2 * NS_PER_S;
    for (size_t i = 0; i < meter_channel_count(meter); i++) {
        const struct meter_channel *channel = meter_channel_at(meter, i);
        if (channel->status != QUANTITY_ABSENT)
            g_assert_cmpstr(meter_read_name(read_one(meter, channel->id).status), ==, "lost");
    }
    struct meter_gpu_memory memory;
    g_autoptr(GError) error = NULL;
    g_assert_false(meter_gpu_memory(meter, UUID0, &memory, &error));
    g_assert_nonnull(strstr(error->message, "lost"));
    meter_close(meter);
    fixture_close(&f);
}

static void test_scopes(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'devices': [{'module': true, 'name': 'NVIDIA GH200 480GB'}, {'mig': true},"
                       "{'name': 'NVIDIA GeForce RTX 4090', 'architecture': 'ada'},"
                       "{'architecture': 'ga100', 'average': false}]}");
    struct meter *meter = fixture_nvml(&f);
    static const struct {
        const char *id, *scope, *sensor_class;
        int window_ms;
    } rows[] = {
        {"nvml:GPU-00000000-0000-4000-8000-000000000000:energy", METER_SCOPE_MODULE, "nvidia", 10},
        {"nvml:GPU-00000000-0000-4000-8000-000000000001:energy", METER_SCOPE_MIG, "nvidia", 25},
        {"nvml:GPU-00000000-0000-4000-8000-000000000002:energy", METER_SCOPE_GPU, "nvidia.geforce", 100},
        {"nvml:GPU-00000000-0000-4000-8000-000000000002:power_average", METER_SCOPE_GPU, "nvidia.geforce", 1000},
        {"nvml:GPU-00000000-0000-4000-8000-000000000003:power_instant", METER_SCOPE_GPU, "nvidia", 25},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct meter_channel *channel = meter_channel_at(meter, fixture_channel(meter, rows[i].id));
        g_assert_cmpstr(channel->scope, ==, rows[i].scope);
        g_assert_cmpstr(channel->sensor_class, ==, rows[i].sensor_class);
        g_assert_cmpint(channel->window_ns, ==, rows[i].window_ms * MS);
        g_assert_cmpint(channel->status, ==, QUANTITY_SIMULATED);
    }
    size_t average = fixture_channel(meter, "nvml:GPU-00000000-0000-4000-8000-000000000003:power_average");
    g_assert_cmpint(meter_channel_at(meter, average)->status, ==, QUANTITY_ABSENT);
    meter_close(meter);
    fixture_close(&f);
}

static void test_facts(void)
{
    struct fixture f;
    fixture_open(&f);
    fixture_script(&f, "{'driver_version': '570.1', 'cuda_version': 12080, 'devices': [{'ecc': false}],"
                       "'faults': [{'call': 'nvmlDeviceGetPersistenceMode', 'return': 'NO_PERMISSION'}]}");
    struct meter *meter = fixture_nvml(&f);
    g_autoptr(json_t) facts = meter_gpu_facts(meter);
    json_t *device = json_array_get(json_object_get(facts, "devices"), 0);
    g_assert_cmpstr(json_string_value(json_object_get(facts, "driver_version")), ==, "570.1");
    g_assert_cmpstr(json_string_value(json_object_get(facts, "cuda_version")), ==, "12.8");
    g_assert_true(json_is_true(json_object_get(facts, "simulated")));
    g_assert_cmpstr(json_string_value(json_object_get(device, "uuid")), ==, UUID0);
    g_assert_cmpint(json_integer_value(json_object_get(device, "power_limit_mw")), ==, 700000);
    g_assert_cmpint(json_integer_value(json_object_get(device, "power_limit_min_mw")), ==, 200000);
    g_assert_cmpint(json_integer_value(json_object_get(device, "ecc_mode")), ==, 0);
    g_assert_true(json_is_null(json_object_get(device, "persistence_mode")));
    g_assert_cmpstr(json_string_value(json_object_get(device, "persistence_mode_reason")), ==,
                    "Insufficient Permissions");
    g_assert_cmpstr(json_string_value(json_object_get(device, "compute_capability")), ==, "9.0");
    g_autofree char *key = meter_characterisation_key(meter);
    g_autofree char *expected = g_strconcat(g_get_host_name(), "+", UUID0, "+570.1", NULL);
    g_assert_true(g_str_has_prefix(key, expected)); /* the sysroot follows: a fixture is not the machine */
    g_autoptr(json_t) found = json_pack("{s:s, s:I, s:{}}", "schema", "llem-characterisation/1", "t_wall_ns",
                                        (json_int_t)clock_wall_ns(), "channels");
    g_assert_true(meter_characterisation_save(meter, found, NULL));
    g_assert_null(meter_characterisation_load(meter)); /* a simulated board is never remembered */
    meter_close(meter);
    fixture_close(&f);
}

/* The simulator's own script errors are found, and named. */
static void test_bad_scripts(void)
{
    static const char *const scripts[] = {
        "{'device': []}", "{'devices': [{'lode': []}]}", "{'devices': [{'load': [{'type': 'wave'}]}]}",
        "{'devices': [{'instant': {'jitter_ms': 80}}]}", "{'devices': [{'process_stride': 28}]}",
        "{'faults': [{'return': 'OOPS'}]}", "{'devices': [{'load': [{'type': 'csv', 'path': 'none.csv'}]}]}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        struct fixture f;
        fixture_open(&f);
        fixture_script(&f, scripts[i]);
        struct meter *meter = fixture_nvml(&f);
        g_assert_cmpint(meter_channel_count(meter), ==, 0);
        g_assert_nonnull(fixture_reason(meter, "nvml"));
        meter_close(meter);
        fixture_close(&f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nvml/values", test_values);
    g_test_add_func("/nvml/missing_symbols", test_missing_symbols);
    g_test_add_func("/nvml/refusals", test_refusals);
    g_test_add_func("/nvml/init_refused", test_init_refused);
    g_test_add_func("/nvml/no_library", test_no_library);
    g_test_add_func("/nvml/processes", test_processes);
    g_test_add_func("/nvml/lost", test_lost);
    g_test_add_func("/nvml/scopes", test_scopes);
    g_test_add_func("/nvml/facts", test_facts);
    g_test_add_func("/nvml/bad_scripts", test_bad_scripts);
    return g_test_run();
}
