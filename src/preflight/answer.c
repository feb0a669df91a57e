/* SPDX-License-Identifier: MIT */
#include "preflight/answer.h"

#include "preflight/cuda.h"

#include <string.h>

#define WORKER_GLIBC "2.34" /* tools/check_worker.py holds every build to it */

void answer_verdict_clear(struct answer_verdict *verdict)
{
    g_free(verdict->text);
    g_free(verdict->hint);
    *verdict = (struct answer_verdict){0};
}

static void G_GNUC_PRINTF(4, 5) say(struct answer_verdict *ret, enum preflight_verdict verdict, const char *hint,
                                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    *ret = (struct answer_verdict){verdict, g_strdup_vprintf(format, arguments), g_strdup(hint)};
    va_end(arguments);
}

static const char *text_at(const json_t *found, const char *path)
{
    return found ? json_string_value(jsonx_at(found, path)) : NULL;
}

/* What is not so counts as much as the run needs boards. */
static enum preflight_verdict lack(const struct answer *a)
{
    return a->need == ANSWER_NEEDS ? PREFLIGHT_FAILS : PREFLIGHT_LACKS;
}

/* --- Start -------------------------------------------------------------------------------------------------------- */

void answer_start(const struct answer *a, struct answer_verdict *ret)
{
    if (!a->error)
        say(ret, PREFLIGHT_OK, NULL, "llem-worker starts there as uid %" JSON_INTEGER_FORMAT ", on %s",
            json_integer_value(jsonx_at(a->found, "place.uid")), text_at(a->found, "place.machine"));
    else
        say(ret, PREFLIGHT_FAILS, NULL, "%s", a->error->message);
}

/* --- The C library --------------------------------------------------------------------------------------------------- */

char *answer_needed_glibc(const char *text)
{
    char *newest = NULL;
    for (const char *at = strstr(text, "GLIBC_"); at; at = strstr(at, "GLIBC_")) {
        at += strlen("GLIBC_");
        g_autofree char *version = g_strndup(at, strspn(at, "0123456789."));
        int compared = 1;
        if (g_str_has_suffix(version, ".") && *version)
            version[strlen(version) - 1] = '\0';
        if (!cuda_compare_versions(version, newest ? newest : "0", &compared) || compared <= 0)
            continue;
        g_free(newest);
        newest = g_steal_pointer(&version);
    }
    return newest;
}

#define GLIBC_HINT "take an image with a newer C library (Ubuntu 22.04 has 2.35, Debian 12 has 2.36)"

/* The worker never began. */
static void judge_loader(const struct answer *a, struct answer_verdict *ret)
{
    g_autofree char *needed = answer_needed_glibc(a->error->message);
    if (needed)
        say(ret, PREFLIGHT_FAILS, GLIBC_HINT, "llem-worker needs glibc %s, the image has %s", needed,
            a->image_glibc ? a->image_glibc : "an older one");
    else if (a->error->code == LLEM_ERROR_ENTRY_POINT && !a->image_glibc)
        say(ret, PREFLIGHT_FAILS, GLIBC_HINT, "the image has no loader of glibc (it has musl, or no C library at all); "
            "llem-worker needs glibc " WORKER_GLIBC);
    else
        say(ret, PREFLIGHT_ABSENT, NULL, "the worker did not start");
}

static bool is_newer(const char *a, const char *b)
{
    int compared;
    return a && b && cuda_compare_versions(a, b, &compared) && compared > 0;
}

/* One program of the engine that the loader does not take; false: all is well with it. */
static bool judge_program(const json_t *program, const char *have, struct answer_verdict *ret)
{
    const char *said = json_string_value(json_object_get(program, "said"));
    const char *path = json_string_value(json_object_get(program, "path"));
    if (json_is_true(json_object_get(program, "clean")) || !said)
        return false;
    g_autofree char *needed = answer_needed_glibc(said);
    const char *missing = strstr(said, "not found");
    const char *line = missing ? missing : said;
    while (line > said && line[-1] != '\n')
        line--;
    g_autofree char *first = g_strndup(line, strcspn(line, "\n"));
    if (is_newer(needed, have))
        say(ret, PREFLIGHT_FAILS, GLIBC_HINT, "%s needs glibc %s, the image has %s", path, needed, have);
    else
        say(ret, PREFLIGHT_FAILS, "give the engine what it links: `files` of its engine.json, or an image that has it",
            "%s cannot be loaded: %s", path, g_strstrip(first));
    return true;
}

void answer_glibc(const struct answer *a, struct answer_verdict *ret)
{
    const char *have = text_at(a->found, "place.glibc");
    const json_t *program;
    size_t i;
    if (!have && a->error) {
        judge_loader(a, ret);
        return;
    }
    json_array_foreach(json_object_get(a->found, "programs"), i, program)
        if (judge_program(program, have, ret))
            return;
    say(ret, PREFLIGHT_OK, NULL, "glibc %s, llem-worker needs " WORKER_GLIBC, have);
}

/* --- The engine ------------------------------------------------------------------------------------------------------ */

void answer_engine(const struct answer *a, struct answer_verdict *ret)
{
    const char *error = text_at(a->found, "engine.error");
    const char *name = text_at(a->found, "engine.engine"), *version = text_at(a->found, "engine.engine_version");
    if (error)
        say(ret, PREFLIGHT_FAILS, NULL, "%s", error);
    else if (name)
        say(ret, PREFLIGHT_OK, NULL, "%s %s", name, version ? version : "of an unknown version");
    else
        say(ret, PREFLIGHT_ABSENT, NULL, "the worker did not get so far");
}

/* --- Boards ----------------------------------------------------------------------------------------------------------- */

static bool is_seen(const json_t *devices, const char *uuid)
{
    const json_t *device;
    size_t i;
    json_array_foreach(devices, i, device)
        if (!g_strcmp0(json_string_value(json_object_get(device, "uuid")), uuid))
            return true;
    return false;
}

/* Those of one side that are not on the other, ", " between them. */
static char *missing_boards(const struct answer *a, const json_t *devices)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (const char *const *uuid = a->asked; uuid && *uuid; uuid++)
        if (!is_seen(devices, *uuid))
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", *uuid);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool is_asked(const struct answer *a, const char *uuid)
{
    return uuid && a->asked && g_strv_contains(a->asked, uuid);
}

/* An instance of a divided board (MIG) comes with the board, and the board with its instances. */
static bool comes_with_asked(const struct answer *a, const json_t *devices, const json_t *device)
{
    const char *uuid = json_string_value(json_object_get(device, "uuid"));
    const json_t *other;
    size_t i;
    if (is_asked(a, uuid) || is_asked(a, json_string_value(json_object_get(device, "instance_of"))))
        return true;
    json_array_foreach(devices, i, other)
        if (!g_strcmp0(json_string_value(json_object_get(other, "instance_of")), uuid) &&
            is_asked(a, json_string_value(json_object_get(other, "uuid"))))
            return true;
    return false;
}

static char *further_boards(const struct answer *a, const json_t *devices)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const json_t *device;
    size_t i;
    json_array_foreach(devices, i, device) {
        const char *uuid = json_string_value(json_object_get(device, "uuid"));
        if (uuid && !comes_with_asked(a, devices, device))
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", uuid);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void answer_boards(const struct answer *a, struct answer_verdict *ret)
{
    const json_t *gpus = json_object_get(a->found, "gpus"), *devices = json_object_get(gpus, "devices");
    const char *absent = text_at(gpus, "absent");
    size_t n = a->asked ? g_strv_length((char **)(uintptr_t)a->asked) : 0;
    if (!gpus) {
        say(ret, PREFLIGHT_ABSENT, NULL, "the worker did not start");
        return;
    }
    g_autofree char *missing = missing_boards(a, devices), *further = further_boards(a, devices);
    if (n > 0 && absent)
        say(ret, lack(a), NULL, "%zu GPU%s asked for, none is visible: %s", n, n == 1 ? " was" : "s were", absent);
    else if (*missing)
        say(ret, lack(a), NULL, "not visible though asked for: %s%s%s", missing,
            *further ? "; visible though not: " : "", further);
    else if (*further)
        say(ret, n > 0 ? lack(a) : PREFLIGHT_LACKS,
            "take NVIDIA_VISIBLE_DEVICES out of the container's variables, and see whether nvidia is the default runtime",
            "visible though not asked for: %s", further);
    else if (n > 0)
        say(ret, PREFLIGHT_OK, NULL, "%zu of %zu: driver %s, CUDA %s", n, n, text_at(gpus, "driver_version"),
            text_at(gpus, "cuda_version"));
    else
        say(ret, a->need == ANSWER_NEEDS ? PREFLIGHT_ABSENT : PREFLIGHT_OK, NULL,
            a->need == ANSWER_NEEDS ? "the run needs a GPU and there was none to ask for: see gpu.boards and gpu.driver"
                                    : "none, as asked for");
}

/* What cuInit() returns, in words to act on. */
static const struct {
    int code;
    const char *text, *hint;
} cuda_codes[] = {
    {3, "not initialised", NULL},
    {34, "the library is a stub, not a driver",
     "the image finds a stub of libcuda.so.1 before the driver's: look at LD_LIBRARY_PATH"},
    {100, "no device that is fit for CUDA", NULL},
    {101, "no such device", "CUDA_VISIBLE_DEVICES names a board that is not there"},
    {802, "the system is not ready", "on boards with NVSwitch nvidia-fabricmanager must run on the host"},
    {803, "library and kernel module are of different drivers",
     "reboot the host, or reload its module; an image with a libcuda of its own (cuda-compat) must find the driver's first"},
    {804, "these boards have no forward compatibility",
     "update the host's driver, or take the image's cuda-compat out of LD_LIBRARY_PATH"},
    {999, "an unknown error", "`nvidia-smi` on the host, and its kernel log (dmesg), say more"},
};

static void judge_cuda_code(const struct answer *a, int code, struct answer_verdict *ret)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cuda_codes); i++)
        if (cuda_codes[i].code == code) {
            say(ret, lack(a), cuda_codes[i].hint, "CUDA does not start: error %d, %s", code, cuda_codes[i].text);
            return;
        }
    say(ret, lack(a), NULL, "CUDA does not start: error %d", code);
}

void answer_cuda(const struct answer *a, struct answer_verdict *ret)
{
    const json_t *cuda = json_object_get(a->found, "cuda");
    const json_t *init = json_object_get(cuda, "init");
    const char *died = text_at(cuda, "died"), *compat = text_at(cuda, "compat");
    int version = (int)json_integer_value(json_object_get(cuda, "version"));
    if (!a->asked || !*a->asked || !cuda)
        say(ret, PREFLIGHT_ABSENT, NULL, !cuda ? "the worker did not get so far" : "no GPU was asked for");
    else if (died)
        say(ret, lack(a), NULL, "starting CUDA ended its process: %s", died);
    else if (!init)
        say(ret, PREFLIGHT_ABSENT, NULL, "the container has no libcuda.so.1%s",
            json_is_true(jsonx_at(a->found, "gpus.simulated")) ? " (the boards are simulated)" : "");
    else if (json_integer_value(init) != 0)
        judge_cuda_code(a, (int)json_integer_value(init), ret);
    else
        say(ret, PREFLIGHT_OK, NULL, "CUDA %d.%d starts%s%s", version / 1000, version % 1000 / 10,
            compat ? "; the image has " : "", compat ? compat : "");
}

void answer_smi(const struct answer *a, struct answer_verdict *ret)
{
    const json_t *smi = json_object_get(a->found, "nvidia_smi");
    const char *said = text_at(smi, "said");
    g_autofree char *line = g_strdup(said ? said : "");
    g_strdelimit(line, "\n", ';');
    if (!json_is_object(smi))
        say(ret, PREFLIGHT_ABSENT, NULL, "there is no nvidia-smi");
    else if (json_is_true(json_object_get(smi, "clean")))
        say(ret, PREFLIGHT_EVIDENCE, NULL, "%s", *line ? line : "it says nothing");
    else
        say(ret, PREFLIGHT_EVIDENCE, NULL, "nvidia-smi: %s: %s", text_at(smi, "ended"), line);
}
