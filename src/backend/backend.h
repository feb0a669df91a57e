/* SPDX-License-Identifier: MIT */
/*
 * backend: what is known of an engine without starting it. An engine is a folder NAME/ with one engine.json
 * (docs/engine-descriptor.md) and, where it has one, its adapter. Nothing about a single engine is compiled in: other
 * rooms ask for options, rules, roles and facts, and an engine of a stranger has the same rights as ours.
 *
 * Search: the folders of LLEM_ENGINES_PATH (separated by ':'), ${XDG_CONFIG_HOME:-~/.config}/llem/engines, and
 * ../libexec/llem/engines seen from the running program, which the build tree has as the installed one does. The first
 * folder that has NAME/engine.json wins, and hides the others. A folder without engine.json is no engine.
 *
 *   const struct backend *backend = backend_find("llamacpp", &error);       reads its file alone, once in a process
 *   n = backend_options(backend, &options);                                 rows in the order of the file
 *   n = backend_role(backend, ROLE_IN_FLIGHT, &options);                    a generic room's question
 *   g_auto(GStrv) argv = backend_command(backend, &error);
 *
 * References between rows (`when`, `follows`, `rules`) are paths as in a configuration: an option of the engine
 * ("llamacpp.n_threads") or one of the shared fields of backend_shared[] ("precision"). Values in conditions are
 * canonical JSON of the type of what they are compared with, so that comparing is comparing texts.
 *
 * Errors: a descriptor that is not in order is refused whole, with everything that is wrong in it by line and column:
 * CONFIG. An engine that is not there: CONFIG, one without a program that runs: MISSING with the remedy.
 * Ownership: what backend_find() gives lives as long as the process, rows and strings included; new strings and vectors
 * are said to be so. Threading: call from any thread; a struct backend is never changed after it was made.
 */
#pragma once

#include "base/base.h"
#include "fetch/fetch.h"

#define BACKEND_FORMAT   1 /* member "format" of the engine.json this version reads */
#define BACKEND_PROTOCOL 1 /* member "protocol": the version of the engine protocol that workers speak */

/* --- Rows of a descriptor -------------------------------------------------------------------------------------- */

enum backend_type {
    BACKEND_BOOL,   /* "boolean" */
    BACKEND_INT,    /* "integer" */
    BACKEND_REAL,   /* "number" */
    BACKEND_TEXT,   /* "string" */
    BACKEND_CHOICE, /* "choice": one of the row's choices */
    BACKEND_SPAN,   /* "span": [low, high], two numbers in ascending order */
    BACKEND_INTS,   /* "integers": a list */
    BACKEND_REALS,  /* "numbers": a number, or a list of numbers */
    BACKEND_MAP,    /* "mapping": handed on as it is */
    BACKEND_LIST,   /* "list": likewise */
    BACKEND_ANY,    /* "any": likewise, whatever it is */
};
/* "integer", …: as engine.json has it. */
const char *backend_type_name(enum backend_type type);

struct backend_choice {
    const char *name;
    const char *help;  /* NULL: the name says it */
    const char *means; /* value of the shared field that the option replaces, of the same meaning; or NULL */
};

/* What a text option names on this machine, if anything: it is made absolute, hashed by content, seen by containers. */
enum backend_path { BACKEND_PATH_NONE, BACKEND_PATH_FILE, BACKEND_PATH_FOLDER, BACKEND_PATH_ANY };

/* A set of values a field has, or has not: canonical JSON texts; "null" is an option that is not set. */
struct backend_condition {
    const char *field;         /* path of the option or shared field; NULL where the row it is in says it */
    bool negated;              /* none of the values */
    size_t n;                  /* 0: whatever it is, but set */
    const char *const *values;
};

struct backend_option {
    const char *name;    /* "engine.max_num_seqs": nested in the options of the protocol's `load` */
    const char *path;    /* "vllm.engine.max_num_seqs": in a configuration */
    enum backend_type type;
    bool hashed, sweepable;
    const char *unit;    /* or NULL */
    const char *initial; /* default as JSON text, sent to the engine; NULL: unset unless written */
    /* what the engine takes where it is unset, as it writes it; shown only; or NULL */
    const char *engine_default;
    const char *own; /* the same as JSON text of its type: written out it changes nothing; NULL: it is no such value */
    double min, max;                      /* of numbers, inclusive; -INFINITY, INFINITY: unbounded */
    const struct backend_choice *choices; /* BACKEND_CHOICE: rows ended by {0}; else NULL */
    const json_t *allowed;                /* of another type: the list of its values; NULL: any of the type */
    enum backend_path path_kind;
    const char *help;
    const char *why;     /* what to say where a value is refused; or NULL */
    const struct backend_condition *when; /* it has a meaning only while all of these hold */
    size_t n_when;
    const char *follows;  /* path of the option whose value it takes where it is not written, or NULL */
    const char *replaces; /* the shared field that has no meaning while this option is set, or NULL: where both are
                             written the higher layer stands, and on the same layer they exclude each other */
    const char *since, *until; /* first and last version of the engine that has it, or NULL */
    bool installed;            /* no row of engine.json: the installed engine says that it takes it */
    struct diag_span at;       /* in engine.json */
};

enum backend_rule_kind {
    BACKEND_NEEDS,    /* "needs": while a is as `is` says, b must be as `other_is` says */
    BACKEND_EXCLUDES, /* "excludes": a and b are not both set (switches: both true) */
    BACKEND_AT_LEAST, /* "at_least": a ≥ b, where both are set */
    BACKEND_HOLDS,    /* "fits" with `holds`: a ≥ b × (max_input_tokens + max_output_tokens); b NULL: once */
    BACKEND_WITHIN,   /* "fits" with `within`: a ≤ the positions of the context, see struct backend_context */
    BACKEND_PRESENT,  /* "present": while a is set, b must be set */
};
const char *backend_rule_kind_name(enum backend_rule_kind kind);

struct backend_rule {
    enum backend_rule_kind kind;
    const char *a;                     /* path of an option or shared field */
    const struct backend_condition *is; /* the rule holds only while a is so; NULL: whatever it is */
    const char *b;                     /* NULL where the kind has none */
    const struct backend_condition *other_is;
    const struct backend_condition *unless; /* the rule does not hold while this does; NULL: no such case */
    const char *why;                   /* or NULL */
    const char *source;                /* where this was found out; or NULL */
    bool installed; /* a or b is what the installed engine alone may have: the rule holds where it says that it does */
    struct diag_span at;
};

/* A name or a value that is not taken (any more): what to say, or what it is called now (a path, a choice's name). */
struct backend_retired {
    const char *path;  /* of the name ("llamacpp.mmap"), or of the option whose value it is */
    const char *value; /* NULL: the name itself */
    const char *text;  /* what to write instead; NULL: alias is given */
    const char *alias; /* taken in its place, with a word of warning; NULL: text is given */
    const char *field; /* the general field that means the same: taken in its place where no other engine is named */
    const char *since; /* version of the engine that has it no more; or NULL */
};

/* A variable of the environment that the engine heeds no more: what to write instead. */
struct backend_unheeded {
    const char *name, *since, *text; /* since: or NULL */
};

/* A shared field the engine has no way to honour. */
struct backend_cannot {
    const char *field;
    const struct backend_condition *is; /* only these values; NULL: whenever it applies */
    const char *why;
};

/* An argument of the engine that is no option: llem sets it itself (note: from what), or hands it on (note NULL). */
struct backend_argument {
    const char *name;
    const char *type, *engine_default; /* as the engine writes them; or NULL */
    const char *note;
    bool hashed; /* as of an option: whether it changes the work */
};

/* --- One engine ------------------------------------------------------------------------------------------------- */

struct backend;

const char *backend_name(const struct backend *backend);    /* "llamacpp": its folder, its section, `backend` */
const char *backend_title(const struct backend *backend);   /* "llama.cpp": what people call it */
/* "transformers 5.19.0", "vLLM 0.32.0": what its version is of, and the version; version NULL or empty: its title. New
 * string. */
char *backend_with_version(const struct backend *backend, const char *version);
const char *backend_summary(const struct backend *backend); /* one line */
const char *backend_remedy(const struct backend *backend);  /* what to do when it cannot be run */
const char *backend_folder(const struct backend *backend);  /* absolute */
const char *backend_digest(const struct backend *backend);  /* lower-case hex SHA-256 of engine.json */
int64_t backend_protocol(const struct backend *backend);    /* version of the engine protocol its adapter speaks */
int64_t backend_hash_version(const struct backend *backend); /* raised when a default or a meaning changes */
/* The version of the engine that its options were held to; or NULL. */
const char *backend_audited(const struct backend *backend);

size_t backend_options(const struct backend *backend, const struct backend_option **ret);
/* By name ("n_threads") or by path ("llamacpp.n_threads"); NULL: there is none. */
const struct backend_option *backend_option(const struct backend *backend, const char *name);
/* True if a version of the engine has the option; NULL: one that is not known. */
bool backend_option_is_in(const struct backend_option *option, const char *version);
size_t backend_rules(const struct backend *backend, const struct backend_rule **ret);
size_t backend_cannot(const struct backend *backend, const struct backend_cannot **ret);
/* What to say of a name (value NULL) or of a value of an option, by path; NULL: nothing is known. Values are compared
 * without case. */
const struct backend_retired *backend_retired(const struct backend *backend, const char *path, const char *value);
size_t backend_retired_rows(const struct backend *backend, const struct backend_retired **ret);
size_t backend_unheeded(const struct backend *backend, const struct backend_unheeded **ret);

/* True if further arguments may be handed on as they are. *ret_section: below which section they would be options (""
 * or "engine": passed "foo" is hashed as "vllm.engine.foo"). */
bool backend_passes_through(const struct backend *backend, const char **ret_section);
/* Arguments that are known to be handed on, and those llem sets itself. */
size_t backend_passed(const struct backend *backend, const struct backend_argument **ret);
/* True if a name is that of a mapping, or of a member of it: "kernel_config" has "kernel_config.moe_backend". */
bool backend_has_member(const char *mapping, const char *name);
size_t backend_owned(const struct backend *backend, const struct backend_argument **ret);
const struct backend_argument *backend_owned_find(const struct backend *backend, const char *name);
/* The same for an argument by the name of an option ("engine.seed"), in its section or as it is written. One that is
 * handed on may be a mapping whose members are options: it is what their names find. */
const struct backend_argument *backend_owned_option(const struct backend *backend, const char *name);
const struct backend_argument *backend_passed_option(const struct backend *backend, const char *name);
const struct backend_argument *backend_passed_find(const struct backend *backend, const char *name);

/* --- What generic rooms ask -------------------------------------------------------------------------------------- */

/* What an option means to llem. A role is a list of options, most often one or none. */
enum backend_role {
    ROLE_BATCH,        /* requests in one batch: the product of its options. None: all requests are one batch */
    ROLE_IN_FLIGHT,    /* sequences computed at once: the product */
    ROLE_CONTEXT,      /* positions; see backend_context() */
    ROLE_THREADS,      /* CPU threads: each option is such a number, the largest counts */
    ROLE_DEVICES,      /* devices used together: the product */
    ROLE_KV_TYPE,      /* types of the cache: of keys, then of values; one option: of both */
    ROLE_GPU_LAYERS,   /* layers on a GPU; 0 is none, below 0 all */
    ROLE_PREFIX_CACHE, /* switches that let a prompt's beginning be taken from a cache */
    ROLE_ADD_SPECIAL,  /* switches that put a model's own special tokens around a prompt */
    ROLE_COUNT
};
const char *backend_role_name(enum backend_role role); /* "in_flight" */
size_t backend_role(const struct backend *backend, enum backend_role role,
                    const struct backend_option *const **ret);

/* What the number of ROLE_CONTEXT counts, and what the engine takes where it is not set. */
struct backend_context {
    bool per_sequence; /* else for all sequences together */
    int64_t rounds_to; /* unset: what the longest request needs, rounded up to this (times in_flight where it counts all
                          sequences); 0: the engine takes something else, such as what the model was made for */
};
const struct backend_context *backend_context(const struct backend *backend); /* NULL: it has no such role */

enum backend_takes { BACKEND_TAKES_GGUF, BACKEND_TAKES_FOLDER, BACKEND_TAKES_NONE };
enum backend_picks { BACKEND_PICKS_FILE, BACKEND_PICKS_ARITHMETIC, BACKEND_PICKS_NOTHING };
struct backend_model {
    enum backend_takes takes;      /* a GGUF file, a folder with config.json, no model at all */
    enum backend_picks precision;  /* which file of the model; the type it is computed in; nothing */
    const char *quantization;      /* path of the option that picks a quantised file of the model, or NULL */
};
const struct backend_model *backend_model(const struct backend *backend);

/* How it can be loaded with requests, and where it can run: bits. */
enum backend_modes { BACKEND_MODE_BATCH = 1 << 0, BACKEND_MODE_IN_FLIGHT = 1 << 1 };
enum backend_where { BACKEND_LOCAL = 1 << 0, BACKEND_REMOTE = 1 << 1 };
unsigned backend_modes(const struct backend *backend);
unsigned backend_where(const struct backend *backend);

struct backend_python {
    const char *least;    /* "3.10" */
    const char *variable; /* environment variable that names the interpreter */
    const char *import;   /* the modules that prove it is the right one, apart by commas; or NULL */
    const char *const *locks; /* files of pinned packages of which each makes an environment that will do, or NULL */
};
const struct backend_python *backend_python(const struct backend *backend); /* NULL: it needs none */

/* What a published image starts from, and the CUDA in it: "13.0". */
struct backend_build {
    const char *upstream, *cuda;
    int major; /* 13 */
};
struct backend_image {
    const char *recipe; /* below docker/ of the sources, or NULL */
    const struct backend_build *builds;
    size_t n_builds;
};
const struct backend_image *backend_image(const struct backend *backend); /* NULL: none is known */
/* The build with the newest CUDA that a driver runs: each one up to its own major number. `host_cuda` is the driver's
 * as NVML has it: 13000 is 13.0; 0: there is no driver. NULL and an error that says what to write where the engine has
 * no image, or none that runs there. */
const struct backend_build *backend_image_for(const struct backend *backend, int host_cuda, GError **error);
/* What it is called: "…/vllm:1.19.0-cuda13". docker/image.json says how. New string. */
char *backend_image_name(const struct backend *backend, const struct backend_build *build);
/* What to do where an image of such a name is absent: how it is built, and what to use instead. New string; NULL: the
 * name is of none of its builds. */
char *backend_image_remedy(const struct backend *backend, const char *image);

/* NULL-terminated, borrowed, {dir} and {engines} filled in. */
const char *const *backend_env(const struct backend *backend);        /* "NAME=value" for the adapter */
const char *const *backend_record_env(const struct backend *backend); /* names of variables that change its work */
const char *const *backend_caches(const struct backend *backend);     /* folders it keeps things in */
const char *const *backend_files(const struct backend *backend);      /* what a container must see */

/* Which of its runs use a GPU: some do (or nothing is said), none, all, or those of which every condition holds. */
enum backend_gpu { BACKEND_GPU_MAY, BACKEND_GPU_NEVER, BACKEND_GPU_ALWAYS, BACKEND_GPU_WHEN };
enum backend_gpu backend_gpu(const struct backend *backend, const struct backend_condition **ret_when, size_t *ret_n);

/* --- What the installed engine takes ----------------------------------------------------------------------------- */

enum backend_reported_type {
    REPORTED_INTEGER,
    REPORTED_NUMBER,
    REPORTED_NUMBERS, /* a number, or a list of numbers */
    REPORTED_BOOLEAN,
    REPORTED_STRING,
    REPORTED_LIST,
    REPORTED_MAPPING,
    REPORTED_ANY,
    REPORTED_COUNT
};
const char *backend_reported_type_name(enum backend_reported_type type); /* "integer" */

/* An option the installed engine takes. */
struct backend_reported {
    const char *name; /* dotted where load nests it: "cache.blocks" */
    enum backend_reported_type type;
    const json_t *initial; /* the default; json null is one */
    double min, max;       /* of numbers, inclusive; -INFINITY, INFINITY: no bound */
    const json_t *choices; /* NULL, or a list of the values allowed */
    const char *unit, *help; /* or NULL */
    bool contradicts; /* its default lies outside of the bounds that it states: they are left out */
};
/* Reads the `fields` of a reply to schema, each held to itself: a known type, a default of its type and choices; bounds
 * that its default lies outside of are none. New array of *ret_n, borrowed from `fields`. Error: DATA. */
struct backend_reported *backend_reported_read(const json_t *fields, size_t *ret_n, GError **error);
const struct backend_reported *backend_reported_find(const struct backend_reported *rows, size_t n, const char *name);

/* What an engine said once, as it is kept in ~/.cache/llem/schemas: for as long as the engine is the same. */
struct backend_schema {
    json_t *tree;        /* everything below is borrowed from it */
    const char *backend; /* "vllm" */
    const char *version; /* of the engine; NULL: it did not say */
    const char *image;   /* ID of the image it was asked in; NULL: on this machine */
    const json_t *fields;
    struct backend_reported *rows;
    size_t n;
};
/* Where an engine runs, if it is not this machine as it is: an image by its ID, and the interpreter in it. */
struct backend_place {
    const char *image_id; /* "sha256:…" */
    const char *python;   /* NULL: python3 */
};
/* The file for the engine as it is now: its descriptor, its adapter, and what these run on. place NULL: this machine's
 * interpreter and its packages. New string; NULL: it cannot be told, for there is no such engine here. */
char *backend_schema_path(const struct backend *backend, const struct backend_place *place);
/* Errors: LIMIT, IO. */
bool backend_schema_save(const char *path, const struct backend *backend, const char *version, const char *image,
                         const json_t *fields, GError **error);
/* Errors: IO, LIMIT, DATA (torn, changed, or of another form). `name` is what messages call it. */
struct backend_schema *backend_schema_load(const char *path, GError **error);
struct backend_schema *backend_schema_parse(const char *name, const char *text, size_t length, GError **error);
void backend_schema_free(struct backend_schema *schema);
typedef struct backend_schema owned_backend_schema; /* for g_autoptr(owned_backend_schema) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_backend_schema, backend_schema_free)

/* The same engine with an option more for everything in a schema that its descriptor does not speak of: neither as an
 * option nor as what llem sets itself nor as a retired name. Takes the schema over; `backend` must outlive it. Free it
 * with backend_free(). */
struct backend *backend_extend(const struct backend *backend, struct backend_schema *schema);
/* The same by what is kept of the installed engine, and kept for the process: `backend` itself where it passes nothing
 * through, or nothing is known. NULL: what is kept is damaged; the error says what to do. */
const struct backend *backend_installed(const struct backend *backend, const struct backend_place *place,
                                        GError **error);
/* What such an engine was extended by; NULL: by nothing. */
const struct backend_schema *backend_schema_of(const struct backend *backend);

/* --- Its program -------------------------------------------------------------------------------------------------- */

/* "LLEM_ENGINE_LLAMACPP": names a program that takes the place of its command. Borrowed. */
const char *backend_variable(const struct backend *backend);
/* The interpreter of {python}: its variable, else that of an environment that was pulled, else python3 of PATH. New
 * string. Error: MISSING, CONFIG. */
char *backend_find_python(const struct backend *backend, GError **error);
/* True if that interpreter has the least version and finds the modules that prove it is the right one. True also where
 * none is needed, or a program of the user's is the adapter. Imports nothing of the engine's. Error: MISSING. */
bool backend_check_python(const struct backend *backend, GError **error);
/* The command line, {dir}, {engines} and {python} filled in, and its program is there. New vector. Error: MISSING. */
char **backend_command(const struct backend *backend, GError **error);
/* The same for a place where the folder of the engine is too, under whatever path, and `python` is the interpreter: its
 * program is not looked for but where it lies in the folder. New vector. Error: MISSING. */
char **backend_command_elsewhere(const struct backend *backend, const char *python, GError **error);
/* The command that makes another form of a GGUF file, to be followed by SOURCE, TARGET and the form; NULL: it comes
 * with none, or the program is not there. New vector. */
char **backend_quantizer(const struct backend *backend);
/* The command that makes a folder with config.json of a GGUF file, to be followed by SOURCE and TARGET; NULL alike. */
char **backend_folder_maker(const struct backend *backend);
/* The file of a command that is the adapter: the first word below the engine's folder, else the program. Borrowed. */
const char *backend_program(const struct backend *backend, const char *const *argv);

/* --- Its environment ---------------------------------------------------------------------------------------------- */

/* A file of pinned packages, and what it says of itself: for which Python, how much there is to fetch and to keep. */
struct backend_lock {
    char *path, *name, *digest; /* name: of the file, without ".txt"; digest: SHA-256 of the text */
    char *python, *machine;     /* "3.11", "x86_64" */
    char *hint;                 /* where a package is that not every index has, or NULL */
    int64_t n_packages, fetch_bytes, disk_bytes;
};
bool backend_lock_read(const char *path, struct backend_lock *ret, GError **error);
void backend_lock_clear(struct backend_lock *lock);
typedef struct backend_lock owned_lock; /* for g_auto(owned_lock) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_lock, backend_lock_clear)
/* Where it is made: ${LLEM_ENVIRONMENTS_DIR:-${XDG_CACHE_HOME:-~/.cache}/llem/environments}/NAME-DIGEST. New string.
 * Error: CONFIG (what the variable names is not absolute). */
char *backend_lock_folder(const struct backend_lock *lock, GError **error);

/* *ret: the interpreter of the first of its environments that was made; NULL: none was. New string. Error: CONFIG. */
bool backend_environment(const struct backend *backend, char **ret, GError **error);
/* Makes the environment of a lock with pip, packages by their hashes and none besides; one that is there costs nothing.
 * Error: MISSING (what is lacking, and what to do). */
bool backend_environment_make(const struct backend *backend, const struct backend_lock *lock,
                              const struct fetch_voice *voice, GError **error);

/* The tables of docs/backends.md in Markdown, each between "<!-- table NAME -->" and "<!-- end -->": portable names,
 * and of each engine what was retired and which rules were found out somewhere. engines: const struct backend *. New
 * string. */
char *backend_tables(const GPtrArray *engines);

/* --- Which engines there are -------------------------------------------------------------------------------------- */

/* Fields every engine shares that a descriptor may name, in rules, `when`, `replaces` and `cannot`. Room config holds
 * its rows to them. */
struct backend_shared_field {
    const char *path;
    enum backend_type type;
    bool needed; /* by every run: no option can replace it */
};
extern const struct backend_shared_field backend_shared[]; /* ended by {0} */
/* The values of a shared field that options may mean by values of their own (`means`); NULL: of none. */
const char *const *backend_shared_values(const char *path);

/* True for what every configuration has ("decoder", "energy", "n"): no engine can be called so. */
bool backend_name_is_reserved(const char *name);

struct backend_found {
    char *name;
    char *folder; /* of the one that counts */
    char **hides; /* folders of the same name further down the search; NULL-terminated */
};
/* Folders of engines that are searched, in order, whether they exist or not. New vector. */
char **backend_search_path(void);
/* Every engine there is, by name; no descriptor is read. Array of struct backend_found *, freed with it. */
GPtrArray *backend_search(void);
/* The names that can be written as `backend:`, sorted. New vector. */
char **backend_names(void);
/* True if an engine of that name is there; its descriptor is not read. */
bool backend_exists(const char *name);
/* Reads an engine's descriptor, or gives the one that was read already. Errors: CONFIG (no such engine, with the names
 * there are; a descriptor that is not in order), IO. */
const struct backend *backend_find(const char *name, GError **error);

/* One file, apart from any search; free with backend_free(). NULL after errors in diag. */
struct backend *backend_load(const char *path, struct diag *diag);
/* The same from memory, as if it lay in folder (which names the engine). */
struct backend *backend_parse(const char *file, const char *text, size_t length, const char *folder,
                              struct diag *diag);
void backend_free(struct backend *backend);
typedef struct backend owned_backend; /* for g_autoptr(owned_backend) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_backend, backend_free)
