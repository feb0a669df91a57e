/* SPDX-License-Identifier: MIT */
/* Random numbers of a seed, the same on every machine and with every library version: what an order or a judge draws is
 * in the record as its seed. SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The next 64 bits; *state is the seed at first. */
uint64_t random_next(uint64_t *state);
/* Uniform in [0, bound): values of the last, incomplete round are drawn again. bound > 0. */
uint64_t random_below(uint64_t *state, uint64_t bound);
/* Uniform in [0, 1): the 53 high bits. */
double random_uniform(uint64_t *state);
/* A uniform permutation of n elements of size bytes (Fisher–Yates, from the last element down). */
void random_shuffle(void *elements, size_t n, size_t size, uint64_t *state);
