/* SPDX-License-Identifier: MIT */
/* The door of a fuzz target, as libFuzzer names it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
