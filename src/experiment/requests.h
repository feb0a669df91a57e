/* SPDX-License-Identifier: MIT */
/* Internal to experiment: requests.csv. */
#pragma once

#include "experiment/internal.h"

/* Writes what became of each request of a measured block beside the record. */
bool requests_write(const struct inputs *in, const struct session *session, const struct engine_generation *g,
                    GError **error);
