/* SPDX-License-Identifier: MIT */
/*
 * preflight: what would only be found out while a study runs, asked before. A check is a row (preflight/rows.h): what
 * it asks about, why, the probe, the remedy. Each row asks once about each distinct thing, however many cells need it,
 * and all findings are told at once. Rows are contributed by subject: engines and models (their descriptors), data,
 * sensors (the rows of the sources), runners (their own checks), the store. No row knows an engine, a sensor or a
 * runner by name.
 *
 * Calling sequence, before a study:
 *     p = preflight_new(&(struct preflight_options){.results_dir = …, .dispatch = …});
 *     preflight_look_at_plan(p, plan);      or preflight_look(p, config) for every cell
 *     preflight_report(p, diag);            errors and warnings, each at the place of the file that asks for it
 *     preflight_free(p);
 * of the machine (`llem doctor`): preflight_look_at_machine(p), or a plan; then preflight_findings().
 *
 * of a run that is about to begin (room study): preflight_refusal(p, config).
 *
 * A finding is text and a place; the spans of places are borrowed from the configurations' documents, which must live
 * as long as the preflight. Threading: one thread at a time.
 */
#pragma once

#include "config/config.h"
#include "dispatch/dispatch.h"
#include "sweep/sweep.h"

enum preflight_verdict {
    PREFLIGHT_OK,      /* as it should be: the text says what was found */
    PREFLIGHT_EVIDENCE, /* what was found, of which nothing follows: another check has the verdict */
    PREFLIGHT_ABSENT,  /* not here, and nobody asked for it: of the machine alone */
    PREFLIGHT_LACKS,   /* runs are skipped, or have less: a warning */
    PREFLIGHT_REFUSES, /* whoever asks for it cannot run: an error where nothing else can, else a warning */
    PREFLIGHT_FAILS,   /* nothing can run: an error */
    PREFLIGHT_VERDICT_COUNT
};
const char *preflight_verdict_name(enum preflight_verdict verdict); /* "ok", "evidence", "absent", … */

struct preflight_options {
    const char *results_dir;     /* where results would go; NULL: not asked */
    const struct dispatch *dispatch; /* who runs the runs; NULL: not asked */
    bool thorough;               /* checks that take their time, too: `llem doctor` */
    bool starts;                 /* containers may be started, to see what is inside: `llem run`, `llem doctor` */
    bool pulls;                  /* images that are not here are pulled, as before a study: `llem run` */
    int interrupt_fd;            /* ends what takes long, and what is not begun is not asked; -1: none */
    runner_say_fn *say;          /* what is being done; NULL: nobody listens */
    void *say_data;
};

struct preflight_finding {
    const char *id, *why, *remedy; /* of the check */
    char *about;                   /* the thing that was looked at: a source of sensors, "m.gguf for ENGINE" */
    enum preflight_verdict verdict;
    struct diag_span at;           /* source NULL: no place */
    char *text;                    /* what was found */
    char *hint;                    /* what to do about this one, or NULL */
};

struct preflight;

/* Options are borrowed for as long as it lives. */
struct preflight *preflight_new(const struct preflight_options *options);
void preflight_free(struct preflight *p);
typedef struct preflight owned_preflight; /* for g_autoptr(owned_preflight) alone */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(owned_preflight, preflight_free)

/* Looks at what one cell needs. */
void preflight_look(struct preflight *p, const struct config *config);
/* Why a cell could not succeed, however it were begun; NULL: nothing is known against it. What concerns the cell alone
 * is looked at, not the machine; borrowed. For the loop, which begins no run of such a cell. */
const struct preflight_finding *preflight_refusal(struct preflight *p, const struct config *config);
/* Looks at what every cell of a plan needs. */
void preflight_look_at_plan(struct preflight *p, const struct plan *plan);
/* Looks at all there is: every engine, every sensor, without a study that asks for them. */
void preflight_look_at_machine(struct preflight *p);

/* Asks the engine of a cell that runs in a container for its parameters, there, and keeps them
 * (backend_schema_path() of the place). Needs `starts`. New string: the path of the file. NULL: the error says why. */
char *preflight_ask_parameters(struct preflight *p, const struct config *config, GError **error);

/* In the order in which they were found. Borrowed. */
size_t preflight_findings(const struct preflight *p, const struct preflight_finding *const **ret);
/* What a finding comes to for all cells that were looked at: DIAG_ERROR, DIAG_WARNING, or -1 for neither. */
int preflight_severity(const struct preflight *p, const struct preflight_finding *finding);
void preflight_report(const struct preflight *p, struct diag *diag);

/* All checks, what each is for and what to do: the table of docs/docker.md, in Markdown. New string. */
char *preflight_reference(void);
