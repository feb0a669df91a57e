/* SPDX-License-Identifier: MIT */
/* Private to the room: the table with its indexes, values with their origin, and the steps from files to a config. */
#pragma once

#include "config/config.h"

/* --- The table (table.c) --------------------------------------------------------------------------------------- */

/* The shared rows by their ids (fields.c); behind them the engines' in groups ended by a row without a path. */
extern const struct config_field config_shared_rows[CONFIG_SHARED_FIELDS];
extern const struct config_field config_rows_llamacpp[], config_rows_pytorch[], config_rows_vllm[], config_rows_sim[];

/* What the code knows of a row beside the row. */
struct field_info {
    const struct config_field *row;
    char *key_text;                      /* "\"path\":" for the hash */
    const struct config_value *initial;  /* the default; json null when there is none */
    const struct gate *const *gates;     /* NULL-terminated: conditions under which the field has a meaning */
};

struct field_table {
    size_t n;
    struct config_field *rows;
    struct field_info *info;
    const size_t *sorted;   /* indexes of the hashed rows in the order of their paths */
    size_t n_sorted;
    GHashTable *by_path;    /* path → index + 1 */
    GHashTable *sections;   /* "decoder", "vllm.engine", …: every proper prefix of a path */
};

const struct field_table *field_table(void);
/* Index of a path, or -1. */
int field_index(const char *path);
/* Index of a path that must exist. */
size_t field_at(const char *path);
bool field_is_nullable(const struct config_field *row);
/* Whether a path is a section ("decoder") of the table. */
bool field_is_section(const char *path);
/* The backend whose section a path lies in ("vllm.engine.x"), or 0. */
unsigned field_section_backend(const char *path);
const char *backend_name_of_bit(unsigned bit);
unsigned backend_bit(const char *name);

/* --- Names that are not (or no longer) taken (names.c) --------------------------------------------------------- */

struct retired_name {
    const char *path; /* "vllm.engine.swap_space" */
    const char *message;
};
/* What to say of a path, or NULL. */
const char *retired_name_message(const char *path);
/* What to say of a value of a field, or NULL. */
const char *retired_value_message(const char *path, const char *text);

struct preset_row {
    const char *preset;
    const char *path;
    const char *value; /* JSON text */
};
extern const struct preset_row preset_rows[];

/* Arguments of vLLM's engine by the audit (vllm_args.c). */
enum vllm_treatment {
    VLLM_FIELD,  /* has a row: vllm.engine.NAME */
    VLLM_OWNED,  /* set by llem: the note says from what */
    VLLM_PASS,   /* can be given in passthrough_kwargs */
};
struct vllm_arg {
    const char *name;
    enum vllm_treatment treatment;
    const char *type;
    const char *initial; /* the engine's own default */
    const char *note;
};
extern const struct vllm_arg vllm_args[]; /* ended by {0} */
#define VLLM_AUDITED_VERSION "0.32.0"
const struct vllm_arg *vllm_arg_find(const char *name);

/* --- Values (value.c) ------------------------------------------------------------------------------------------ */

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
    json_t *json;         /* json null: unset */
    char *canonical;      /* canonical JSON as it enters the hash; NULL when the digest is not known */
    char *digest;         /* of the file or folder it names, or NULL */
    char *file;           /* the file or folder it names, absolute, or NULL */
    enum config_layer layer;
    struct diag_span at;  /* source borrowed from the study's documents */
    const char *note;     /* origin in words where there is no position; borrowed */
};

/* How values of a source are read. */
struct value_context {
    enum config_layer layer;
    const char *folder;          /* relative paths of data and models are relative to it */
    const struct diag_span *at;  /* stands for the nodes' own positions (command line, environment); or NULL */
    const json_t *digests;       /* known digests by path of the field, or NULL: read the files */
    bool skip_digests;
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
bool value_is_set(const struct config_value *value);
/* Whether a model or data set text names a file rather than something in a catalogue or hub. */
bool value_is_path(const char *text);

/* Lower-case hex SHA-256 of a file, or of a folder: of the list of its files with their digests (digest.c). Digests of
 * large files are remembered in the cache folder by device, inode, size and times. */
char *digest_of_path(const char *path, GError **error);

/* --- Conditions, rules (rules.c) ------------------------------------------------------------------------------- */

struct config {
    const struct config_value **values; /* by index of the row; never NULL */
    bool *applies;                      /* set, of this backend, and with a meaning */
    unsigned backend;
    char hash[17];
    struct config_file *owner; /* of the values, when the config came from an exchange file */
    GPtrArray *derived;       /* values made for this config alone, or NULL */
};

/* Fills in presets and values that follow from others, settles exclusive values, decides what applies. False after
 * errors in diag. */
bool config_settle(struct config *config, struct diag *diag);
/* Checks the rules between fields; diag NULL: only answers. */
bool config_check_rules(const struct config *config, struct diag *diag);
/* For the reference page: "decoder.do_sample is true" or NULL. New string. */
char *gate_describe(const struct gate *const *gates);
/* Gates of a path; NULL-terminated vector. */
const struct gate *const *gates_of(const char *path);
/* Markdown lines about the rules. */
void rules_describe(GString *out);

/* --- Files and layers (layers.c, file.c) ---------------------------------------------------------------------- */

struct layers {
    const struct config_value **values; /* by index; the highest layer so far */
    GPtrArray *pool;                    /* owns every value */
    GArray *axes;                       /* of struct config_axis */
};

void layers_init(struct layers *layers);
void layers_clear(struct layers *layers);
/* Puts a value in; a value of the same layer already there is an error ("given twice"). Takes over value. */
void layers_put(struct layers *layers, size_t index, struct config_value *value, struct diag *diag);
/* Reads a mapping of fields. Only rows whose flags hold all of `need` are taken. */
void layers_read(struct layers *layers, const struct doc_node *root, const struct value_context *context,
                 unsigned need);
/* Reads the mapping of a sweep. */
void layers_read_axes(struct layers *layers, const struct doc_node *sweep, const struct value_context *context);
/* Sets one axis from a node (list, or scalar for one level), replacing one that is there. */
void layers_put_axis(struct layers *layers, size_t index, const struct doc_node *node,
                     const struct diag_span *key_at, const struct value_context *context);
/* Adds the error for an unknown path, with what it may have meant. */
void layers_unknown(struct diag *diag, const struct diag_span *at, const char *path);

struct config_file {
    struct layers layers;
    GPtrArray *docs;
    GPtrArray *strings;
    char *name;
    bool is_study;
};

struct config_file *config_file_new(void);
/* The config of the layers as they are; NULL after errors. */
struct config *config_new(const struct layers *layers, const struct config_setting *settings, size_t n,
                          struct diag *diag);
