/* SPDX-License-Identifier: MIT */
/*
 * exchange: the file that the parent of a run hands to its worker, {hash}_config.json. It is all that a worker is told.
 *
 * One row of EXCHANGE_MEMBERS describes a member: its type, where it stands in the file, whether it is a path of the
 * host, who sets it, what it means. Struct, reader, writer, JSON Schema and documentation are made from the rows.
 *
 * Calling sequence, in the parent:
 *     struct exchange x = {0};                             fill in: strings and trees are taken over
 *     dir = exchange_folder_new(parent, &x, map, &error);  DIR/{hash}_config.json; map NULL: paths unchanged
 *     exchange_clear(&x);
 * in the worker:
 *     exchange_read(path, &x, &error);
 *
 * A member that is not there is NULL, 0 or false. Errors name the file and the member ("PATH: context.cycle: expected
 * an integer, found a string"): DATA; of the file system: IO. Threading: no state.
 */
#pragma once

#include "base/base.h"

#define EXCHANGE_SCHEMA "llem-exchange/2"

/* --- The rows ------------------------------------------------------------------------------------------------- */

enum exchange_flags {
    EXCHANGE_OPTIONAL = 0,
    EXCHANGE_REQUIRED = 1 << 0,
    EXCHANGE_PATH = 1 << 1,   /* a file or folder of the host: the path map is applied to it */
    EXCHANGE_FIELDS = 1 << 2, /* an object of fields: those that `files` names are paths, or hold what may be paths */
    EXCHANGE_GUESSES = 1 << 3, /* its texts may be paths: those that the map covers are */
};

/* A build with further rows (unit.rows: a row is all there is to add) has them here. */
#ifndef EXCHANGE_MORE_MEMBERS
#define EXCHANGE_MORE_MEMBERS(X)
#endif

/* type, member of struct exchange, place in the file, flags, who sets it, meaning */
#define EXCHANGE_MEMBERS(X)                                                                                            \
    X(STRING, config_hash, "config_hash", EXCHANGE_REQUIRED, "config", "hash of the configuration: 16 hex digits")     \
    X(OBJECT, config, "config", EXCHANGE_REQUIRED | EXCHANGE_FIELDS, "config",                                         \
      "the resolved experiment: every field that applies to its backend")                                              \
    X(OBJECT, hashed, "hashed", EXCHANGE_REQUIRED, "config", "what the hash is made of; the worker hashes it again")   \
    X(OBJECT, origins, "origins", EXCHANGE_REQUIRED, "config", "where each value came from, by field")                 \
    X(OBJECT, digests, "digests", EXCHANGE_OPTIONAL, "config", "SHA-256 of local files, by the field that names them") \
    X(STRINGS, files, "files", EXCHANGE_OPTIONAL, "config",                                                            \
      "fields of config that name a file or folder of the host, or that may")                           \
    X(OBJECT, roles, "roles", EXCHANGE_OPTIONAL, "config", "what the engine's options come to: batch, in_flight, …")   \
    X(STRINGS, command, "engine.command", EXCHANGE_REQUIRED | EXCHANGE_PATH, "backend",                                \
      "the adapter program and its arguments")                                                                         \
    X(OBJECT, environment, "engine.environment", EXCHANGE_GUESSES, "backend", "variables that the adapter is given")   \
    X(STRINGS, record_env, "engine.record_env", EXCHANGE_OPTIONAL, "backend",                                          \
      "names of variables that change its work; the worker records their values")                                      \
    X(STRING, descriptor_sha256, "engine.descriptor_sha256", EXCHANGE_OPTIONAL, "backend", "SHA-256 of its engine.json") \
    X(STRING, program_sha256, "engine.program_sha256", EXCHANGE_OPTIONAL, "backend", "SHA-256 of the adapter program") \
    X(STRING, dataset, "work.dataset", EXCHANGE_OPTIONAL, "study", "the data set; the worker does not open it")            \
    X(STRING, dataset_sha256, "work.dataset_sha256", EXCHANGE_OPTIONAL, "study", "SHA-256 of the data set")            \
    X(PROMPTS, prompts, "work.prompts", EXCHANGE_REQUIRED, "study", "the measured prompts, in their order")            \
    X(PROMPTS, warmup, "work.warmup", EXCHANGE_REQUIRED, "study", "prompts of the warm-up; may be empty")              \
    X(INT, warmup_variants, "work.warmup_variants", EXCHANGE_OPTIONAL, "study",                                        \
      "how many of them are rearranged measured ones, for want of others")                                             \
    X(OBJECT, host_meter, "host.meter", EXCHANGE_OPTIONAL, "beside",                                                   \
      "sensors that are read beside the worker, which cannot: `channels`, `sources`, `characterisation`")              \
    X(OBJECT, host_clock, "host.clock", EXCHANGE_OPTIONAL, "beside",                                                   \
      "the clock that the worker must share: boot, time namespace, both clocks at one moment")                         \
    X(INT, cycle, "context.cycle", EXCHANGE_REQUIRED, "study", "how often this cell has come in the study, from 1")    \
    X(INT, rested_ms, "context.rested_ms", EXCHANGE_OPTIONAL, "study",                                                 \
      "how long ago the run before it ended on this machine, ms, at least 1; left out: the study had none yet")        \
    X(STRING, study, "context.study", EXCHANGE_OPTIONAL, "study", "name of the study")                                 \
    X(STRING, study_hash, "context.study_hash", EXCHANGE_OPTIONAL, "study", "hash over the hashes of its cells")       \
    X(STRING, runner, "context.runner", EXCHANGE_OPTIONAL, "study", "what the run is run by: local, …")                \
    X(STRING, runner_source, "context.runner_source", EXCHANGE_OPTIONAL, "study", "who chose the runner")              \
    X(STRING, image, "context.image", EXCHANGE_OPTIONAL, "runner", "image of the container the worker is in, as written") \
    X(STRING, image_id, "context.image_id", EXCHANGE_OPTIONAL, "runner", "its ID: what the container was made from")   \
    X(STRING, image_digest, "context.image_digest", EXCHANGE_OPTIONAL, "runner",                                       \
      "its digest in a repository; none: it never came from one")                                                      \
    X(OBJECT, image_labels, "context.image_labels", EXCHANGE_OPTIONAL, "runner", "labels of the image")                \
    X(STRING, image_moved, "context.image_moved", EXCHANGE_OPTIONAL, "runner",                                         \
      "ID of another image that bears the name since the study began")                                                 \
    X(STRING, client, "context.client", EXCHANGE_OPTIONAL, "runner", "what the container was started with: docker, podman") \
    X(STRING, container, "context.container", EXCHANGE_OPTIONAL, "runner", "name of the container")                    \
    X(OBJECT, caches, "context.caches", EXCHANGE_OPTIONAL, "runner",                                                   \
      "folders that the engine keeps things in, by their path there: cold (empty before the run) or warm")             \
    X(STRINGS, boards, "context.boards", EXCHANGE_OPTIONAL, "study",                                                   \
      "UUIDs of the boards the engine is given, and no other; empty: none; left out: nobody chose")                    \
    X(STRING, boards_source, "context.boards_source", EXCHANGE_OPTIONAL, "study", "who chose the boards")              \
    X(OBJECT, memory_gate, "context.memory_gate", EXCHANGE_OPTIONAL, "study",                                          \
      "what memory of the boards was in use before the run, and whose (docs/boards.md)")                               \
    X(STRING, model_path, "context.model_path", EXCHANGE_PATH, "study", "file or folder of the model; none: the engine's own") \
    X(BOOL, concurrent_study, "context.concurrent_study", EXCHANGE_OPTIONAL, "study",                                  \
      "another study of this user was at work on the machine")                                                         \
    X(STRING, unprotected, "context.unprotected", EXCHANGE_OPTIONAL, "study",                                          \
      "why a second llem could have written into the study: its file system has no locks")                             \
    EXCHANGE_MORE_MEMBERS(X)

/* Prompts, each with its line in the data set. */
struct exchange_prompts {
    size_t n;
    char **text;
    int64_t *line;
};

#define EXCHANGE_C_STRING  char *
#define EXCHANGE_C_STRINGS char **
#define EXCHANGE_C_OBJECT  json_t *
#define EXCHANGE_C_PROMPTS struct exchange_prompts
#define EXCHANGE_C_INT     int64_t
#define EXCHANGE_C_BOOL    bool

/* Owns what it points to. */
struct exchange {
#define X(type, member, place, flags, who, meaning) EXCHANGE_C_##type member;
    EXCHANGE_MEMBERS(X)
#undef X
};
void exchange_clear(struct exchange *x);
typedef struct exchange owned_exchange; /* for g_auto(owned_exchange) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_exchange, exchange_clear)

/* Room for n prompts in a member that has none yet. */
void exchange_prompts_init(struct exchange_prompts *prompts, size_t n);

/* --- Reading and writing ---------------------------------------------------------------------------------------- */

/* The file's tree; NULL where a required member is not set or a text is not UTF-8. New reference. */
json_t *exchange_json(const struct exchange *x, GError **error);
/* The inverse. name is what messages call the tree. On failure *ret is empty. */
bool exchange_parse(const char *name, const json_t *tree, struct exchange *ret, GError **error);
bool exchange_read(const char *path, struct exchange *ret, GError **error);
/* The members below "context", which the worker copies into its record. New reference. */
json_t *exchange_context(const struct exchange *x);

/* --- Folders ------------------------------------------------------------------------------------------------------ */

/* DIR/{hash}_NAME: the name of a file of one run in its exchange folder ("config.json", "result.json", "error.json").
 * New string. */
char *exchange_file(const char *dir, const char *config_hash, const char *name);
/* A worker holds its exchange file for as long as it lives; the descriptor, or -1 where that cannot be had. */
int exchange_hold(const char *config_path);
/* True where a worker holds the exchange file in dir, or where that cannot be told. */
bool exchange_is_held(const char *dir, const char *config_hash);

/* What the names of exchange folders begin with. */
#define EXCHANGE_FOLDER_PREFIX ".exchange-"

/* A path of the host, and what the same file or folder is called where the worker is. */
struct exchange_path {
    const char *host, *inside; /* absolute; what lies below a folder goes with it */
};
struct exchange_map {
    const struct exchange_path *paths; /* of several that cover a path the longest counts */
    size_t n;
};
/* Puts the paths that hold inside in place of those of the host, in every member that is one. A path that no row of the
 * map covers is an error: it would not be there; what only may be a path (variables, texts within mappings) then stays
 * as it is. map NULL: nothing to do. */
bool exchange_map_paths(struct exchange *x, const struct exchange_map *map, GError **error);

/* A new folder below parent for one run, with the file in it; x is as it was. New string. */
char *exchange_folder_new(const char *parent, const struct exchange *x, const struct exchange_map *map, GError **error);

/* --- Documentation ------------------------------------------------------------------------------------------------- */

/* JSON Schema (draft 2020-12) of the file. New reference. */
json_t *exchange_schema(void);
/* A table of the members in Markdown. */
void exchange_describe(GString *out);
