/* SPDX-License-Identifier: MIT */
/*
 * Stand-ins for what a build on a new glibc would ask for and an older one lacks. The worker must start where glibc is
 * 2.34, wherever it was built. From 2.38 on the headers turn strtol and sscanf into __isoc23_strtol and so on
 * for whoever defines _GNU_SOURCE, the static libraries of the distribution included, and GLib calls strlcpy where
 * it finds it. A definition in the program itself is taken before the C library's; unused ones are left out.
 * tools/check_worker.py judges the outcome. The C23 forms also read 0b101 as binary in bases 0 and 2; these do not,
 * and nothing here is written so.
 */
#include <locale.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* By the names of their symbols, so that no header turns them into what they stand in for. */
#define OLD(type, name, symbol, ...)  extern type name(__VA_ARGS__) __asm__(symbol)
#define STAND_IN(type, name, symbol, ...)                                                                              \
    type name(__VA_ARGS__) __asm__(symbol) __attribute__((visibility("hidden")));                                \
    type name(__VA_ARGS__)

#define STRTO_ROWS(X)                                                                                                  \
    X(long, strtol)                                                                                                    \
    X(unsigned long, strtoul)                                                                                          \
    X(long long, strtoll)                                                                                              \
    X(unsigned long long, strtoull)                                                                                    \
    X(long long, strtoimax)                                                                                            \
    X(unsigned long long, strtoumax)

#define X(type, name)                                                                                                  \
    OLD(type, old_##name, #name, const char *, char **, int);                                                          \
    STAND_IN(type, c23_##name, "__isoc23_" #name, const char *text, char **end, int base)                              \
    {                                                                                                                  \
        return old_##name(text, end, base);                                                                            \
    }
STRTO_ROWS(X)
#undef X

#define STRTO_L_ROWS(X)                                                                                                \
    X(long, strtol_l)                                                                                                  \
    X(unsigned long, strtoul_l)                                                                                        \
    X(long long, strtoll_l)                                                                                            \
    X(unsigned long long, strtoull_l)

#define X(type, name)                                                                                                  \
    OLD(type, old_##name, #name, const char *, char **, int, locale_t);                                                \
    STAND_IN(type, c23_##name, "__isoc23_" #name, const char *text, char **end, int base, locale_t locale)             \
    {                                                                                                                  \
        return old_##name(text, end, base, locale);                                                                    \
    }
STRTO_L_ROWS(X)
#undef X

OLD(int, old_vsscanf, "__isoc99_vsscanf", const char *, const char *, va_list);
OLD(int, old_vfscanf, "__isoc99_vfscanf", FILE *, const char *, va_list);

STAND_IN(int, c23_vsscanf, "__isoc23_vsscanf", const char *text, const char *format, va_list args)
{
    return old_vsscanf(text, format, args);
}

STAND_IN(int, c23_vfscanf, "__isoc23_vfscanf", FILE *file, const char *format, va_list args)
{
    return old_vfscanf(file, format, args);
}

STAND_IN(int, c23_sscanf, "__isoc23_sscanf", const char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = old_vsscanf(text, format, args);
    va_end(args);
    return n;
}

STAND_IN(int, c23_fscanf, "__isoc23_fscanf", FILE *file, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = old_vfscanf(file, format, args);
    va_end(args);
    return n;
}

/* Written out, so that no compiler turns them into calls of themselves. */
static size_t length(const char *text, size_t most)
{
    size_t n = 0;
    while (n < most && text[n])
        n++;
    return n;
}

STAND_IN(size_t, new_strlcpy, "strlcpy", char *to, const char *from, size_t size)
{
    size_t n = length(from, (size_t)-1);
    for (size_t i = 0; size && i <= n && i < size; i++)
        to[i] = i + 1 < size ? from[i] : '\0';
    return n;
}

STAND_IN(size_t, new_strlcat, "strlcat", char *to, const char *from, size_t size)
{
    size_t at = length(to, size);
    return at + new_strlcpy(to + at, from, size - at);
}

/* What _FORTIFY_SOURCE makes of them; room is what the compiler knows of the target. */
STAND_IN(size_t, new_strlcpy_chk, "__strlcpy_chk", char *to, const char *from, size_t size, size_t room)
{
    if (size > room)
        abort();
    return new_strlcpy(to, from, size);
}

STAND_IN(size_t, new_strlcat_chk, "__strlcat_chk", char *to, const char *from, size_t size, size_t room)
{
    if (size > room)
        abort();
    return new_strlcat(to, from, size);
}
