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

/* What limits it of the machine's CPUs: a quota of CPU time; affinity and cpuset. */
static void set_quota(json_t *cpu)
{
    g_auto(owned_cgroup) group = {0};
    cgroup_find("cpu", &group);
    jsonx_set_real(cpu, "quota_cpus", cgroup_cpus(&group), "no quota of CPU time");
}

static void set_allowed(json_t *cpu)
{
    g_autofree char *text = file_read("/proc/self/status", FACT_BYTES, NULL, NULL);
    g_autofree char *allowed = text ? proc_value(text, "Cpus_allowed_list") : NULL;
    set_string_or_null(cpu, "allowed", allowed);
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
    set_quota(cpu);
    set_allowed(cpu);
    set_file_fact(cpu, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    set_file_fact(cpu, "driver", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver");
    set_file_fact(cpu, "no_turbo", "/sys/devices/system/cpu/intel_pstate/no_turbo");
    set_file_fact(cpu, "smt", "/sys/devices/system/cpu/smt/active");
    return cpu;
}

/* A small file, without its end of line; of a list of words the one in brackets: "always [madvise] never". */
static void set_system_fact(json_t *to, const char *key, const char *path)
{
    g_autofree char *text = cgroup_system_text(path);
    char *chosen = text ? strchr(text, '[') : NULL;
    if (chosen)
        chosen[strcspn(chosen, "]")] = '\0';
    set_string_or_null(to, key, chosen ? chosen + 1 : text ? g_strstrip(text) : NULL);
}

static void set_kib(json_t *to, const char *key, const char *kib)
{
    json_object_set_new(to, key, kib ? json_integer(g_ascii_strtoll(kib, NULL, 10) * 1024) : json_null());
}

static void set_swap(json_t *memory)
{
    g_autofree char *text = cgroup_system_text("/proc/meminfo");
    g_autofree char *total = text ? proc_value(text, "SwapTotal") : NULL;
    g_autofree char *unused = text ? proc_value(text, "SwapFree") : NULL;
    set_kib(memory, "swap_bytes", total);
    set_kib(memory, "swap_unused_bytes", unused);
}

static json_t *memory_facts(void)
{
    json_t *memory = json_object();
    g_autofree char *text = file_read("/proc/meminfo", FACT_BYTES, NULL, NULL);
    g_autofree char *total = text ? proc_value(text, "MemTotal") : NULL;
    g_autofree char *available = text ? proc_value(text, "MemAvailable") : NULL;
    set_kib(memory, "total_bytes", total);
    set_kib(memory, "available_bytes", available);
    set_swap(memory);
    set_system_fact(memory, "swappiness", "/proc/sys/vm/swappiness");
    set_system_fact(memory, "transparent_hugepages", "/sys/kernel/mm/transparent_hugepage/enabled");
    set_system_fact(memory, "transparent_hugepages_defrag", "/sys/kernel/mm/transparent_hugepage/defrag");
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
