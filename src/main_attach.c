/* ferryman attach: a second terminal on a running engine. */
#include "cli.h"
#include "main_console.h"

static int run(struct cli *cli) {
    return main_console(cli, CONSOLE_ATTACH);
}

const struct subcommand command_attach = {
    .name = "attach",
    .usage = "attach",
    .summary = "a second terminal on the engine that runs for this plan; read-only",
    .run = run,
};
