/* SPDX-License-Identifier: MIT */
#include "base/random.h"

uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, value;
    do {
        value = random_next(state);
    } while (value >= limit);
    return value % bound;
}

double random_uniform(uint64_t *state)
{
    return (double)(random_next(state) >> 11) * 0x1p-53;
}

static void swap(unsigned char *a, unsigned char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char keep = a[i];
        a[i] = b[i];
        b[i] = keep;
    }
}

void random_shuffle(void *elements, size_t n, size_t size, uint64_t *state)
{
    unsigned char *at = elements;
    for (size_t i = n; i > 1; i--)
        swap(at + (i - 1) * size, at + (size_t)random_below(state, i) * size, size);
}
