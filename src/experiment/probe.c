/* SPDX-License-Identifier: MIT */
/* What a worker finds where it is, asked before a study in the place of its runs (a container), and by hand. */
#include "experiment/experiment.h"

#include "engine/engine.h"
#include "exchange/exchange.h"
#include "meter/meter.h"

#include "version.h"

#include <dlfcn.h>
#include <elf.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_BYTES 8192
#define FORWARD_COMPATIBLE "/usr/local/cuda/compat/libcuda.so.1" /* where the cuda-compat packages put theirs */

struct probe {
    json_t *answer;
    const struct exchange *x; /* NULL: no exchange file */
    char *path;               /* of the answer; NULL: it is printed alone */
};

/* One part of the answer. */
static bool add(struct probe *p, const char *key, json_t *value, GError **error)
{
    json_object_set_new(p->answer, key, value);
    return !p->path || jsonx_save(p->path, p->answer, error);
}

static void set_text(json_t *to, const char *key, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    json_object_set_new(to, key, valid ? json_string(valid) : json_null());
}

static json_t *bytes_of(const char *folder)
{
    struct statvfs st;
    return statvfs(folder, &st) == 0 ? json_integer((json_int_t)(st.f_blocks * st.f_frsize)) : json_null();
}

static json_t *place_facts(void)
{
    struct utsname name;
    json_t *place = json_object();
    set_text(place, "glibc", gnu_get_libc_version());
    set_text(place, "machine", uname(&name) == 0 ? name.machine : NULL);
    json_object_set_new(place, "uid", json_integer(getuid()));
    json_object_set_new(place, "gid", json_integer(getgid()));
    set_text(place, "home", g_getenv("HOME"));
    json_object_set_new(place, "shm_bytes", bytes_of("/dev/shm"));
    json_object_set_new(place, "memory_bytes",
                        json_integer((json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE)));
    return place;
}

static json_t *board_facts(GError **error)
{
    g_autoptr(owned_meter) meter = meter_open(&(struct meter_options){0}, error);
    return meter ? meter_gpu_facts(meter) : NULL;
}

/* --- Programs -------------------------------------------------------------------------------------------------------- */

/* Runs a program to its end: {"exit": …, "said": …}; null where there is none. */
static json_t *run_program(const char *const *argv, const char *const *env)
{
    g_autofree char *out = NULL, *err = NULL;
    int status;
    const struct spawn spawn = {.argv = argv, .env = env};
    if (!spawn_capture(&spawn, SAID_BYTES, &out, &err, &status, NULL))
        return json_null();
    json_t *run = json_object();
    g_autofree char *how = proc_describe_status(status);
    g_autofree char *said = g_strconcat(out, *out && *err ? "\n" : "", err, NULL);
    set_text(run, "ended", how);
    json_object_set_new(run, "clean", json_boolean(WIFEXITED(status) && WEXITSTATUS(status) == 0));
    set_text(run, "said", g_strstrip(said));
    return run;
}

/* The loader that a program of this machine's word size names; NULL: it is no such program, or has none. New string. */
static char *loader_of(const char *path)
{
    char *loader = NULL;
    Elf64_Ehdr head;
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    bool ok = fread(&head, sizeof head, 1, file) == 1 && !memcmp(head.e_ident, ELFMAG, SELFMAG) &&
              head.e_ident[EI_CLASS] == ELFCLASS64 && head.e_phentsize == sizeof(Elf64_Phdr);
    for (int i = 0; ok && !loader && i < head.e_phnum; i++) {
        Elf64_Phdr part;
        char name[256] = "";
        ok = fseeko(file, (off_t)(head.e_phoff + (uint64_t)i * sizeof part), SEEK_SET) == 0 &&
             fread(&part, sizeof part, 1, file) == 1;
        if (!ok || part.p_type != PT_INTERP || part.p_filesz >= sizeof name)
            continue;
        ok = fseeko(file, (off_t)part.p_offset, SEEK_SET) == 0 && fread(name, part.p_filesz, 1, file) == 1;
        loader = ok ? g_strdup(name) : NULL;
    }
    fclose(file);
    return loader;
}

/* What a loader says of a program: {"path", "clean", "said"}; NULL: the file needs none. */
static json_t *look_at_program(const char *path)
{
    g_autofree char *loader = loader_of(path);
    json_t *run = loader ? run_program((const char *const[]){loader, "--list", path, NULL}, NULL) : NULL;
    if (!json_is_object(run))
        return run;
    const char *said = json_string_value(json_object_get(run, "said"));
    if (strstr(said, "not found"))
        json_object_set_new(run, "clean", json_false());
    json_object_set_new(run, "path", json_string(path));
    return run;
}

#define MOST_OBJECTS 64
#define MOST_DEPTH   4

/* An object that an engine may load while it works; what the loader says counts only where it speaks of the C library:
 * a library of the driver's need not be there, and Python's modules find theirs in the interpreter. */
static void look_at_object(json_t *list, const char *loader, const char *path)
{
    json_t *run = run_program((const char *const[]){loader, "--list", path, NULL}, NULL);
    const char *said = json_string_value(json_object_get(run, "said"));
    if (said && strstr(said, "version `GLIBC_2")) {
        json_object_set_new(run, "clean", json_false());
        json_object_set_new(run, "path", json_string(path));
        json_array_append(list, run);
    }
    json_decref(run);
}

static void look_at_objects(json_t *list, const char *loader, const char *path, int depth, int *left)
{
    if (g_file_test(path, G_FILE_TEST_IS_SYMLINK) || depth > MOST_DEPTH || *left <= 0)
        return;
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        look_at_objects(list, loader, below, depth + 1, left);
    }
    if (!dir && (g_str_has_suffix(path, ".so") || strstr(path, ".so."))) {
        (*left)--;
        look_at_object(list, loader, path);
    }
}

/* In a container: the engine's folder and its other files, where a runner puts them beside the worker. */
static void add_objects(const struct exchange *x, json_t *list)
{
    const char *engine = json_string_value(json_object_get(x->config, "backend"));
    g_autofree char *ours = install_folder(), *loader = loader_of("/proc/self/exe");
    g_autofree char *folder = ours && engine ? g_build_filename(ours, "..", "engines", engine, NULL) : NULL;
    g_autofree char *files = ours ? g_build_filename(ours, "..", "files", NULL) : NULL;
    const char *const places[] = {folder, files};
    int left = MOST_OBJECTS;
    for (size_t i = 0; loader && i < G_N_ELEMENTS(places); i++)
        if (places[i])
            look_at_objects(list, loader, places[i], 0, &left);
}

static json_t *program_facts(const struct exchange *x)
{
    json_t *list = json_array();
    add_objects(x, list);
    for (char **word = x->command; *word; word++) {
        json_t *run = g_path_is_absolute(*word) ? look_at_program(*word) : NULL;
        if (run)
            json_array_append_new(list, run);
    }
    return list;
}

/* --- The engine ------------------------------------------------------------------------------------------------------ */

/* The engine's environment as spawn.h has it. New vector. */
static char **environment_of(const struct exchange *x)
{
    GPtrArray *rows = g_ptr_array_new();
    const char *key;
    const json_t *value;
    jsonx_foreach(x->environment, key, value)
        g_ptr_array_add(rows, g_strdup_printf("%s=%s", key, json_string_value(value)));
    g_ptr_array_add(rows, NULL);
    return (char **)g_ptr_array_free(rows, FALSE);
}

/* Its answer to hello, and its parameters, for which it is imported; or {"error", "class"}. */
static json_t *engine_facts(const struct exchange *x, int interrupt_fd)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) environment = environment_of(x);
    const struct engine_options start = {.argv = (const char *const *)x->command,
                                         .env = (const char *const *)environment,
                                         .interrupt_fd = interrupt_fd};
    struct engine *engine = engine_start(&start, &error);
    struct engine_identity identity = {0};
    struct engine_schema schema = {0};
    json_t *facts = json_object();
    if (engine && engine_hello(engine, 0, &identity, &error))
        json_object_update(facts, identity.reply);
    if (!error && !engine_schema(engine, 0, &schema, &error))
        json_object_del(facts, "engine");
    if (schema.fields)
        json_object_set(facts, "parameters", schema.fields);
    engine_identity_clear(&identity);
    engine_schema_clear(&schema);
    if (error) {
        set_text(facts, "error", error->message);
        set_text(facts, "class", llem_error_name(error->code));
    }
    engine_free(engine);
    return facts;
}

/* --- CUDA ------------------------------------------------------------------------------------------------------------- */

typedef int cuda_call(unsigned flags);
typedef int cuda_ask(int *ret);

/* A library's function; calling one that is not there is no option. */
static bool find(void *library, const char *name, void *ret, size_t bytes)
{
    void *symbol = dlsym(library, name);
    memcpy(ret, &symbol, bytes);
    return symbol != NULL;
}

void experiment_probe_cuda(void)
{
    cuda_call *init;
    cuda_ask *get_version;
    int version = 0;
    FILE *out = output_take();
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library || !find(library, "cuInit", &init, sizeof init) ||
        !find(library, "cuDriverGetVersion", &get_version, sizeof get_version))
        return;
    get_version(&version);
    fprintf(out, "%d %d\n", init(0), version);
    fflush(out);
}

/* Asked in a process of its own: a driver that is not in order may end or hold whoever calls it. */
static json_t *cuda_facts(void)
{
    g_autofree char *out = NULL, *err = NULL;
    int status;
    int64_t code, version;
    json_t *facts = json_object();
    const char *const argv[] = {"/proc/self/exe", "--probe-cuda", NULL};
    if (access(FORWARD_COMPATIBLE, F_OK) == 0)
        json_object_set_new(facts, "compat", json_string(FORWARD_COMPATIBLE));
    if (!spawn_capture(&(const struct spawn){.argv = argv}, SAID_BYTES, &out, &err, &status, NULL))
        return facts;
    g_auto(GStrv) words = g_strsplit(g_strstrip(out), " ", 2);
    if (words[0] && words[1] && num_parse_int(words[0], 0, G_MAXINT, &code, NULL) &&
        num_parse_int(words[1], 0, G_MAXINT, &version, NULL)) {
        json_object_set_new(facts, "init", json_integer(code));
        json_object_set_new(facts, "version", json_integer(version));
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        g_autofree char *how = proc_describe_status(status);
        json_object_set_new(facts, "died", json_string(how));
    }
    return facts;
}

/* --- The answer ------------------------------------------------------------------------------------------------------- */

static bool add_all(struct probe *p, int interrupt_fd, GError **error)
{
    static const char *const smi[] = {"nvidia-smi", "-L", NULL};
    json_t *boards;
    set_text(p->answer, "schema", "llem-probe/1");
    set_text(p->answer, "worker", LLEM_VERSION);
    set_text(p->answer, "revision", LLEM_REVISION);
    return add(p, "place", place_facts(), error) && (boards = board_facts(error)) && add(p, "gpus", boards, error) &&
           (!p->x || add(p, "programs", program_facts(p->x), error)) &&
           add(p, "nvidia_smi", run_program(smi, NULL), error) && add(p, "cuda", cuda_facts(), error) &&
           (!p->x || add(p, "engine", engine_facts(p->x, interrupt_fd), error));
}

bool experiment_probe(const char *config_path, int interrupt_fd, GError **error)
{
    g_auto(owned_exchange) x = {0};
    FILE *out = output_take();
    if (config_path && !exchange_read(config_path, &x, error))
        return false;
    g_autofree char *folder = config_path ? g_path_get_dirname(config_path) : NULL;
    g_autofree char *path = folder ? exchange_file(folder, x.config_hash, "probe.json") : NULL;
    g_autoptr(json_t) answer = json_object();
    struct probe p = {.answer = answer, .x = config_path ? &x : NULL, .path = path};
    bool ok = add_all(&p, interrupt_fd, error);
    g_autofree char *text = jsonx_dump(answer, JSONX_PRETTY);
    fputs(text, out);
    return fflush(out) == 0 && ok;
}
