/* SPDX-License-Identifier: MIT */
/*
 * Stand-ins for what a build on a new glibc would ask for and an older one lacks. The worker, the engines and what they
 * link must start where glibc is 2.34, wherever they were built. From 2.38 on the headers turn strtol and sscanf into
 * __isoc23_strtol and so on for whoever defines _GNU_SOURCE, the static libraries of the distribution included, and
 * GLib calls strlcpy where it finds it; the static libraries of C++ ask for what glibc has since 2.35 and 2.36. A
 * definition in the program or library itself is taken before the C library's; programs leave out those they do not
 * use. tools/check_worker.py judges the outcome. The C23 forms also read 0b101 as binary in bases 0 and 2; these do
 * not, and nothing here is written so.
 */
#include <link.h>
#include <locale.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

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

/* std::random_device. */
STAND_IN(uint32_t, new_arc4random, "arc4random", void)
{
    uint32_t number;
    while (getrandom(&number, sizeof number, 0) != sizeof number)
        ; /* interrupted before the kernel's source was ready */
    return number;
}

/* What the unwinder of libgcc asks since GCC 12 where it asked dl_iterate_phdr before: the struct of <dlfcn.h>, which
 * older headers lack. Without an answer no exception finds its handler. */
struct found_object {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *link_map;
    void *eh_frame;
#if !defined __x86_64__
    void *eh_dbase;
#endif
    unsigned long long reserved[7];
};

struct object_query {
    ElfW(Addr) address;
    struct found_object *found;
};

static int look_at_object(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    struct object_query *query = data;
    ElfW(Addr) start = 0, end = 0, frames = 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        ElfW(Addr) at = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && query->address >= at && query->address < at + header->p_memsz) {
            start = at;
            end = at + header->p_memsz;
        }
        if (header->p_type == PT_GNU_EH_FRAME)
            frames = at;
    }
    if (!end || !frames)
        return 0;
    *query->found = (struct found_object){
        .map_start = (void *)start, .map_end = (void *)end, .eh_frame = (void *)frames};
    return 1;
}

STAND_IN(int, new_dl_find_object, "_dl_find_object", void *address, struct found_object *found)
{
    struct object_query query = {(ElfW(Addr))address, found};
    return dl_iterate_phdr(look_at_object, &query) == 1 ? 0 : -1;
}
