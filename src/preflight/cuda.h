/* SPDX-License-Identifier: MIT */
/*
 * cuda: whether the CUDA that an image was built for runs on a driver. Pure: what the image's configuration says
 * (CUDA_VERSION, NVIDIA_REQUIRE_*) and what NVML says of the host go in, a verdict comes out that names both numbers
 * and the rule it rests on. Nothing is started for it.
 *
 * The grammar of NVIDIA_REQUIRE_* is that of the NVIDIA Container Toolkit: alternatives divided by spaces, the
 * conditions of one divided by commas, a condition is PROPERTY OPERATOR VALUE with cuda, driver, arch or brand and
 * one of = != < <= > >=. Several variables must all hold; NVIDIA_DISABLE_REQUIRE lifts them.
 */
#pragma once

#include "base/base.h"

/* What an image says in its environment. */
struct cuda_image {
    const char *version;        /* CUDA_VERSION: "12.8.1"; NULL: it names none */
    const char *const *require; /* the values of its NVIDIA_REQUIRE_*, as far as NULL; NULL: none */
    bool require_disabled;      /* NVIDIA_DISABLE_REQUIRE */
    const char *compat;         /* NV_CUDA_COMPAT_PACKAGE: it has that package; NULL: it does not say so */
};
/* Takes the variables ("NAME=value", as far as NULL) apart. Strings are borrowed from them but the list, which is freed
 * with cuda_image_clear(). */
void cuda_image_read(const char *const *variables, struct cuda_image *ret);
void cuda_image_clear(struct cuda_image *image);

/* What NVML says of the host. NULL, 0: not known. */
struct cuda_host {
    const char *driver; /* "580.65.06" */
    int cuda;           /* the newest CUDA of that driver, as NVML has it: 13000 is 13.0 */
    const char *brand;  /* of the boards that will be used: "tesla", "geforce"; NULL: not known, or they differ */
    const char *arch;   /* compute capability: "9.0" */
};

enum cuda_answer {
    CUDA_SILENT, /* the image names no CUDA, or the host's is not known */
    CUDA_OK,
    CUDA_MINOR,  /* runs by minor-version compatibility: without what is new in the image's minor version */
    CUDA_COMPAT, /* runs only with the forward-compatibility package in the image, on boards that allow it */
    CUDA_FAILS,
    CUDA_ANSWER_COUNT
};

struct cuda_verdict {
    enum cuda_answer answer;
    char *text;         /* both numbers and what follows. New string. */
    const char *source; /* where the rule is written */
    const char *remedy; /* NULL: nothing is to be done */
};
void cuda_judge(const struct cuda_image *image, const struct cuda_host *host, struct cuda_verdict *ret);
void cuda_verdict_clear(struct cuda_verdict *verdict);
const char *cuda_answer_name(enum cuda_answer answer); /* "minor-version compatibility" */

/* How one NVIDIA_REQUIRE_* value stands. */
enum cuda_holds { CUDA_UNMET, CUDA_MET, CUDA_UNDECIDED, CUDA_MALFORMED };
/* How a requirement stands for a host. A condition on what is not known of the host is undecided. ret_failed, where
 * it is unmet or malformed: the condition that failed first (of the first alternative); new string. */
enum cuda_holds cuda_requirement(const char *requirement, const struct cuda_host *host, char **ret_failed);

/* <0, 0, >0: dotted numbers, what is missing counts as 0 ("12" is "12.0"). False: one of them is none. */
bool cuda_compare_versions(const char *a, const char *b, int *ret);
/* The name that the toolkit has for an nvmlBrandType_t; NULL for a number without one. */
const char *cuda_brand_name(int64_t number);
