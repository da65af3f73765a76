/* ferryman sandbox --dir DIR: the embedded cluster alone, in the foreground. It is a program of its own, so this becomes it. */
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli.h"
#include "sandbox_child.h"

static int run(struct cli *cli) {
    if (!cli->dir) return cli_report(err_new(ERR_USAGE, "sandbox: --dir DIR is missing: where its kubeconfig, plan and data go"));
    char *program = sandbox_child_program(cli);
    char **argv = mem_calloc((size_t)cli->nargs + 4, sizeof *argv);
    argv[0] = mem_strdup("ferryman-sandbox");
    argv[1] = mem_strdup("--dir");
    argv[2] = mem_strdup(cli->dir);
    for (int i = 0; i < cli->nargs; i++) argv[3 + i] = cli->args[i];
    execv(program, argv);
    int status = cli_report(err_sys(errno, "cannot run %s; build or install it beside ferryman", program));
    for (int i = 0; i < 3; i++) mem_free(argv[i]);
    mem_free(argv);
    mem_free(program);
    return status;
}

const struct subcommand command_sandbox = {
    .name = "sandbox",
    .usage = "sandbox --dir DIR",
    .summary = "run the embedded cluster alone; DIR/kubeconfig and DIR/plan.yaml work as they are",
    .run = run,
};
