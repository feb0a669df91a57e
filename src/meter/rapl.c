/* SPDX-License-Identifier: MIT */
/*
 * RAPL: energy counters of CPU packages, DRAM and the platform. Each domain by perf events where they work (64 bits,
 * one read), else by powercap (32-bit counter behind it, wraps). Core and uncore domains are parts of the package and
 * never offered; intel-rapl-mmio shows the package a second time and is skipped.
 * Facts: Linux arch/x86/events/rapl.c, Documentation/power/powercap; files are root-only since 5.10 (CVE-2020-8694).
 */
#include "meter/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PMU       "/sys/bus/event_source/devices/power"
#define POWERCAP  "/sys/class/powercap"
#define TOPOLOGY  "/sys/devices/system/cpu/cpu%d/topology"
#define REFRESH_NS INT64_C(1000000) /* the hardware updates about every ms (Intel SDM, vol. 3, power management) */
#define STUCK_CHECK_NS INT64_C(50000000) /* choice: fifty refreshes */
/* No socket sold draws more; the largest are specified at 500 W. Bounds plausibility and the time to a second wrap. */
#define MAX_PACKAGE_W 1000.0

#define PERMISSION_REMEDY                                                                          \
    "energy counters are readable by root alone since Linux 5.10. Run as root, or let a group read them: "         \
    "sudo chgrp GROUP FILE && sudo chmod g+r FILE"

struct domain {
    int fd;     /* perf event, or -1 */
    char *path; /* powercap file, or NULL */
};

struct rapl {
    struct meter_source head;
    GArray *domains; /* struct domain, parallel to the channels */
    const char *sensor_class;
    enum quantity_status status; /* of its values */
    GString *perf_notes;
};

/* The domains worth a channel; core, uncore ("cores", "gpu") are contained in the package. */
static const struct {
    const char *event, *zone, *device, *scope;
} domain_rows[] = {
    {"energy-pkg", "package-", "package", METER_SCOPE_PACKAGE},
    {"energy-ram", "dram", "dram", METER_SCOPE_DRAM},
    {"energy-psys", "psys", "psys", METER_SCOPE_PLATFORM},
};

/*
 * What the counters rest on, by the processor. Intel's server parts measure at the voltage regulators since Haswell-EP
 * (Hackenberg et al., IPDPSW 2015); older and client parts estimate from events, and AMD's are a model as well.
 * Whatever has no row is taken for a model: that is the wider assumption. Model numbers: Linux
 * arch/x86/include/asm/intel-family.h.
 */
#define CLASS_MEASURED "rapl.intel"
#define CLASS_MODEL    "rapl.intel.model"
#define CLASS_AMD      "rapl.amd"
static const struct meter_class classes[] = {
    {CLASS_MEASURED, 0.05, 2, .sees_all = true,
     .source = "assumed normal, 5 % and 2 W: RAPL of server parts measures at the voltage regulators since Haswell-EP "
               "(Hackenberg et al., IPDPSW 2015)"},
    {CLASS_MODEL, 0.10, 3, .model_based = true, .sees_all = true,
     .source = "assumed normal, 10 % and 3 W: RAPL before Haswell-EP and of client parts is taken for a model of the "
               "maker, off by an amount that depends on the work (Hackenberg et al., ISPASS 2013 and IPDPSW 2015)"},
    {CLASS_AMD, 0.10, 3, .model_based = true, .sees_all = true,
     .source = "assumed normal, 10 % and 3 W: a model of the maker that misses data-dependent power (Schöne et al., "
               "CLUSTER 2021, Zen 2)"},
    {0},
};

#define ANY (-1)
static const struct {
    const char *vendor;
    int family, model;
    const char *sensor_class;
} cpu_rows[] = {
    {"AuthenticAMD", ANY, ANY, CLASS_AMD},
    {"HygonGenuine", ANY, ANY, CLASS_AMD},
    {"GenuineIntel", 6, 0x3F, CLASS_MEASURED}, /* Haswell-X */
    {"GenuineIntel", 6, 0x4F, CLASS_MEASURED}, /* Broadwell-X */
    {"GenuineIntel", 6, 0x56, CLASS_MEASURED}, /* Broadwell-D */
    {"GenuineIntel", 6, 0x55, CLASS_MEASURED}, /* Skylake-X, Cascade Lake-X, Cooper Lake-X */
    {"GenuineIntel", 6, 0x6A, CLASS_MEASURED}, /* Ice Lake-X */
    {"GenuineIntel", 6, 0x6C, CLASS_MEASURED}, /* Ice Lake-D */
    {"GenuineIntel", 6, 0x8F, CLASS_MEASURED}, /* Sapphire Rapids */
    {"GenuineIntel", 6, 0xCF, CLASS_MEASURED}, /* Emerald Rapids */
    {"GenuineIntel", 6, 0xAD, CLASS_MEASURED}, /* Granite Rapids-X */
    {"GenuineIntel", 6, 0xAE, CLASS_MEASURED}, /* Granite Rapids-D */
    {"GenuineIntel", 6, 0xAF, CLASS_MEASURED}, /* Sierra Forest */
};

static int64_t cpu_number(const char *cpuinfo, const char *key)
{
    g_autofree char *text = proc_value(cpuinfo, key);
    int64_t number;
    return text && num_parse_int(text, 0, INT32_MAX, &number, NULL) ? number : ANY;
}

static const char *cpu_class(const struct meter_context *context)
{
    g_autofree char *text = sysfs_text(context, "/proc/cpuinfo");
    const char *cpuinfo = text ? text : "";
    g_autofree char *vendor = proc_value(cpuinfo, "vendor_id");
    int64_t family = cpu_number(cpuinfo, "cpu family"), model = cpu_number(cpuinfo, "model");
    for (size_t i = 0; vendor && i < G_N_ELEMENTS(cpu_rows); i++)
        if (!strcmp(vendor, cpu_rows[i].vendor) && (cpu_rows[i].family == ANY || cpu_rows[i].family == family) &&
            (cpu_rows[i].model == ANY || cpu_rows[i].model == model))
            return cpu_rows[i].sensor_class;
    return CLASS_MODEL;
}

static bool rapl_probe(const struct meter_context *context, char **ret_reason)
{
    g_autofree char *pmu = g_strconcat(context->sysroot, PMU, NULL);
    g_autofree char *powercap = g_strconcat(context->sysroot, POWERCAP, NULL);
    if (access(pmu, F_OK) == 0 || access(powercap, F_OK) == 0)
        return true;
    *ret_reason = g_strdup_printf("neither %s nor %s exists: the kernel offers no RAPL here (usual in virtual machines "
                                  "and containers). Measure on the host; on bare metal try 'sudo modprobe intel_rapl_msr'",
                                  pmu, powercap);
    return false;
}

#define NO_DIE (-1) /* the only one of its package, or the kernel does not count them */
struct place {
    int package, die;
};

/* "package-0", "package-0-die-1", "psys": by the kernel's numbers, by either interface the same. New string. */
static char *device_of(size_t row, const struct place *at)
{
    const char *stem = domain_rows[row].device;
    return !strcmp(stem, "psys") ? g_strdup(stem)
           : at->die == NO_DIE   ? g_strdup_printf("%s-%d", stem, at->package)
                                 : g_strdup_printf("%s-%d-die-%d", stem, at->package, at->die);
}

static void add_domain(struct rapl *rapl, size_t row, const struct place *at, double scale,
                       const char *raw_unit, int64_t wrap, struct domain domain)
{
    g_autofree char *device = device_of(row, at);
    g_autofree char *id = g_strdup_printf("rapl:%s:energy", device);
    g_autofree char *label = g_strdup_printf("RAPL %s (%s)", device, domain.path ? "powercap" : "perf");
    struct meter_channel channel = {
        .id = id, .device = device, .label = label, .scope = domain_rows[row].scope,
        .kind = METER_ENERGY, .rate = domain.path ? METER_SLOW : METER_FAST,
        .scale = scale, .raw_unit = raw_unit, .wrap = wrap, .max_power_w = MAX_PACKAGE_W,
        .refresh_ns = REFRESH_NS, .window_ns = REFRESH_NS,
        .sensor_class = rapl->sensor_class,
        .status = rapl->status,
    };
    source_add(&rapl->head, &channel);
    g_array_append_val(rapl->domains, domain);
}

/* --- perf ----------------------------------------------------------------------------------------------------------------- */

static int open_event(uint32_t type, uint64_t config, int cpu)
{
    struct perf_event_attr attr = {.type = type, .size = sizeof attr, .config = config};
    return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* "event=0x02" (and further terms, none known for this PMU). */
static bool parse_event(const char *text, uint64_t *ret)
{
    const char *value = text ? strstr(text, "event=") : NULL;
    if (!value)
        return false;
    *ret = g_ascii_strtoull(value + strlen("event="), NULL, 0);
    return true;
}

/* otherwise: what it is where the kernel does not say. */
static int topology_of(const struct meter_context *context, int cpu, const char *what, int otherwise)
{
    g_autofree char *path = g_strdup_printf(TOPOLOGY "/%s", cpu, what);
    g_autofree char *text = sysfs_text(context, path);
    int64_t number;
    return text && num_parse_int(text, 0, 4096, &number, NULL) ? (int)number : otherwise;
}

static struct place place_of(const struct meter_context *context, int cpu)
{
    return (struct place){topology_of(context, cpu, "physical_package_id", cpu),
                          topology_of(context, cpu, "die_id", NO_DIE)};
}

/* The CPUs that a mask names: one a die, by the first of each range. */
static GArray *cpus_of(const char *cpumask)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(int));
    g_auto(GStrv) cpus = g_strsplit(cpumask, ",", -1);
    for (char **c = cpus; *c; c++) {
        int64_t number;
        g_auto(GStrv) range = g_strsplit(*c, "-", 2);
        if (!range[0] || !num_parse_int(range[0], 0, 1 << 20, &number, NULL))
            continue;
        int cpu = (int)number;
        g_array_append_val(list, cpu);
    }
    return list;
}

/* A package with one die needs no number of it, and powercap gives it none. */
static bool has_dies(const struct meter_context *context, const GArray *cpus, int package)
{
    int first = NO_DIE;
    for (guint i = 0; i < cpus->len; i++) {
        struct place at = place_of(context, g_array_index(cpus, int, i));
        if (at.package != package || at.die == NO_DIE)
            continue;
        if (first != NO_DIE && at.die != first)
            return true;
        first = at.die;
    }
    return false;
}

static void note_perf(struct rapl *rapl, const char *event, int error_number)
{
    if (rapl->perf_notes->len)
        return; /* the first says it all: it is the same cause for all events */
    bool denied = error_number == EACCES || error_number == EPERM;
    g_string_printf(rapl->perf_notes, "perf event power/%s/: %s%s", event, g_strerror(error_number),
                    denied ? "; it needs CAP_PERFMON (root) or kernel.perf_event_paranoid <= 0: "
                             "sudo sysctl kernel.perf_event_paranoid=0"
                           : "");
}

static void add_perf_row(struct rapl *rapl, const struct meter_context *context, size_t row, uint32_t type,
                         const char *cpumask)
{
    g_autofree char *event_path = g_strdup_printf(PMU "/events/%s", domain_rows[row].event);
    g_autofree char *scale_path = g_strconcat(event_path, ".scale", NULL);
    g_autofree char *event = sysfs_text(context, event_path);
    g_autofree char *scale_text = sysfs_text(context, scale_path);
    uint64_t config;
    double scale;
    if (!parse_event(event, &config) || !scale_text || !num_parse_real(scale_text, &scale, NULL) || scale <= 0)
        return;
    g_autoptr(GArray) cpus = cpus_of(cpumask);
    for (guint i = 0; i < cpus->len; i++) {
        int cpu = g_array_index(cpus, int, i);
        int fd = open_event(type, config, cpu);
        if (fd < 0) {
            note_perf(rapl, domain_rows[row].event, errno);
            continue;
        }
        struct place at = place_of(context, cpu);
        if (!has_dies(context, cpus, at.package))
            at.die = NO_DIE;
        add_domain(rapl, row, &at, scale, "perf count", 0, (struct domain){.fd = fd});
    }
}

static void add_perf(struct rapl *rapl, const struct meter_context *context)
{
    g_autofree char *type_text = sysfs_text(context, PMU "/type");
    g_autofree char *cpumask = sysfs_text(context, PMU "/cpumask");
    int64_t type;
    if (!type_text || !num_parse_int(type_text, 0, UINT32_MAX, &type, NULL) || !cpumask)
        return;
    for (size_t row = 0; row < G_N_ELEMENTS(domain_rows); row++)
        add_perf_row(rapl, context, row, (uint32_t)type, cpumask);
}

/* --- powercap -------------------------------------------------------------------------------------------------------------- */

static bool has_channel(struct rapl *rapl, const char *device)
{
    for (size_t i = 0; i < rapl->head.channels->len; i++) {
        const struct meter_channel *channel = source_channel(&rapl->head, i);
        if (!strcmp(channel->device, device) && channel->status != QUANTITY_ABSENT)
            return true;
    }
    return false;
}

/* The number between a prefix and the next colon (or the end): "intel-rapl:1:0" → 1. */
static bool number_after(const char *text, const char *prefix, int64_t *ret)
{
    if (!g_str_has_prefix(text, prefix))
        return false;
    const char *start = text + strlen(prefix);
    g_autofree char *digits = g_strndup(start, strcspn(start, ":"));
    return num_parse_int(digits, 0, 4096, ret, NULL);
}

/* Where a zone is, by its name and not by its folder: those are numbered in the order they were found. A part of a
 * package is where the zone around it is. */
static struct place zone_place(const struct meter_context *context, const char *zone, const char *name)
{
    int64_t package = 0, die = NO_DIE;
    g_autofree char *around = NULL;
    if (!g_str_has_prefix(name, "package-")) {
        g_auto(GStrv) parts = g_strsplit(zone, ":", 3);
        bool inner = g_strv_length(parts) > 2;
        g_autofree char *path = inner ? g_strdup_printf(POWERCAP "/%s:%s/name", parts[0], parts[1]) : NULL;
        around = path ? sysfs_text(context, path) : NULL;
        name = around ? around : name;
    }
    const char *of_die = strstr(name, "-die-");
    g_autofree char *whole = of_die ? g_strndup(name, (gsize)(of_die - name)) : g_strdup(name);
    if (!number_after(whole, "package-", &package))
        number_after(zone, "intel-rapl:", &package);
    else if (of_die)
        number_after(of_die, "-die-", &die);
    return (struct place){(int)package, (int)die};
}

static void add_zone(struct rapl *rapl, const struct meter_context *context, const char *zone)
{
    g_autofree char *name_path = g_strdup_printf(POWERCAP "/%s/name", zone);
    g_autofree char *range_path = g_strdup_printf(POWERCAP "/%s/max_energy_range_uj", zone);
    g_autofree char *name = sysfs_text(context, name_path);
    g_autofree char *range_text = sysfs_text(context, range_path);
    int64_t range = 0;
    if (!name)
        return;
    if (range_text)
        num_parse_int(range_text, 1, INT64_MAX / 2, &range, NULL);
    struct place at = zone_place(context, zone, name);
    for (size_t row = 0; row < G_N_ELEMENTS(domain_rows); row++) {
        if (!g_str_has_prefix(name, domain_rows[row].zone))
            continue;
        g_autofree char *device = device_of(row, &at);
        if (has_channel(rapl, device))
            return;
        struct domain domain = {
            .fd = -1, .path = g_strdup_printf("%s" POWERCAP "/%s/energy_uj", context->sysroot, zone)};
        add_domain(rapl, row, &at, 1e-6, "uJ", range, domain);
        size_t index = rapl->head.channels->len - 1;
        if (faccessat(AT_FDCWD, domain.path, R_OK, AT_EACCESS) != 0) {
            g_autofree char *reason =
                sysfs_reason(domain.path, errno, errno == EACCES || errno == EPERM ? PERMISSION_REMEDY : NULL);
            source_absent(&rapl->head, index, "%s", reason);
        } else if (!range) {
            source_absent(&rapl->head, index, "%s%s cannot be read: the counter wraps at an unknown value",
                          context->sysroot, range_path);
        }
        return;
    }
}

/* Powercap zones; the plain ones before their subzones, by the sorted names. */
static void add_powercap(struct rapl *rapl, const struct meter_context *context)
{
    g_auto(GStrv) zones = sysfs_list(context, POWERCAP);
    for (char **z = zones; *z; z++)
        if (g_str_has_prefix(*z, "intel-rapl:"))
            add_zone(rapl, context, *z);
}

/* --- the source ------------------------------------------------------------------------------------------------------------ */

static void check_moving(struct rapl *rapl, size_t from, const struct meter_context *context)
{
    g_autofree size_t *indices = g_new(size_t, rapl->head.channels->len + 1);
    size_t count = 0;
    for (size_t i = from; i < rapl->head.channels->len; i++)
        if (source_channel(&rapl->head, i)->status != QUANTITY_ABSENT)
            indices[count++] = i;
    int64_t wait_ns = context->options->stuck_check_ns ? context->options->stuck_check_ns : STUCK_CHECK_NS;
    source_check_moving(&rapl->head, indices, count, wait_ns);
}

static bool any_usable(struct rapl *rapl)
{
    for (size_t i = 0; i < rapl->head.channels->len; i++)
        if (source_channel(&rapl->head, i)->status != QUANTITY_ABSENT)
            return true;
    return false;
}

static struct meter_source *rapl_open(const struct meter_context *context, char **ret_reason, GError **error)
{
    (void)error;
    struct rapl *rapl = g_new0(struct rapl, 1);
    source_init(&rapl->head, &meter_rapl);
    rapl->domains = g_array_new(FALSE, FALSE, sizeof(struct domain));
    rapl->perf_notes = g_string_new(NULL);
    rapl->sensor_class = cpu_class(context);
    rapl->status = sysfs_status(context);
    add_perf(rapl, context);
    check_moving(rapl, 0, context);
    size_t perf_count = rapl->head.channels->len;
    add_powercap(rapl, context);
    check_moving(rapl, perf_count, context);
    if (rapl->head.channels->len == 0)
        *ret_reason = rapl->perf_notes->len ? g_strdup(rapl->perf_notes->str)
                                            : g_strdup("it lists no package, DRAM or platform domain");
    if (rapl->perf_notes->len && any_usable(rapl))
        rapl->head.remark = g_strdup_printf("read through powercap, which is slower: %s", rapl->perf_notes->str);
    else if (rapl->perf_notes->len)
        rapl->head.remark = g_strdup(rapl->perf_notes->str);
    if (rapl->head.channels->len)
        return &rapl->head;
    source_free(&rapl->head);
    return NULL;
}

static enum meter_read_status read_perf(int fd, int64_t *ret)
{
    uint64_t value;
    ssize_t n = read(fd, &value, sizeof value);
    if (n != sizeof value)
        return METER_READ_LOST; /* 0: the event is in an error state, its CPU went away */
    *ret = (int64_t)value;
    return METER_READ_OK;
}

static void rapl_read_one(struct meter_source *source, size_t index, struct meter_reading *ret)
{
    const struct domain *domain = &g_array_index(((struct rapl *)source)->domains, struct domain, index);
    ret->before_ns = clock_mono_ns();
    ret->status = domain->path ? sysfs_read_int(domain->path, &ret->raw) : read_perf(domain->fd, &ret->raw);
    ret->after_ns = clock_mono_ns();
}

static void rapl_read(struct meter_source *source, unsigned rates, struct meter_reading *readings)
{
    for (size_t i = 0; i < source->channels->len; i++) {
        const struct meter_channel *channel = source_channel(source, i);
        if (channel->status != QUANTITY_ABSENT && (channel->rate & rates))
            rapl_read_one(source, i, &readings[i]);
    }
}

static void rapl_close(struct meter_source *source)
{
    struct rapl *rapl = (struct rapl *)source;
    for (size_t i = 0; i < rapl->domains->len; i++) {
        struct domain *domain = &g_array_index(rapl->domains, struct domain, i);
        if (!domain->path)
            close(domain->fd);
        g_free(domain->path);
    }
    g_array_unref(rapl->domains);
    g_string_free(rapl->perf_notes, TRUE);
}

const struct meter_ops meter_rapl = {
    .name = "rapl",
    .classes = classes,
    .probe = rapl_probe,
    .open = rapl_open,
    .read = rapl_read,
    .read_one = rapl_read_one,
    .close = rapl_close,
};
