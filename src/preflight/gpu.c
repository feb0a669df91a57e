/* SPDX-License-Identifier: MIT */
/* Checks for runs that use GPUs: the host's driver, the toolkit, an image's CUDA against the driver's. */
#include "preflight/place.h"

#include "meter/meter.h"
#include "preflight/cuda.h"

#include <string.h>
#include <unistd.h>

/* --- The host's driver --------------------------------------------------------------------------------------------- */

/* Of runs that use a GPU; equal for all of them but for how much they need it. */
static char *driver_key(struct preflight *p, const struct config *config, size_t nth)
{
    (void)p;
    enum config_gpu need = config ? config_gpu_need(config) : CONFIG_GPU_NONE;
    if (nth > 0 || need == CONFIG_GPU_NONE)
        return NULL;
    return g_strdup(need == CONFIG_GPU_NEEDS ? "runs that need a GPU" : "runs that take a GPU where there is one");
}

static json_t *host_facts(void)
{
    g_autoptr(owned_meter) meter = meter_open(&(struct meter_options){0}, NULL);
    return meter ? meter_gpu_facts(meter) : json_object();
}

/* "535.54.03" of the kernel module that is loaded; NULL: none. New string. */
static char *kernel_driver(void)
{
    const char *root = g_getenv("LLEM_SYSROOT");
    g_autofree char *path = g_build_filename(root && *root ? root : "/", "proc/driver/nvidia/version", NULL);
    g_autofree char *text = file_read(path, 4096, NULL, NULL);
    const char *at = text ? strstr(text, "Kernel Module") : NULL;
    if (!at)
        return NULL;
    at += strcspn(at, "0123456789\n");
    size_t n = strspn(at, "0123456789.");
    return n ? g_strndup(at, n) : NULL;
}

/* The library's version is the driver's it came with: "580.65.06". */
static void probe_driver(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autoptr(json_t) facts = host_facts();
    g_autofree char *kernel = kernel_driver();
    /* a module without a library that works is no machine without a GPU */
    enum preflight_verdict lack = config_gpu_need(q->config) == CONFIG_GPU_NEEDS ? PREFLIGHT_FAILS
                                  : kernel                                      ? PREFLIGHT_LACKS
                                                                                : PREFLIGHT_ABSENT;
    const char *absent = json_string_value(json_object_get(facts, "absent"));
    const char *library = json_string_value(json_object_get(facts, "driver_version"));
    const char *cuda = json_string_value(json_object_get(facts, "cuda_version"));
    const struct diag_span *at = lack >= PREFLIGHT_LACKS ? config_place(q->config, FIELD_BACKEND) : NULL;
    if (!library)
        preflight_find(ret, lack, at, "%s%s%s", absent ? absent : "no driver answers",
                       kernel ? "; the loaded kernel module is " : "", kernel ? kernel : "");
    else if (kernel && strcmp(kernel, library) != 0)
        preflight_find(ret, lack, at, "the driver's library is %s, the loaded kernel module %s", library, kernel);
    else
        preflight_find(ret, PREFLIGHT_OK, NULL, "driver %s, CUDA %s, %zu board%s", library, cuda ? cuda : "?",
                       json_array_size(json_object_get(facts, "devices")),
                       json_array_size(json_object_get(facts, "devices")) == 1 ? "" : "s");
}

/* Without persistence mode a driver that nobody uses lets go of the boards: their counters begin again, and they are
 * cold and slow for the next run. A study keeps it open by itself. */
static void probe_persistence(const struct preflight_question *q, struct preflight_finding *ret)
{
    g_autoptr(json_t) facts = host_facts();
    const json_t *devices = json_object_get(facts, "devices");
    g_autoptr(GString) off = g_string_new(NULL);
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i), *mode = json_object_get(device, "persistence_mode");
        if (json_is_integer(mode) && json_integer_value(mode) == 0)
            g_string_append_printf(off, "%s%s", off->len ? ", " : "",
                                   json_string_value(json_object_get(device, "uuid")));
    }
    if (off->len)
        preflight_find(ret, PREFLIGHT_LACKS, config_place(q->config, FIELD_BACKEND), "persistence mode is off: %s",
                       off->str);
    else
        preflight_find(ret, json_array_size(devices) ? PREFLIGHT_OK : PREFLIGHT_ABSENT, NULL,
                       json_array_size(devices) ? "on for every board that says" : "no board is to be seen");
}

/* --- Evidence of a toolkit ------------------------------------------------------------------------------------------- */

/* Of a daemon that answers. */
static char *toolkit_key(struct preflight *p, const struct config *config, size_t nth)
{
    if (nth > 0 || (config && config_gpu_need(config) == CONFIG_GPU_NONE))
        return NULL;
    g_autofree char *name = config ? place_client_name(p, config) : g_strdup("docker/podman");
    return name && place_client(p, name)->daemon ? g_steal_pointer(&name) : NULL;
}

static void add_evidence(GString *text, const char *kind, const char *what)
{
    g_string_append_printf(text, "%s%s%s", text->len ? ", " : "", kind, what);
}

/* Files of a CDI folder that speak of NVIDIA. */
static void add_cdi_files(GString *text, const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (strstr(name, "nvidia")) {
            g_autofree char *path = g_build_filename(folder, name, NULL);
            add_evidence(text, "CDI spec ", path);
        }
    if (dir)
        g_dir_close(dir);
}

/* `docker info` says the same with and without a hook that works, and a hook may be there that does not: no verdict. */
static void probe_toolkit(const struct preflight_question *q, struct preflight_finding *ret)
{
    static const char *const programs[] = {"nvidia-ctk", "nvidia-container-cli", "nvidia-container-runtime",
                                           "nvidia-container-runtime-hook", "nvidia-container-toolkit"};
    static const char *const usual[] = {"/etc/cdi", "/var/run/cdi", NULL};
    const struct container_daemon *d = place_client(q->preflight, q->about)->daemon;
    g_autoptr(GString) text = g_string_new(NULL);
    for (char **runtime = d->runtimes; runtime && *runtime; runtime++)
        if (strstr(*runtime, "nvidia"))
            add_evidence(text, "runtime ", *runtime);
    for (char **device = d->cdi_devices; device && *device; device++)
        if (strstr(*device, "nvidia"))
            add_evidence(text, "device ", *device);
    bool told = d->cdi_dirs && *d->cdi_dirs; /* docker says where it looks, if it does */
    for (const char *const *dir = told ? (const char *const *)d->cdi_dirs : usual; *dir; dir++)
        add_cdi_files(text, *dir);
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *path = g_find_program_in_path(programs[i]);
        if (path)
            add_evidence(text, "", path);
    }
    preflight_find(ret, text->len ? PREFLIGHT_OK : PREFLIGHT_ABSENT, NULL, "%s",
                   text->len ? text->str : "no runtime, CDI spec or program of NVIDIA's toolkit in the usual places");
}

/* --- An image's CUDA ------------------------------------------------------------------------------------------------- */

static char *cuda_key(struct preflight *p, const struct config *config, size_t nth)
{
    if (!config || nth > 0 || config_gpu_need(config) == CONFIG_GPU_NONE || !place_container(p, config))
        return NULL;
    const struct seen_image *image = place_image(p, config);
    return image && image->image.id ? place_image_name(p, config) : NULL;
}

/* What all boards of a machine have in common; NULL: nothing. Borrowed from the facts. */
static const char *common_brand(const json_t *devices)
{
    const char *brand = NULL;
    const json_t *device;
    size_t i;
    json_array_foreach(devices, i, device) {
        const json_t *number = json_object_get(device, "brand");
        const char *own = json_is_integer(number) ? cuda_brand_name(json_integer_value(number)) : NULL;
        if (i > 0 && g_strcmp0(own, brand) != 0)
            return NULL;
        brand = own;
    }
    return brand;
}

static const char *common_arch(const json_t *devices)
{
    const char *arch = NULL;
    const json_t *device;
    size_t i;
    json_array_foreach(devices, i, device) {
        const char *own = json_string_value(json_object_get(device, "compute_capability"));
        if (i > 0 && g_strcmp0(own, arch) != 0)
            return NULL;
        arch = own;
    }
    return arch;
}

static struct cuda_host host_of(const json_t *facts)
{
    const json_t *devices = json_object_get(facts, "devices");
    const char *cuda = json_string_value(json_object_get(facts, "cuda_version"));
    g_auto(GStrv) parts = g_strsplit(cuda ? cuda : "", ".", 2);
    int64_t major = 0, minor = 0;
    if (parts[0])
        num_parse_int(parts[0], 0, 9999, &major, NULL);
    if (parts[0] && parts[1])
        num_parse_int(parts[1], 0, 99, &minor, NULL);
    return (struct cuda_host){.driver = json_string_value(json_object_get(facts, "driver_version")),
                              .cuda = (int)(major * 1000 + minor * 10),
                              .brand = common_brand(devices),
                              .arch = common_arch(devices)};
}

/* The image's variables, and behind them those that its containers are given: the later ones count. */
static const char **variables_of(const struct container_image *image, const struct runner_container *c)
{
    GPtrArray *all = g_ptr_array_new();
    for (char **row = image->env; row && *row; row++)
        g_ptr_array_add(all, *row);
    for (const char *const *row = c->environment; row && *row; row++)
        if (strchr(*row, '='))
            g_ptr_array_add(all, (void *)(uintptr_t)*row);
    g_ptr_array_add(all, NULL);
    return (const char **)g_ptr_array_free(all, FALSE);
}

static void probe_image_cuda(const struct preflight_question *q, struct preflight_finding *ret)
{
    bool needs = config_gpu_need(q->config) == CONFIG_GPU_NEEDS;
    const enum preflight_verdict verdicts[CUDA_ANSWER_COUNT] = {
        [CUDA_SILENT] = PREFLIGHT_ABSENT, [CUDA_OK] = PREFLIGHT_OK, [CUDA_MINOR] = PREFLIGHT_OK,
        [CUDA_COMPAT] = PREFLIGHT_LACKS, [CUDA_FAILS] = needs ? PREFLIGHT_FAILS : PREFLIGHT_LACKS,
    };
    const struct seen_image *seen = place_image(q->preflight, q->config);
    g_autoptr(json_t) facts = host_facts();
    const struct cuda_host host = host_of(facts);
    g_autofree const char **variables = variables_of(&seen->image, place_container(q->preflight, q->config));
    struct cuda_image image;
    struct cuda_verdict verdict;
    cuda_image_read(variables, &image);
    cuda_judge(&image, &host, &verdict);
    const struct diag_span *at = verdicts[verdict.answer] < PREFLIGHT_LACKS ? NULL : place_of_runner(q->config);
    preflight_find(ret, verdicts[verdict.answer], at, "%s: %s (%s)", cuda_answer_name(verdict.answer), verdict.text,
                   verdict.source);
    ret->hint = g_strdup(verdict.remedy);
    cuda_verdict_clear(&verdict);
    cuda_image_clear(&image);
}

const struct preflight_check preflight_gpu_rows[] = {
    {.id = "gpu.driver",
     .why = "without the driver, or with a library of another one than the kernel's, no GPU can be used or measured",
     .remedy = "install the NVIDIA driver; after an update of it reboot, or reload its kernel module",
     .key = driver_key,
     .probe = probe_driver},
    {.id = "gpu.persistence",
     .why = "a driver that nobody uses lets go of the boards: counters begin again, clocks and temperature too. A study "
            "keeps the driver open; between studies only persistence mode does",
     .remedy = "sudo nvidia-smi -pm 1, or nvidia-persistenced",
     .key = driver_key,
     .probe = probe_persistence},
    {.id = "gpu.toolkit",
     .why = "what of the NVIDIA Container Toolkit was found; `docker info` is the same with and without one that works",
     .remedy = "container.start and container.gpus have the verdict; without it: docs/docker.md, \"What the host needs\"",
     .evidence = true,
     .key = toolkit_key,
     .probe = probe_toolkit},
    {.id = "gpu.image_cuda",
     .why = "an image that was built for a newer CUDA than the driver's does not run, or not all of it. Both numbers are "
            "named, and what follows: OK; minor-version compatibility; needs the forward-compatibility package; will fail",
     .remedy = "update the host's driver, or take an image that is built for an older CUDA",
     .key = cuda_key,
     .probe = probe_image_cuda},
    {0},
};
