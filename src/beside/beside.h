/* SPDX-License-Identifier: MIT */
/*
 * beside: sensors that only the host sees, read by the parent of a run whose worker is elsewhere (in a container).
 *
 *   b = beside_new(config, &error)           opens them; watches those that are not known yet
 *   beside_tell(b, &exchange)                what the worker must know to plan for them, and the clock it must share
 *   beside_begin(b, exchange_dir, &error)    before the worker starts: reads them, into host_trace.csv.gz
 *   beside_end(b, config_hash, &error)       after it has ended: host_energy.json beside its result, if there is one
 *   beside_free(b)
 *
 * The figures are those that the worker would make of the same readings (room account), over the stretches that its
 * record tells. A result whose sensors could not be accounted for stays whole: its energy is absent then.
 * Threading: one thread at a time; it starts those of a sampler.
 */
#pragma once

#include "config/config.h"
#include "exchange/exchange.h"

struct beside;

/* Errors: METER, CONFIG. */
struct beside *beside_new(const struct config *config, GError **error);
void beside_free(struct beside *beside);
typedef struct beside owned_beside; /* for g_autoptr(owned_beside) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_beside, beside_free)

/* Fills in host_meter and host_clock. */
void beside_tell(const struct beside *beside, struct exchange *x);
/* The folder is borrowed until the end. Nothing is read where the host has no sensor of joules. */
bool beside_begin(struct beside *beside, const char *exchange_dir, GError **error);
/* Errors: IO, DATA; the result that is there stays as it is. */
bool beside_end(struct beside *beside, const char *config_hash, GError **error);
