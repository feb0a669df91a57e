/* SPDX-License-Identifier: MIT */
/* Private to the room: the struct behind a descriptor, and the steps that fill it. */
#pragma once

#include "backend/backend.h"

struct role {
    const struct backend_option **options;
    size_t n;
};

/* What an engine calls something that has a name of ours. */
struct equivalent {
    const char *name, *own; /* own: an option, another name of the engine's, or words */
};

/* Lists are arrays of the room's row types, in the order of the file; strings lie in `strings`. */
struct backend {
    const char *name, *title, *versioned, *summary, *remedy, *audited;
    const char *folder, *file, *digest, *variable;
    int64_t format, protocol, hash_version;

    GArray *options; /* struct backend_option */
    GArray *rules;   /* struct backend_rule */
    GArray *cannot;  /* struct backend_cannot */
    GArray *retired; /* struct backend_retired */
    GArray *owned, *passed; /* struct backend_argument */
    GArray *unheeded;       /* struct backend_unheeded */
    GArray *equivalents;    /* struct equivalent */
    bool passes_through;
    const char *passed_section;

    struct role roles[ROLE_COUNT];
    struct backend_context context;
    bool has_context;
    struct backend_model model;
    unsigned modes, where;
    enum backend_gpu gpu;
    const struct backend_condition *gpu_when;
    size_t n_gpu_when;

    const char *const *command, *const *quantize, *const *make_folder; /* template words, or NULL */
    struct backend_python python;
    bool has_python;
    struct backend_image image;
    bool has_image;
    const char *const *env, *const *record_env, *const *caches, *const *files;

    GHashTable *by_name;    /* of an option → its index + 1 */
    GHashTable *sections;   /* "engine": proper prefixes of the options' names */
    GStringChunk *strings;
    GPtrArray *blocks;      /* other memory */
    struct backend_schema *schema; /* what it was extended by, or NULL */
};

/* --- Reading (read.c) -------------------------------------------------------------------------------------------- */

/* What a reader of a part of the descriptor works with. */
struct reading {
    struct backend *backend;
    struct diag *diag;
    GArray *option_nodes; /* const struct doc_node *, beside backend->options */
};

/* A row of a mapping: its name, and how its value gets to `offset` of the struct that is being filled. */
struct member {
    const char *name;
    bool required;
    void (*read)(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
    size_t offset;
    const void *words; /* what the reader needs besides, or NULL */
};

/* Reads a mapping by its members (ended by {0}), in their order; what is not among them, or lacks, is an error.
 * `what` begins the messages. False when it is no mapping. */
bool read_members(struct reading *r, const struct doc_node *node, const char *what, const struct member *members,
                  void *into);
/* Calls `read` for each element of a list. */
void read_each(struct reading *r, const struct doc_node *node, const char *what,
               void (*read)(struct reading *r, const struct doc_node *node));

/* Readers of values. The target is, in this order: const char *, int64_t (≥ 1), bool, int (index into the words, a
 * NULL-terminated vector), const char *const *, const struct doc_node *. */
void read_text(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_count(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_flag(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_word(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_texts(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_node(struct reading *r, const struct doc_node *node, const struct member *member, void *into);

/* Adds an error, and a did-you-mean where `near` has something. */
void read_error(struct reading *r, const struct doc_node *node, const struct suggest *near, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* The text of a node, kept; NULL after an error that begins with `what`. */
const char *read_string(struct reading *r, const struct doc_node *node, const char *what);
const char *keep_text(struct backend *backend, const char *text);
void *keep_block(struct backend *backend, void *block);
/* Lower-case letters, digits and '_', beginning with a letter. `dots`: letters of either case, in parts separated by
 * dots. */
bool read_is_name(const char *text, bool dots);

/* --- Fields and conditions (field.c) ------------------------------------------------------------------------------ */

/* An option or a shared field. */
struct field_ref {
    const char *path; /* NULL: there is none */
    enum backend_type type;
    const struct backend_option *option; /* NULL: a shared field */
};

/* The option or shared field a node names, or an empty one after an error. */
struct field_ref read_field(struct reading *r, const struct doc_node *node, const char *what);
/* The same, or an argument that is handed on, whose type only the installed engine knows (BACKEND_ANY). */
struct field_ref read_field_or_argument(struct reading *r, const struct doc_node *node, const char *what);
/* The option it names, or NULL after an error. */
const struct backend_option *read_option_name(struct reading *r, const struct doc_node *node, const char *what);
/* The shared field it names, or NULL after an error. */
const struct backend_shared_field *read_shared_name(struct reading *r, const struct doc_node *node, const char *what);
/* A value of a type as JSON, null where that is allowed; NULL after an error. New reference. */
json_t *read_value(struct reading *r, const struct doc_node *node, const char *what, enum backend_type type,
                   const struct backend_option *row);
/* A condition on a field; false after an error. */
bool read_condition(struct reading *r, const struct doc_node *node, const char *what, const struct field_ref *field,
                    struct backend_condition *ret);
/* A mapping of fields to conditions; appended to a new block. */
const struct backend_condition *read_conditions(struct reading *r, const struct doc_node *node, const char *what,
                                                size_t *ret_n);

/* --- The lists (options.c, rules.c, lists.c) ----------------------------------------------------------------------- */

void read_options(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_rules(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_roles(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_cannot(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_owned(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_pass_through(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
/* True if a table of ours has a row of that name (tables.c). */
bool equivalent_is_known(const char *name);
void read_equivalents(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_unheeded(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_retired(struct reading *r, const struct doc_node *node, const struct member *member, void *into);

/* --- Commands (command.c) ------------------------------------------------------------------------------------------ */

/* Where the engines are that come with llem, and what adapters in Python share: the installed tree and the build tree
 * have it beside the folder of programs. New string, or NULL. */
char *backend_installed_folder(void);

/* Reads texts whose {dir} and {engines} are filled in; the words of a command keep theirs and may have {python}. */
void read_filled(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_command(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
/* The member `image` (image.c). */
void read_image(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
/* Names of variables whose values are in every result: none that tells of a secret. */
void read_recorded(struct reading *r, const struct doc_node *node, const struct member *member, void *into);
void read_env(struct reading *r, const struct doc_node *node, const struct member *member, void *into);

/* --- The interpreter (interpreter.c) ----------------------------------------------------------------------------- */

/* True if an interpreter has the least version and finds the modules. Error: MISSING. */
bool python_fits(const struct backend *backend, const char *python, GError **error);
/* Where an interpreter looks for modules, and the folders of those that the descriptor names: a path a line, asked
 * once in a process. NULL: it does not say. Borrowed. */
const char *python_places(const struct backend *backend, const char *python);
