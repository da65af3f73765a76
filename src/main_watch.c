/* ferryman watch: the validation window on the wall, or as lines for cron, systemd and a pod, or as the stream. */
#include "cli.h"
#include "main_console.h"
#include "setup.h"
#include "watch_stream.h"
#include "watch_text.h"

static int stream(struct cli *cli) {
    struct setup setup = {0};
    struct err *e = setup_load(cli, &setup);
    if (!e) e = watch_stream(&setup, cli->for_ms);
    setup_free(&setup);
    return cli_report(e);
}

static int run(struct cli *cli) {
    struct err *e = NULL;
    if (cli->nargs) e = err_new(ERR_USAGE, "watch takes no argument '%s'", cli->args[0]);
    else if (cli->json && !cli->headless) e = err_new(ERR_USAGE, "watch --json needs --headless");
    else if (cli->bell && (cli->headless || cli->plain)) e = err_new(ERR_USAGE, "watch --bell is for the full screen, not for --headless or --plain");
    else if (cli->for_ms && !cli->headless && !cli->plain) e = err_new(ERR_USAGE, "watch --for needs --headless: on the full screen q ends it");
    if (e) return cli_report(e);
    if (cli->json) return stream(cli);
    if (cli->headless || cli->plain) return watch_text(cli, &(struct watch_text_options){.may_spawn = true, .judges = true, .timeline = cli->plain});
    return main_console(cli, CONSOLE_WATCH);
}

const struct subcommand command_watch = {
    .name = "watch",
    .usage = "watch",
    .summary = "the validation window on the whole screen; --headless: a line for each change, --json: the stream",
    .run = run,
};
