/* SPDX-License-Identifier: MIT */
#include "llamacpp/llamacpp.h"

#include <string.h>

const struct adapter_choice names_flash_attention[] = {
    {"off", LLAMA_FLASH_ATTN_TYPE_DISABLED},
    {"on", LLAMA_FLASH_ATTN_TYPE_ENABLED},
    {"auto", LLAMA_FLASH_ATTN_TYPE_AUTO},
    {0},
};

const struct adapter_choice names_load_mode[] = {
    {"auto", LLAMA_LOAD_MODE_AUTO},
    {"none", LLAMA_LOAD_MODE_NONE},
    {"mmap", LLAMA_LOAD_MODE_MMAP},
    {"mlock", LLAMA_LOAD_MODE_MLOCK},
    {"mmap+mlock", LLAMA_LOAD_MODE_MMAP_MLOCK},
    {"dio", LLAMA_LOAD_MODE_DIRECT_IO},
    {0},
};

const struct adapter_choice names_lazy_mode[] = {
    {"off", LLAMA_LAZY_MODE_OFF},
    {"auto", LLAMA_LAZY_MODE_AUTO},
    {"on", LLAMA_LAZY_MODE_ON},
    {0},
};

const struct adapter_choice names_split_mode[] = {
    {"none", LLAMA_SPLIT_MODE_NONE},
    {"layer", LLAMA_SPLIT_MODE_LAYER},
    {"row", LLAMA_SPLIT_MODE_ROW},
    {"tensor", LLAMA_SPLIT_MODE_TENSOR},
    {0},
};

const struct adapter_choice names_kv_type[] = {
    {"f32", GGML_TYPE_F32},       {"f16", GGML_TYPE_F16},
    {"bf16", GGML_TYPE_BF16},     {"q8_0", GGML_TYPE_Q8_0},
    {"q5_1", GGML_TYPE_Q5_1},     {"q5_0", GGML_TYPE_Q5_0},
    {"q4_1", GGML_TYPE_Q4_1},     {"q4_0", GGML_TYPE_Q4_0},
    {"iq4_nl", GGML_TYPE_IQ4_NL}, {0},
};

/* What can be asked of a file. */
const struct adapter_choice names_quantization[] = {
    {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
    {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {0},
};

/* The types whose blocks of 32 fit the rows of small models; those with blocks of 256 fall back silently there. */
const struct adapter_choice names_file_type[] = {
    {"f32", LLAMA_FTYPE_ALL_F32},
    {"f16", LLAMA_FTYPE_MOSTLY_F16},
    {"bf16", LLAMA_FTYPE_MOSTLY_BF16},
    {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
    {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {0},
};

int name_value(const struct adapter_choice *rows, const char *name, int fallback)
{
    for (; name && rows->name; rows++)
        if (!strcmp(rows->name, name))
            return rows->value;
    return fallback;
}

const char *name_of(const struct adapter_choice *rows, int value)
{
    for (; rows->name; rows++)
        if (rows->value == value)
            return rows->name;
    return NULL;
}

char *name_list(const struct adapter_choice *rows)
{
    GString *out = g_string_new(NULL);
    for (; rows->name; rows++)
        g_string_append_printf(out, "%s%s", out->len ? ", " : "", rows->name);
    return g_string_free(out, FALSE);
}
