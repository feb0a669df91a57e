/* SPDX-License-Identifier: MIT */
#include "meter/ring.h"

#include <errno.h>
#include <sys/mman.h>

bool ring_init(struct ring *ring, size_t min_records, GError **error)
{
    size_t count = 1024;
    while (count < min_records)
        count *= 2;
    ring->bytes = count * sizeof(struct record);
    ring->mask = (uint32_t)(count - 1);
    ring->records = mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (ring->records == MAP_FAILED) {
        ring->records = NULL;
        return file_error(error, "cannot map memory for", "the sampler's ring");
    }
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->dropped, 0);
    return true;
}

void ring_clear(struct ring *ring)
{
    if (ring->records)
        munmap(ring->records, ring->bytes);
    ring->records = NULL;
}

bool ring_lock(struct ring *ring)
{
    return mlock(ring->records, ring->bytes) == 0;
}
