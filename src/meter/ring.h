/* SPDX-License-Identifier: MIT */
/* Inside of the room: a ring between one producer and one consumer; fixed memory, no locks, never blocks. */
#pragma once

#include "meter/meter.h"

#include <stdatomic.h>

struct record {
    int64_t before_ns, after_ns, raw;
    uint32_t channel;
    uint32_t status;
};

struct ring {
    struct record *records; /* from mmap, so that it can be locked */
    size_t bytes;
    uint32_t mask;
    _Alignas(64) atomic_uint head; /* next to write; only the producer changes it */
    _Alignas(64) atomic_uint tail; /* next to read; only the consumer changes it */
    _Alignas(64) atomic_llong dropped;
};

bool ring_init(struct ring *ring, size_t min_records, GError **error);
void ring_clear(struct ring *ring);
/* Locks the memory into RAM. */
bool ring_lock(struct ring *ring);

static inline void ring_put(struct ring *ring, const struct record *record)
{
    unsigned head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) > ring->mask) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return;
    }
    ring->records[head & ring->mask] = *record;
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

static inline bool ring_take(struct ring *ring, struct record *ret)
{
    unsigned tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&ring->head, memory_order_acquire))
        return false;
    *ret = ring->records[tail & ring->mask];
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}
