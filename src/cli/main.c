/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <fcntl.h>
#include <locale.h>
#include <pwd.h>
#include <unistd.h>

/* A closed descriptor 0, 1 or 2 would be given to the next file opened, and progress would be written into it. One that
 * is opened for reading only keeps a write to a closed stdout the error it is. */
static void fill_closed_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDONLY);
}

/* What is empty or no absolute path counts as not set, as the XDG Base Directory Specification says; so it does for
 * what we start. */
static void settle_folders(void)
{
    static const char *const names[] = {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
                                        "XDG_RUNTIME_DIR"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = g_getenv(names[i]);
        if (value && !g_path_is_absolute(value))
            g_unsetenv(names[i]);
    }
    if (g_getenv("HOME"))
        return;
    if (getpwuid(getuid()))
        g_setenv("HOME", g_get_home_dir(), TRUE);
    else if (!g_getenv("XDG_CACHE_HOME"))
        cli_say("llem: warning: HOME is not set, and user %u has no entry in the list of users: caches are below %s; set "
                "HOME, or XDG_CACHE_HOME\n", (unsigned)getuid(), g_get_user_cache_dir());
}

/* Weights of many gigabytes are read for minutes before anything else can be said of them. */
static void say_reading(const char *path, int64_t done, int64_t total)
{
    static bool again;
    g_autofree char *name = g_path_get_basename(path);
    bool live = isatty(STDERR_FILENO), over = done == total;
    if (live)
        cli_control(stderr, CLI_CLEAR_LINE);
    if (live && !over)
        cli_say("llem: reading %s for its SHA-256: %d %% of %.1f GB", name, (int)(100 * done / total),
                (double)total / 1e9);
    else if (!again && !over)
        cli_say("llem: reading %s for its SHA-256, which is kept: %.1f GB\n", name, (double)total / 1e9);
    again = !over;
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");  /* 0.5 is written with a point, whatever the language */
    setlocale(LC_MESSAGES, "C"); /* the system's words stand within ours: not half a sentence in another language */
    fill_closed_descriptors();
    interrupt_ignore_file_limit();
    cli_take_stdout();
    settle_folders();
    file_follow_sha256(say_reading);
    int code = cli_dispatch(argc - 1, argv + 1);
    int lost = cli_close_stdout();
    return code ? code : lost;
}
