/* SPDX-License-Identifier: MIT */
/*
 * cli: the subcommands of `llem`. One file per subcommand; each defines one `const struct cli_command`, and main.c
 * lists them in the order of the help text. This is the only room that prints or decides exit codes; it holds no
 * logic a test would want to call.
 *
 * A subcommand parses its own arguments with GOption through cli_parse(), prints results on stdout and everything
 * else on stderr, and returns an exit code (the rows of base/error.h say which).
 */
#pragma once

#include "base/base.h"

struct cli_command {
    const char *name;
    const char *arguments; /* "FILE [KEY=VALUE…]", behind [OPTION…] in the usage line */
    const char *summary;   /* one line, no full stop */
    const char *details;   /* NULL or paragraphs for `llem help NAME` */
    int (*run)(const struct cli_command *self, int argc, char **argv);
    const GOptionEntry *options; /* NULL or rows ended by {0}; help and completion are made from them */
};

extern const struct cli_command *const cli_commands[]; /* NULL-terminated, in the order of the help text */

extern const struct cli_command cli_run;
extern const struct cli_command cli_result;
extern const struct cli_command cli_config;
extern const struct cli_command cli_model;
extern const struct cli_command cli_engine;
extern const struct cli_command cli_meter;

/* Parses argv by self->options; min and max bound the positional arguments left in argv[1…] (max -1: any).
 * Returns 0, or an exit code after the message was printed (also for --help, where it is 0 and *ret_done is set). */
int cli_parse(const struct cli_command *self, int *argc, char ***argv, int min, int max, bool *ret_done);
/* Options whose help begins with "ACTION: " are of that action alone. Whether none of another was given; prints which. */
bool cli_options_of_action(const struct cli_command *self, const char *action);
/* Prints "llem: MESSAGE" (and nothing of the domain) on stderr; returns the exit code of the error. */
int cli_fail(const GError *error);
/* Whether stdout or stderr may carry colour (terminal, no NO_COLOR). */
bool cli_colour(int fd);
/* What was printed so far, before something else is printed on stderr. */
void cli_flush_stdout(void);
/* Flushes stdout; 0, or 1 after a message when something printed was lost (full disk, closed pipe). */
int cli_close_stdout(void);
