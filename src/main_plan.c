/* ferryman plan check|show|preview: everything that can be known of a plan before it is carried out. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"
#include "engine.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/migration.h"
#include "migrate/plan.h"
#include "migrate/plan_pin.h"
#include "plan_show.h"
#include "setup.h"
#include "world/world.h"

#define CHECK_MS 20
#define CALM_CHECKS 10
#define PLAN_MAX ((size_t)8 << 20)

/* ---- check --pin ---- */

struct asking {
    struct engine *engine;
    int calm;
    bool done;
};

static void check_settled(void *arg) {
    struct asking *a = arg;
    a->calm = engine_settled(a->engine) ? a->calm + 1 : 0;
    a->done = a->calm >= CALM_CHECKS;
}

/* What one server says, put into the text; *ret_changed is left as it is when nothing is new. */
static struct err *pin_one(struct buf *text, const char *file, const char *workload, struct slice value, const char *what, bool *ret_changed) {
    char *id = slice_dup(value);
    bool changed = false;
    struct err *e = plan_pin(text, file, workload, id, &changed);
    if (!e) printf("%s: %s is %s: %s\n", file, what, id, changed ? "written" : "pinned already");
    *ret_changed = *ret_changed || changed;
    mem_free(id);
    return e;
}

/* Once a move has begun the server that answers need not be the source any more. */
static bool moved(const struct world *w, const char *workload) {
    const struct row *row = world_find(w, T_PLAN_WORKLOADS, slice_of(workload));
    return row && row_text(row, PLAN_WORKLOADS_TOMBSTONE).n > 0;
}

static struct err *pin_databases(struct buf *text, const char *file, const struct plan *p, const struct world *w, bool *ret_changed) {
    struct err *e = NULL;
    for (size_t i = 0; !e && i < p->nworkloads; i++) {
        const char *name = p->workloads[i].name;
        if (p->workloads[i].kind != &plan_kind_postgres) continue;
        const struct row *row = world_find(w, T_PG_SERVERS, slice_of(name));
        struct slice id = row ? row_text(row, PG_SERVERS_IDENTIFIER) : (struct slice){NULL, 0};
        char *what = str_printf("the database of %s", name);
        if (moved(w, name)) printf("%s: %s is being moved or was: its identifier is in the journal, and is not pinned\n", file, what);
        else if (!id.n) printf("%s: %s did not answer: its identifier is not pinned\n", file, what);
        else e = pin_one(text, file, name, id, what, ret_changed);
        mem_free(what);
    }
    return e;
}

static struct err *pin_vaults(struct buf *text, const char *file, const struct plan *p, const struct world *w, bool *ret_changed) {
    struct err *e = NULL;
    for (size_t i = 0; !e && i < p->nworkloads; i++) {
        const char *name = p->workloads[i].name;
        if (p->workloads[i].kind != &plan_kind_raft) continue;
        const struct row *row = world_find(w, T_RAFT_CLUSTERS, slice_of(name));
        struct slice id = row ? row_text(row, RAFT_CLUSTERS_CLUSTER_ID) : (struct slice){NULL, 0};
        char *what = str_printf("the Vault of %s", name);
        if (!id.n) printf("%s: %s did not answer: its cluster_id is not pinned\n", file, what);
        else e = pin_one(text, file, name, id, what, ret_changed);
        mem_free(what);
    }
    return e;
}

static struct err *pin_all(const char *file, const struct plan *p, const struct world *w) {
    const struct row *row = world_find(w, T_CREDENTIALS, SLICE_LIT("kube"));
    struct slice uid = row ? row_text(row, CREDENTIALS_IDENTITY) : (struct slice){NULL, 0};
    struct buf text = {0};
    struct stat st;
    bool changed = false;
    if (!uid.n) return err_new(ERR_UNAVAILABLE, "the cluster of context %s did not tell the uid of namespace kube-system (may it be read?); nothing was written",
                               p->context);
    struct err *e = stat(file, &st) ? err_new(ERR_DATA, "%s: cannot be looked at", file) : file_read(file, PLAN_MAX, &text);
    if (!e) e = pin_one(&text, file, NULL, uid, "the cluster", &changed);
    if (!e) e = pin_databases(&text, file, p, w, &changed);
    if (!e) e = pin_vaults(&text, file, p, w, &changed);
    if (!e && changed) e = file_write_durable(file, text.p, text.len, st.st_mode & 0777);
    buf_free(&text);
    return e;
}

static struct err *pin(const struct cli *cli, const char *file) {
    struct cli with_plan = *cli;
    struct setup setup = {0};
    with_plan.plan = file;
    struct err *e = setup_load(&with_plan, &setup);
    if (e) return e;
    struct loop *loop = loop_new();
    struct asking a = {.engine = engine_new(loop, &setup, false)};
    struct timer *timer = timer_new(loop, check_settled, &a);
    timer_start(timer, CHECK_MS, CHECK_MS);
    loop_run_until(loop, &a.done, cli->timeout_ms);
    e = pin_all(file, setup.plan, engine_world(a.engine));
    timer_free(timer);
    engine_free(a.engine);
    loop_free(loop);
    setup_free(&setup);
    return e;
}

/* ---- Commands ---- */

static struct err *check(const struct cli *cli) {
    struct plan *plan = NULL;
    if (cli->nargs > 2) return err_new(ERR_USAGE, "plan check: unexpected argument '%s'; one plan at a time", cli->args[2]);
    const char *file = cli->nargs > 1 ? cli->args[1] : cli->plan;
    if (!file) return err_new(ERR_USAGE, "plan check: no plan given; name the file or use --plan FILE");
    struct err *e = plan_load(file, &plan);
    if (e) return e;
    printf("%s: plan %s, %zu workload%s, no fault found\n", file, plan->name, plan->nworkloads, plan->nworkloads == 1 ? "" : "s");
    if (!plan->cluster && !cli->pin)
        printf("%s: note: 'cluster' is not pinned: another cluster under the same context name would not be noticed; "
               "plan check --pin writes it\n", file);
    plan_free(plan);
    fflush(stdout);
    return cli->pin ? pin(cli, file) : NULL;
}

static struct err *load_named(const struct cli *cli, const char *what, int args, struct plan **ret) {
    if (cli->nargs > args) return err_new(ERR_USAGE, "plan %s: unexpected argument '%s'", what, cli->args[args]);
    if (!cli->plan) return err_new(ERR_USAGE, "plan %s: no plan given; use --plan FILE", what);
    return plan_load(cli->plan, ret);
}

static void put(struct buf *out) {
    fwrite(buf_str(out), 1, out->len, stdout);
    buf_free(out);
}

static struct err *show(const struct cli *cli) {
    struct plan *plan = NULL;
    struct buf out = {0};
    struct err *e = load_named(cli, "show", 1, &plan);
    if (e) return e;
    if (cli->json) plan_show_json(plan, &out);
    else plan_show_text(plan, &out);
    put(&out);
    plan_free(plan);
    return NULL;
}

static struct err *preview(const struct cli *cli) {
    struct plan *plan = NULL;
    struct buf out = {0};
    struct err *e = load_named(cli, "preview", 2, &plan);
    if (e) return e;
    struct slice rest = slice_of(cli->nargs > 1 ? cli->args[1] : NULL), first = {NULL, 0};
    if (rest.p) slice_cut(&rest, '/', &first);
    char *workload = slice_dup(first), *phase = slice_dup(rest);
    e = migration_preview(plan, workload, phase, &out);
    if (!e) put(&out);
    buf_free(&out);
    mem_free(workload);
    mem_free(phase);
    plan_free(plan);
    return e;
}

static int run(struct cli *cli) {
    const char *what = cli->nargs ? cli->args[0] : "";
    if (cli->pin && !str_eq(what, "check")) return cli_report(err_new(ERR_USAGE, "--pin belongs to plan check"));
    if (str_eq(what, "check")) return cli_report(check(cli));
    if (str_eq(what, "show")) return cli_report(show(cli));
    if (str_eq(what, "preview")) return cli_report(preview(cli));
    return cli_report(err_new(ERR_USAGE, "plan: what to do with it is missing: plan check [--pin] [FILE], plan show, plan preview [WORKLOAD[/PHASE]]"));
}

const struct subcommand command_plan = {
    .name = "plan",
    .usage = "plan check|show|preview",
    .summary = "every fault of a plan; its phases; every request it would make",
    .run = run,
};
