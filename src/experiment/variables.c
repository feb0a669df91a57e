/* SPDX-License-Identifier: MIT */
/* Environment variables that change the work of whatever engine: those of the runtimes that engines are built on. */
#include "experiment/variables.h"

#include <string.h>

/* Names that begin so belong to such a runtime. Those of one engine are its own to tell (record_env). */
static const char *const families[] = {
    "ATEN_", "BLIS_", "CUBLASLT_", "CUBLAS_", "CUDA_", "CUDNN_", "DNNL_", "FLASH_ATTENTION_",
    "GGML_", "GOMP_", "HIP_", "HSA_", "KMP_", "MALLOC_", "MKL_", "NCCL_", "NVIDIA_", "OMP_",
    "ONEDNN_", "OPENBLAS_", "PYTORCH_", "ROCR_", "TOKENIZERS_", "TORCHDYNAMO_", "TORCHINDUCTOR_",
    "TORCH_", "TRITON_", "VECLIB_"};

/* Others. */
static const char *const singles[] = {"GLIBC_TUNABLES", "LD_BIND_NOW", "LD_LIBRARY_PATH", "LD_PRELOAD",
                                      "PYTHONHASHSEED", "PYTHONOPTIMIZE", NULL};

/* Numbers, switches and lists of devices: their values are recorded. Of all others the name alone. */
static const char *const shown[] = {
    "ATEN_CPU_CAPABILITY", "BLIS_NUM_THREADS", "CUBLASLT_WORKSPACE_SIZE",
    "CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_DEVICE_ORDER",
    "CUDA_DISABLE_PTX_JIT", "CUDA_FORCE_PTX_JIT", "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING",
    "CUDA_VISIBLE_DEVICES", "CUDNN_DETERMINISTIC", "DNNL_MAX_CPU_ISA",
    "FLASH_ATTENTION_DETERMINISTIC", "GGML_CPU_DISABLE_FUSION", "GGML_CPU_TILED_MM",
    "GGML_CPU_TILED_MM_FORCE", "GGML_CUDA_DISABLE_GRAPHS", "GGML_CUDA_ENABLE_UNIFIED_MEMORY",
    "GGML_CUDA_FORCE_CUBLAS", "GGML_CUDA_FORCE_MMQ", "GGML_NUMA", "GGML_VK_VISIBLE_DEVICES",
    "GLIBC_TUNABLES", "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "HIP_VISIBLE_DEVICES",
    "HSA_OVERRIDE_GFX_VERSION", "KMP_AFFINITY", "KMP_BLOCKTIME", "KMP_HW_SUBSET", "KMP_TPAUSE",
    "LD_BIND_NOW", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_", "MKL_CBWR", "MKL_DYNAMIC", "MKL_ENABLE_INSTRUCTIONS",
    "MKL_NUM_THREADS", "MKL_THREADING_LAYER", "NCCL_ALGO", "NCCL_CUMEM_ENABLE",
    "NCCL_MAX_NCHANNELS", "NCCL_MIN_NCHANNELS", "NCCL_NVLS_ENABLE", "NCCL_P2P_DISABLE",
    "NCCL_PROTO", "NCCL_SHM_DISABLE", "NVIDIA_TF32_OVERRIDE", "NVIDIA_VISIBLE_DEVICES",
    "OMP_DYNAMIC", "OMP_MAX_ACTIVE_LEVELS", "OMP_NESTED", "OMP_NUM_THREADS", "OMP_PLACES",
    "OMP_PROC_BIND", "OMP_SCHEDULE", "OMP_THREAD_LIMIT", "OMP_WAIT_POLICY",
    "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF", "ROCR_VISIBLE_DEVICES", "TOKENIZERS_PARALLELISM",
    "TORCHDYNAMO_DISABLE", "TORCHINDUCTOR_BATCH_INVARIANT",
    "TORCHINDUCTOR_COORDINATE_DESCENT_TUNING", "TORCHINDUCTOR_DETERMINISTIC",
    "TORCHINDUCTOR_FREEZING", "TORCHINDUCTOR_MAX_AUTOTUNE", "TORCHINDUCTOR_USE_FAST_MATH",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_COMPILE_DISABLE", "TORCH_CUDNN_V8_API_DISABLED",
    "TRITON_INTERPRET", NULL};

bool variables_is_shown(const char *name)
{
    return g_strv_contains(shown, name);
}

static bool changes_work(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        if (g_str_has_prefix(name, families[i]))
            return true;
    return g_strv_contains(singles, name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Ours, and those that the adapter is given besides. New vector, sorted. */
static char **names_of(json_t *given)
{
    g_auto(GStrv) ours = g_listenv();
    GPtrArray *names = g_ptr_array_new();
    const char *name;
    json_t *value;
    for (char **row = ours; *row; row++)
        if (changes_work(*row) && !json_object_get(given, *row))
            g_ptr_array_add(names, g_strdup(*row));
    json_object_foreach(given, name, value)
        if (changes_work(name))
            g_ptr_array_add(names, g_strdup(name));
    qsort(names->pdata, names->len, sizeof *names->pdata, by_name);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

char *variables_value(json_t *given, const char *name)
{
    const json_t *ours = json_object_get(given, name);
    const char *value = ours ? json_string_value(ours) : g_getenv(name);
    return value ? g_utf8_make_valid(value, -1) : NULL;
}

void variables_record(json_t *given, json_t *environment)
{
    g_auto(GStrv) names = names_of(given);
    json_t *values = json_object(), *others = json_array();
    for (char **name = names; *name; name++) {
        g_autofree char *value = variables_value(given, *name);
        if (variables_is_shown(*name) && value)
            json_object_set_new(values, *name, json_string(value));
        else
            json_array_append_new(others, json_string(*name));
    }
    json_object_set_new(environment, "variables", values);
    json_object_set_new(environment, "variables_not_shown", others);
}
