/* SPDX-License-Identifier: MIT */
/*
 * What a libllama says of itself and how large its headers make the structs that travel by value. Run by
 * tools/setup-llama.sh for the manifest and by CMake at configure time; the adapter compares both at start.
 * Prints one JSON object on one line.
 */
#include <ggml.h>
#include <llama.h>
#include <stdio.h>

int main(void)
{
    printf("{\"llama_version\": \"%s\", \"ggml_version\": \"%s\", \"ggml_commit\": \"%s\", "
           "\"sizeof_model_params\": %zu, \"sizeof_context_params\": %zu, "
           "\"sizeof_quantize_params\": %zu, "
           "\"sizeof_batch\": %zu}\n",
           llama_version(), ggml_version(), ggml_commit(), sizeof(struct llama_model_params),
           sizeof(struct llama_context_params), sizeof(struct llama_model_quantize_params),
           sizeof(struct llama_batch));
    return 0;
}
