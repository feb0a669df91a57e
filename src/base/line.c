/* SPDX-License-Identifier: MIT */
#include "base/line.h"

#include "base/error.h"

#include <string.h>

/* A buffer that one long line made bigger than this is given back once it is empty. */
#define KEEP_BYTES (1 << 20)

void line_reader_init(struct line_reader *reader, size_t max_bytes)
{
    *reader = (struct line_reader){.max_bytes = max_bytes};
}

void line_reader_clear(struct line_reader *reader)
{
    g_free(reader->buffer);
    *reader = (struct line_reader){.max_bytes = reader->max_bytes};
}

char *line_reader_room(struct line_reader *reader, size_t want)
{
    size_t used = reader->end - reader->start;
    if (used == 0 && reader->size > KEEP_BYTES) {
        g_clear_pointer(&reader->buffer, g_free);
        reader->size = 0;
    }
    /* Moving what is left to the front pays once at least half of the buffer has been handed out. */
    if (reader->start > 0 && (used == 0 || reader->start >= reader->size / 2)) {
        if (used > 0)
            memmove(reader->buffer, reader->buffer + reader->start, used);
        reader->scanned -= reader->start;
        reader->end = used;
        reader->start = 0;
    }
    if (reader->end + want > reader->size) {
        reader->size = MAX(reader->size * 2, reader->end + want);
        reader->buffer = g_realloc(reader->buffer, reader->size);
    }
    return reader->buffer + reader->end;
}

void line_reader_added(struct line_reader *reader, size_t n)
{
    reader->end += n;
}

int line_reader_next(struct line_reader *reader, char **ret_line, size_t *ret_length, GError **error)
{
    size_t unseen = reader->end - reader->scanned;
    char *newline = unseen ? memchr(reader->buffer + reader->scanned, '\n', unseen) : NULL;
    size_t length = (newline ? (size_t)(newline - reader->buffer) : reader->end) - reader->start;
    if (length > reader->max_bytes) {
        g_set_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT, "a line is longer than the limit of %zu bytes",
                    reader->max_bytes);
        return -1;
    }
    if (!newline) {
        reader->scanned = reader->end;
        return 0;
    }
    *newline = '\0';
    *ret_line = reader->buffer + reader->start;
    *ret_length = length;
    reader->start += length + 1;
    reader->scanned = reader->start;
    return 1;
}

size_t line_reader_pending(const struct line_reader *reader)
{
    return reader->end - reader->start;
}
