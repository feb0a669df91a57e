/* SPDX-License-Identifier: MIT */
/* Images' CUDA against drivers: the toolkit's grammar, NVIDIA's rules of compatibility, both numbers named. */
#include "preflight/cuda.h"

#include <string.h>

/* What nvidia/cuda:12.4.1 says, shortened to three brands. */
#define REQUIRE_124                                                                                                    \
    "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=tesla,driver>=535,driver<536 "                                \
    "brand=geforce,driver>=535,driver<536"

/* --- The grammar --------------------------------------------------------------------------------------------------- */

static const struct cuda_host tesla_535 = {.driver = "535.54.03", .cuda = 12020, .brand = "tesla", .arch = "9.0"};
static const struct cuda_host tesla_545 = {.driver = "545.23.06", .cuda = 12030, .brand = "tesla", .arch = "9.0"};
static const struct cuda_host tesla_470 = {.driver = "470.82.01", .cuda = 11040, .brand = "tesla", .arch = "8.0"};
static const struct cuda_host tesla_580 = {.driver = "580.65.06", .cuda = 13000, .brand = "tesla", .arch = "9.0"};
static const struct cuda_host geforce_470 = {.driver = "470.82.01", .cuda = 11040, .brand = "geforce", .arch = "8.6"};
static const struct cuda_host geforce_550 = {.driver = "550.54.14", .cuda = 12040, .brand = "geforce", .arch = "8.9"};
static const struct cuda_host tesla_440 = {.driver = "440.33.01", .cuda = 10020, .brand = "tesla", .arch = "7.0"};
static const struct cuda_host tesla_450 = {.driver = "450.36.06", .cuda = 11000, .brand = "tesla", .arch = "7.0"};
static const struct cuda_host tesla_590 = {.driver = "590.44.01", .cuda = 13010, .brand = "tesla", .arch = "9.0"};
static const struct cuda_host no_board = {.driver = "535.54.03", .cuda = 12020};
static const struct cuda_host unknown = {0};

static const struct {
    const char *text;
    const struct cuda_host *host;
    enum cuda_holds holds;
    const char *failed;
} requirements[] = {
    {"cuda>=12.2", &tesla_535, CUDA_MET, NULL},
    {"cuda>=12.3", &tesla_535, CUDA_UNMET, "cuda>=12.3"},
    {"cuda>12.2", &tesla_535, CUDA_UNMET, "cuda>12.2"},
    {"cuda<=12.2,cuda>=12", &tesla_535, CUDA_MET, NULL},
    {"cuda=12.2.0", &tesla_535, CUDA_MET, NULL},     /* what is missing counts as 0 */
    {"cuda!=12.2", &tesla_535, CUDA_UNMET, "cuda!=12.2"},
    {"cuda<13", &tesla_535, CUDA_MET, NULL},
    {"cuda>=9.10", &tesla_535, CUDA_MET, NULL},      /* numbers, not texts */
    {"driver>=535.54.3", &tesla_535, CUDA_MET, NULL},
    {"driver<535.54.03", &tesla_535, CUDA_UNMET, "driver<535.54.03"},
    {"arch>=8.0", &tesla_535, CUDA_MET, NULL},
    {"arch<9", &tesla_535, CUDA_UNMET, "arch<9"},
    {"brand=Tesla", &tesla_535, CUDA_MET, NULL},
    {"brand!=tesla", &tesla_535, CUDA_UNMET, "brand!=tesla"},
    {"CUDA>=12.0", &tesla_535, CUDA_MET, NULL},
    {REQUIRE_124, &tesla_535, CUDA_MET, NULL},       /* by its branch */
    {REQUIRE_124, &geforce_470, CUDA_UNMET, "cuda>=12.4"}, /* the branch is there for another brand */
    {REQUIRE_124, &geforce_550, CUDA_MET, NULL},
    {REQUIRE_124, &tesla_545, CUDA_UNMET, "cuda>=12.4"}, /* newer than its branch, older than its CUDA */
    {REQUIRE_124, &no_board, CUDA_UNDECIDED, NULL},
    {REQUIRE_124, &unknown, CUDA_UNDECIDED, NULL},
    {"  cuda>=12.9  cuda>=12.1 ", &tesla_535, CUDA_MET, NULL},
    {",cuda>=12,", &tesla_535, CUDA_MET, NULL},
    {"csv-mounts=all", &tesla_535, CUDA_UNDECIDED, NULL},
    {"csv-mounts=all,cuda>=13", &tesla_535, CUDA_UNMET, "cuda>=13"},
    {"", &tesla_535, CUDA_MET, NULL},
    {"cuda", &tesla_535, CUDA_MALFORMED, "cuda"},
    {"cuda>=", &tesla_535, CUDA_MALFORMED, "cuda>="},
    {"cuda>=twelve", &tesla_535, CUDA_MALFORMED, "cuda>=twelve"},
    {">=12", &tesla_535, CUDA_MALFORMED, ">=12"},
    {"cuda!12", &tesla_535, CUDA_MALFORMED, "cuda!12"},
    {"cuda>=12.", &tesla_535, CUDA_MALFORMED, "cuda>=12."},
    {"cuda>=99999999999999999999", &tesla_535, CUDA_MALFORMED, "cuda>=99999999999999999999"},
    {"brand>tesla", &tesla_535, CUDA_MALFORMED, "brand>tesla"},
};

static void test_requirements(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(requirements); i++) {
        g_autofree char *failed = NULL;
        enum cuda_holds holds = cuda_requirement(requirements[i].text, requirements[i].host, &failed);
        if (holds != requirements[i].holds || g_strcmp0(failed, requirements[i].failed) != 0)
            g_error("'%s': %d, failed '%s'", requirements[i].text, (int)holds, failed);
    }
}

static void test_versions(void)
{
    static const struct {
        const char *a, *b;
        int compared;
    } rows[] = {{"12", "12.0.0", 0}, {"12.10", "12.9", 1}, {"535.54.03", "535.104.05", -1}, {"0.0.1", "0", 1}};
    int compared;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_true(cuda_compare_versions(rows[i].a, rows[i].b, &compared));
        g_assert_cmpint(compared, ==, rows[i].compared);
        g_assert_true(cuda_compare_versions(rows[i].b, rows[i].a, &compared));
        g_assert_cmpint(compared, ==, -rows[i].compared);
    }
    static const char *const none[] = {"", ".", "1.", ".1", "1..2", "12a", "-1", "1234567890"};
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++)
        g_assert_false(cuda_compare_versions("1", none[i], &compared));
}

/* --- The verdict --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *version, *require, *variable; /* of the image; another variable of it */
    const struct cuda_host *host;
    enum cuda_answer answer;
    const char *said[3]; /* among other things: both numbers */
    const char *source;
} verdicts[] = {
    {"12.4.1", REQUIRE_124, NULL, &tesla_580, CUDA_OK, {"CUDA 12.4.1", "CUDA 13.0", "580.65.06"}, "Why CUDA Compatibility"},
    {"12.4.1", REQUIRE_124, NULL, &geforce_550, CUDA_OK, {"CUDA 12.4.1", "CUDA 12.4"}, "Why CUDA Compatibility"},
    {"12.4.1", REQUIRE_124, NULL, &tesla_535, CUDA_MINOR, {"CUDA 12.4.1", "CUDA 12.2", "535.54.03"}, "Minor Version"},
    {"12.9.0", NULL, NULL, &tesla_535, CUDA_MINOR, {"CUDA 12.9.0", "CUDA 12.2"}, "Minor Version"},
    {"13.1.0", NULL, NULL, &tesla_580, CUDA_MINOR, {"CUDA 13.1.0", "CUDA 13.0"}, "Minor Version"},
    {"13.0.1", NULL, NULL, &tesla_590, CUDA_OK, {"CUDA 13.0.1", "CUDA 13.1"}, "Why CUDA Compatibility"},
    /* a newer major version, with the branch among the image's own alternatives */
    {"12.4.1", REQUIRE_124, NULL, &tesla_470, CUDA_COMPAT, {"CUDA 12.4.1", "CUDA 11.4", "forward-compatibility"}, "Forward"},
    {"13.0.0", NULL, "NV_CUDA_COMPAT_PACKAGE=cuda-compat-13-0", &tesla_535, CUDA_COMPAT,
     {"CUDA 13.0.0", "CUDA 12.2", "says that it has cuda-compat-13-0"}, "Forward"},
    {"13.0.0", NULL, NULL, &no_board, CUDA_COMPAT, {"CUDA 13.0.0", "CUDA 12.2"}, "Forward"},
    /* before CUDA 11 every newer minor version needed a newer driver */
    {"10.2", NULL, NULL, &(const struct cuda_host){.driver = "418.39", .cuda = 10010, .brand = "tesla"}, CUDA_COMPAT,
     {"CUDA 10.2", "CUDA 10.1"}, "Forward"},
    /* a driver of that major version which is older than minor-version compatibility */
    {"11.2.0", NULL, NULL, &tesla_450, CUDA_COMPAT, {"CUDA 11.2.0", "450.36.06"}, "Forward"},
    {"11.8.0", NULL, NULL, &tesla_440, CUDA_COMPAT, {"CUDA 11.8.0", "CUDA 10.2"}, "Forward"},
    /* what will not run at all */
    {"12.4.1", NULL, NULL, &geforce_470, CUDA_FAILS, {"CUDA 12.4.1", "CUDA 11.4", "brand geforce"}, "Forward"},
    {"12.4.1", REQUIRE_124, NULL, &geforce_470, CUDA_FAILS, {"CUDA 12.4.1", "CUDA 11.4", "requires cuda>=12.4"}, "NVIDIA_REQUIRE_"},
    {"12.4.1", REQUIRE_124, NULL, &tesla_545, CUDA_FAILS, {"12.4.1", "545.23.06 has CUDA 12.3", "cuda>=12.4"}, "NVIDIA_REQUIRE_"},
    {"12.4.1", "nonsense", NULL, &tesla_580, CUDA_FAILS, {"12.4.1", "13.0", "at 'nonsense'"}, "NVIDIA_REQUIRE_"},
    {"12.4.1", "cuda>=12.4", "NVIDIA_REQUIRE_ARCH=arch>=10.0", &tesla_580, CUDA_FAILS, {"12.4.1", "13.0", "arch>=10.0"},
     "NVIDIA_REQUIRE_"},
    /* a switch that lifts what the image requires */
    {"12.4.1", REQUIRE_124, "NVIDIA_DISABLE_REQUIRE=true", &tesla_545, CUDA_MINOR, {"12.4.1", "12.3"}, "Minor Version"},
    {"12.4.1", REQUIRE_124, "NVIDIA_DISABLE_REQUIRE=0", &tesla_545, CUDA_FAILS, {"12.4.1", "12.3"}, "NVIDIA_REQUIRE_"},
    /* the requirement alone names the version */
    {NULL, "cuda>=13.0 brand=tesla,driver>=535,driver<536", NULL, &tesla_535, CUDA_COMPAT, {"CUDA 13.0", "CUDA 12.2"}, "Forward"},
    {NULL, NULL, NULL, &tesla_535, CUDA_SILENT, {"names no CUDA"}, "NVIDIA_REQUIRE_"},
    {"12.4.1", REQUIRE_124, NULL, &unknown, CUDA_SILENT, {"12.4.1", "not known"}, "CUDA"},
    {"newest", NULL, NULL, &tesla_535, CUDA_SILENT, {"newest"}, "CUDA"},
};

static char *variable(const char *name, const char *value)
{
    return value ? g_strdup_printf("%s=%s", name, value) : g_strdup("EMPTY=");
}

static void test_verdicts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(verdicts); i++) {
        g_autofree char *version = variable("CUDA_VERSION", verdicts[i].version);
        g_autofree char *require = variable("NVIDIA_REQUIRE_CUDA", verdicts[i].require);
        const char *const variables[] = {"PATH=/bin", version, require, verdicts[i].variable, NULL};
        struct cuda_image image;
        struct cuda_verdict verdict;
        cuda_image_read(variables, &image);
        cuda_judge(&image, verdicts[i].host, &verdict);
        if (verdict.answer != verdicts[i].answer)
            g_error("row %d: %s: %s", (int)i, cuda_answer_name(verdict.answer), verdict.text);
        for (size_t k = 0; k < G_N_ELEMENTS(verdicts[i].said) && verdicts[i].said[k]; k++)
            if (!strstr(verdict.text, verdicts[i].said[k]))
                g_error("row %d says nothing of '%s': %s", (int)i, verdicts[i].said[k], verdict.text);
        g_assert_nonnull(strstr(verdict.source, verdicts[i].source));
        g_assert_true((verdict.answer < CUDA_MINOR) == !verdict.remedy);
        cuda_verdict_clear(&verdict);
        cuda_image_clear(&image);
    }
}

/* Of any text: no more than a verdict. */
static void test_any_text(void)
{
    static const char letters[] = "cudabrnvie<>=!,. 0129\n-";
    GRand *random = g_rand_new_with_seed(7);
    for (int i = 0; i < 20000; i++) {
        char text[40];
        size_t n = (size_t)g_rand_int_range(random, 0, (int)sizeof text);
        for (size_t k = 0; k < n; k++)
            text[k] = letters[g_rand_int_range(random, 0, (int)sizeof letters - 1)];
        text[n == sizeof text ? n - 1 : n] = '\0';
        g_autofree char *failed = NULL;
        enum cuda_holds holds = cuda_requirement(text, &tesla_535, &failed);
        g_assert_true((holds == CUDA_UNMET || holds == CUDA_MALFORMED) == (failed != NULL));
    }
    g_rand_free(random);
}

static void test_names(void)
{
    g_assert_cmpstr(cuda_brand_name(2), ==, "tesla");
    g_assert_cmpstr(cuda_brand_name(15), ==, "geforcertx");
    g_assert_null(cuda_brand_name(-1));
    g_assert_null(cuda_brand_name(17));
    for (int i = 0; i < CUDA_ANSWER_COUNT; i++)
        g_assert_nonnull(cuda_answer_name((enum cuda_answer)i));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cuda/requirements", test_requirements);
    g_test_add_func("/cuda/versions", test_versions);
    g_test_add_func("/cuda/verdicts", test_verdicts);
    g_test_add_func("/cuda/any_text", test_any_text);
    g_test_add_func("/cuda/names", test_names);
    return g_test_run();
}
