/* SPDX-License-Identifier: MIT */
/*
 * workload: what a cell works on. Five concerns, one door:
 *
 *   catalogue   the models llem knows by name, each in its forms (precisions and quantisations), who finds the file
 *               of a form on this machine, and who brings it
 *   facts       what a GGUF file or a Hugging Face folder says of its model: layers, heads, sizes (plain C, bounded)
 *   estimates   floating-point operations of a request, bytes of weights and KV cache, from the facts
 *   data sets   prompts from a .jsonl file: which n, in which order, and others like them for the warm-up
 *   identity    SHA-256 of the token ids a cell worked on ("equal work")
 *
 * Calling sequence of a cell: workload_model_resolve() → workload_facts_read() → workload_dataset_open() →
 * workload_dataset_select() and _warmup() → the engine tokenizes → workload_ids_sha256().
 *
 * Ownership: structs with a _clear() own their strings; text of prompts is borrowed from the data set.
 * Threading: no mutable state; different objects may be used by different threads.
 * Errors: CONFIG (a name or value the user can correct), MISSING (a file to get; the message holds the command),
 * DATA (a file that is torn or not what it claims, located), LIMIT, IO.
 */
#pragma once

#include "backend/backend.h"
#include "base/base.h"
#include "fetch/fetch.h"

/* --- facts ------------------------------------------------------------------------------------------------------ */

enum workload_format {
    WORKLOAD_FORMAT_GGUF, /* one file, for llama.cpp */
    WORKLOAD_FORMAT_HF,   /* a folder with config.json, for the Python engines */
};

/* A layer, where the file tells of each. */
struct workload_layer {
    int64_t n_heads, n_kv_heads; /* 0: it does not attend */
    int64_t head_dim_k, head_dim_v;
    int64_t d_ffn;
    int64_t window;    /* most positions that a token attends to; 0: all before it */
    double multiplied; /* elements of matrices that a token is multiplied by; 0: not told */
};

/* Integers are 0 where the file does not say (and the reader did not need to refuse it). */
struct workload_facts {
    enum workload_format format;
    char *architecture; /* "llama" (GGUF), "LlamaForCausalLM" (config.json) */
    char *name;         /* general.name, or NULL */
    char *licence;      /* general.license, or NULL */
    char *form; /* "f32", "f16", "bf16", "q8_0", "q4_1", …: the file type, or the folder's dtype */
    int64_t n_layers;
    int64_t n_heads;    /* query heads */
    int64_t n_kv_heads; /* key/value heads: fewer than n_heads with grouped-query attention */
    int64_t head_dim_k; /* width of one key head; queries have the same */
    int64_t head_dim_v;
    int64_t d_model;
    int64_t d_ffn;
    int64_t n_vocab;
    int64_t context_length; /* tokens the model was trained for */
    int64_t n_experts;      /* 0: dense */
    int64_t n_experts_used; /* per token */
    bool gated_mlp;         /* three matrices in the MLP instead of two */
    bool tied_embeddings;   /* the output matrix is the embedding matrix */
    bool adds_no_special;   /* the file says that its tokenizer puts no tokens around a text; false: not known */
    int64_t n_params;       /* elements of all tensors; 0 when a folder does not tell */
    int64_t weights_bytes;  /* of all tensors as stored; 0 likewise */
    int64_t file_bytes;     /* size of the file(s) */
    int64_t n_files;        /* parts that a GGUF model comes in */
    struct workload_layer *layers; /* n_layers of them, and the facts above are of the widest; NULL: all are as above */
    bool latent_cache;             /* keys alone are cached: the values are a part of them */
    const char *flops_reason, *kv_reason; /* why the rules of the estimates do not fit; NULL: they do. Static */
};

/* Reads a GGUF file's header and tensor table, or a folder's config.json; never the weights. A file that ends before
 * its last tensor is an error. Of a model in parts the path is that of the first; one that is missing, or of another
 * model, is an error that names it. */
bool workload_facts_read(const char *path, struct workload_facts *ret, GError **error);
/* The same from memory that holds (the head of) a GGUF; file_bytes is the size the whole file claims. For fuzzing. */
bool workload_facts_parse_gguf(const void *bytes, size_t length, int64_t file_bytes, const char *name,
                               struct workload_facts *ret, GError **error);
/* Lower-case hex SHA-256 of a model's file, remembered where reading is slow; of a model in parts that of the JSON
 * array of their digests, in order. New string. */
char *workload_model_sha256(const char *path, GError **error);
void workload_facts_clear(struct workload_facts *facts);
typedef struct workload_facts owned_facts; /* for g_auto(owned_facts) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_facts, workload_facts_clear)
/* New reference: every member under its own name, units in names; unknown ones left out. For records. */
json_t *workload_facts_json(const struct workload_facts *facts);

/* --- estimates -------------------------------------------------------------------------------------------------- */

/* Floating-point operations (multiply and add are two) of one request. */
struct workload_flops {
    double prefill; /* all input positions, causal, and the logits of the first output token */
    double decode;  /* the other output tokens, each attending to all before it */
    double total;
};

/* From the matrix shapes, layer by layer: grouped key/value heads, gated or plain MLP, routed experts, latent keys and
 * values as the file stores them, causal attention within each layer's window, logits once per sampled token; embedding
 * look-ups and norms are not counted. Source: the accounting of vLLM's vllm/v1/metrics/perf.py, per step and summed.
 * False when the facts do not suffice or the model has no rule here (reason in words, static). */
bool workload_flops_estimate(const struct workload_facts *facts, int64_t n_input, int64_t n_output,
                             struct workload_flops *ret, const char **ret_reason);

/* Bytes of keys and values of n_tokens positions, summed over the layers; type names "f32", "f16", "bf16", "q8_0",
 * "q4_0", … as llama.cpp stores them: layers with a window hold every position too, and without flash attention the
 * values of all are as wide as the widest. -1 for an unknown type, insufficient facts, or a model that has no rule here
 * (kv_reason). */
int64_t workload_kv_bytes(const struct workload_facts *facts, int64_t n_tokens, const char *type_k,
                          const char *type_v, bool flash_attention);
/* Bytes of the weights in another form ("f16", "q8_0", …), or -1. Exact for the plain forms, for the quantised ones
 * an estimate that takes every matrix as quantised. */
int64_t workload_weights_bytes(const struct workload_facts *facts, const char *form);

/* --- catalogue -------------------------------------------------------------------------------------------------- */

/* One file of a model, or a folder. A derived form is made on this machine from the form the package carries. */
struct workload_form {
    const char *name;         /* "q4_1" */
    enum workload_format format;
    const char *precision;    /* "fp16" when `precision:` picks it, or NULL */
    const char *quantization; /* "q4_1" when `llamacpp.quantization:` picks it, or NULL */
    const char *file;         /* its name in the model's folder; a folder's */
    int64_t bytes;            /* exact for the packaged form, about for derived ones */
    const char *sha256;       /* of the packaged form; NULL for derived ones */
    bool derived;
};

struct workload_model {
    const char *name;   /* "smollm2-135m-instruct" */
    const char *hub_id; /* its public name, "HuggingFaceTB/SmolLM2-135M-Instruct" */
    const char *summary;
    const char *licence;
    const char *note; /* what the forms serve and what they do not */
    const struct workload_form *forms;
    size_t n_forms;
    const char *package; /* the pinned requirement that carries it, and where it lies inside */
    const char *package_sha256;
    const char *package_member;
    const char *package_licence;
};

const struct workload_model *workload_catalogue(size_t *ret_n);
/* By name or hub id, without regard to case; NULL when it is not there. */
const struct workload_model *workload_catalogue_find(const char *name);
const struct workload_form *workload_model_form(const struct workload_model *model, const char *form);
/* Lower-case hex SHA-256 of its packaged form, from which all others are made; NULL: it has none. Borrowed. */
const char *workload_model_pin(const struct workload_model *model);
/* Where a model's files lie: ${LLEM_MODELS_DIR:-${XDG_CACHE_HOME:-~/.cache}/llem/models}/NAME. New string. */
char *workload_model_dir(const struct workload_model *model);
/* The file of a form, whether it is there or not. New string. */
char *workload_form_path(const struct workload_model *model, const struct workload_form *form);
/* True if the file is there (the packaged form: with its full size; a folder: with its config.json). */
bool workload_form_present(const struct workload_model *model, const struct workload_form *form);

struct workload_resolved {
    char *path; /* the file or folder to give to the engine; NULL: it needs none */
    const struct workload_model *model; /* NULL for a path */
    const struct workload_form *form;   /* NULL for a path */
    enum workload_format format;
};

/* True for a text that is a path where a name may stand: it begins with / ./ ../ or ~/, or ends in .gguf or .jsonl. The
 * one rule: what it does not cover is a name, whatever lies in the folder. */
bool workload_is_path(const char *text);
/* The end of a name, in letters of either case. */
bool workload_ends_in(const char *path, const char *suffix);
/* Which file is meant. `model` is a catalogue name, a hub id, a path of a GGUF file or of a folder with config.json.
 * precision ("fp32", "fp16", "bf16") and quantization ("q8_0", …) pick a catalogue model's form; each may be NULL,
 * both NULL is the packaged form, both given is CONFIG. For a path they only check: each against the file's type; a
 * torn GGUF file is DATA.
 * What the backend takes (GGUF files, folders, nothing: then path is NULL) its descriptor says; backend NULL: either.
 * MISSING: the form is not here; the message holds the exact command that gets it. */
bool workload_model_resolve(const char *model, const struct backend *backend, const char *precision,
                            const char *quantization, struct workload_resolved *ret, GError **error);
/* Checks that a file of the catalogue is still the one that was pulled: by its pin, or by what was noted of it when it
 * was made here. Not told of folders, nor of paths, which enter the hash by their content. DATA where it is another. */
bool workload_resolved_check(const struct workload_resolved *resolved, GError **error);
void workload_resolved_clear(struct workload_resolved *resolved);
typedef struct workload_resolved owned_resolved; /* for g_auto(owned_resolved) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_resolved, workload_resolved_clear)

/* Brings a form: the packaged one through pip (pinned version and hash), a derived one by running the command `maker`
 * (NULL-terminated; "quantize" of an engine.json, or "make_folder") with SOURCE, TARGET and, of the first, FORM behind
 * it; NULL: a derived form is MISSING. Files appear whole or not at all; a form that is there costs nothing. */
bool workload_model_pull(const struct workload_model *model, const struct workload_form *form, char *const *maker,
                         const struct fetch_voice *voice, GError **error);

/* --- data sets -------------------------------------------------------------------------------------------------- */

/* interleaved: one of each source in turn; file order when there is one source
 * grouped: source by source; shortest to longest when there is one source
 * shuffled: a permutation by the seed */
#define WORKLOAD_ORDER_ROWS(X)                                                                     \
    X(INTERLEAVED, "interleaved")                                                                  \
    X(GROUPED, "grouped")                                                                          \
    X(SHUFFLED, "shuffled")

enum workload_order {
#define X(code, name) WORKLOAD_ORDER_##code,
    WORKLOAD_ORDER_ROWS(X)
#undef X
        WORKLOAD_ORDER_COUNT
};
const char *workload_order_name(enum workload_order order);
int workload_order_from_name(const char *name); /* or -1 */

/* Data sets that have a name: rows of datasets.json in the folder of data ($LLEM_DATA_DIR, else as installed). */
struct workload_named {
    const char *name, *summary, *licence; /* borrowed, as all texts of a row, from the list */
    const char *file;                     /* in the folder of data; NULL: it is fetched */
    /* Of one that is fetched: HOME/resolve/REVISION/PATH, and what its prompts must be (workload_dataset_identity). */
    const char *home, *revision, *path, *prompts_sha256;
    int64_t count;
};
struct workload_names {
    json_t *root;
    struct workload_named *rows;
    size_t n;
};
/* MISSING where there is no list; DATA where it is none. */
bool workload_names_read(struct workload_names *ret, GError **error);
void workload_names_clear(struct workload_names *names);
typedef struct workload_names owned_names; /* for g_auto(owned_names) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_names, workload_names_clear)
/* The row of a name, or NULL. Borrowed. */
const struct workload_named *workload_names_find(const struct workload_names *names, const char *name);
/* "a, b or c". New string. */
char *workload_names_listed(const struct workload_names *names);
/* Where its file is, or would be: of one that is fetched in
 * ${LLEM_DATASETS_DIR:-${XDG_CACHE_HOME:-~/.cache}/llem/datasets}. New string. */
char *workload_named_path(const struct workload_named *named);
bool workload_named_present(const struct workload_named *named);
/* The commands that bring it, as a sentence. New string. */
char *workload_named_remedy(const struct workload_named *named);
/* The identity of a name that is pinned, whether its file is here or not; NULL: it is none. New reference. */
json_t *workload_named_identity(const char *name);
struct workload_dataset;
/* False, with an error (DATA), where the prompts are not the pinned ones; `from` names them in its words. */
bool workload_named_check(const struct workload_named *named, const struct workload_dataset *set, const char *from,
                          GError **error);
/* Fetches and verifies it; costs nothing where it is here. */
bool workload_named_pull(const struct workload_named *named, const struct fetch_voice *voice, GError **error);
/* A file of a data set that may also be Parquet. prompt: the member or column that is the prompt; NULL: a usual one. */
struct workload_dataset *workload_dataset_take(const char *file, const char *prompt, GError **error);
/* The pinned row whose prompts these are, or NULL. Borrowed. */
const struct workload_named *workload_names_of(const struct workload_names *names, const struct workload_dataset *set);
/* Verifies and keeps what was taken under its name. */
bool workload_named_keep(const struct workload_named *named, const struct workload_dataset *set, GError **error);

/* Behind the path of a data set's file: which member (of a table: column) is the prompt. */
#define WORKLOAD_PROMPT_MARK "?prompt="
/* The path without that. New string. */
char *workload_dataset_file(const char *path);
/* The file of a data set: a name or a path of a .jsonl or .csv file; with the mark where it had one. New string. */
char *workload_dataset_path(const char *alias_or_path, GError **error);

/* A .jsonl file in memory: one object a line, its prompt that of prompt, text, instruction, input, question which is
 * there (several: DATA, unless the path says which); or a .csv file, whose first row names the members. `source` is
 * optional; an object whose keys all begin with _ is provenance. Anything else in a line is DATA "FILE:LINE:COLUMN: …";
 * all bad lines are told at once (up to LIMIT_DIAGNOSTICS). */
typedef struct workload_dataset owned_dataset; /* for g_autoptr(owned_dataset) alone */
struct workload_dataset *workload_dataset_open(const char *path, GError **error);
struct workload_dataset *workload_dataset_parse(const char *text, size_t length, const char *name, GError **error);
void workload_dataset_free(struct workload_dataset *dataset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_dataset, workload_dataset_free)
/* The text of the nth prompt of the file. Borrowed. */
const char *workload_dataset_prompt(const struct workload_dataset *dataset, size_t n);
size_t workload_dataset_size(const struct workload_dataset *dataset);
/* Lower-case hex SHA-256 of the file's bytes. Borrowed. */
const char *workload_dataset_sha256(const struct workload_dataset *dataset);
/* What the data set is, whatever its file looks like: {"prompts": "…", "sources": "…"}, lower-case hex SHA-256 over the
 * JSON array of the prompts, and over that of their sources (null where one has none) if any has one. New reference. */
json_t *workload_dataset_identity(const struct workload_dataset *dataset);
/* The provenance object of the file, or NULL. Borrowed. */
const json_t *workload_dataset_provenance(const struct workload_dataset *dataset);

struct workload_prompts {
    size_t n;
    const char **text; /* n texts, borrowed from the data set (warm-up variants: owned here) */
    int64_t *line;     /* n line numbers in the file, from 1 */
    size_t n_variants; /* how many are measured prompts re-arranged: the file had no others */
    GPtrArray *owned;
};
/* n prompts. Which n does not depend on the order: always the first n of the interleaved file, so that a sweep over
 * orders is over equal work. CONFIG when the data set has fewer than n. */
bool workload_dataset_select(const struct workload_dataset *dataset, size_t n, enum workload_order order,
                             uint64_t seed, struct workload_prompts *ret, GError **error);
/* n_warmup prompts that are none of the measured ones, with lengths spread as theirs are. Where the file has no
 * others left, the words of measured ones are rotated by half: another text of the same length. */
bool workload_dataset_warmup(const struct workload_dataset *dataset, const struct workload_prompts *measured,
                             size_t n_warmup, struct workload_prompts *ret, GError **error);
void workload_prompts_clear(struct workload_prompts *prompts);
typedef struct workload_prompts owned_prompts; /* for g_auto(owned_prompts) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_prompts, workload_prompts_clear)

/* --- identity --------------------------------------------------------------------------------------------------- */

/* Lower-case hex SHA-256 over n sequences of token ids: per sequence its length as u32 and each id as i32, all
 * little-endian. Independent of machine, engine and how requests were batched. New string. */
char *workload_ids_sha256(const int32_t *const *ids, const size_t *n_ids, size_t n);

/* What was said at each of the first `most` positions, so that answers can be compared without the ids: per position
 * `digits` (hex) of the SHA-256 over the id there of every sequence in order (i32, little-endian; -1 where one has
 * ended). New string. */
char *workload_ids_columns(const int32_t *const *ids, const size_t *n_ids, size_t n, size_t most, size_t digits);

/* The same ids, begun `by` places later (modulo n): as long, as costly, and another beginning, so that a prefix cache
 * that knows the first does not serve it. ret: n places. */
void workload_ids_turn(const int32_t *ids, size_t n, size_t by, int32_t *ret);

/* --- what a run works on ---------------------------------------------------------------------------------------- */

/* The data sets read so far, by path: a study reads each once. */
struct workload_library;
struct workload_library *workload_library_new(void);
void workload_library_free(struct workload_library *library);
/* The data set of a file, read when it is first asked for. Borrowed. */
const struct workload_dataset *workload_library_open(struct workload_library *library, const char *path,
                                                     GError **error);

/* The same of a name or path; one that is pinned is held to its pin. *ret_path: new string. */
const struct workload_dataset *workload_library_find(struct workload_library *library, const char *name,
                                                     char **ret_path, GError **error);

/* The prompts of a configuration: the n measured ones in their order, and others for the warm-up. */
struct workload_work {
    char *dataset;              /* its path */
    const char *dataset_sha256; /* borrowed from the library, as are the texts */
    struct workload_prompts measured, warmup;
};
void workload_work_clear(struct workload_work *work);
typedef struct workload_work owned_work; /* for g_auto(owned_work) alone */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(owned_work, workload_work_clear)
