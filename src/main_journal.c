/* ferryman journal show|verify|import: what was done, from the journal alone; no cluster is asked. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"
#include "journal_story.h"
#include "migrate/journal.h"
#include "migrate/plan.h"

/* The file that is meant: an argument, else the journal of --plan. malloc'd. *ret_plan is set if a plan was read. */
static struct err *find_file(const struct cli *cli, char **ret, struct plan **ret_plan) {
    if (cli->nargs > 2) return err_new(ERR_USAGE, "journal %s: unexpected argument '%s'", cli->args[0], cli->args[2]);
    if (cli->nargs == 2) {
        *ret = mem_strdup(cli->args[1]);
        return NULL;
    }
    if (!cli->plan) return err_new(ERR_USAGE, "journal %s: whose journal? Use --plan FILE, or name a journal's file", cli->args[0]);
    struct err *e = plan_load(cli->plan, ret_plan);
    if (e) return e;
    char *dir = journal_dir((*ret_plan)->name);
    *ret = str_printf("%s/journal.jsonl", dir);
    mem_free(dir);
    return NULL;
}

static struct err *show(const struct cli *cli, const char *file, const struct plan *plan) {
    if (plan && !file_exists(file)) {
        if (!cli->json) printf("nothing was done with plan %s on this machine yet (there is no %s)\n", plan->name, file);
        else puts("{\"schema\":1,\"records\":[]}");
        return NULL;
    }
    struct story *s = story_new();
    size_t records;
    char head[JOURNAL_HASH_SIZE];
    bool torn;
    struct buf out = {0};
    struct err *e = journal_read(file, story_add, s, &records, head, &torn);
    if (!e && cli->json) story_json(s, head, torn, &out);
    else if (!e) story_text(s, torn, &out);
    fwrite(buf_str(&out), 1, out.len, stdout);
    buf_free(&out);
    story_free(s);
    return e;
}

static struct err *verify(const struct cli *cli, const char *file) {
    size_t records;
    char head[JOURNAL_HASH_SIZE];
    bool torn;
    struct err *e = journal_read(file, NULL, NULL, &records, head, &torn);
    if (e) {
        if (err_kind(e) == ERR_SYSTEM) err_set_kind(e, ERR_DATA);
        return e;
    }
    if (cli->json) printf("{\"schema\":1,\"records\":%zu,\"head\":\"%s\",\"torn\":%s}\n", records, head, torn ? "true" : "false");
    else
        printf("%s: %zu record%s, an unbroken chain; %s\nhead %s\n", file, records, records == 1 ? "" : "s",
               torn ? "the last one is torn, as a crash leaves it: it is put aside when ferryman starts" : "the last one is whole", head);
    return NULL;
}

static struct err *import(const struct cli *cli) {
    struct plan *plan = NULL;
    size_t records = 0;
    char head[JOURNAL_HASH_SIZE];
    if (cli->nargs != 2 || !cli->plan) return err_new(ERR_USAGE, "journal import: ferryman --plan PLAN journal import FILE");
    struct err *e = plan_load(cli->plan, &plan);
    if (e) return e;
    char *dir = journal_dir(plan->name);
    e = journal_import(dir, plan->name, cli->args[1], &records, head);
    if (!e && records) printf("%s: %zu records are now the journal of plan %s in %s\nhead %s\n", cli->args[1], records, plan->name, dir, head);
    else if (!e) printf("%s: everything in it is in the journal of plan %s already\nhead %s\n", cli->args[1], plan->name, head);
    mem_free(dir);
    plan_free(plan);
    return e;
}

static int run(struct cli *cli) {
    const char *what = cli->nargs ? cli->args[0] : "";
    if (str_eq(what, "import")) return cli_report(import(cli));
    if (!str_eq(what, "show") && !str_eq(what, "verify"))
        return cli_report(err_new(ERR_USAGE, "journal: show, verify or import FILE; see ferryman(1)"));
    char *file = NULL;
    struct plan *plan = NULL;
    struct err *e = find_file(cli, &file, &plan);
    if (!e) e = str_eq(what, "show") ? show(cli, file, plan) : verify(cli, file);
    plan_free(plan);
    mem_free(file);
    return cli_report(e);
}

const struct subcommand command_journal = {
    .name = "journal",
    .usage = "journal show|verify|import",
    .summary = "what was done; its chain of hashes; take one over from another machine",
    .run = run,
};
