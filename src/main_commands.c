/* ferryman commands: the console's keys and commands for the manual page, the key reference and shell completion. Not listed in the
 * help: what it prints is built into the documents, and a check compares them. */
#include <stdio.h>

#include "cli.h"
#include "base/buf.h"
#include "ui/command.h"

static int run(struct cli *cli) {
    struct buf out = {0};
    struct err *e = cli->nargs == 1 ? command_document(cli->args[0], &out) : err_new(ERR_USAGE, "commands man|md|bash|zsh");
    if (!e && fwrite(buf_str(&out), 1, out.len, stdout) != out.len) e = err_new(ERR_SYSTEM, "standard output cannot be written");
    buf_free(&out);
    return cli_report(e);
}

const struct subcommand command_commands = {
    .name = "commands",
    .usage = "commands man|md|bash|zsh",
    .run = run,
};
