/* SPDX-License-Identifier: MIT */
/* An adapter with an option of every type, two of them nested, that says what it read. */
#include "common/adapter.h"

#include <string.h>

struct place {
    int64_t blocks;
    double share;
    struct adapter_numbers steps;
    bool sink;
    int kind;
    const char *name;
    const json_t *list, *mapping, *any;
};

#define AT(member) offsetof(struct place, member)

static const struct adapter_choice kinds[] = {{"fast", 7}, {"slow", 9}, {0}};

static const struct adapter_option options[] = {
    {"cache.blocks", ADAPTER_INTEGER, "null", 1, 64, NULL, "blocks", AT(blocks), "blocks of the cache"},
    {"cache.share", ADAPTER_NUMBER, "0.5", 0, 1, NULL, NULL, AT(share), "share of the memory"},
    {"steps", ADAPTER_NUMBERS, "1", 0, INFINITY, NULL, "ms", AT(steps), "time of each step"},
    {"sink", ADAPTER_BOOLEAN, "false", ADAPTER_NO_RANGE, NULL, NULL, AT(sink), "a switch"},
    {"kind", ADAPTER_STRING, "\"fast\"", ADAPTER_NO_RANGE, kinds, NULL, AT(kind), "a choice"},
    {"name", ADAPTER_STRING, "null", ADAPTER_NO_RANGE, NULL, NULL, AT(name), "any text"},
    {"list", ADAPTER_LIST, "[]", ADAPTER_NO_RANGE, NULL, NULL, AT(list), "a list"},
    {"mapping", ADAPTER_MAPPING, "{}", ADAPTER_NO_RANGE, NULL, NULL, AT(mapping), "a mapping, not looked into"},
    {"any", ADAPTER_ANY, "null", ADAPTER_NO_RANGE, NULL, NULL, AT(any), "anything"},
    {0},
};

static bool hello(struct adapter *a, void *state, json_t *reply)
{
    (void)a;
    (void)state;
    json_object_set_new(reply, "engine_version", json_string("1"));
    return true;
}

/* "blocks 0, share 0.5, steps 1 of 1, …" as the resolved "read". */
static bool load(struct adapter *a, void *state, const struct adapter_load *l, json_t *reply)
{
    (void)state;
    struct place p = {.blocks = -1};
    json_t *resolved = json_object();
    json_object_set_new(reply, "resolved", resolved);
    json_object_set_new(reply, "memory", json_object());
    json_object_set_new(reply, "engine_version", json_string("1"));
    json_object_set_new(reply, "device", json_string("cpu"));
    adapter_read_options(a, l, &p);
    adapter_echo_options(a, l, resolved);
    g_autofree char *text = g_strdup_printf(
        "blocks %d, share %g, last of %zu steps %g, sink %d, kind %d, name %s, list %zu, mapping %zu, any %s",
        (int)p.blocks, p.share, p.steps.n, p.steps.values[p.steps.n - 1], p.sink, p.kind, p.name ? p.name : "none",
        json_array_size(p.list), json_object_size(p.mapping), p.any ? jsonx_type_name(p.any) : "none");
    json_object_set_new(resolved, "read", json_string(text));
    bool lies = !g_strcmp0(p.name, "liar");
    if (p.blocks > 0)
        json_object_set_new(reply, "in_flight", json_integer(p.blocks + lies));
    g_free(p.steps.values);
    return true;
}

int main(void)
{
    static const struct adapter_ops ops = {
        .adapter = "every-option",
        .adapter_version = "1",
        .engine = "none",
        .options = options,
        .hello = hello,
        .load = load,
    };
    return adapter_main(&ops, NULL);
}
