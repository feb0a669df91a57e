/* SPDX-License-Identifier: MIT */
/* Facts and estimates: the GGUF and config.json readers on sound and damaged input, FLOPs and sizes. */
#include "workload/workload.h"

#include "gguf_writer.h"

#include <string.h>

static bool parse(const GByteArray *file, struct workload_facts *ret, GError **error)
{
    return workload_facts_parse_gguf(file->data, file->len, file->len, "t.gguf", ret, error);
}

static void test_gguf_facts(void)
{
    g_autoptr(GByteArray) file = gguf_tiny_llama();
    g_auto(owned_facts) f = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(parse(file, &f, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(f.architecture, ==, "llama");
    g_assert_cmpstr(f.name, ==, "tiny");
    g_assert_cmpstr(f.licence, ==, "mit");
    g_assert_cmpstr(f.form, ==, "f32");
    g_assert_cmpint(f.n_layers, ==, 2);
    g_assert_cmpint(f.n_heads, ==, 2);
    g_assert_cmpint(f.n_kv_heads, ==, 1);
    g_assert_cmpint(f.head_dim_k, ==, 32);
    g_assert_cmpint(f.n_vocab, ==, 32);
    g_assert_true(f.gated_mlp);
    g_assert_true(f.tied_embeddings);
    int64_t per_layer = 64 + 64 * 64 * 2 + 64 * 32 * 2 + 64 + 3 * 64 * 96;
    g_assert_cmpint(f.n_params, ==, 64 * 32 + 64 + 2 * per_layer);
    g_assert_cmpint(f.weights_bytes, ==, 4 * f.n_params);
    g_assert_cmpint(f.file_bytes, ==, file->len);
    g_autoptr(json_t) tree = workload_facts_json(&f);
    g_assert_cmpint(json_integer_value(json_object_get(tree, "n_kv_heads")), ==, 1);
    g_assert_null(json_object_get(tree, "n_experts"));
}

/* Whatever the length at which it is cut, a file is an error that says it is truncated, or not a GGUF at all. */
static void test_gguf_truncated(void)
{
    g_autoptr(GByteArray) file = gguf_tiny_llama();
    for (size_t length = 0; length < file->len; length += length < 4000 ? 1 : 997) {
        struct workload_facts f = {0};
        g_autoptr(GError) error = NULL;
        g_assert_false(
            workload_facts_parse_gguf(file->data, length, (int64_t)length, "t.gguf", &f, &error));
        g_assert_error(error, LLEM_ERROR, LLEM_ERROR_DATA);
        g_assert_true(g_str_has_prefix(error->message, "t.gguf: "));
        if (length >= 4)
            g_assert_nonnull(strstr(error->message, "truncated"));
    }
}

/* Damage of any single byte is an error or facts, never a crash or a hang; many seeds, every byte of the header. */
static void test_gguf_damaged_bytes(void)
{
    g_autoptr(GByteArray) sound = gguf_tiny_llama();
    for (guint at = 0; at < 3000; at++) {
        g_autofree guint8 *bytes = g_memdup2(sound->data, sound->len);
        bytes[at] = (guint8)(bytes[at] + 1 + g_test_rand_int_range(0, 255));
        g_auto(owned_facts) f = {0};
        g_autoptr(GError) error = NULL;
        bool ok = workload_facts_parse_gguf(bytes, sound->len, sound->len, "t.gguf", &f, &error);
        g_assert_true(ok == (error == NULL));
    }
}

struct damage {
    const char *name;
    void (*make)(struct gguf_writer *w);
    enum llem_error_code code;
    const char *message; /* must occur */
};

static void no_architecture(struct gguf_writer *w)
{
    gguf_put_u32(w, "llama.block_count", 2);
}
static void key_twice(struct gguf_writer *w)
{
    gguf_put_u32(w, "a", 2);
    gguf_put_u32(w, "a", 2);
}
static void tensor_twice(struct gguf_writer *w)
{
    gguf_put_string(w, "general.architecture", "llama");
    gguf_put_tensor(w, "a", 32, 1, 0, NULL, 128);
    gguf_put_tensor(w, "a", 32, 1, 0, NULL, 128);
}
static void odd_alignment(struct gguf_writer *w)
{
    gguf_put_u32(w, "general.alignment", 24);
}
static void unknown_type(struct gguf_writer *w)
{
    gguf_put_tensor(w, "a", 32, 1, 4, NULL, 128);
}
static void half_a_block(struct gguf_writer *w)
{
    gguf_put_tensor(w, "a", 31, 1, 2, NULL, 128);
}
static void huge_tensor(struct gguf_writer *w)
{
    gguf_put_tensor(w, "a", UINT64_C(1) << 40, UINT64_C(1) << 40, 0, NULL, 128);
}
static void past_the_end(struct gguf_writer *w)
{
    gguf_put_string(w, "general.architecture", "llama");
    gguf_put_tensor(w, "blk.0.big", 4096, 1024, 0, NULL, 128);
}

static void test_gguf_refused(void)
{
    static const struct damage cases[] = {
        {"no architecture", no_architecture, LLEM_ERROR_DATA, "general.architecture"},
        {"key twice", key_twice, LLEM_ERROR_DATA, "'a' occurs twice"},
        {"tensor twice", tensor_twice, LLEM_ERROR_DATA, "occurs twice"},
        {"odd alignment", odd_alignment, LLEM_ERROR_DATA, "general.alignment 24"},
        {"unknown type", unknown_type, LLEM_ERROR_UNSUPPORTED, "type 4"},
        {"half a block", half_a_block, LLEM_ERROR_DATA, "size of tensor 'a'"},
        {"huge tensor", huge_tensor, LLEM_ERROR_DATA, "size of tensor 'a'"},
        {"past the end", past_the_end, LLEM_ERROR_DATA, "'blk.0.big' ends at byte"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct gguf_writer w;
        gguf_writer_init(&w);
        cases[i].make(&w);
        g_autoptr(GByteArray) file = gguf_writer_finish(&w);
        struct workload_facts f = {0};
        g_autoptr(GError) error = NULL;
        g_test_message("%s", cases[i].name);
        g_assert_false(parse(file, &f, &error));
        g_assert_error(error, LLEM_ERROR, (int)cases[i].code);
        g_assert_nonnull(strstr(error->message, cases[i].message));
    }
}

static void test_gguf_counts_bounded(void)
{
    g_autoptr(GByteArray) file = gguf_tiny_llama();
    memset(file->data + 8, 0xff, 8); /* tensors */
    struct workload_facts f = {0};
    g_autoptr(GError) error = NULL;
    g_assert_false(parse(file, &f, &error));
    g_assert_error(error, LLEM_ERROR, LLEM_ERROR_LIMIT);
}

/* Per-layer arrays are of each layer; a file type that is missing is the type of most bytes. */
static void test_gguf_arrays(void)
{
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_put_string(&w, "general.architecture", "openelm");
    gguf_put_u32(&w, "openelm.block_count", 2);
    gguf_put_u32(&w, "openelm.embedding_length", 64);
    gguf_put_u32s(&w, "openelm.attention.head_count", (const uint32_t[]){2, 6}, 2);
    gguf_put_u32s(&w, "openelm.attention.head_count_kv", (const uint32_t[]){1, 3}, 2);
    gguf_put_u32s(&w, "openelm.feed_forward_length", (const uint32_t[]){128, 256}, 2);
    gguf_put_tensor(&w, "a", 64, 1, 0, NULL, 256);
    gguf_put_tensor(&w, "b", 64, 64, 8, NULL, 64 * 2 * 34);
    g_autoptr(GByteArray) file = gguf_writer_finish(&w);
    g_auto(owned_facts) f = {0};
    g_assert_true(parse(file, &f, NULL));
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(f.layers[i].n_heads, ==, i ? 6 : 2);
        g_assert_cmpint(f.layers[i].n_kv_heads, ==, i ? 3 : 1);
        g_assert_cmpint(f.layers[i].d_ffn, ==, i ? 256 : 128);
    }
    g_assert_cmpint(f.n_heads, ==, 6);
    g_assert_cmpint(f.n_kv_heads, ==, 3);
    g_assert_cmpint(f.d_ffn, ==, 256);
    g_assert_cmpstr(f.form, ==, "q8_0");
}

static void test_read_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("llem-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "m.gguf", NULL);
    g_autoptr(GByteArray) file = gguf_tiny_llama();
    g_assert_true(g_file_set_contents(path, (const char *)file->data, file->len, NULL));
    g_auto(owned_facts) f = {0};
    g_assert_true(workload_facts_read(path, &f, NULL));
    g_assert_cmpint(f.n_layers, ==, 2);
    g_autoptr(GError) missing = NULL;
    struct workload_facts none = {0};
    g_assert_false(workload_facts_read("/nowhere/at/all.gguf", &none, &missing));
    g_assert_error(missing, LLEM_ERROR, LLEM_ERROR_IO);
    g_autoptr(GError) folder = NULL;
    g_assert_false(workload_facts_read(dir, &none, &folder));
    g_assert_nonnull(strstr(folder->message, "config.json"));
    g_assert_true(file_remove_tree(dir, NULL));
}

static const char llama_config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 576, "
    "\"intermediate_size\": 1536, \"num_hidden_layers\": 30, \"num_attention_heads\": 9, "
    "\"num_key_value_heads\": 3, "
    "\"vocab_size\": 49152, \"max_position_embeddings\": 8192, \"tie_word_embeddings\": true, "
    "\"dtype\": \"bfloat16\"}";
static const char gpt2_config[] = "{\"model_type\": \"gpt2\", \"n_embd\": 768, \"n_layer\": 12, "
                                  "\"n_head\": 12, \"vocab_size\": 50257, \"n_positions\": 1024}";

static void write_folder(const char *dir, const char *config, const char *head, int64_t data_bytes)
{
    g_autofree char *path = g_build_filename(dir, "config.json", NULL);
    g_assert_true(g_file_set_contents(path, config, -1, NULL));
    if (!head)
        return;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    uint64_t length = GUINT64_TO_LE(strlen(head));
    g_byte_array_append(bytes, (const guint8 *)&length, 8);
    g_byte_array_append(bytes, (const guint8 *)head, (guint)strlen(head));
    for (int64_t i = 0; i < data_bytes; i++)
        g_byte_array_append(bytes, (const guint8 *)"", 1);
    g_autofree char *weights = g_build_filename(dir, "model.safetensors", NULL);
    g_assert_true(g_file_set_contents(weights, (const char *)bytes->data, bytes->len, NULL));
}

static void test_hf_facts(void)
{
    g_autofree char *dir = g_dir_make_tmp("llem-XXXXXX", NULL);
    static const char head[] =
        "{\"__metadata__\": {\"format\": \"pt\"}, "
        "\"a\": {\"dtype\": \"BF16\", \"shape\": [3, 4], \"data_offsets\": [0, 24]}, "
        "\"b\": {\"dtype\": \"BF16\", \"shape\": [4], \"data_offsets\": [24, 32]}}";
    write_folder(dir, llama_config, head, 32);
    g_auto(owned_facts) f = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(workload_facts_read(dir, &f, &error));
    g_assert_no_error(error);
    g_assert_cmpint(f.format, ==, WORKLOAD_FORMAT_HF);
    g_assert_cmpstr(f.architecture, ==, "LlamaForCausalLM");
    g_assert_cmpstr(f.form, ==, "bf16");
    g_assert_cmpint(f.head_dim_k, ==, 64);
    g_assert_cmpint(f.n_kv_heads, ==, 3);
    g_assert_true(f.gated_mlp && f.tied_embeddings);
    g_assert_cmpint(f.n_params, ==, 16);
    g_assert_cmpint(f.weights_bytes, ==, 32);

    write_folder(dir, llama_config, head, 31);
    g_autoptr(GError) torn = NULL;
    struct workload_facts none = {0};
    g_assert_false(workload_facts_read(dir, &none, &torn));
    g_assert_nonnull(strstr(torn->message, "truncated"));

    write_folder(dir, gpt2_config, NULL, 0);
    g_autofree char *weights = g_build_filename(dir, "model.safetensors", NULL);
    g_assert_cmpint(remove(weights), ==, 0);
    g_auto(owned_facts) gpt2 = {0};
    g_assert_true(workload_facts_read(dir, &gpt2, NULL));
    g_assert_cmpint(gpt2.d_ffn, ==, 4 * 768);
    g_assert_cmpint(gpt2.n_kv_heads, ==, 12);
    g_assert_false(gpt2.gated_mlp);
    g_assert_cmpint(gpt2.n_params, ==, 0);
    g_assert_true(file_remove_tree(dir, NULL));
}

/* ---- estimates ---- */

static struct workload_facts smollm2(void)
{
    return (struct workload_facts){.n_layers = 30,
                                   .n_heads = 9,
                                   .n_kv_heads = 3,
                                   .head_dim_k = 64,
                                   .head_dim_v = 64,
                                   .d_model = 576,
                                   .d_ffn = 1536,
                                   .n_vocab = 49152,
                                   .gated_mlp = true,
                                   .n_params = 134515008};
}

/* The same count made the slow way: every matrix product of every layer of every step. */
static double product(double rows, double inner, double columns)
{
    return 2 * rows * inner * columns;
}

static double flops_by_steps(const struct workload_facts *f, int64_t n_input, int64_t n_output,
                             double *ret_prefill)
{
    double total = 0;
    for (int64_t step = 0; step < n_output; step++) {
        double tokens = step == 0 ? (double)n_input : 1;
        for (int64_t layer = 0; layer < f->n_layers; layer++) {
            double q = (double)(f->n_heads * f->head_dim_k),
                   kv = (double)(f->n_kv_heads * f->head_dim_k);
            total += product(tokens, (double)f->d_model, q) +
                     2 * product(tokens, (double)f->d_model, kv);
            total += product(tokens, q, (double)f->d_model);
            for (int64_t i = 0; i < (step == 0 ? n_input : 1); i++) {
                double context = step == 0 ? (double)(i + 1) : (double)(n_input + step);
                for (int64_t head = 0; head < f->n_heads; head++)
                    total += 2 * product(1, (double)f->head_dim_k, context);
            }
            int64_t experts = f->n_experts ? f->n_experts_used : 1;
            total += (double)experts * (f->gated_mlp ? 3 : 2) *
                     product(tokens, (double)f->d_model, (double)f->d_ffn);
            if (f->n_experts)
                total += product(tokens, (double)f->d_model, (double)f->n_experts);
        }
        total += product(1, (double)f->d_model, (double)f->n_vocab);
        if (step == 0)
            *ret_prefill = total;
    }
    return total;
}

static void test_flops(void)
{
    struct workload_facts llama = smollm2(), plain = smollm2(), moe = smollm2();
    plain.gated_mlp = false;
    plain.n_kv_heads = 9;
    moe.n_experts = 8;
    moe.n_experts_used = 2;
    const struct workload_facts *models[] = {&llama, &plain, &moe};
    static const int64_t lengths[][2] = {{1, 1}, {1, 2}, {7, 1}, {16, 9}, {200, 33}};
    for (size_t m = 0; m < G_N_ELEMENTS(models); m++) {
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
            struct workload_flops flops;
            const char *reason;
            double prefill = 0,
                   total = flops_by_steps(models[m], lengths[i][0], lengths[i][1], &prefill);
            g_assert_true(
                workload_flops_estimate(models[m], lengths[i][0], lengths[i][1], &flops, &reason));
            g_assert_cmpfloat_with_epsilon(flops.prefill / prefill, 1, 1e-12);
            g_assert_cmpfloat_with_epsilon(flops.total / total, 1, 1e-12);
            g_assert_cmpfloat_with_epsilon((flops.decode + flops.prefill) / total, 1, 1e-12);
        }
    }
}

/* The shorthand: about two operations per parameter outside the embedding, and attention and logits on top. */
static void test_flops_shorthand(void)
{
    struct workload_facts f = smollm2();
    struct workload_flops flops;
    const char *reason;
    g_assert_true(workload_flops_estimate(&f, 1, 1, &flops, &reason));
    double matrices =
        (double)f.n_params - 49152.0 * 576 - 61 * 576; /* without embedding and norms */
    double expected = 2 * matrices + 4.0 * 30 * 9 * 64 + 2.0 * 49152 * 576;
    g_assert_cmpfloat_with_epsilon(flops.total / expected, 1, 1e-12);
}

static void test_flops_refused(void)
{
    struct workload_facts f = smollm2();
    struct workload_flops flops;
    const char *reason = NULL;
    g_assert_false(workload_flops_estimate(&f, 0, 1, &flops, &reason));
    g_assert_nonnull(reason);
    f.d_ffn = 0;
    g_assert_false(workload_flops_estimate(&f, 1, 1, &flops, &reason));
    g_assert_nonnull(strstr(reason, "MLP"));
}

static void test_sizes(void)
{
    struct workload_facts f = smollm2();
    /* 30 layers × 3 heads × 64 × (keys and values) × 2 bytes a token */
    g_assert_cmpint(workload_kv_bytes(&f, 256, "f16", "f16", true), ==, 256 * 30 * 3 * 64 * 2 * 2);
    g_assert_cmpint(workload_kv_bytes(&f, 256, "q8_0", "f16", true), ==,
                    256 * 30 * 3 * 64 / 32 * 34 + 256 * 30 * 3 * 64 * 2);
    g_assert_cmpint(workload_kv_bytes(&f, 256, "int3", "f16", true), ==, -1);
    g_assert_cmpint(workload_weights_bytes(&f, "f32"), ==, 4 * f.n_params);
    g_assert_cmpint(workload_weights_bytes(&f, "q8_0"), ==, f.n_params / 32 * 34);
    g_assert_cmpint(workload_weights_bytes(&f, "nonsense"), ==, -1);
    f.n_layers = 0;
    g_assert_cmpint(workload_kv_bytes(&f, 256, "f16", "f16", true), ==, -1);
}

/* ---- identity ---- */

static void test_ids_sha256(void)
{
    static const int32_t a[] = {1, 2, 3}, b[] = {-1};
    const int32_t *both[] = {a, b}, *swapped[] = {b, a}, *joined[] = {a};
    g_autofree char *sum = workload_ids_sha256(both, (const size_t[]){3, 1}, 2);
    g_autofree char *other = workload_ids_sha256(swapped, (const size_t[]){1, 3}, 2);
    g_autofree char *split = workload_ids_sha256(joined, (const size_t[]){3}, 1);
    /* printf '\3\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\1\0\0\0\377\377\377\377' | sha256sum */
    static const guchar bytes[] = {3, 0, 0, 0, 1, 0, 0, 0, 2,   0,   0,   0,
                                   3, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255};
    g_autofree char *expected = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, sizeof bytes);
    g_assert_cmpstr(sum, ==, expected);
    g_assert_cmpstr(sum, !=, other);
    g_assert_cmpstr(sum, !=, split);
}

static void test_ids_turn(void)
{
    static const int32_t ids[] = {5, 6, 7};
    static const struct {
        size_t by;
        int32_t want[3];
    } rows[] = {{0, {5, 6, 7}}, {1, {6, 7, 5}}, {2, {7, 5, 6}}, {3, {5, 6, 7}}, {7, {6, 7, 5}}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int32_t got[3];
        workload_ids_turn(ids, 3, rows[i].by, got);
        g_assert_cmpmem(got, sizeof got, rows[i].want, sizeof got);
    }
    workload_ids_turn(ids, 0, 4, NULL); /* nothing to turn */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/workload/gguf/facts", test_gguf_facts);
    g_test_add_func("/workload/ids/turn", test_ids_turn);
    g_test_add_func("/workload/gguf/truncated", test_gguf_truncated);
    g_test_add_func("/workload/gguf/damaged-bytes", test_gguf_damaged_bytes);
    g_test_add_func("/workload/gguf/refused", test_gguf_refused);
    g_test_add_func("/workload/gguf/counts-bounded", test_gguf_counts_bounded);
    g_test_add_func("/workload/gguf/arrays", test_gguf_arrays);
    g_test_add_func("/workload/facts/files", test_read_files);
    g_test_add_func("/workload/hf/facts", test_hf_facts);
    g_test_add_func("/workload/flops/by-steps", test_flops);
    g_test_add_func("/workload/flops/shorthand", test_flops_shorthand);
    g_test_add_func("/workload/flops/refused", test_flops_refused);
    g_test_add_func("/workload/sizes", test_sizes);
    g_test_add_func("/workload/ids-sha256", test_ids_sha256);
    return g_test_run();
}
