/* SPDX-License-Identifier: MIT */
/* Preloaded before libllama: default parameters as of a release whose struct has eight bytes more. */
#include <string.h>

struct more_params {
    unsigned char bytes[88]; /* llama_model_params has 80 */
};

struct more_params llama_model_default_params(void);
struct more_params llama_model_default_params(void)
{
    struct more_params params;
    memset(&params, 0, sizeof params);
    return params;
}
