/* SPDX-License-Identifier: MIT */
/*
 * llem-worker --probe: what a worker finds where it is, as one JSON object, without running anything of an experiment.
 * Asked before a study in the very place of its runs (a container of the image, with its boards), and by hand.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* config_path: the exchange file, of which the engine is looked at too; the answer lies beside it as {hash}_probe.json,
 * written again after each part, so that something is known of a place where something else hangs. NULL: there is no engine to look
 * at. The answer is printed in the end. Errors: those of the exchange file and of writing. */
bool probe_run(const char *config_path, int interrupt_fd, GError **error);
/* Prints "CODE VERSION" of the CUDA driver as programs find it; nothing where there is none. What probe_run() starts, since
 * a driver that is not in order may end or hold whoever asks it. */
void probe_cuda(void);
