/* SPDX-License-Identifier: MIT */
/* What clients, daemons and loaders write, apart from each other and from chatter. */
#include "container/internal.h"

#include <string.h>

#define MOST_WORDS 2000 /* bytes of a message that are shown */

/* Lines that say nothing of what failed. "Unable to find image" comes before every pull that a run begins by itself: it
 * is no error, and must not become that of whatever goes wrong later. */
static const char *const chatter[] = {
    "unable to find image '*' locally", "run '* --help' for more information*", "see '* --help'*", "usage:*",
    "warning:*", "time=\"*\" level=warning*", "time=\"*\" level=info*", "trying to pull *", "emulate docker cli *",
    "errors pretty printing info", "*: pulling from *", "*: pulling fs layer*", "*: waiting*", "*: downloading*",
    "*: verifying checksum*", "*: download complete*", "*: extracting*", "*: pull complete*", "*: already exists*",
    "digest: sha256:*", "status: *", "getting image source signatures*", "copying blob *", "copying config *",
    "writing manifest *", "storing signatures*",
};

/* How a line begins that the client or its daemon wrote. */
static const char *const prefixes[] = {"docker: ", "ERROR: ", "Error: ", "podman: "};

static bool is_chatter(const char *line)
{
    g_autofree char *lower = g_ascii_strdown(line, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(chatter); i++)
        if (g_pattern_match_simple(chatter[i], lower))
            return true;
    return !*lower;
}

static const char *without_prefix(const char *line)
{
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
        if (g_str_has_prefix(line, prefixes[i]))
            return line + strlen(prefixes[i]);
    return line;
}

/* The older client ends its sentences. */
static void add_line(GString *text, const char *line)
{
    size_t n = strlen(line);
    while (n > 0 && (line[n - 1] == '.' || g_ascii_isspace(line[n - 1])))
        n--;
    if (!n)
        return;
    if (text->len)
        g_string_append_c(text, '\n');
    g_string_append_len(text, line, (gssize)n);
}

static char *filtered(const char *text, bool keep(const char *line))
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);
    g_auto(GStrv) lines = g_strsplit_set(valid, "\n\r", -1);
    GString *kept = g_string_new(NULL);
    for (char **line = lines; *line && kept->len < MOST_WORDS; line++)
        if (!is_chatter(g_strstrip(*line)) && (!keep || keep(*line)))
            add_line(kept, without_prefix(*line));
    return g_string_free(kept, FALSE);
}

char *client_words(const char *text)
{
    return filtered(text, NULL);
}

static bool is_daemons(const char *line)
{
    static const char *const begins[] = {"Error response from daemon", "Cannot connect to the Docker daemon",
                                         "Cannot connect to Podman", "permission denied while trying to connect",
                                         "Got permission denied while trying to connect", "error during connect",
                                         "error waiting for container", "time=\"", "unknown flag:", "unknown shorthand",
                                         "invalid argument \"", "Failed to initialize:", "flag needs an argument"};
    if (without_prefix(line) != line)
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(begins); i++)
        if (g_str_has_prefix(line, begins[i]))
            return true;
    return false;
}

char *daemon_words(const char *text)
{
    return filtered(text, is_daemons);
}

bool client_says_absent(const char *text)
{
    static const char *const absent[] = {"*no such container*", "*is not running*", "*no container with name or id*",
                                         "*can only kill running containers*", "*container state improper*",
                                         "*is already stopped*"};
    g_autofree char *lower = g_ascii_strdown(text, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++)
        if (g_pattern_match_simple(absent[i], lower))
            return true;
    return false;
}
