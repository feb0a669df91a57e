/* SPDX-License-Identifier: MIT */
/* Internal to boards: the driver, opened once; what is kept of boards; who holds their memory. */
#pragma once

#include "boards/boards.h"

struct boards {
    struct meter *meter; /* NULL: not asked yet, or not to be had */
    GArray *all;         /* struct meter_gpu_board; NULL: not asked yet */
    char *driver;
};

/* NULL: no source of boards could be opened. */
struct meter *boards_meter(struct boards *boards);
/* Version of the driver. Borrowed. */
const char *boards_driver(struct boards *boards);
/* NULL: there is none. */
const struct meter_gpu_board *boards_find(struct boards *boards, const char *uuid);

/* --- What is kept of a board (reference.c) ------------------------------------------------------------------------- */

/* The lowest figure of the older call ever seen on it without a process under this driver; -1: none. */
int64_t reference_load(const struct meter_gpu_board *board, const char *driver);
/* What cannot be kept the next run may see again. */
void reference_save(const struct meter_gpu_board *board, const char *driver, int64_t lowest_bytes);

/* --- Who holds memory (holders.c) ---------------------------------------------------------------------------------- */

/* [{"pid", "name", "user", "bytes"}], null with the reason where one is not known. New reference. */
json_t *holders_json(const struct meter_gpu_use *seen);
/* "by python3 (pid 4242 of alice, 812 MB)", or that the driver names nobody. New string. */
char *holders_text(const struct meter_gpu_use *seen);
/* "812 MB": of 10^6 bytes, as the threshold is written. New string. */
char *holders_megabytes(int64_t bytes);
