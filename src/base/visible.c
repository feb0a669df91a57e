/* SPDX-License-Identifier: MIT */
#include "base/visible.h"

/* First and last of each range (Unicode 15, chapters 23.1 to 23.3, 23.8, 23.9). */
static const gunichar hidden[][2] = {
    {0x00, 0x08}, {0x0b, 0x1f}, {0x7f, 0x9f}, /* controls; what is left out are tab and line feed */
    {0x061c, 0x061c},                         /* Arabic letter mark */
    {0x180e, 0x180e},                         /* Mongolian vowel separator */
    {0x200b, 0x200f},                         /* zero-width space and joiners, marks of direction */
    {0x2028, 0x202e},                         /* separators of lines and paragraphs, embeddings, overrides */
    {0x2060, 0x206f},                         /* word joiner, invisible operators, isolates, shaping */
    {0xfeff, 0xfeff},                         /* byte-order mark */
    {0xfff9, 0xfffb},                         /* interlinear annotation */
    {0xe0000, 0xe007f},                       /* tags */
};

static const gunichar blanks[][2] = {{0xa0, 0xa0}, {0x2000, 0x200a}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                     {0x3000, 0x3000}, {0x3164, 0x3164}, {0xad, 0xad}};

static bool is_within(gunichar c, const gunichar ranges[][2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    return false;
}

bool visible_hides(gunichar c)
{
    return is_within(c, hidden, G_N_ELEMENTS(hidden));
}

static void append_escape(GString *out, gunichar c)
{
    if (c <= 0xffff)
        g_string_append_printf(out, "\\u%04x", c);
    else
        g_string_append_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
}

char *visible_text(const char *text)
{
    GString *out = g_string_sized_new(64);
    for (const char *p = text; *p;) {
        gunichar c = g_utf8_get_char_validated(p, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*p++);
            continue;
        }
        const char *next = g_utf8_next_char(p);
        if (visible_hides(c))
            append_escape(out, c);
        else
            g_string_append_len(out, p, next - p);
        p = next;
    }
    return g_string_free(out, FALSE);
}

gunichar visible_stranger(const char *text, long *ret_before)
{
    *ret_before = 0;
    for (const char *p = text; *p; p = g_utf8_next_char(p), (*ret_before)++) {
        gunichar c = g_utf8_get_char(p);
        if (visible_hides(c) || is_within(c, blanks, G_N_ELEMENTS(blanks)))
            return c;
    }
    return 0;
}
