/* SPDX-License-Identifier: MIT */
#include "experiment/environment.h"

#include "version.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FACT_BYTES (1 << 20)

/* A fact that lies in a small file, or null and why not. */
static void set_file_fact(json_t *to, const char *key, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = file_read(path, FACT_BYTES, NULL, &error);
    if (text) {
        g_autofree char *valid = g_utf8_make_valid(g_strstrip(text), -1);
        json_object_set_new(to, key, json_string(valid));
        return;
    }
    jsonx_set_null(to, key, error->message);
}

static void set_string_or_null(json_t *to, const char *key, const char *value)
{
    json_object_set_new(to, key, value ? json_string(value) : json_null());
}

static json_t *cpu_facts(void)
{
    static const struct {
        const char *key, *line;
    } lines[] = {{"model", "model name"}, {"vendor", "vendor_id"}, {"microcode", "microcode"}, {"flags", "flags"}};
    json_t *cpu = json_object();
    g_autofree char *text = file_read("/proc/cpuinfo", 16 << 20, NULL, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *value = text ? proc_value(text, lines[i].line) : NULL;
        set_string_or_null(cpu, lines[i].key, value);
    }
    json_object_set_new(cpu, "online", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    set_file_fact(cpu, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    set_file_fact(cpu, "driver", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver");
    set_file_fact(cpu, "no_turbo", "/sys/devices/system/cpu/intel_pstate/no_turbo");
    set_file_fact(cpu, "smt", "/sys/devices/system/cpu/smt/active");
    return cpu;
}

static json_t *memory_facts(void)
{
    json_t *memory = json_object();
    g_autofree char *text = file_read("/proc/meminfo", FACT_BYTES, NULL, NULL);
    g_autofree char *total = text ? proc_value(text, "MemTotal") : NULL;
    g_autofree char *available = text ? proc_value(text, "MemAvailable") : NULL;
    json_object_set_new(memory, "total_bytes",
                        total ? json_integer(g_ascii_strtoll(total, NULL, 10) * 1024) : json_null());
    json_object_set_new(memory, "available_bytes",
                        available ? json_integer(g_ascii_strtoll(available, NULL, 10) * 1024) : json_null());
    return memory;
}

static json_t *host_facts(void)
{
    struct utsname name;
    json_t *host = json_object();
    if (uname(&name) == 0) {
        set_string_or_null(host, "name", name.nodename);
        set_string_or_null(host, "kernel", name.release);
        set_string_or_null(host, "machine", name.machine);
    }
    g_autofree char *os = g_get_os_info(G_OS_INFO_KEY_PRETTY_NAME);
    set_string_or_null(host, "os", os);
    set_file_fact(host, "clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
    set_file_fact(host, "boot_id", "/proc/sys/kernel/random/boot_id");
    set_file_fact(host, "load_average", "/proc/loadavg");
    return host;
}

json_t *environment_collect(struct meter *meter)
{
    struct clock_anchor anchor = clock_anchor_take();
    g_autofree char *utc = clock_format_utc(anchor.wall_ns);
    json_t *environment = json_object();
    json_object_set_new(environment, "taken_utc", json_string(utc));
    json_object_set_new(environment, "clock_anchor",
                        json_pack("{s:I, s:I, s:I}", "mono_ns", (json_int_t)anchor.mono_ns, "wall_ns",
                                  (json_int_t)anchor.wall_ns, "gap_ns", (json_int_t)anchor.gap_ns));
    json_object_set_new(environment, "llem",
                        json_pack("{s:s, s:s}", "version", LLEM_VERSION, "revision", LLEM_REVISION));
    json_object_set_new(environment, "host", host_facts());
    json_object_set_new(environment, "cpu", cpu_facts());
    json_object_set_new(environment, "memory", memory_facts());
    json_object_set_new(environment, "gpus", meter_gpu_facts(meter));
    return environment;
}
