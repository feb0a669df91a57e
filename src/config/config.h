/* SPDX-License-Identifier: MIT */
/*
 * config: what an experiment is. Rows describe every field (path, type, unit, default, range, choices, help);
 * validation, help, JSON Schema and the reference page are made from them. The shared rows are fields.def; the section
 * of an engine comes from its descriptor (room backend), and a file reads the descriptors of those engines alone that
 * it names: in `backend:`, as levels of that axis, or as a section. No engine is known here by name.
 *
 * Values come in layers, the later wins: default < user file (~/.config/llem/config.yaml) < experiment or study file <
 * environment < command line; a cell of a sweep stands above the file and below the command line. Each value
 * remembers where it came from.
 *
 * A `struct config` is one resolved experiment: immutable, complete, checked. Only fields that *apply* are in it:
 * those of its engine, and those that the other values leave a meaning (decoder.top_p has none when decoding is
 * greedy, precision none when an option of the engine picks the file instead).
 *
 * Its hash is the first 16 hex digits of SHA-256 over the canonical JSON of config_hashed():
 *   {"backend": {"hash_version": 1, "name": "…"}, "fields": {"path": value, …}, "hash_version": 1, "schema": 3}
 * The fields are those that are hashed, apply, and differ from what holds where they are not written: their row's
 * default, what they follow, or what the engine takes by itself; so a field, an option or an engine more changes no
 * hash. `load` is not there where the option for the batch says the same. The data set is always there, by its prompts
 * and sources; a model by its content (a file or folder, or the pin of the catalogue), else by its name; what only the
 * installed engine knows by the path of the option it is. The two numbers are raised when a default or a meaning
 * changes, of an engine's options or of the shared fields.
 *
 * Calling sequence:
 *   struct diag *diag = diag_new();
 *   struct config_file *file = config_file_load(path, &options, diag);   NULL: diag_render() says everything
 *   struct plan *plan = plan_new(file, diag);                            (room sweep)
 *   struct config *config = plan_cell_config(plan, cell);
 *   config_int(config, FIELD_MAX_OUTPUT_TOKENS); config_has(config, FIELD_ENERGY_GUARD_MS); config_hash(config);
 *   config_role_int(config, ROLE_IN_FLIGHT, &n);                         what an engine's options come to
 * and for the worker, which has neither descriptors nor the user's file:
 *   config_tree(), config_hashed(), config_hash(), config_origins(), config_roles()   parent: into the exchange
 *   config = config_from_values(&parts, hash, &error);                                worker, and the store
 *
 * Ownership: config_free, config_file_free, config_table_free; "borrowed" strings live as long as the struct.
 * Threading: a config may be read from any thread; nothing here is changed after it was made.
 */
#pragma once

#include "backend/backend.h"
#include "base/base.h"
#include "workload/workload.h"

#define CONFIG_HASH_SCHEMA  3
#define CONFIG_HASH_VERSION 1 /* of the shared fields; see above */

/* The engine of a file that names none. */
#define DEFAULT_BACKEND "pytorch"
/* A name of data/datasets.json. */
#define DEFAULT_DATASET "llem-mix"

/* --- The rows ------------------------------------------------------------------------------------------------- */

/* The shared fields, one id for each row of fields.def: FIELD_MODEL, FIELD_ENERGY_MAX_REPEATS, … */
enum config_field_id {
#define ROW(id, ...) FIELD_##id,
#include "config/fields.def"
#undef ROW
    CONFIG_SHARED_FIELDS
};

/* How requests reach the engine: the choices of load.mode. X(code, name, help) */
#define CONFIG_LOAD_ROWS(X)                                                                                            \
    X(OFFLINE, "offline", "all at once: what is computed together is the engine's own choice")                         \
    X(BATCH, "batch", "batches of load.size, one after another; the requests of each begin together")                  \
    X(SEQUENTIAL, "sequential", "one at a time")                                                                       \
    X(CLOSED_LOOP, "closed_loop", "load.size of them always in flight: as one ends, the next one joins")
enum config_load {
#define X(code, name, help) CONFIG_LOAD_##code,
    CONFIG_LOAD_ROWS(X)
#undef X
    CONFIG_LOAD_UNSET
};
const char *config_load_name(enum config_load mode);           /* "closed_loop" */
enum config_load config_load_from_name(const char *name);      /* NULL, or no name: UNSET */

/* The types of room backend. */
enum config_type {
    CONFIG_BOOL = BACKEND_BOOL,
    CONFIG_INT = BACKEND_INT,
    CONFIG_REAL = BACKEND_REAL,
    CONFIG_TEXT = BACKEND_TEXT,
    CONFIG_CHOICE = BACKEND_CHOICE, /* one of the row's choices */
    CONFIG_SPAN = BACKEND_SPAN,     /* [low, high], two numbers in ascending order */
    CONFIG_INTS = BACKEND_INTS,     /* a list of integers */
    CONFIG_REALS = BACKEND_REALS,   /* a number, or a list of numbers */
    CONFIG_MAP = BACKEND_MAP,       /* a mapping that is handed on as it is */
    CONFIG_LIST = BACKEND_LIST,     /* a list that is handed on as it is */
    CONFIG_ANY = BACKEND_ANY,       /* any value, handed on as it is */
    CONFIG_TEXTS = BACKEND_ANY + 1, /* a text, or a list of texts: kept as a list */
};

enum config_flags {
    CONFIG_HASHED = 1 << 0,
    CONFIG_SWEEP = 1 << 1,    /* may be an axis of a sweep */
    CONFIG_REQUIRED = 1 << 2, /* no default: the file must say it */
    CONFIG_USER = 1 << 3,     /* may stand in the user's own configuration file */
    CONFIG_STUDY = 1 << 4,    /* belongs to the study (name, execution), not to an experiment */
    /* Texts that lead to files. A path is relative to the file it is written in and kept absolute. */
    CONFIG_PATH = 1 << 5,      /* always a path, of something that is there */
    /* a path where it looks like one, else a name */
    CONFIG_NAMED = 1 << 6,
    CONFIG_CONTENT = 1 << 7,   /* a path enters the hash by the content it leads to */
    CONFIG_NO_FOLDER = 1 << 8, /* leads to a file, never to a folder */
    CONFIG_MODEL = 1 << 9,     /* names a model: one of the catalogue enters the hash by its pin */
    CONFIG_DATA = 1 << 10,     /* names a data set: enters the hash by its prompts and sources, default or not */
    CONFIG_ENGINE = 1 << 11,   /* names the engine */
    CONFIG_PASSED = 1 << 12,   /* a mapping of arguments for the engine: names with a field of their own are refused */
    CONFIG_GPU = 1 << 13,      /* has a meaning in runs that may use a GPU, alone */
    CONFIG_BOARDS = 1 << 14,   /* a list of GPUs: how many enters the hash */
    CONFIG_RESULTS = 1 << 15,  /* the folder of results, which need not be there */
};

/* What a text is made of: a size, a mount. Its rows are forms.c. */
struct config_form;

struct config_field {
    const char *path; /* dotted: "decoder.temperature" */
    enum config_type type;
    unsigned flags;
    const char *unit;                     /* "s", "ms", "tokens", … or NULL */
    const char *initial;                  /* default as JSON text; NULL: unset unless written */
    double min, max;                      /* of numbers, inclusive; -INFINITY, INFINITY: unbounded */
    const struct backend_choice *choices; /* CONFIG_CHOICE: rows ended by {0} */
    const char *env;                      /* environment variable that sets it, or NULL */
    const char *help;
    const struct backend_option *option; /* of an engine; NULL: a shared field */
    const struct backend *engine;        /* whose option it is, or whose runs it is about; NULL: a shared field */
    const struct config_form *form;      /* of a text, or of each of a list; NULL: any */
    /* Of the section runners.ENGINE: its name there ("use"); NULL: it is of no such section. */
    const char *runner;
};

/* The shared rows under their ids, and behind them the options of some engines. */
struct config_table;

/* names: NULL-terminated; NULL: every engine there is. An engine that is not there, or whose descriptor is not in
 * order, is an error in diag and left out. */
struct config_table *config_table_new(const char *const *names, struct diag *diag);
void config_table_free(struct config_table *table);
typedef struct config_table owned_config_table; /* for g_autoptr(owned_config_table) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_config_table, config_table_free)

size_t config_table_fields(const struct config_table *table, const struct config_field **ret);
/* The row of a path, or NULL. */
const struct config_field *config_table_field(const struct config_table *table, const char *path);
/* True if a path is a shared field, or an option of an engine that is there. */
bool config_is_field(const char *path);
/* "an integer from 1 to 100000", "one of fp32, fp16, bf16", …: what a row accepts. New string. */
char *config_field_expects(const struct config_field *field);
/* JSON Schema (2020-12) of an experiment file or a study file. */
json_t *config_schema(const struct config_table *table, bool study);
/* docs/configuration.md. New string. */
char *config_reference(const struct config_table *table);

/* --- Who runs the runs -------------------------------------------------------------------------------------------- */

/* The path of a field of the section of an engine: "runners.vllm.use". New string. */
char *config_runner_path(const char *engine, const char *name);
/* The environment variable that chooses the runner of an engine: "LLEM_RUNNER_VLLM". New string. */
char *config_runner_variable(const char *engine);
/* Takes a choice apart: "docker:IMAGE" is the runner "docker" and the image, which is NULL where none is said. New
 * strings. False where it is none; *ret_why then says why (new string, or NULL where nothing more is known). */
bool config_runner_parse(const char *text, char **ret_runner, char **ret_image, char **ret_why);
/* "8g", "512m", "1.5gib": as Docker's client reads it, so that k is 1024. False: it is none. */
bool config_size_parse(const char *text, int64_t *ret_bytes);
/* True if a variable of this name most likely holds a secret. */
bool config_is_secret_name(const char *name);

/* --- One resolved experiment ---------------------------------------------------------------------------------- */

struct config;

void config_free(struct config *config);
typedef struct config owned_config; /* for g_autoptr(owned_config) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_config, config_free)

/* The whole resolved experiment as a tree of sections, in the order of the rows: every field that applies. New
 * reference. */
json_t *config_tree(const struct config *config);
/* {"path": "study.yaml:7:20" | "default" | "environment LLEM_…" | "command line" | …}. New reference. */
json_t *config_origins(const struct config *config);
/* The place of a value for a diagnostic; NULL where it stands in no file. Borrowed. */
const struct diag_span *config_place(const struct config *config, enum config_field_id id);
/* 16 hex digits. Borrowed. */
const char *config_hash(const struct config *config);
/* Lower-case hex SHA-256 of the local file or folder that a field whose content is hashed leads to, or NULL.
 * Borrowed. */
const char *config_digest(const struct config *config, enum config_field_id id);
/* True if a field applies and is set. */
bool config_has(const struct config *config, enum config_field_id id);
/* Values of shared fields. The row must be of the right type, and config_has() it: anything else is a bug and aborts.
 * config_string is for CONFIG_TEXT and CONFIG_CHOICE; borrowed. config_ns is for a CONFIG_REAL whose unit is s or
 * ms. */
bool config_bool(const struct config *config, enum config_field_id id);
int64_t config_int(const struct config *config, enum config_field_id id);
double config_real(const struct config *config, enum config_field_id id);
int64_t config_ns(const struct config *config, enum config_field_id id);
const char *config_string(const struct config *config, enum config_field_id id);
void config_span(const struct config *config, enum config_field_id id, double *ret_low, double *ret_high);
/* The same by path, for who goes through rows or has a path from a table or a message: the value, or NULL where the
 * field does not apply or no such field is; where it came from (new string); its place. */
json_t *config_value_at(const struct config *config, const char *path);
char *config_origin_at(const struct config *config, const char *path);
const struct diag_span *config_place_at(const struct config *config, const char *path);

/* The engine's descriptor; NULL in a worker. */
const struct backend *config_engine(const struct config *config);
/* The rows its paths are of; NULL in a worker. Borrowed from its file. */
const struct config_table *config_rows(const struct config *config);

/* What a role's options come to, where the engine has the role and at least one of them is set: their product, or the
 * largest (ROLE_THREADS). False: the engine decides. For roles of integers. */
bool config_role_int(const struct config *config, enum backend_role role, int64_t *ret);
/* True if any switch of the role is on. */
bool config_role_on(const struct config *config, enum backend_role role);
/* Use of GPUs by a run, as far as its engine's descriptor says. */
enum config_gpu { CONFIG_GPU_NONE, CONFIG_GPU_MAY, CONFIG_GPU_NEEDS };
enum config_gpu config_gpu_need(const struct config *config);
/* How many GPUs it works on where nobody lists them: what its devices come to, else 1. */
int64_t config_gpu_count(const struct config *config);
/* Type of the cached keys (which 0) or values (1), or NULL: the engine decides. Borrowed. */
const char *config_role_kv_type(const struct config *config, int which);

/* The prompts it works on, from data sets that the library keeps. Errors: those of the data set. */
bool config_work(const struct config *config, struct workload_library *library, struct workload_work *ret,
                 GError **error);
/* The file or folder of its model; path NULL where the engine makes its own. Errors: as workload_model_resolve(). */
bool config_model(const struct config *config, struct workload_resolved *ret, GError **error);
/* True if what stands in the hash by its content or its meaning is still so: data set, local files, the engine's and
 * our own version. Who goes on with a study that was planned before asks, or a record would have the hash of other
 * work. */
bool config_check_content(const struct config *config, struct workload_library *library, GError **error);

/* The hashed object (above), by which anybody can compute the hash again; NULL where the file was read without digests.
 * New reference. */
json_t *config_hashed(const struct config *config);
/* {"in_flight": 4, "kv_type": ["f16", "q8_0"], "prefix_cache": false, …}: the roles that come to something. New
 * reference. */
json_t *config_roles(const struct config *config);
/* {"model": SHA-256, …}: of the local files and folders that enter the hash by their content. New reference. */
json_t *config_digests(const struct config *config);
/* The fields that name a file or folder of this machine, and those whose arguments, which nobody knows, may. New
 * vector. */
char **config_files(const struct config *config);
/* What is otherwise than in another configuration of the same file, by field: {"values": {path: value}, "origins":
 * {path: text}, "digests": {path: SHA-256}, "without": [path, …]}, without the members that are empty; "without" names
 * fields that apply there and not here. A field is in it whole or not at all. */
json_t *config_difference(const struct config *config, const struct config *from);
/* What a configuration is carried as, in an exchange file or a study folder. */
struct config_parts {
    const json_t *values;           /* config_tree() */
    const json_t *hashed;           /* config_hashed() */
    const json_t *origins, *roles;  /* may be NULL */
    const json_t *digests;          /* may be NULL */
    const char *const *files;       /* may be NULL */
};
/* A config again from its parts, which are copied. Values are trusted, options not looked at; shared values must be of
 * the type of their row, and `hashed` must hash to `hash` and be of these values. Error: DATA. */
struct config *config_from_values(const struct config_parts *parts, const char *hash, GError **error);

/* --- A file of the user --------------------------------------------------------------------------------------- */

struct config_file;
struct config_value; /* one typed value with its origin; owned by the file */

struct config_file_options {
    const char *const *overrides; /* NULL-terminated "key=value" of the command line, or NULL */
    const char *user_file;        /* path of the user's file; missing is fine; NULL: none. See config_user_file() */
    bool environment;             /* read the LLEM_… variables that rows name */
    bool skip_digests;            /* do not read files that values lead to: then no hash can be had */
    /* The ID of the image that the runs of an engine start from, by what is written as runners.ENGINE.use and
     * .client (or NULL): new string, or NULL where it cannot be told. NULL: nobody asks, and of an engine in an
     * image no more is known than its descriptor says. */
    char *(*image_id)(const struct backend *engine, const char *runner, const char *client);
};

/* One axis of a sweep as the file gives it: a field and its levels. */
struct config_axis {
    const struct config_field *field;
    size_t n;
    const struct config_value *const *values;
    struct diag_span at;
};

/* ${XDG_CONFIG_HOME:-~/.config}/llem/config.yaml. New string. */
char *config_user_file(void);
/* Reads an experiment or study file and checks everything that does not depend on a cell. NULL after errors in diag. */
struct config_file *config_file_load(const char *path, const struct config_file_options *options, struct diag *diag);
/* The same from memory; relative paths in it are relative to folder. */
struct config_file *config_file_parse(const char *name, const char *text, size_t length, const char *folder,
                                      const struct config_file_options *options, struct diag *diag);
void config_file_free(struct config_file *file);
typedef struct config_file owned_config_file; /* for g_autoptr(owned_config_file) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_config_file, config_file_free)

/* True if it is a study (sweep, execution) and not a single experiment. */
bool config_file_is_study(const struct config_file *file);
/* `name`, or the file's name without its ending. Borrowed. */
const char *config_file_name(const struct config_file *file);
/* Values of the study's own rows (FIELD_EXECUTION_N_CYCLES, …), as above. */
bool config_file_has(const struct config_file *file, enum config_field_id id);
int64_t config_file_int(const struct config_file *file, enum config_field_id id);
double config_file_real(const struct config_file *file, enum config_field_id id);
const char *config_file_string(const struct config_file *file, enum config_field_id id);
/* The study's own values that are set, as a tree: {"name", "execution": {"n_cycles", …}}. New reference. */
json_t *config_file_study(const struct config_file *file);
/* The rows its values and axes are of. */
const struct config_table *config_file_rows(const struct config_file *file);
size_t config_file_axes(const struct config_file *file, const struct config_axis **ret);

/* One experiment of the file: the file's values with some set by axes. Rule violations go to diag (located where the
 * values came from) and NULL is returned. The file must outlive the config. */
struct config_setting {
    const struct config_field *field;
    const struct config_value *value;
};
struct config *config_file_resolve(const struct config_file *file, const struct config_setting *settings, size_t n,
                                   struct diag *diag);
/* Values the user wrote that have an effect in none of the experiments are worth a word. used: one flag for each of
 * config_table_fields(), at first false; config_mark_used() sets those that apply. */
void config_mark_used(const struct config *config, bool *used);
void config_file_warn_unused(const struct config_file *file, const bool *used, struct diag *diag);
/* The value of a level; borrowed. null: the axis unsets the field. */
json_t *config_value_json(const struct config_value *value);
