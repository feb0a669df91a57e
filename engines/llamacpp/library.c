/* SPDX-License-Identifier: MIT */
/*
 * libllama's structs travel by value and it has no version macro: headers of one release with a library of another link
 * without a word and then write past the end of a struct. So the versions and sizes found at configure time are
 * compiled in (abi_probe.c, LLEM_LLAMA_* in CMakeLists.txt) and compared with the library that was really loaded.
 */
#include "llamacpp/llamacpp.h"

#include <dlfcn.h>
#include <ggml-backend.h>
#include <string.h>

/* The headers compiled here must be those the probe saw. */
_Static_assert(sizeof(struct llama_model_params) == LLEM_LLAMA_SIZEOF_MODEL_PARAMS,
               "llama.h changed: configure again");
_Static_assert(sizeof(struct llama_context_params) == LLEM_LLAMA_SIZEOF_CONTEXT_PARAMS,
               "llama.h changed: configure again");
_Static_assert(sizeof(struct llama_model_quantize_params) == LLEM_LLAMA_SIZEOF_QUANTIZE_PARAMS,
               "llama.h changed: configure again");

#if defined __x86_64__
/* A function that returns a large struct writes it where its caller says, and on this architecture the address is
 * passed like a first argument. How far it writes is how large the library thinks the struct is, give or take the
 * padding at the end. */
static size_t bytes_written(void (*function)(void))
{
    unsigned char room[4096];
    size_t end = 0;
    union {
        void (*plain)(void);
        void (*into)(void *);
    } call = {.plain = function};
    for (int pattern = 0x55; pattern <= 0xaa; pattern += 0x55) {
        memset(room, pattern, sizeof room);
        call.into(room);
        for (size_t i = end; i < sizeof room; i++)
            if (room[i] != pattern)
                end = i + 1;
    }
    return end;
}

static bool same_size(void (*function)(void), size_t size)
{
    size_t written = bytes_written(function);
    return written <= size && written + 8 > size;
}

static bool sizes_agree(void)
{
    union {
        struct llama_model_params (*model)(void);
        void (*plain)(void);
    } model = {llama_model_default_params};
    union {
        struct llama_context_params (*context)(void);
        void (*plain)(void);
    } context = {llama_context_default_params};
    return same_size(model.plain, sizeof(struct llama_model_params)) &&
           same_size(context.plain, sizeof(struct llama_context_params));
}
#else
static bool sizes_agree(void)
{
    return true; /* the versions must do */
}
#endif

const char *library_mismatch(void)
{
    static char text[512];
    const char *const found[] = {llama_version(), ggml_version(), ggml_commit()};
    static const char *const built[] = {LLEM_LLAMA_VERSION, LLEM_GGML_VERSION, LLEM_GGML_COMMIT};
    static const char *const what[] = {"llama.cpp", "ggml", "ggml commit"};
    for (size_t i = 0; i < G_N_ELEMENTS(found); i++) {
        if (strcmp(found[i], built[i]) != 0) {
            g_snprintf(text, sizeof text,
                       "this adapter was built for %s %s and libllama here is %s: build llem again "
                       "with the same "
                       "LLEM_LLAMA_PREFIX (tools/setup-llama.sh brings one)",
                       what[i], built[i], found[i]);
            return text;
        }
    }
    return sizes_agree()
               ? ""
               : "libllama's structs differ in size from those of its headers at build time: build "
                 "llem again "
                 "with headers and library of one release (tools/setup-llama.sh brings them)";
}

/* --- The log ---------------------------------------------------------------------------------------------------- */

static GString *log_errors, *log_all;

/* Lines go to stderr, which llem keeps; progress dots (CONT) do not. */
static void on_log(enum ggml_log_level level, const char *text, void *data)
{
    (void)data;
    if (level == GGML_LOG_LEVEL_CONT)
        return;
    if (level != GGML_LOG_LEVEL_DEBUG)
        fputs(text, stderr);
    if (log_all->len < 65536)
        g_string_append(log_all, text);
    if ((level == GGML_LOG_LEVEL_WARN || level == GGML_LOG_LEVEL_ERROR) && log_errors->len < 2048)
        g_string_append(log_errors, text);
}

void library_log_reset_errors(void)
{
    g_string_truncate(log_errors, 0);
}

void library_log_reset(void)
{
    library_log_reset_errors();
    g_string_truncate(log_all, 0);
}

const char *library_log_errors(void)
{
    g_strchomp(log_errors->str);
    log_errors->len = strlen(log_errors->str);
    return log_errors->len ? log_errors->str : "(libllama did not say why)";
}

bool library_log_said(const char *text)
{
    return strstr(log_all->str, text) != NULL;
}

/* --- Back ends -------------------------------------------------------------------------------------------------- */

static const char *library_path(void)
{
    union {
        const char *(*function)(void);
        const void *address;
    } at = {llama_version};
    Dl_info info;
    return dladdr(at.address, &info) && info.dli_fname ? info.dli_fname : NULL;
}

bool library_start(struct adapter *a)
{
    static bool started;
    if (started)
        return true;
    const char *mismatch = library_mismatch();
    if (*mismatch)
        return adapter_fail(a, "LibraryMismatch", "%s", mismatch);
    log_errors = g_string_new(NULL);
    log_all = g_string_new(NULL);
    llama_log_set(on_log, NULL);
    g_autofree char *dir = library_path() ? g_path_get_dirname(library_path()) : NULL;
    ggml_backend_load_all_from_path(dir);
    llama_backend_init();
    if (ggml_backend_dev_count() == 0)
        return adapter_fail(a, "NoBackend",
                            "libllama has no back end to compute with (none in %s): %s",
                            dir ? dir : "its folder", library_log_errors());
    started = true;
    return true;
}

json_t *library_versions(void)
{
    json_t *tree = json_object();
    json_object_set_new(tree, "llama", json_string(llama_version()));
    json_object_set_new(tree, "ggml", json_string(ggml_version()));
    json_object_set_new(tree, "ggml_commit", json_string(ggml_commit()));
    g_autofree char *sum = library_path() ? file_sha256(library_path(), NULL) : NULL;
    if (sum)
        json_object_set_new(tree, "libllama_sha256", json_string(sum));
    return tree;
}

char *library_cpu_backend(void)
{
    size_t length;
    g_autofree char *maps = file_read("/proc/self/maps", 16 << 20, &length, NULL);
    const char *at = maps ? strstr(maps, "libggml-cpu") : NULL;
    return at ? g_strndup(at, strcspn(at, " \n")) : NULL;
}

static const char *device_type(enum ggml_backend_dev_type type)
{
    switch (type) {
    case GGML_BACKEND_DEVICE_TYPE_CPU:
        return "cpu";
    case GGML_BACKEND_DEVICE_TYPE_GPU:
    case GGML_BACKEND_DEVICE_TYPE_IGPU:
        return "gpu";
    default:
        return "accelerator";
    }
}

json_t *library_devices(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        size_t free_bytes = 0, total_bytes = 0;
        ggml_backend_dev_memory(device, &free_bytes, &total_bytes);
        json_t *row = json_object();
        json_object_set_new(row, "name", json_string(ggml_backend_dev_name(device)));
        json_object_set_new(row, "description", json_string(ggml_backend_dev_description(device)));
        json_object_set_new(row, "type", json_string(device_type(ggml_backend_dev_type(device))));
        json_object_set_new(row, "memory_bytes", json_integer((json_int_t)total_bytes));
        json_array_append_new(list, row);
    }
    return list;
}

static bool is_gpu(ggml_backend_dev_t device)
{
    return strcmp(device_type(ggml_backend_dev_type(device)), "gpu") == 0;
}

size_t library_gpus(void)
{
    size_t n = 0;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++)
        n += is_gpu(ggml_backend_dev_get(i));
    return n;
}

/* Free or used memory of all GPUs. */
static int64_t gpu_bytes(bool used)
{
    int64_t sum = -1;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (!is_gpu(device))
            continue;
        size_t free_bytes = 0, total_bytes = 0;
        ggml_backend_dev_memory(device, &free_bytes, &total_bytes);
        sum = MAX(sum, 0) + (int64_t)(used ? total_bytes - MIN(free_bytes, total_bytes) : free_bytes);
    }
    return sum;
}

int64_t library_gpu_free_bytes(void)
{
    return gpu_bytes(false);
}

int64_t library_gpu_used_bytes(void)
{
    return gpu_bytes(true);
}
