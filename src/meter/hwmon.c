/* SPDX-License-Identifier: MIT */
/*
 * hwmon: energy (energyN_input, µJ, cumulative) and power (powerN_average, powerN_input, µW) of whatever chips the
 * kernel knows. A chip is known by its `name` file and the device behind it, never by its hwmon number, which changes
 * with the boot.
 * Facts: Linux Documentation/hwmon/sysfs-interface.
 */
#include "meter/source.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HWMON          "/sys/class/hwmon"
#define STUCK_CHECK_NS (1200 * NS_PER_MS) /* some chips refresh once a second; it ends when all have moved */
#define AVERAGE_NS     INT64_C(1000000000) /* of power1_average where no interval is stated: the kernel's own default */

#define CLASS_CHIP "hwmon"
static const struct meter_class classes[] = {
    {CLASS_CHIP, 0.05, 2, .source = "assumed normal, 5 % and 2 W: no datasheet of the sensor is known to llem"},
    {0},
};

/* Sockets that chips measure whole: kernel, Documentation/hwmon/amd_energy (retired, still in vendors' kernels), and
 * NVIDIA's power tuning guide for Grace, whose ACPI meters name what they measure. */
#define SCOPE_SOCKET "CPU socket (hwmon)"
static const struct meter_scope scopes[] = {
    {SCOPE_SOCKET, METER_DEVICE_PACKAGE, METER_COUNTS_FIRST + 4,
     "memory, boards, disks, network, fans and the losses of the power supply; other processes are inside"},
    {0},
};
static const struct {
    const char *chip, *label; /* what its label begins with */
} socket_rows[] = {
    {"amd_energy", "Esocket"},
    {"power_meter", "CPU Power Socket"},
};

static bool is_socket(const char *chip, const char *label)
{
    for (size_t i = 0; label && i < G_N_ELEMENTS(socket_rows); i++)
        if (!strcmp(chip, socket_rows[i].chip) && g_str_has_prefix(label, socket_rows[i].label))
            return true;
    return false;
}

struct hwmon {
    struct meter_source head;
    GPtrArray *paths; /* parallel to the channels */
};

static bool hwmon_probe(const struct meter_context *context, char **ret_reason)
{
    g_auto(GStrv) chips = sysfs_list(context, HWMON);
    if (chips[0])
        return true;
    *ret_reason = g_strdup_printf("%s%s has no chip: the kernel offers no hardware monitoring here (usual in virtual "
                                  "machines and containers)", context->sysroot, HWMON);
    return false;
}

static const struct {
    const char *stem, *end; /* of the file: stem, a number, end */
    enum meter_kind kind;
} file_rows[] = {
    {"energy", "_input", METER_ENERGY},
    {"power", "_average", METER_POWER_AVERAGE},
    {"power", "_input", METER_POWER_INSTANT},
};

static bool is_file(const char *name, size_t row, unsigned *ret_number)
{
    if (!g_str_has_prefix(name, file_rows[row].stem))
        return false;
    const char *start = name + strlen(file_rows[row].stem);
    size_t length = strspn(start, "0123456789");
    g_autofree char *digits = g_strndup(start, length);
    int64_t number;
    if (strcmp(start + length, file_rows[row].end) != 0 || !num_parse_int(digits, 0, 65535, &number, NULL))
        return false;
    *ret_number = (unsigned)number;
    return true;
}

static int64_t average_window_ns(const struct meter_context *context, const char *chip, unsigned number)
{
    g_autofree char *path = g_strdup_printf(HWMON "/%s/power%u_average_interval", chip, number);
    g_autofree char *text = sysfs_text(context, path);
    int64_t ms;
    return text && num_parse_int(text, 1, 3600000, &ms, NULL) ? ms * NS_PER_MS : AVERAGE_NS;
}

/* Values that a register shows while nothing answers behind it: all bits of 31, 32 or 63, or of 16 where the driver
 * made µW of mW or of W. */
static bool is_all_ones(int64_t raw)
{
    static const int64_t ones[] = {INT32_MAX, UINT32_MAX, INT64_MAX, UINT16_MAX * INT64_C(1000),
                                   UINT16_MAX * INT64_C(1000000)};
    for (size_t i = 0; i < G_N_ELEMENTS(ones); i++)
        if (raw == ones[i])
            return true;
    return raw == -1;
}

/* What the device behind a power file may draw at most, W: the largest limit that the chip states. 0: none. */
static double limit_w(const struct meter_context *context, const char *chip, unsigned number)
{
    static const char *const ends[] = {"rated_max", "cap_max", "crit", "max"};
    int64_t most = 0, limit;
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_autofree char *path = g_strdup_printf(HWMON "/%s/power%u_%s", chip, number, ends[i]);
        g_autofree char *text = sysfs_text(context, path);
        if (text && num_parse_int(text, 1, INT64_MAX, &limit, NULL) && !is_all_ones(limit))
            most = MAX(most, limit);
    }
    return (double)most * 1e-6;
}

/* What the maker calls it: a label of the file, or of an ACPI meter. NULL: nothing. New string. */
static char *label_of(const struct meter_context *context, const char *chip, const char *stem, unsigned number)
{
    static const char *const ends[] = {"label", "oem_info"};
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_autofree char *path = g_strdup_printf(HWMON "/%s/%s%u_%s", chip, stem, number, ends[i]);
        char *label = sysfs_text(context, path);
        if (label && *label)
            return label;
        g_free(label);
    }
    return NULL;
}

/* A file that is there and shows no value: empty, no number, all ones. */
static void check_value(struct hwmon *hwmon, size_t index)
{
    const char *path = hwmon->paths->pdata[index];
    int64_t raw = 0;
    enum meter_read_status status = sysfs_read_int(path, &raw);
    if (status == METER_READ_OK && is_all_ones(raw))
        source_absent(&hwmon->head, index, "%s shows all ones: no sensor answers behind it", path);
    else if (status == METER_READ_ERROR)
        source_absent(&hwmon->head, index, "%s is empty or shows no number: no sensor answers behind it", path);
}

static void add_file(struct hwmon *hwmon, const struct meter_context *context, const char *chip, const char *name,
                     const char *device, const char *file, size_t row, unsigned number)
{
    enum meter_kind kind = file_rows[row].kind;
    const char *stem = file_rows[row].stem;
    g_autofree char *label = label_of(context, chip, stem, number);
    if (label && g_str_has_prefix(label, "Ecore"))
        return; /* amd_energy: cores are parts of the socket */
    g_autofree char *id = g_strdup_printf("hwmon:%s:%s%u:%s", device, stem, number, meter_kind_name(kind));
    g_autofree char *shown = label ? g_strdup_printf("%s %s", device, label)
                                   : g_strdup_printf("%s %s%u", device, stem, number);
    bool socket = is_socket(name, label);
    g_autofree char *scope = socket ? g_strdup(SCOPE_SOCKET) : g_strdup_printf("hwmon %s", shown);
    g_autofree char *part = socket ? g_strdup_printf("%s.%s%u", device, stem, number) : g_strdup(device);
    struct meter_channel channel = {
        .id = id, .device = part, .label = shown, .scope = scope, .kind = kind, .rate = METER_SLOW,
        .scale = 1e-6, .raw_unit = kind == METER_ENERGY ? "uJ" : "uW",
        .max_power_w = kind == METER_ENERGY ? 0 : METER_PLAUSIBLE_SHARE * limit_w(context, chip, number),
        .window_ns = kind == METER_POWER_AVERAGE ? average_window_ns(context, chip, number) : 0,
        .sensor_class = CLASS_CHIP, .status = sysfs_status(context),
    };
    size_t index = source_add(&hwmon->head, &channel);
    char *path = g_strdup_printf("%s" HWMON "/%s/%s", context->sysroot, chip, file);
    g_ptr_array_add(hwmon->paths, path);
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0) {
        g_autofree char *reason =
            sysfs_reason(path, errno, errno == EACCES ? "run as root or let a group read the file" : NULL);
        source_absent(&hwmon->head, index, "%s", reason);
    } else {
        check_value(hwmon, index);
    }
}

/* The chip's name and the device behind it ("nct6798@nct6775.656"), which the next boot finds again; twins that have
 * the same are numbered. New string. */
static char *device_of(const struct meter_context *context, const char *chip, const char *name, GHashTable *seen)
{
    g_autofree char *link = g_strdup_printf("%s" HWMON "/%s/device", context->sysroot, chip);
    g_autofree char *real = realpath(link, NULL);
    g_autofree char *last = real ? g_path_get_basename(real) : NULL;
    g_autofree char *device = last ? g_strdup_printf("%s@%s", name, last) : g_strdup(name);
    unsigned twin = GPOINTER_TO_UINT(g_hash_table_lookup(seen, device));
    g_hash_table_insert(seen, g_strdup(device), GUINT_TO_POINTER(twin + 1));
    return twin ? g_strdup_printf("%s.%u", device, twin) : g_steal_pointer(&device);
}

static void add_chip(struct hwmon *hwmon, const struct meter_context *context, const char *chip, GHashTable *seen)
{
    g_autofree char *name_path = g_strdup_printf(HWMON "/%s/name", chip);
    g_autofree char *folder = g_strdup_printf(HWMON "/%s", chip);
    g_autofree char *name = sysfs_text(context, name_path);
    if (!name || !*name)
        return;
    g_autofree char *device = device_of(context, chip, name, seen);
    g_auto(GStrv) files = sysfs_list(context, folder);
    for (char **f = files; *f; f++)
        for (size_t row = 0; row < G_N_ELEMENTS(file_rows); row++) {
            unsigned number;
            if (is_file(*f, row, &number))
                add_file(hwmon, context, chip, name, device, *f, row, number);
        }
}

static void hwmon_read_one(struct meter_source *source, size_t index, struct meter_reading *ret)
{
    ret->before_ns = clock_mono_ns();
    ret->status = sysfs_read_int(((struct hwmon *)source)->paths->pdata[index], &ret->raw);
    if (ret->status == METER_READ_OK && is_all_ones(ret->raw))
        ret->status = METER_READ_ERROR;
    ret->after_ns = clock_mono_ns();
}

static void hwmon_read(struct meter_source *source, unsigned rates, struct meter_reading *readings)
{
    for (size_t i = 0; i < source->channels->len; i++) {
        const struct meter_channel *channel = source_channel(source, i);
        if (channel->status != QUANTITY_ABSENT && (channel->rate & rates))
            hwmon_read_one(source, i, &readings[i]);
    }
}

static void hwmon_close(struct meter_source *source)
{
    g_ptr_array_unref(((struct hwmon *)source)->paths);
}

static struct meter_source *hwmon_open(const struct meter_context *context, char **ret_reason, GError **error)
{
    (void)error;
    struct hwmon *hwmon = g_new0(struct hwmon, 1);
    source_init(&hwmon->head, &meter_hwmon);
    hwmon->paths = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) chips = sysfs_list(context, HWMON);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (char **c = chips; *c; c++)
        add_chip(hwmon, context, *c, seen);
    size_t count = 0, total = hwmon->head.channels->len;
    g_autofree size_t *counters = g_new(size_t, total + 1);
    for (size_t i = 0; i < total; i++) {
        const struct meter_channel *channel = source_channel(&hwmon->head, i);
        if (channel->kind == METER_ENERGY && channel->status != QUANTITY_ABSENT)
            counters[count++] = i;
    }
    int64_t wait_ns = context->options->stuck_check_ns ? context->options->stuck_check_ns : STUCK_CHECK_NS;
    source_check_moving(&hwmon->head, counters, count, wait_ns);
    if (total)
        return &hwmon->head;
    *ret_reason = g_strdup_printf("no chip below %s%s has an energy or power file", context->sysroot, HWMON);
    source_free(&hwmon->head);
    return NULL;
}

/* --- temperatures of CPUs ---------------------------------------------------------------------------------------- */

#define TEMPERATURES_MAX 64 /* of one chip that are looked at: a package has its own among the first */

/* Chips that show the temperature of a package, and how its label begins: Linux, Documentation/hwmon/coretemp and
 * k10temp (Tdie where both are there: Tctl may be more than what is measured). */
static const struct {
    const char *chip, *label;
} temperature_rows[] = {
    {"coretemp", "Package id"},
    {"k10temp", "Tdie"},
    {"k10temp", "Tctl"},
};

/* The highest of a chip's temperatures whose label begins so; NaN: it has none. */
static double chip_temperature(const struct meter_context *context, const char *chip, const char *label)
{
    double most = NAN;
    for (int i = 1; i <= TEMPERATURES_MAX; i++) {
        g_autofree char *label_path = g_strdup_printf(HWMON "/%s/temp%d_label", chip, i);
        g_autofree char *input_path = g_strdup_printf(HWMON "/%s/temp%d_input", chip, i);
        g_autofree char *found = sysfs_text(context, label_path);
        if (!found || !g_str_has_prefix(found, label))
            continue;
        g_autofree char *text = sysfs_text(context, input_path);
        int64_t millidegrees;
        if (text && num_parse_int(text, -100000, 300000, &millidegrees, NULL))
            most = isnan(most) ? 1e-3 * (double)millidegrees : fmax(most, 1e-3 * (double)millidegrees);
    }
    return most;
}

static double hwmon_cpu_temperature(const struct meter_context *context)
{
    g_auto(GStrv) chips = sysfs_list(context, HWMON);
    double most = NAN;
    for (char **chip = chips; *chip; chip++) {
        g_autofree char *name_path = g_strdup_printf(HWMON "/%s/name", *chip);
        g_autofree char *name = sysfs_text(context, name_path);
        double found = NAN;
        for (size_t i = 0; name && isnan(found) && i < G_N_ELEMENTS(temperature_rows); i++)
            if (!strcmp(name, temperature_rows[i].chip))
                found = chip_temperature(context, *chip, temperature_rows[i].label);
        most = isnan(most) ? found : isnan(found) ? most : fmax(most, found);
    }
    return most;
}

const struct meter_ops meter_hwmon = {
    .name = "hwmon",
    .classes = classes,
    .scopes = scopes,
    .probe = hwmon_probe,
    .open = hwmon_open,
    .read = hwmon_read,
    .read_one = hwmon_read_one,
    .close = hwmon_close,
    .cpu_temperature = hwmon_cpu_temperature,
};
