/* SPDX-License-Identifier: MIT */
/*
 * cli: the command line of `llem`. One file per command; each defines one `const struct cli_command`, and commands.c
 * lists them in the order of the help text. This is the only room that prints or decides exit codes; it holds no logic
 * a test would want to call.
 *
 * A command is a table of actions: `run` has one without a name, `config` has five with names. An action is a row with
 * its own options; the dispatcher (dispatch.c) finds it, parses its options with GOption, counts its arguments, says
 * what is wrong with either, and calls run(). Help, usage lines, did-you-mean and the dump of all commands are made
 * from the rows. An action prints results on stdout and everything else on stderr, and returns an exit code.
 */
#pragma once

#include "base/base.h"

#include <stdio.h>

/* The exit codes of `llem`, which are those of errors (base/error.h). */
enum cli_exit {
    CLI_OK = LLEM_EXIT_OK,
    /* a run failed, was lost or refused; a check failed; what was asked for is not there */
    CLI_FAILED = LLEM_EXIT_FAILED,
    CLI_USAGE = LLEM_EXIT_USAGE,   /* the command line or a configuration is wrong */
    CLI_SIGNAL = LLEM_EXIT_SIGNAL, /* plus the number of the signal that ended it */
};

struct cli_action {
    const char *name;            /* NULL: the command has this one action */
    const char *arguments;       /* "FILE [KEY=VALUE…]", behind [OPTION…] in the usage line; "" for none */
    const char *summary;         /* one line, no full stop */
    const char *details;         /* NULL or paragraphs for `llem help COMMAND ACTION` */
    const char *missing;         /* NULL or what to say when an argument is missing, in place of "NAME is missing" */
    int min, max;                /* how many arguments; max -1: any number */
    const GOptionEntry *options; /* NULL or rows ended by {0} */
    int (*run)(int argc, char **argv); /* the arguments alone: argv[0] is the first, argv[argc] is NULL */
};

struct cli_command {
    const char *name;
    const char *summary; /* of a group of actions; a single action has its own */
    const char *details; /* the same */
    const struct cli_action *actions; /* ended by {0} */
};

/* A spelling of former versions: `llem COMMAND WORD …` is read as `llem INSTEAD …`, wherever WORD stands. */
struct cli_alias {
    const char *command;
    const char *word;    /* an action, an option, or NULL: no action was named */
    const char *instead; /* words apart by one blank */
};

extern const struct cli_command *const cli_commands[]; /* NULL-terminated, in the order of the help text */
extern const struct cli_alias cli_aliases[];           /* ended by {0} */

extern const struct cli_command cli_plan;
extern const struct cli_command cli_run;
extern const struct cli_command cli_show;
extern const struct cli_command cli_doctor;
extern const struct cli_command cli_config;
extern const struct cli_command cli_model;
extern const struct cli_command cli_dataset;
extern const struct cli_command cli_engine;
extern const struct cli_command cli_result;
extern const struct cli_command cli_meter;

/* --- Dispatch ----------------------------------------------------------------------------------------------------- */

/* Runs the command line behind "llem"; the exit code. argv ends with NULL. */
int cli_dispatch(int argc, char **argv);

/* --- Help (help.c) ------------------------------------------------------------------------------------------------ */

/* True if the command has one action, which has no name. */
bool cli_is_single(const struct cli_command *command);
void cli_help(FILE *to);
void cli_help_command(const struct cli_command *command, FILE *to);
void cli_help_action(const struct cli_command *command, const struct cli_action *action, FILE *to);
/* "llem config check [OPTION…] FILE [KEY=VALUE…]". New string. */
char *cli_usage_line(const struct cli_command *command, const struct cli_action *action);
/* Commands, actions, arguments and options as JSON: for completions and manual pages. New reference. */
json_t *cli_describe(void);

/* --- Output ------------------------------------------------------------------------------------------------------- */

/* Standard output is ours alone from here on: what a library prints there goes to stderr (base/output.h). */
void cli_take_stdout(void);
/* Where results go: never the C library's stdout, which is everybody's. */
FILE *cli_out(void);
/* Every text of llem goes to a terminal through these: what others wrote in it is shown and not obeyed
 * (base/visible.h). cli_print: on cli_out(); cli_say: on stderr. */
void cli_print(const char *format, ...) G_GNUC_PRINTF(1, 2);
void cli_say(const char *format, ...) G_GNUC_PRINTF(1, 2);
void cli_write(FILE *to, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* A sequence of ours that a terminal is to obey; a constant. */
void cli_control(FILE *to, const char *sequence);
#define CLI_RED        "\033[31m"
#define CLI_GREEN      "\033[32m"
#define CLI_YELLOW     "\033[33m"
#define CLI_PLAIN      "\033[0m"
#define CLI_CLEAR_LINE "\r\033[K"
#define CLI_CLEAR_PAGE "\033[H\033[J"
/* Prints what is wrong, in colour where stderr may carry it. */
void cli_print_diagnostics(const struct diag *diag);
/* Prints a tree on stdout, indented, and lets go of it. Returns CLI_OK. */
int cli_print_json(json_t *tree);
/* Prints a tree in one line, with texts of a longer document before and behind it, and lets go of it. */
void cli_print_json_line(const char *before, json_t *tree, const char *behind);
/* Prints "llem COMMAND ACTION: MESSAGE" (and nothing of the domain) on stderr; returns the exit code of the error. */
int cli_fail(const GError *error);
/* Prints "llem COMMAND ACTION: MESSAGE" on stderr; returns CLI_USAGE. */
int cli_misuse(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* True if stdout or stderr may carry colour (terminal, no NO_COLOR). */
bool cli_colour(int fd);
/* Sends off what was printed so far, before something else is printed on stderr. */
void cli_flush_stdout(void);
/* Flushes stdout; CLI_OK, or CLI_FAILED after a message when something printed was lost (full disk, closed pipe). */
int cli_close_stdout(void);
