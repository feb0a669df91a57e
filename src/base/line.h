/* SPDX-License-Identifier: MIT */
/*
 * Lines out of a byte stream that arrives in pieces, with a bound: what the two ends of the engine protocol read
 * through. Each byte is looked at once for its newline, however small the pieces are. Errors: LIMIT.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct line_reader {
    size_t max_bytes; /* of a line without its newline */
    char *buffer;
    size_t size;    /* allocated */
    size_t start;   /* first byte not handed out yet */
    size_t end;     /* past the last byte */
    size_t scanned; /* no newline lies before this */
};

void line_reader_init(struct line_reader *reader, size_t max_bytes);
void line_reader_clear(struct line_reader *reader);
/* Room for at least want bytes at the end: read into it, then line_reader_added(). Invalidates handed-out lines. */
char *line_reader_room(struct line_reader *reader, size_t want);
void line_reader_added(struct line_reader *reader, size_t n);
/* 1: *ret_line is the next line, NUL in place of its newline, *ret_length bytes (it may hold further NULs), valid until
 * the next line_reader_room(). 0: no complete line yet. -1: the line is longer than max_bytes; the reader is of no use
 * any more. */
int line_reader_next(struct line_reader *reader, char **ret_line, size_t *ret_length, GError **error);
/* Bytes of an unfinished line: > 0 at the end of a stream means a torn line. */
size_t line_reader_pending(const struct line_reader *reader);
