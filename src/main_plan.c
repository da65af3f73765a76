/* ferryman plan check: reads the plan and reports every fault at once. */
#include <stdio.h>

#include "base/str.h"
#include "cli.h"
#include "migrate/plan.h"

static int run(struct cli *cli) {
    struct plan *plan = NULL;
    if (cli->nargs < 1 || !str_eq(cli->args[0], "check"))
        return cli_report(err_new(ERR_USAGE, "plan: what to do with it is missing: ferryman plan check [FILE]"));
    if (cli->nargs > 2) return cli_report(err_new(ERR_USAGE, "plan check: unexpected argument '%s'; one plan at a time", cli->args[2]));
    const char *file = cli->nargs > 1 ? cli->args[1] : cli->plan;
    if (!file) return cli_report(err_new(ERR_USAGE, "plan check: no plan given; name the file or use --plan FILE"));
    struct err *e = plan_load(file, &plan);
    if (e) return cli_report(e);
    printf("%s: plan %s, %zu workload%s, no fault found\n", file, plan->name, plan->nworkloads, plan->nworkloads == 1 ? "" : "s");
    if (!plan->cluster)
        printf("%s: note: 'cluster' is not pinned; write the uid of namespace kube-system there so that another cluster under the same context name is noticed\n", file);
    plan_free(plan);
    return 0;
}

const struct subcommand command_plan = {
    .name = "plan",
    .usage = "plan check [FILE]",
    .summary = "read a plan and report every fault at once",
    .run = run,
};
