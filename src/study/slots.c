/* SPDX-License-Identifier: MIT */
#include "study/slots.h"

void slots_init(struct slots *slots, size_t n)
{
    *slots = (struct slots){g_new0(struct slot, n), n};
}

void slots_clear(struct slots *slots)
{
    g_clear_pointer(&slots->all, g_free);
    slots->n = 0;
}

bool slots_empty(const struct slots *slots)
{
    for (size_t i = 0; i < slots->n; i++)
        if (slots->all[i].flight)
            return false;
    return true;
}

struct slot *slots_free_one(const struct slots *slots)
{
    int64_t now = clock_mono_ns();
    for (size_t i = 0; i < slots->n; i++)
        if (!slots->all[i].flight && slots->all[i].rests_until_ns <= now)
            return &slots->all[i];
    return NULL;
}

struct slot *slots_wait(const struct slots *slots, int interrupt_fd, bool more_to_come)
{
    g_autofree struct flight **flights = g_new(struct flight *, slots->n);
    int64_t until_ns = INT64_MAX;
    size_t n = 0;
    for (size_t i = 0; i < slots->n; i++)
        if (slots->all[i].flight)
            flights[n++] = slots->all[i].flight;
        else if (more_to_come)
            until_ns = MIN(until_ns, slots->all[i].rests_until_ns);
    const struct flight *ended = flight_wait(flights, n, interrupt_fd, until_ns);
    for (size_t i = 0; ended && i < slots->n; i++)
        if (slots->all[i].flight == ended)
            return &slots->all[i];
    return NULL;
}

void slots_interrupt(const struct slots *slots, int signal_number)
{
    for (size_t i = 0; i < slots->n; i++)
        if (slots->all[i].flight)
            flight_interrupt(slots->all[i].flight, signal_number);
}
