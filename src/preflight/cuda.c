/* SPDX-License-Identifier: MIT */
#include "preflight/cuda.h"

#include <string.h>

/* --- What an image says ------------------------------------------------------------------------------------------ */

/* The value of a variable whose name begins so; NULL: it is another. */
static const char *value_of(const char *variable, const char *name, bool whole)
{
    const char *equals = strchr(variable, '=');
    size_t length = strlen(name);
    if (!equals || strncmp(variable, name, length) != 0 || (whole && variable + length != equals))
        return NULL;
    return equals[1] ? equals + 1 : NULL;
}

/* As the toolkit reads a switch. */
static bool is_true(const char *value)
{
    static const char *const words[] = {"1", "t", "T", "TRUE", "true", "True"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (!strcmp(value, words[i]))
            return true;
    return false;
}

void cuda_image_read(const char *const *variables, struct cuda_image *ret)
{
    *ret = (struct cuda_image){0};
    GPtrArray *require = g_ptr_array_new();
    for (; variables && *variables; variables++) {
        const char *value;
        if ((value = value_of(*variables, "CUDA_VERSION", true)))
            ret->version = value;
        else if ((value = value_of(*variables, "NVIDIA_REQUIRE_", false)))
            g_ptr_array_add(require, (void *)(uintptr_t)value);
        else if ((value = value_of(*variables, "NVIDIA_DISABLE_REQUIRE", true)))
            ret->require_disabled = is_true(value);
        else if ((value = value_of(*variables, "NV_CUDA_COMPAT_PACKAGE", true)))
            ret->compat = value;
    }
    g_ptr_array_add(require, NULL);
    ret->require = (const char *const *)g_ptr_array_free(require, FALSE);
}

void cuda_image_clear(struct cuda_image *image)
{
    g_free((void *)(uintptr_t)image->require);
    *image = (struct cuda_image){0};
}

/* --- Versions ------------------------------------------------------------------------------------------------------ */

/* The number at the start of a text, and what follows its dot. False: there is none, or it is too long to be one. */
static bool next_part(const char **text, int64_t *ret)
{
    const char *at = *text;
    *ret = 0;
    while (g_ascii_isdigit(*at) && at - *text < 9)
        *ret = *ret * 10 + (*at++ - '0');
    if (at == *text || (*at && *at != '.') || (*at == '.' && !at[1]))
        return false;
    *text = *at ? at + 1 : at;
    return true;
}

bool cuda_compare_versions(const char *a, const char *b, int *ret)
{
    *ret = 0;
    if (!*a || !*b)
        return false;
    while (*a || *b) {
        int64_t x = 0, y = 0;
        if ((*a && !next_part(&a, &x)) || (*b && !next_part(&b, &y)))
            return false;
        if (*ret == 0)
            *ret = x < y ? -1 : x > y;
    }
    return true;
}

/* "12.8.1" → 12, 8. */
static bool read_cuda(const char *text, int *ret_major, int *ret_minor)
{
    int64_t major, minor = 0;
    if (!next_part(&text, &major) || (*text && !next_part(&text, &minor)))
        return false;
    *ret_major = (int)MIN(major, 9999);
    *ret_minor = (int)MIN(minor, 99);
    return true;
}

/* In the order of nvmlBrandType_t, by the names that the toolkit compares with. */
const char *cuda_brand_name(int64_t number)
{
    static const char *const names[] = {
        "unknown",   "quadro",    "tesla",             "nvs",       "grid",      "geforce", "titan",      "nvidiavapps",
        "nvidiavpc", "nvidiavcs", "nvidiavws", "nvidiacloudgaming", "quadrortx", "nvidiartx", "nvidia", "geforcertx",
        "titanrtx",
    };
    return number >= 0 && number < (int64_t)G_N_ELEMENTS(names) ? names[number] : NULL;
}

/* --- Requirements -------------------------------------------------------------------------------------------------- */

enum operation { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL };

/* The longer ones first. */
static const struct {
    const char *text;
    enum operation operation;
} operations[] = {
    {"!=", NOT_EQUAL}, {"<=", LESS_EQUAL}, {">=", GREATER_EQUAL}, {"=", EQUAL}, {"<", LESS}, {">", GREATER},
};

static bool holds_for(enum operation operation, int compared)
{
    switch (operation) {
    case EQUAL: return compared == 0;
    case NOT_EQUAL: return compared != 0;
    case LESS: return compared < 0;
    case LESS_EQUAL: return compared <= 0;
    case GREATER: return compared > 0;
    default: return compared >= 0;
    }
}

static enum cuda_holds compare_brand(const char *have, enum operation operation, const char *value)
{
    if (operation != EQUAL && operation != NOT_EQUAL)
        return CUDA_MALFORMED;
    if (!have)
        return CUDA_UNDECIDED;
    return (g_ascii_strcasecmp(have, value) == 0) == (operation == EQUAL) ? CUDA_MET : CUDA_UNMET;
}

static enum cuda_holds compare_version(const char *have, enum operation operation, const char *value)
{
    int compared;
    if (!cuda_compare_versions(value, value, &compared))
        return CUDA_MALFORMED;
    if (!have || !cuda_compare_versions(have, value, &compared))
        return CUDA_UNDECIDED;
    return holds_for(operation, compared) ? CUDA_MET : CUDA_UNMET;
}

static enum cuda_holds judge_property(const char *property, enum operation operation, const char *value,
                                      const struct cuda_host *host)
{
    g_autofree char *cuda = host->cuda > 0 ? g_strdup_printf("%d.%d", host->cuda / 1000, host->cuda % 1000 / 10) : NULL;
    if (!g_ascii_strcasecmp(property, "cuda"))
        return compare_version(cuda, operation, value);
    if (!g_ascii_strcasecmp(property, "driver"))
        return compare_version(host->driver, operation, value);
    if (!g_ascii_strcasecmp(property, "arch"))
        return compare_version(host->arch, operation, value);
    if (!g_ascii_strcasecmp(property, "brand"))
        return compare_brand(host->brand, operation, value);
    return CUDA_UNDECIDED; /* "csv-mounts=all" of Jetson images: toolkits pass over what they do not know */
}

static enum cuda_holds judge_condition(const char *condition, const struct cuda_host *host)
{
    size_t length = strcspn(condition, "<>=!");
    const char *rest = condition + length;
    for (size_t i = 0; length > 0 && i < G_N_ELEMENTS(operations); i++) {
        if (!g_str_has_prefix(rest, operations[i].text))
            continue;
        const char *value = rest + strlen(operations[i].text);
        g_autofree char *property = g_strndup(condition, length);
        return *value ? judge_property(property, operations[i].operation, value, host) : CUDA_MALFORMED;
    }
    return CUDA_MALFORMED;
}

/* All conditions of one alternative; the first that does not hold is told. */
static enum cuda_holds judge_alternative(const char *alternative, const struct cuda_host *host, char **ret_failed)
{
    enum cuda_holds all = CUDA_MET;
    g_auto(GStrv) conditions = g_strsplit(alternative, ",", -1);
    for (char **condition = conditions; *condition; condition++) {
        enum cuda_holds one = **condition ? judge_condition(*condition, host) : CUDA_MET;
        if (one == CUDA_UNMET || one == CUDA_MALFORMED) {
            *ret_failed = g_strdup(*condition);
            return one;
        }
        if (one == CUDA_UNDECIDED)
            all = one;
    }
    return all;
}

/* Alternatives are tried in their order, as the toolkit does: one that holds ends it, a malformed one as well. */
enum cuda_holds cuda_requirement(const char *requirement, const struct cuda_host *host, char **ret_failed)
{
    enum cuda_holds any = CUDA_MET;
    g_autofree char *first = NULL;
    g_auto(GStrv) alternatives = g_strsplit(requirement, " ", -1);
    bool undecided = false, seen = false;
    *ret_failed = NULL;
    for (char **alternative = alternatives; *alternative; alternative++) {
        g_autofree char *failed = NULL;
        if (!**alternative)
            continue;
        any = judge_alternative(*alternative, host, &failed);
        if (any == CUDA_MET)
            return any;
        undecided |= any == CUDA_UNDECIDED;
        if (any == CUDA_MALFORMED) {
            *ret_failed = g_steal_pointer(&failed);
            return any;
        }
        if (!seen)
            first = g_steal_pointer(&failed);
        seen = true;
    }
    if (undecided)
        return CUDA_UNDECIDED;
    *ret_failed = g_steal_pointer(&first);
    return any;
}

/* --- The verdict --------------------------------------------------------------------------------------------------- */

#define DOCS "NVIDIA, CUDA Compatibility, "
#define DOCS_BACKWARD DOCS "Why CUDA Compatibility: a driver runs every older CUDA"
#define DOCS_MINOR    DOCS "Minor Version Compatibility (CUDA 11 and later)"
#define DOCS_FORWARD  DOCS "Forward Compatibility (data-centre boards, some RTX boards of servers, Jetson)"
#define DOCS_REQUIRE  "the image's own NVIDIA_REQUIRE_*, which the NVIDIA Container Toolkit enforces"

/* The oldest driver on which programs of a major version of CUDA run by minor-version compatibility. */
static const struct {
    int major;
    const char *driver;
} oldest_drivers[] = {{11, "450.80.02"}, {12, "525.60.13"}, {13, "580"}};

enum { FIRST_MINOR_COMPATIBLE = 11 };

static const char *oldest_driver(int major)
{
    for (size_t i = 0; i < G_N_ELEMENTS(oldest_drivers); i++)
        if (oldest_drivers[i].major == major)
            return oldest_drivers[i].driver;
    return NULL;
}

/* Boards for which NVIDIA offers no forward compatibility. */
static bool is_consumer(const char *brand)
{
    static const char *const names[] = {"geforce", "geforcertx", "titan", "titanrtx"};
    for (size_t i = 0; brand && i < G_N_ELEMENTS(names); i++)
        if (!g_ascii_strcasecmp(brand, names[i]))
            return true;
    return false;
}

/* "CUDA 12.8.1, the host's driver 535.54.03 has CUDA 12.2" */
static char *both_numbers(const char *image_cuda, const struct cuda_host *host)
{
    const char *driver = host->driver ? host->driver : "(of an unknown version)";
    if (host->cuda <= 0)
        return g_strdup_printf("the image is built for CUDA %s; what the host's driver %s has is not known", image_cuda,
                               driver);
    return g_strdup_printf("the image is built for CUDA %s, the host's driver %s has CUDA %d.%d", image_cuda, driver,
                           host->cuda / 1000, host->cuda % 1000 / 10);
}

static void conclude(struct cuda_verdict *ret, enum cuda_answer answer, const char *source, const char *remedy,
                     char *text)
{
    g_free(ret->text);
    *ret = (struct cuda_verdict){.answer = answer, .text = text, .source = source, .remedy = remedy};
}

/* The image's CUDA is of a newer major version than the driver's, or of one without minor-version compatibility. */
static void judge_forward(const struct cuda_image *image, const struct cuda_host *host, const char *numbers,
                          struct cuda_verdict *ret)
{
    if (is_consumer(host->brand)) {
        conclude(ret, CUDA_FAILS, DOCS_FORWARD, "update the host's driver, or take an image that is built for an older CUDA",
                 g_strdup_printf("%s, and boards of brand %s have no forward compatibility", numbers, host->brand));
        return;
    }
    conclude(ret, CUDA_COMPAT, DOCS_FORWARD,
             "update the host's driver, take an image that is built for an older CUDA, or see that the image has the "
             "package and its libcuda.so.1 is found first (LD_LIBRARY_PATH=/usr/local/cuda/compat)",
             g_strdup_printf("%s: it needs the forward-compatibility package%s%s%s", numbers,
                             image->compat ? " (the image says that it has " : "", image->compat ? image->compat : "",
                             image->compat ? ")" : ""));
}

static void judge_versions(const struct cuda_image *image, const struct cuda_host *host, const char *wanted,
                           struct cuda_verdict *ret)
{
    int major, minor, compared = 0;
    if (!read_cuda(wanted, &major, &minor) || host->cuda <= 0) {
        conclude(ret, CUDA_SILENT, DOCS_BACKWARD, NULL,
                 g_strdup_printf("the image is built for CUDA %s; what the host's driver has is not known", wanted));
        return;
    }
    g_autofree char *numbers = both_numbers(wanted, host);
    if (host->cuda / 10 >= major * 100 + minor) {
        conclude(ret, CUDA_OK, DOCS_BACKWARD, NULL, g_steal_pointer(&numbers));
        return;
    }
    const char *oldest = oldest_driver(major);
    bool too_old = oldest && host->driver && cuda_compare_versions(host->driver, oldest, &compared) && compared < 0;
    if (host->cuda / 1000 == major && major >= FIRST_MINOR_COMPATIBLE && !too_old)
        conclude(ret, CUDA_MINOR, DOCS_MINOR, "if a kernel cannot be loaded (\"unsupported toolchain\"), update the host's driver",
                 g_strdup_printf("%s: minor-version compatibility, without what CUDA %d.%d brought and without "
                                 "compiling its PTX", numbers, major, minor));
    else
        judge_forward(image, host, numbers, ret);
}

/* The version that a requirement begins with, "cuda>=12.8": what images say that name no CUDA_VERSION. New string. */
static char *required_version(const struct cuda_image *image)
{
    for (size_t i = 0; image->require && image->require[i]; i++)
        if (g_str_has_prefix(image->require[i], "cuda>="))
            return g_strndup(image->require[i] + 6, strcspn(image->require[i] + 6, " ,"));
    return NULL;
}

/* True if the toolkit would refuse to start the image. */
static bool judge_requirements(const struct cuda_image *image, const struct cuda_host *host, const char *wanted,
                               struct cuda_verdict *ret)
{
    for (size_t i = 0; !image->require_disabled && image->require && image->require[i]; i++) {
        g_autofree char *failed = NULL;
        enum cuda_holds holds = cuda_requirement(image->require[i], host, &failed);
        if (holds != CUDA_UNMET && holds != CUDA_MALFORMED)
            continue;
        g_autofree char *numbers = both_numbers(wanted ? wanted : "of a version it does not name", host);
        conclude(ret, CUDA_FAILS, DOCS_REQUIRE,
                 "update the host's driver, or take an image that is built for an older CUDA; NVIDIA_DISABLE_REQUIRE=1 among "
                 "the container's variables (runners.NAME.environment) lets it start all the same",
                 holds == CUDA_UNMET ? g_strdup_printf("%s; it requires %s and no alternative to that holds: the NVIDIA "
                                                       "toolkit will not start it", numbers, failed)
                                     : g_strdup_printf("%s; its requirement cannot be read at '%s': the NVIDIA toolkit may not "
                                                       "start it", numbers, failed));
        return true;
    }
    return false;
}

void cuda_judge(const struct cuda_image *image, const struct cuda_host *host, struct cuda_verdict *ret)
{
    *ret = (struct cuda_verdict){0};
    g_autofree char *required = required_version(image);
    const char *wanted = image->version ? image->version : required;
    if (judge_requirements(image, host, wanted, ret))
        return;
    if (wanted)
        judge_versions(image, host, wanted, ret);
    else
        conclude(ret, CUDA_SILENT, DOCS_REQUIRE, NULL, g_strdup("the image names no CUDA version"));
}

void cuda_verdict_clear(struct cuda_verdict *verdict)
{
    g_free(verdict->text);
    *verdict = (struct cuda_verdict){0};
}

const char *cuda_answer_name(enum cuda_answer answer)
{
    static const char *const names[CUDA_ANSWER_COUNT] = {
        [CUDA_SILENT] = "not known", [CUDA_OK] = "OK", [CUDA_MINOR] = "minor-version compatibility",
        [CUDA_COMPAT] = "needs the forward-compatibility package", [CUDA_FAILS] = "will fail",
    };
    return names[answer];
}
