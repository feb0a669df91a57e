/* SPDX-License-Identifier: MIT */
/*
 * base: what every other room stands on. The one door to this room; it opens onto one header per concern:
 *
 *   error.h     the GError domain, one code per class of failure, with the name a record carries
 *   cgroup.h    the control group of this process, versions 1 and 2
 *   clock.h     monotonic and wall time as int64 nanoseconds; absolute-deadline sleep
 *   file.h      bounded reads, durable writes (temp, fsync, rename, fsync of the folder), SHA-256
 *   digest.h    SHA-256 of large files, remembered
 *   install.h   where this program is installed, what lies beside it
 *   interrupt.h Ctrl-C and SIGTERM as a file descriptor
 *   json.h      jansson with shortest round-trip doubles, canonical form, located errors
 *   num.h       strict, whole-string, locale-free numbers; sizes and durations as people write them
 *   oom.h       whether the kernel took a child for its memory
 *   proc.h      descendants, subreaper, leftovers: nothing is left running
 *   shm.h       shared memory that the killed leave
 *   spawn.h     starting a process, with the step named that failed
 *   suspend.h   Ctrl-Z, for a program whose children are in groups of their own
 *   quantity.h  a number or a reason: value, status, method, sensor
 *   sources.h   the sources of energy: rows that the configuration and the meter share
 *   random.h    seeded random numbers, the same everywhere; shuffling
 *   schema.h    JSON Schemas, piece by piece
 *   diag.h      located diagnostics: every error of a file at once, with line and caret; did-you-mean
 *   doc.h       YAML and JSON documents with a position for every node
 *   limits.h    every bound on input from outside, by name
 *   timebase.h  whether two processes have one monotonic clock
 *   variables.h environment variables whose names tell of secrets
 *   json_fault.h what is wrong with a JSON text, and where
 *   file_lock.h locks of files, held and refused told apart
 *   visible.h   text of others on a terminal
 *   line.h      lines out of a byte stream that arrives in pieces, bounded
 *
 * Ownership: functions returning char * or json_t * hand over a new reference (free with g_free, json_decref);
 * "borrowed" is said where it is not so. Threading: no mutable state but in suspend.h and file_follow_sha256(); call
 * from any thread.
 * Errors: GError ** last, touched only on failure; context is prefixed by the caller on the way up.
 */
#pragma once

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/digest.h"
#include "base/doc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/file_lock.h"
#include "base/install.h"
#include "base/guard.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/json_fault.h"
#include "base/line.h"
#include "base/limits.h"
#include "base/members.h"
#include "base/num.h"
#include "base/oom.h"
#include "base/output.h"
#include "base/proc.h"
#include "base/quantity.h"
#include "base/sources.h"
#include "base/random.h"
#include "base/schema.h"
#include "base/shm.h"
#include "base/spawn.h"
#include "base/suspend.h"
#include "base/timebase.h"
#include "base/variables.h"
#include "base/visible.h"
