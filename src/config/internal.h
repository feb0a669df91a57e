/* SPDX-License-Identifier: MIT */
/* Private to the room. Files, each using only those above it:
 *
 *   fields.c        the shared rows, their gates, rules and presets
 *   table.c         a table: look-up, and what a row accepts in words
 *   names.c         names and values that are not taken (any more)
 *   digest.c, content.c   what stands in the hash for a file, a folder, a model, a data set
 *   forms.c         what a text is made of
 *   value.c         a node of a document becomes a typed value
 *   read.c, roles.c, gpu.c   values of an experiment by id, by path, by role
 *   load.c          how requests reach the engine, and its options that say the same
 *   settle.c        values that follow from others or replace them, conditions, what applies
 *   rules.c         rules between fields
 *   table_build.c   a table from the shared rows and some descriptors
 *   hash.c          what is hashed, and the hash
 *   config.c        one resolved experiment; values.c: made again from its values
 *   layers.c        mappings become layers and axes
 *   file_engines.c, file.c   a file of the user
 *   schema.c, reference.c
 */
#pragma once

#include "config/config.h"

/* --- The table (fields.c, table.c, table_build.c) -------------------------------------------------------------- */

/* A condition under which a row has a meaning: another row has one of some values, or none of them. */
struct gate {
    size_t field;
    struct backend_condition condition; /* its `field` is the path */
    const struct backend *engine;       /* it counts for this engine alone; NULL: for all */
};

/* A shared gate, before fields have indexes. `path` is a field, or a section ("warmup.") without the gate itself. */
struct shared_gate {
    const char *path;
    struct backend_condition condition;
};

struct shared_preset {
    const char *preset;
    enum config_field_id field;
    const char *value; /* JSON text */
};

/* A field of the section runners.ENGINE. */
struct config_runner_row {
    const char *name;
    enum config_type type;
    const struct config_form *form;
    double min, max;
    const struct backend_choice *choices;
    const char *help;
};
extern const struct config_runner_row config_runner_rows[]; /* ended by {0} */
/* Its first row: what stands for the whole section in a short form. */
#define RUNNER_USE "use"

extern const struct config_field config_shared_rows[CONFIG_SHARED_FIELDS];
extern const struct shared_gate config_shared_gates[]; /* ended by {0} */
extern const struct backend_rule config_shared_rules[]; /* ended by {0} */
extern const struct shared_preset config_presets[];     /* ended by {0} */

/* A rule whose paths have been looked up. */
struct rule {
    const struct backend_rule *row;
    const struct backend *engine; /* NULL: a shared rule */
    size_t a, b, unless;          /* indexes; of b and unless where the row has them */
};

/* What an engine has no way to honour. */
struct cannot {
    const struct backend_cannot *row;
    const struct backend *engine;
    size_t field;
};

#define NO_FIELD SIZE_MAX

struct field_info {
    char *key_text;                /* "\"path\":" for the hash */
    struct config_value *initial;  /* the default; json null when there is none */
    struct config_value *own;      /* what the engine takes where nothing is written, if that can be written; or NULL */
    struct gate *gates;
    size_t n_gates;
    size_t follows;     /* index of the row whose value it takes where it has none, or NO_FIELD */
    char *follows_note; /* "follows llamacpp.n_threads" */
    size_t replaces;    /* index of the row that has no meaning while this one is set, or NO_FIELD */
};

struct config_table {
    size_t n;
    struct config_field *rows;
    struct field_info *info;
    size_t *sorted;         /* indexes of the hashed rows in the order of their paths */
    size_t n_sorted;
    GHashTable *by_path;    /* path → index + 1 */
    GHashTable *sections;   /* "decoder", "vllm.engine", …: every proper prefix of a path */
    GPtrArray *engines;     /* const struct backend *, in the order of their sections */
    GArray *rules;          /* struct rule */
    GArray *cannot;         /* struct cannot */
    struct backend_choice *names; /* choices of `backend`: every engine there is */
    char **found;                 /* owns their names */
    GStringChunk *strings;        /* paths and variables of rows that no descriptor has */
    GHashTable *elsewhere;        /* engine → "runners.NAME=docker:IMAGE", where it is not this machine */
    GHashTable *advised;          /* engines of which was said how their further parameters can be known */
};

/* A table of the shared rows and the options of these engines (const struct backend *, taken over). */
struct config_table *table_build(GPtrArray *engines);
/* Index of a path, or -1. */
int table_index(const struct config_table *table, const char *path);
/* Index of a path that must exist. */
size_t table_at(const struct config_table *table, const char *path);
/* True if a path is a section ("decoder") of the table. */
bool table_is_section(const struct config_table *table, const char *path);
/* An engine of the table by its name, or NULL. */
const struct backend *table_engine(const struct config_table *table, const char *name);
/* The engine of the table whose section a path lies in ("vllm.engine.x"), or NULL. */
const struct backend *table_section_engine(const struct config_table *table, const char *path);
bool field_is_nullable(const struct config_field *row);
/* What its texts are made of, or NULL: any. */
const struct config_form *field_form(const struct config_field *row);
/* True if a canonical value is as a condition says. */
bool config_condition_holds(const struct backend_condition *condition, const char *canonical);
/* "n_threads" of "llamacpp.n_threads". Borrowed. */
const char *field_last_part(const char *path);
/* The path a further argument has as an option of an engine, in its section; NULL: it takes none. New string. */
char *field_passed_path(const struct backend *engine, const char *name);
/* JSON text as it is read: without quotes. New string. */
char *config_plain_words(const char *json);

/* --- Names that are not (or no longer) taken (names.c) --------------------------------------------------------- */

/* What to say of a path, or NULL. New string. */
char *retired_name_message(const struct config_table *table, const char *path);
/* What to say of a value of a field, or NULL. New string. */
char *retired_value_message(const struct config_table *table, const char *path, const char *text);
/* The path that is taken in place of a retired one, or NULL; the choice in place of a value. Borrowed. */
const char *retired_name_alias(const struct config_table *table, const char *path);
const char *retired_value_alias(const struct config_table *table, const char *path, const char *text);
/* The option of any engine there is whose name ends so ("llamacpp.n_threads" for "n_threads"), or NULL. New string. */
char *names_elsewhere(const char *name);
/* True if a section is of an engine that other versions have. */
bool retired_is_section(const char *path);

/* --- Forms (forms.c) ------------------------------------------------------------------------------------------- */

struct config_form {
    const char *expects; /* "a size such as 8g or 512m" */
    /* The text as it is kept, paths relative to folder made absolute. NULL: it is none; *ret_why (NULL before) may say
     * why. New strings. */
    char *(*take)(const char *text, const char *folder, char **ret_why);
};
extern const struct config_form config_form_runner, config_form_client, config_form_python, config_form_size,
    config_form_mount, config_form_variable, config_form_secret, config_form_ipc, config_form_ulimit,
    config_form_network, config_form_argument, config_form_board, config_form_folder;

/* --- Values (content.c, value.c) ------------------------------------------------------------------------------- */

enum config_layer {
    LAYER_DEFAULT,
    LAYER_DERIVED, /* follows from another value, or from a preset */
    LAYER_USER,
    LAYER_FILE,
    LAYER_AXIS,
    LAYER_ENVIRONMENT,
    LAYER_COMMAND,
};

struct config_value {
    json_t *json;    /* json null: unset */
    char *canonical; /* canonical JSON */
    char *content;   /* canonical JSON that stands for it in the hash, or NULL: its own */
    char *pin;       /* likewise where the engine takes a model of the catalogue, or NULL */
    bool unknown;    /* its content was not looked at: no hash can be had */
    char *digest;    /* of the file or folder it leads to, or NULL */
    char *file;      /* the file or folder it leads to, absolute, or NULL */
    enum config_layer layer;
    struct diag_span at;  /* source borrowed from the documents of the file */
    const char *note;     /* origin in words where there is no position; borrowed */
    char *written_as;     /* the name or value that was written, where another is taken in its place; or NULL */
};

/* Lower-case hex SHA-256 of a file, or of a folder: of the list of its files with their digests (digest.c). Digests of
 * large files are remembered in the cache folder by device, inode, size and times. */
char *digest_of_path(const char *path, GError **error);
/* Fills in what stands for a value in the hash: for what leads to a file, a model or a data set (row's flags). */
bool content_take(const struct config_field *row, struct config_value *value, GError **error);

/* How values of a source are read. */
struct value_context {
    const struct config_table *table;
    enum config_layer layer;
    const char *folder;          /* relative paths of data and models are relative to it */
    const struct diag_span *at;  /* stands for the nodes' own positions (command line, environment); or NULL */
    bool skip_digests;
    const char *written_as;      /* the name that was written, where it is not the row's own; or NULL */
    struct diag *diag;
};

/* The typed value of a node, or NULL after an error in context->diag. */
struct config_value *value_read(const struct value_context *context, const struct config_field *row,
                                const struct doc_node *node);
/* A value of the program itself. json is taken over. */
struct config_value *value_make(json_t *json, enum config_layer layer, const char *note);
void value_free(void *value);
/* "study.yaml:7:20", "default", … New string. */
char *value_origin(const struct config_value *value);
/* Where it stands in a file, for a diagnostic, or NULL. */
const struct diag_span *value_place(const struct config_value *value);
static inline bool value_is_set(const struct config_value *value)
{
    return !json_is_null(value->json);
}
/* True if a model or data set text names a file rather than something in a catalogue or hub. */

/* --- One experiment (load.c, settle.c, rules.c, hash.c) ------------------------------------------------------------ */

struct config {
    const struct config_table *table;   /* NULL: made from values (values.c) */
    const struct config_value **values; /* by index of the row; never NULL */
    bool *applies;                      /* set, of this engine, and with a meaning */
    const struct backend *engine;
    char hash[17];
    GPtrArray *derived; /* values made for this config alone, or NULL */
    struct {
        json_t *tree, *hashed, *origins, *roles, *digests;
        char **files;
    } carried; /* what it was made from, in a worker and from a store */
};

/* Sets config->hash; leaves it empty where a file was not looked at. */
void config_compute_hash(struct config *config);
/* Puts a value of the program's own in a field's place. json is taken over; the note is its origin in words. */
void config_derive(struct config *config, size_t field, json_t *json, const char *note);
/* Options that say what `load` says follow it where nobody wrote them. False after errors in diag: one contradicts. */
bool config_load_settle(struct config *config, struct diag *diag);
/* True if the option for the batch has the value that `load` means: then the two are one. */
bool config_load_is_said(const struct config *config);
/* Says that nobody wrote the backend that an error is about, where that is so. */
void config_hint_backend(const struct config *config, struct diag *diag);
/* False after errors in diag: the engine has no such mode. */
bool config_load_check(const struct config *config, struct diag *diag);
/* Fills in presets and values that follow from others, settles values that replace others, decides what applies. False
 * after errors in diag. */
bool config_settle(struct config *config, struct diag *diag);
/* Checks the rules between fields. False after errors in diag. */
bool config_check_rules(const struct config *config, struct diag *diag);
/* "decoder.do_sample is true and …" or "". New string. */
char *gates_describe(const struct field_info *info);
/* Markdown lines about the rules of a table. */
void rules_describe(const struct config_table *table, GString *out);

/* --- Files and layers (file_engines.c, layers.c, file.c) -------------------------------------------------------- */

/* The documents of a file, before it is known what can stand in them. */
struct sources {
    const struct doc_node *root;
    const struct doc_node *user; /* of the user's own file, or NULL */
    GArray *overrides;           /* struct override */
    bool environment;            /* variables count */
    /* As the options have it. */
    char *(*image_id)(const struct backend *engine, const char *runner, const char *client);
};

/* "key=value" of the command line. */
struct override {
    const char *origin;
    const char *field; /* without "sweep." */
    bool sweep;
    const char *value;           /* as it was written */
    const struct doc_node *node; /* read as YAML */
};

/* The table for a file: the shared rows, and the sections of the engines that its documents name, as values of
 * `backend` or as sections. What is wrong with their descriptors goes to diag. */
struct config_table *table_for(const struct sources *sources, struct diag *diag);

struct layers {
    const struct config_table *table;
    const struct config_value **values; /* by index; the highest layer so far */
    GPtrArray *pool;                    /* owns every value */
    GArray *axes;                       /* of struct config_axis */
};

void layers_init(struct layers *layers, const struct config_table *table);
void layers_clear(struct layers *layers);
/* Puts a value in; a value of the same layer already there is an error ("given twice"). Takes over value. */
void layers_put(struct layers *layers, size_t index, struct config_value *value, struct diag *diag);
/* A key at the top of a file that holds YAML anchors for the rest of it and is no field. */
bool layers_is_shared_block(const char *key);
/* Reads a mapping of fields. Only rows whose flags hold all of `need` are taken. */
void layers_read(struct layers *layers, const struct doc_node *root, const struct value_context *context,
                 unsigned need);
/* Reads a section that a node of the command line stands for; fields in it take the place of axes. */
void layers_read_section(struct layers *layers, const struct doc_node *node, const char *section,
                         const struct value_context *context);
/* Reads the mapping of a sweep. */
void layers_read_axes(struct layers *layers, const struct doc_node *sweep, const struct value_context *context);
/* Sets one axis from a node (list, or scalar for one level), replacing one that is there. */
void layers_put_axis(struct layers *layers, size_t index, const struct doc_node *node,
                     const struct diag_span *key_at, const struct value_context *context);
/* Takes an axis out. */
void layers_drop_axis(struct layers *layers, size_t index);
struct config_axis *layers_axis(const struct layers *layers, const struct config_field *row);
/* Reads the arguments of passthrough_kwargs, each as the option of the engines that take it. */
void layers_read_passed(struct layers *layers, const struct doc_node *node, const struct value_context *context);
/* The index of the field a path names; a retired one is found by what it is called now, with a word of warning. -1:
 * none. */
int layers_find(const struct config_table *table, struct diag *diag, const struct diag_span *at, const char *path);
/* The index of the field that a text for a whole section stands for (runners.ENGINE: docker:IMAGE), or -1. */
int layers_find_short(const struct config_table *table, const char *path, const struct doc_node *node);
/* Adds the error for an unknown path, with what it may have meant. */
void layers_unknown(const struct config_table *table, struct diag *diag, const struct diag_span *at, const char *path);

struct config_file {
    struct config_table *table;
    struct layers layers;
    GPtrArray *docs;
    GPtrArray *strings;
    char *name;
    bool is_study;
};

/* The config of the layers as they are; NULL after errors. */
struct config *config_new(const struct layers *layers, const struct config_setting *settings, size_t n,
                          struct diag *diag);
