/* SPDX-License-Identifier: MIT */
/* What the tests of runners share: an exchange folder, and a run from its start to its report. */
#pragma once

#include "runner/runner.h"

#include "exchange/exchange.h"
#include "result/result.h"

#include <string.h>
#include <unistd.h>

#define HASH "0123456789abcdef"

/* A new folder with an exchange folder in it. New strings. */
static inline void scene_folders(char **ret_dir, char **ret_exchange)
{
    g_autoptr(GError) error = NULL;
    *ret_dir = g_dir_make_tmp("llem-runner-XXXXXX", NULL);
    g_auto(owned_exchange) exchange = {
        .config_hash = g_strdup(HASH), .config = json_object(), .hashed = json_object(), .origins = json_object(),
        .command = g_strsplit("engine", " ", -1), .cycle = 1};
    exchange_prompts_init(&exchange.prompts, 0);
    exchange_prompts_init(&exchange.warmup, 0);
    *ret_exchange = exchange_folder_new(*ret_dir, &exchange, NULL, &error);
    g_assert_no_error(error);
}

/* A worker that is a shell script, $D its exchange folder. New string: its path. */
static inline char *scene_script(const char *dir, const char *script)
{
    char *path = g_build_filename(dir, "worker", NULL);
    g_autofree char *text = g_strdup_printf("#!/bin/sh\nD=$(dirname \"$LLEM_CONFIG_PATH\")\n%s\n", script);
    g_assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
    return path;
}

/* Flies one run to its end; every signal in interrupt_fd is passed on. */
static inline void scene_fly(const struct runner *runner, const struct runner_job *job, int interrupt_fd,
                             struct runner_report *ret)
{
    struct flight *flight = flight_start(runner, job);
    while (!flight_wait(&flight, 1, interrupt_fd, INT64_MAX))
        flight_interrupt(flight, interrupt_take(interrupt_fd));
    flight_finish(flight, ret);
}

/* A run that has ended has one record: a result or an error, never both, never none, never a torn one. */
static inline void scene_check_one_record(const char *exchange, bool failed)
{
    g_autofree char *result = g_build_filename(exchange, HASH "_result.json", NULL);
    g_autofree char *wrong = g_build_filename(exchange, HASH "_error.json", NULL);
    g_assert_cmpint(access(result, F_OK), ==, failed ? -1 : 0);
    g_assert_cmpint(access(wrong, F_OK), ==, failed ? 0 : -1);
    g_autoptr(json_t) record = jsonx_load(failed ? wrong : result, LIMIT_RESULT_BYTES, NULL);
    g_assert_nonnull(record);
}
