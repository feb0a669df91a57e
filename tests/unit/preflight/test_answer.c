/* SPDX-License-Identifier: MIT */
/* What a worker's answer, or its failure, comes to: a table of answers. */
#include "preflight/answer.h"

#include <string.h>

typedef void judge(const struct answer *answer, struct answer_verdict *ret);

#define PLACE "\"place\": {\"glibc\": \"2.35\", \"machine\": \"x86_64\", \"uid\": 1000}"
#define GPUS(list)                                                                                                     \
    "{" PLACE ", \"gpus\": {\"driver_version\": \"580.65.06\", \"cuda_version\": \"13.0\", \"devices\": [" list "]}}"
#define A "{\"uuid\": \"GPU-a\"}"
#define B "{\"uuid\": \"GPU-b\"}"
#define CUDA(text) "{" PLACE ", \"gpus\": {\"simulated\": true}, \"cuda\": {" text "}}"
#define PROGRAM(clean, said)                                                                                           \
    "{" PLACE ", \"programs\": [{\"path\": \"/opt/llem/e\", \"clean\": " clean ", \"said\": \"" said "\"}]}"

static const char *const none[] = {NULL}, *const only_a[] = {"GPU-a", NULL}, *const both[] = {"GPU-a", "GPU-b", NULL},
                         *const instance[] = {"MIG-1", NULL};

static const struct {
    judge *judge;
    const char *found; /* NULL: nothing */
    int code;          /* of the failure; 0: none */
    const char *message, *image_glibc;
    const char *const *asked;
    enum answer_need need;
    enum preflight_verdict verdict;
    const char *said, *hint;
} rows[] = {
    {answer_start, "{" PLACE "}", 0, NULL, NULL, NULL, ANSWER_NEVER, PREFLIGHT_OK, "uid 1000, on x86_64", NULL},
    {answer_start, NULL, LLEM_ERROR_GPU_TOOLKIT, "could not select device driver", NULL, only_a, ANSWER_NEEDS,
     PREFLIGHT_FAILS, "could not select device driver", NULL},
    /* the C library: both numbers */
    {answer_glibc, "{" PLACE "}", 0, NULL, NULL, NULL, ANSWER_NEVER, PREFLIGHT_OK, "glibc 2.35, llem-worker needs 2.34", NULL},
    {answer_glibc, NULL, LLEM_ERROR_LIBRARY_MISSING,
     "/lib/libc.so.6: version `GLIBC_2.34' not found (required by /opt/llem/bin/llem-worker), `GLIBC_2.32' not found", "2.31",
     NULL, ANSWER_NEVER, PREFLIGHT_FAILS, "llem-worker needs glibc 2.34, the image has 2.31", "newer C library"},
    {answer_glibc, NULL, LLEM_ERROR_LIBRARY_MISSING, "version `GLIBC_2.34' not found", NULL, NULL, ANSWER_NEVER,
     PREFLIGHT_FAILS, "needs glibc 2.34, the image has an older one", "newer C library"},
    {answer_glibc, NULL, LLEM_ERROR_ENTRY_POINT, "exec: no such file or directory", NULL, NULL, ANSWER_NEVER, PREFLIGHT_FAILS,
     "no loader of glibc", "newer C library"},
    {answer_glibc, NULL, LLEM_ERROR_GPU_TOOLKIT, "could not select device driver", NULL, NULL, ANSWER_NEVER, PREFLIGHT_ABSENT,
     "did not start", NULL},
    {answer_glibc, PROGRAM("false", "version `GLIBC_2.38' not found (required by x)"), 0, NULL, NULL, NULL, ANSWER_NEVER,
     PREFLIGHT_FAILS, "/opt/llem/e needs glibc 2.38, the image has 2.35", "newer C library"},
    {answer_glibc, PROGRAM("false", "a => /a\\n\\tlibgomp.so.1 => not found\\n"), 0, NULL, NULL, NULL, ANSWER_NEVER,
     PREFLIGHT_FAILS, "/opt/llem/e cannot be loaded: libgomp.so.1 => not found", "`files`"},
    {answer_glibc, PROGRAM("true", "libc.so.6 => /lib/libc.so.6"), 0, NULL, NULL, NULL, ANSWER_NEVER, PREFLIGHT_OK, "2.35", NULL},
    /* the engine and its version */
    {answer_engine, "{" PLACE ", \"engine\": {\"engine\": \"toy\", \"engine_version\": \"3\"}}", 0, NULL, NULL, NULL,
     ANSWER_NEVER, PREFLIGHT_OK, "toy 3", NULL},
    {answer_engine, "{" PLACE ", \"engine\": {\"engine\": \"toy\"}}", 0, NULL, NULL, NULL, ANSWER_NEVER, PREFLIGHT_OK,
     "toy of an unknown version", NULL},
    {answer_engine, "{" PLACE ", \"engine\": {\"error\": \"No module named 'vllm'\", \"class\": \"EngineDied\"}}", 0, NULL, NULL,
     NULL, ANSWER_NEVER, PREFLIGHT_FAILS, "No module named 'vllm'", NULL},
    {answer_engine, NULL, LLEM_ERROR_ENTRY_POINT, "no", NULL, NULL, ANSWER_NEVER, PREFLIGHT_ABSENT, "so far", NULL},
    /* the boards: the very set */
    {answer_boards, GPUS(A), 0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_OK, "1 of 1: driver 580.65.06, CUDA 13.0", NULL},
    {answer_boards, GPUS(B ", " A), 0, NULL, NULL, both, ANSWER_NEEDS, PREFLIGHT_OK, "2 of 2", NULL},
    {answer_boards, GPUS(A), 0, NULL, NULL, both, ANSWER_NEEDS, PREFLIGHT_FAILS, "though asked for: GPU-b", NULL},
    {answer_boards, GPUS(B), 0, NULL, NULL, only_a, ANSWER_MAY, PREFLIGHT_LACKS, "GPU-a; visible though not: GPU-b", NULL},
    {answer_boards, GPUS(A ", " B), 0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_FAILS, "though not asked for: GPU-b",
     "NVIDIA_VISIBLE_DEVICES"},
    {answer_boards, GPUS(A), 0, NULL, NULL, none, ANSWER_NEVER, PREFLIGHT_LACKS, "though not asked for: GPU-a", "default runtime"},
    /* a divided board comes with its instance, another instance does not */
    {answer_boards, GPUS(A ", {\"uuid\": \"MIG-1\", \"instance_of\": \"GPU-a\"}"), 0, NULL, NULL, instance, ANSWER_NEEDS,
     PREFLIGHT_OK, "1 of 1", NULL},
    {answer_boards, GPUS(A ", {\"uuid\": \"MIG-1\", \"instance_of\": \"GPU-a\"}"), 0, NULL, NULL, only_a, ANSWER_NEEDS,
     PREFLIGHT_OK, "1 of 1", NULL},
    {answer_boards, GPUS(A ", {\"uuid\": \"MIG-1\", \"instance_of\": \"GPU-a\"}, {\"uuid\": \"MIG-2\", \"instance_of\": \"GPU-a\"}"),
     0, NULL, NULL, instance, ANSWER_NEEDS, PREFLIGHT_FAILS, "though not asked for: MIG-2", NULL},
    /* podman takes --gpus and gives none, without a word */
    {answer_boards, "{" PLACE ", \"gpus\": {\"absent\": \"there is no driver\"}}", 0, NULL, NULL, only_a, ANSWER_NEEDS,
     PREFLIGHT_FAILS, "1 GPU was asked for, none is visible: there is no driver", NULL},
    {answer_boards, "{" PLACE ", \"gpus\": {\"absent\": \"there is no driver\"}}", 0, NULL, NULL, none, ANSWER_NEVER,
     PREFLIGHT_OK, "none", NULL},
    {answer_boards, "{" PLACE ", \"gpus\": {\"absent\": \"there is no driver\"}}", 0, NULL, NULL, NULL, ANSWER_NEEDS,
     PREFLIGHT_ABSENT, "there was none to ask for", NULL},
    {answer_boards, NULL, LLEM_ERROR_GPU_TOOLKIT, "no", NULL, only_a, ANSWER_NEEDS, PREFLIGHT_ABSENT, "did not start", NULL},
    /* CUDA itself */
    {answer_cuda, CUDA("\"init\": 0, \"version\": 13000"), 0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_OK, "CUDA 13.0 starts", NULL},
    {answer_cuda, CUDA("\"init\": 0, \"version\": 13000, \"compat\": \"/usr/local/cuda/compat/libcuda.so.1\""), 0, NULL, NULL,
     only_a, ANSWER_NEEDS, PREFLIGHT_OK, "the image has /usr/local/cuda/compat", NULL},
    {answer_cuda, CUDA("\"init\": 804, \"version\": 13000"), 0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_FAILS,
     "error 804, these boards have no forward compatibility", "cuda-compat"},
    {answer_cuda, CUDA("\"init\": 803"), 0, NULL, NULL, only_a, ANSWER_MAY, PREFLIGHT_LACKS, "different drivers", "reboot"},
    {answer_cuda, CUDA("\"init\": 719"), 0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_FAILS, "error 719", NULL},
    {answer_cuda, CUDA("\"died\": \"killed by signal 11\""), 0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_FAILS, "signal 11", NULL},
    {answer_cuda, CUDA(""), 0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_ABSENT, "boards are simulated", NULL},
    {answer_cuda, CUDA("\"init\": 100"), 0, NULL, NULL, none, ANSWER_NEVER, PREFLIGHT_ABSENT, "no GPU was asked for", NULL},
    /* evidence alone */
    {answer_smi, "{\"nvidia_smi\": {\"clean\": true, \"said\": \"GPU 0\\nGPU 1\"}}", 0, NULL, NULL, only_a, ANSWER_NEEDS,
     PREFLIGHT_EVIDENCE, "GPU 0;GPU 1", NULL},
    {answer_smi, "{\"nvidia_smi\": {\"clean\": false, \"ended\": \"exit status 18\", \"said\": \"Driver/library version mismatch\"}}",
     0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_EVIDENCE, "exit status 18: Driver/library version mismatch", NULL},
    {answer_smi, "{\"nvidia_smi\": null}", 0, NULL, NULL, only_a, ANSWER_NEEDS, PREFLIGHT_ABSENT, "no nvidia-smi", NULL},
};

static void test_rows(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(json_t) found = rows[i].found ? jsonx_parse(rows[i].found, -1, "row", NULL) : NULL;
        g_assert_cmpint(found != NULL, ==, rows[i].found != NULL);
        g_autoptr(GError) error = rows[i].code ? g_error_new_literal(LLEM_ERROR, rows[i].code, rows[i].message) : NULL;
        const struct answer answer = {found, error, rows[i].asked, rows[i].need, rows[i].image_glibc};
        struct answer_verdict verdict;
        rows[i].judge(&answer, &verdict);
        if (verdict.verdict != rows[i].verdict || !strstr(verdict.text, rows[i].said))
            g_error("row %zu: %s: %s", i, preflight_verdict_name(verdict.verdict), verdict.text);
        if (rows[i].hint && !(verdict.hint && strstr(verdict.hint, rows[i].hint)))
            g_error("row %zu: hint %s", i, verdict.hint);
        answer_verdict_clear(&verdict);
    }
}

static void test_needed(void)
{
    static const char *const texts[][2] = {
        {"", NULL}, {"GLIBC_PRIVATE", NULL}, {"GLIBC_2.4 GLIBC_2.34' GLIBC_2.9.", "2.34"}, {"GLIBC_", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *needed = answer_needed_glibc(texts[i][0]);
        g_assert_cmpstr(needed, ==, texts[i][1]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/answer/rows", test_rows);
    g_test_add_func("/answer/needed", test_needed);
    return g_test_run();
}
