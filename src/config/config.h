/* SPDX-License-Identifier: MIT */
/*
 * config: what an experiment is. One table of rows describes every field (path, type, unit, default, range, choices,
 * help, backend scope); validation, help, JSON Schema and the reference page are made from the rows.
 *
 * Values come in layers, the later wins: default < user file (~/.config/llem/config.yaml) < experiment or study file <
 * environment < command line; a cell of a sweep stands above the file and below the command line. Each value
 * remembers where it came from.
 *
 * A `struct config` is one resolved experiment: immutable, complete, checked. Only fields that *apply* are in it:
 * those of its backend, and those that the other values leave a meaning (decoder.top_p has none when decoding is
 * greedy, precision none when llamacpp.quantization picks the file). Its hash is the first 16 hex digits of SHA-256
 * over the canonical JSON {"fields": {"path": value, …}, "schema": CONFIG_HASH_SCHEMA} of the hashed fields that
 * apply; local files enter by their content.
 *
 * Calling sequence:
 *   struct diag *diag = diag_new();
 *   struct config_file *file = config_file_load(path, &options, diag);   NULL: diag_render() says everything
 *   struct plan *plan = plan_new(file, diag);                            (room sweep)
 *   struct config *config = plan_cell_config(plan, cell);
 *   config_int(config, FIELD_MAX_OUTPUT_TOKENS); config_has(config, FIELD_ENERGY_GUARD_MS); config_hash(config);
 *   config_tree(), config_origins(), config_digests(), config_hash()    parent: into the exchange file
 *   config = config_from_values(tree, origins, digests, hash, &error);  worker
 *
 * Ownership: config_free, config_file_free; "borrowed" strings live as long as the struct. Threading: a config may be
 * read from any thread; nothing here is changed after it was made.
 */
#pragma once

#include "base/base.h"

#define CONFIG_HASH_SCHEMA 1

/* --- The rows ------------------------------------------------------------------------------------------------- */

/* The shared fields, one id for each row of fields.def: FIELD_MODEL, FIELD_ENERGY_MAX_REPEATS, … */
enum config_field_id {
#define ROW(id, ...) FIELD_##id,
#include "config/fields.def"
#undef ROW
    CONFIG_SHARED_FIELDS
};

enum config_backend {
    CONFIG_LLAMACPP = 1 << 0,
    CONFIG_PYTORCH = 1 << 1,
    CONFIG_VLLM = 1 << 2,
    CONFIG_SIM = 1 << 3,
    CONFIG_ALL = CONFIG_LLAMACPP | CONFIG_PYTORCH | CONFIG_VLLM | CONFIG_SIM,
};

enum config_type {
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_REAL,
    CONFIG_TEXT,
    CONFIG_CHOICE, /* one of the row's choices */
    CONFIG_SPAN,   /* [low, high], two numbers in ascending order */
    CONFIG_INTS,   /* a list of integers */
    CONFIG_REALS,  /* a number, or a list of numbers */
    CONFIG_MAP,    /* a mapping that is handed on as it is */
};

enum config_flags {
    CONFIG_HASHED = 1 << 0,
    CONFIG_SWEEP = 1 << 1,    /* may be an axis of a sweep */
    CONFIG_REQUIRED = 1 << 2, /* no default: the file must say it */
    CONFIG_USER = 1 << 3,     /* may stand in the user's own configuration file */
    CONFIG_STUDY = 1 << 4,    /* belongs to the study (name, execution), not to an experiment */
    /* Texts that lead to files. A path is relative to the file it is written in and kept absolute. */
    CONFIG_PATH = 1 << 5,      /* always a path, of something that is there */
    CONFIG_NAMED = 1 << 6,     /* a path where it looks like one, else a name (one of the choices, where there are some) */
    CONFIG_CONTENT = 1 << 7,   /* a path enters the hash by the content it leads to */
    CONFIG_NO_FOLDER = 1 << 8, /* leads to a file, never to a folder */
    CONFIG_PASSED = 1 << 9,    /* a mapping of arguments for the engine: names with a field of their own are refused */
};

struct config_choice {
    const char *name;
    const char *help;
};

struct config_field {
    const char *path; /* dotted: "llamacpp.n_threads" */
    enum config_type type;
    unsigned flags;
    unsigned backends;                   /* enum config_backend bits */
    const char *unit;                    /* "s", "ms", "tokens", … or NULL */
    const char *initial;                 /* default as JSON text; NULL: unset unless written */
    double min, max;                     /* of numbers, inclusive; -INFINITY, INFINITY: unbounded */
    const struct config_choice *choices; /* CONFIG_CHOICE: rows ended by {0} */
    const char *env;                     /* environment variable that sets it, or NULL */
    const char *help;
};

/* All rows: the shared ones under their ids, then the engines'. Returns their number. */
size_t config_fields(const struct config_field **ret);
/* The row of a path, or NULL. */
const struct config_field *config_field(const char *path);
/* "llamacpp" …; NULL when bits is not exactly one backend. */
const char *config_backend_name(unsigned bits);
/* "an integer from 1 to 100000", "one of fp32, fp16, bf16", …: what a row accepts. New string. */
char *config_field_expects(const struct config_field *field);
/* JSON Schema (2020-12) of an experiment file or a study file. */
json_t *config_schema(bool file);
/* docs/configuration.md. New string. */
char *config_reference(void);

/* --- One resolved experiment ---------------------------------------------------------------------------------- */

struct config;

void config_free(struct config *config);
typedef struct config owned_config; /* for g_autoptr(owned_config) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_config, config_free)

/* The whole resolved experiment as a tree of sections, in the order of the rows. New reference. */
json_t *config_tree(const struct config *config);
/* {"path": "study.yaml:7:20" | "default" | "environment LLEM_…" | "command line" | …}. New reference. */
json_t *config_origins(const struct config *config);
/* The place of a value for a diagnostic; NULL where it stands in no file. Borrowed. */
const struct diag_span *config_place(const struct config *config, enum config_field_id id);
/* 16 hex digits. Borrowed. */
const char *config_hash(const struct config *config);
/* Lower-case hex SHA-256 of the local file or folder that a field (FIELD_MODEL, FIELD_DATASET) leads to, or NULL when it
 * is a name of the catalogue or of a hub. Borrowed. */
const char *config_digest(const struct config *config, enum config_field_id id);
/* Whether a field applies and is set. */
bool config_has(const struct config *config, enum config_field_id id);
/* Values of shared fields. The row must be of the right type, and config_has() it: anything else is a bug and aborts.
 * config_string is for CONFIG_TEXT and CONFIG_CHOICE; borrowed, as is config_json (any type). config_ns is for a
 * CONFIG_REAL whose unit is s or ms. */
bool config_bool(const struct config *config, enum config_field_id id);
int64_t config_int(const struct config *config, enum config_field_id id);
double config_real(const struct config *config, enum config_field_id id);
int64_t config_ns(const struct config *config, enum config_field_id id);
const char *config_string(const struct config *config, enum config_field_id id);
void config_span(const struct config *config, enum config_field_id id, double *ret_low, double *ret_high);
json_t *config_json(const struct config *config, enum config_field_id id);
/* The same by path, for who goes through rows or has a path from a table or a message: the value, or NULL where the field
 * does not apply or no such field is; where it came from (new string); its place. */
json_t *config_value_at(const struct config *config, const char *path);
char *config_origin_at(const struct config *config, const char *path);
const struct diag_span *config_place_at(const struct config *config, const char *path);

/* What an exchange file and a study folder carry of a configuration beside its tree, origins and hash. New references. */
/* {"model": SHA-256, …}: of the local files and folders that enter the hash by their content. */
json_t *config_digests(const struct config *config);
/* The fields that name a file or folder of this machine. New vector. */
char **config_files(const struct config *config);
/* What is otherwise than in another configuration of the same file, by field: {"values": {path: value}, "origins": {path:
 * text}, "digests": {path: SHA-256}, "without": [path, …]}, without the members that are empty; "without" names fields that
 * apply there and not here. A field is in it whole or not at all. */
json_t *config_difference(const struct config *config, const struct config *from);
/* The inverse: from the tree, the origins and the digests; needs no file. Checked like a file of the user's, and the hash
 * must agree. Errors: CONFIG, DATA. */
struct config *config_from_values(const json_t *values, const json_t *origins, const json_t *digests, const char *hash,
                                  GError **error);

/* --- A file of the user --------------------------------------------------------------------------------------- */

struct config_file;
struct config_value; /* one typed value with its origin; owned by the file */

struct config_file_options {
    const char *const *overrides; /* NULL-terminated "key=value" of the command line, or NULL */
    const char *user_file;        /* path of the user's file; missing is fine; NULL: none. See config_user_file() */
    bool environment;             /* read the LLEM_… variables that rows name */
    bool skip_digests;            /* do not read local model and data set files: no hash can be had */
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

/* Whether it is a study (sweep, execution) and not a single experiment. */
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
 * config_fields(), at first false; config_mark_used() sets those that apply. */
void config_mark_used(const struct config *config, bool *used);
void config_file_warn_unused(const struct config_file *file, const bool *used, struct diag *diag);
/* The value of a level; borrowed. null: the axis unsets the field. */
json_t *config_value_json(const struct config_value *value);
