/* The command line: global options, and one const table of subcommands (main.c), each in its own main_*.c. */
#ifndef FERRYMAN_CLI_H
#define FERRYMAN_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The values of an option that may be given several times. */
struct cli_words {
    const char **v;
    size_t n;
};

struct cli {
    const char *program;     /* argv[0] */
    const char *plan, *kubeconfig, *context, *ns, *theme, *color, *log, *socket;
    bool json, ascii, mouse, sandbox, headless, help;
    bool bell, plain;        /* of watch; of console, attach and watch */
    int64_t for_ms;          /* of watch: how long; 0: without end */
    int64_t timeout_ms;
    bool timeout_given;
    const char *arm;         /* of run and rollback: */
    struct cli_words confirm, skip, override;
    bool through_windows;
    bool pin;                /* of plan check */
    const char *passphrase_file, *output; /* of dump and snapshot */
    char *dir;               /* --dir; of the sandbox that --sandbox started, too */
    char **args;             /* what follows the subcommand, NULL-terminated */
    int nargs;
};

struct subcommand {
    const char *name;
    const char *usage, *summary; /* NULL summary: not listed (internal) */
    int (*run)(struct cli *cli); /* returns the exit status; has reported its errors */
};

extern const struct subcommand command_console, command_status, command_watch, command_attach, command_plan, command_sandbox,
    command_engine, command_commands, command_journal, command_run, command_rollback, command_dump, command_snapshot;

struct option;
/* The tables that shell completion is made of: NULL-terminated, and ended by an option without a name. */
const struct subcommand *const *cli_subcommands(void);
const struct option *cli_options(void);

/* Prints "ferryman: TEXT" on stderr (and logs it), frees the error, returns its exit status; 0 for NULL. */
int cli_report(struct err *e);

#endif
