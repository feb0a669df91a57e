/* SPDX-License-Identifier: MIT */
/* Any bytes as what a client, a daemon and an engine wrote: a verdict comes out that can be printed and is the same
 * again; as events and as an owner's label: nothing is made up. The first byte is the exit code, the second flags. */
#include "container/container.h"

#include "fuzz.h"

#include <string.h>

#define MOST_TEXT 4096 /* bytes of a verdict's text */

static void check_verdict(const struct container_facts *facts)
{
    struct container_verdict once, again;
    container_classify(facts, &once);
    container_classify(facts, &again);
    g_assert(once.code >= 0 && once.code < LLEM_ERROR_COUNT && once.code == again.code);
    g_assert(once.text && strlen(once.text) < MOST_TEXT && g_utf8_validate(once.text, -1, NULL));
    g_assert_cmpstr(once.text, ==, again.text);
    g_assert(once.code != LLEM_ERROR_OUT_OF_MEMORY || facts->oom_kills > 0 || (facts->end && facts->end->oom));
    container_verdict_clear(&once);
    container_verdict_clear(&again);
}

/* Once the program was at work, no words of its own make it a daemon's that refuses. */
static void check_began(const struct container_facts *facts)
{
    struct container_verdict verdict;
    container_classify(facts, &verdict);
    g_assert(!facts->began || (verdict.code != LLEM_ERROR_DAEMON_DENIED && verdict.code != LLEM_ERROR_DAEMON_DOWN &&
                               verdict.code != LLEM_ERROR_IMAGE_MISSING && verdict.code != LLEM_ERROR_IMAGE_PULL));
    container_verdict_clear(&verdict);
}

static void check_events(const char *text, struct container_end *ret)
{
    container_events_read(text, ret);
    g_assert(ret->exit_code >= -1 && (ret->died || ret->exit_code == -1));
    g_assert(!ret->forgotten || !(ret->started || ret->died || ret->oom));
}

static void check_owner(const char *text)
{
    struct container_owner owner;
    if (!container_owner_parse(text, &owner)) {
        g_assert(container_owner_state(text) == CONTAINER_OWNER_UNKNOWN);
        return;
    }
    struct container_owner same;
    g_autofree char *again = container_owner_text(&owner);
    g_assert(container_owner_parse(again, &same) && same.pid == owner.pid && same.start_ticks == owner.start_ticks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    g_autofree char *text = g_strndup((const char *)data + 2, size - 2);
    struct container_end end;
    check_events(text, &end);
    check_owner(text);
    struct container_facts facts = {.exit_code = data[0],
                                    .client_text = text,
                                    .log_tail = data[1] & 1 ? text : NULL,
                                    .began = data[1] & 2,
                                    .end = data[1] & 4 ? &end : NULL,
                                    .oom_kills = (data[1] >> 3 & 3) - 1};
    check_verdict(&facts);
    check_began(&facts);
    container_wants_events(&facts);
    return 0;
}
