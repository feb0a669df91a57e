/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void fixture_open(struct fixture *f)
{
    g_autoptr(GError) error = NULL;
    *f = (struct fixture){.stuck_ns = 5 * NS_PER_S, .root = g_dir_make_tmp("llem-meter-XXXXXX", &error)};
    g_assert_no_error(error);
    g_assert_cmpint(chmod(f->root, 0755), ==, 0);
}

void fixture_close(struct fixture *f)
{
    g_assert_true(file_remove_tree(f->root, NULL));
    g_free(f->root);
    if (f->clock)
        munmap(f->clock, sizeof *f->clock);
    if (f->library)
        dlclose(f->library);
}

char *fixture_path(const struct fixture *f, const char *path)
{
    return g_build_filename(f->root, path, NULL);
}

void fixture_write(const struct fixture *f, const char *path, const char *text)
{
    g_autofree char *full = fixture_path(f, path);
    g_autofree char *folder = g_path_get_dirname(full);
    g_assert_true(file_make_dirs(folder, NULL));
    /* In place, as sysfs files change: a reader never meets an empty file. */
    int fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, text, strlen(text), 0), ==, (gssize)strlen(text));
    g_assert_cmpint(ftruncate(fd, (off_t)strlen(text)), ==, 0);
    close(fd);
}

char *fixture_sim_path(void)
{
    return g_build_filename(LLEM_BINARY_DIR, "lib", "libllem-nvml-sim.so", NULL);
}

void fixture_script(struct fixture *f, const char *script)
{
    g_autofree char *json = g_strdelimit(g_strdup(script), "'", '"');
    g_autofree char *path = fixture_path(f, "sim.json");
    g_autofree char *library = fixture_sim_path();
    fixture_write(f, "sim.json", json);
    g_setenv("LLEM_NVML_SIM", path, TRUE);
    if (!f->library) {
        f->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        g_assert_nonnull(f->library);
        *(void **)&f->energy_j = dlsym(f->library, "llem_nvml_sim_energy_j");
        *(void **)&f->calls = dlsym(f->library, "llem_nvml_sim_calls");
    }
    if (strstr(script, "'clock': 'clock'") && !f->clock) {
        g_autofree char *clock = fixture_path(f, "clock");
        int fd = open(clock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        g_assert_cmpint(ftruncate(fd, sizeof(int64_t)), ==, 0);
        f->clock = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert_true(f->clock != MAP_FAILED);
        close(fd);
    }
    if (f->clock)
        *f->clock = 0;
}

struct meter *fixture_meter(struct fixture *f, const char *const *names)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *library = fixture_sim_path();
    struct meter_options options = {.sysroot = f->root, .sources = names, .library = library,
                                    .stuck_check_ns = f->stuck_ns};
    struct meter *meter = meter_open(&options, &error);
    g_assert_no_error(error);
    return meter;
}

struct meter *fixture_nvml(struct fixture *f)
{
    return fixture_meter(f, (const char *const[]){"nvml", NULL});
}

size_t fixture_channel(struct meter *meter, const char *id)
{
    ssize_t index = meter_channel_find(meter, id);
    if (index < 0)
        g_error("no channel %s", id);
    return (size_t)index;
}

const char *fixture_reason(struct meter *meter, const char *source)
{
    for (size_t i = 0; i < meter_source_count(meter); i++)
        if (!strcmp(meter_source_at(meter, i)->row->name, source))
            return meter_source_at(meter, i)->reason;
    return NULL;
}

static int64_t virtual_now(void *context)
{
    return __atomic_load_n((int64_t *)context, __ATOMIC_SEQ_CST);
}

static void virtual_sleep(void *context, int64_t deadline_ns)
{
    int64_t *clock = context;
    if (deadline_ns > *clock)
        __atomic_store_n(clock, deadline_ns, __ATOMIC_SEQ_CST);
}

struct sampler_clock fixture_clock(struct fixture *f)
{
    return (struct sampler_clock){.now_ns = virtual_now, .sleep_until_ns = virtual_sleep, .context = f->clock};
}
