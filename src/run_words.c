#include "run_words.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli.h"

struct run_pair *run_pair_find(struct run_pairs *list, const char *name) {
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->v[i].name, name)) return &list->v[i];
    return NULL;
}

static struct err *read_pairs(const struct cli_words *words, const char *option, const char *form, struct run_pairs *ret) {
    ret->v = mem_calloc(words->n + 1, sizeof *ret->v);
    for (size_t i = 0; i < words->n; i++) {
        const char *eq = strchr(words->v[i], '=');
        if (!eq || eq == words->v[i] || !eq[1]) return err_new(ERR_USAGE, "%s: '%s' is not of the form %s", option, words->v[i], form);
        struct run_pair pair = {.name = mem_strndup(words->v[i], (size_t)(eq - words->v[i])), .value = mem_strdup(eq + 1)};
        bool twice = run_pair_find(ret, pair.name) != NULL;
        ret->v[ret->n++] = pair;
        if (twice) return err_new(ERR_USAGE, "%s: '%s' is given twice", option, pair.name);
    }
    return NULL;
}

static struct err *read_target(const struct cli *cli, const char *command, struct run_words *w) {
    if (cli->nargs < 1) return err_new(ERR_USAGE, "%s: which workload? See ferryman --plan FILE plan show", command);
    if (cli->nargs > 1) return err_new(ERR_USAGE, "%s: unexpected argument '%s'; one workload at a time", command, cli->args[1]);
    const char *slash = strchr(cli->args[0], '/');
    w->workload = slash ? mem_strndup(cli->args[0], (size_t)(slash - cli->args[0])) : mem_strdup(cli->args[0]);
    if (w->rollback && slash) return err_new(ERR_USAGE, "rollback takes a workload, not one of its phases: ferryman rollback %s", w->workload);
    if (w->rollback) w->phase = mem_strdup("rollback");
    else if (slash) w->phase = mem_strdup(slash + 1);
    if (str_eq(w->phase, "rollback") && !w->rollback) return err_new(ERR_USAGE, "run: that is: ferryman rollback %s", w->workload);
    return NULL;
}

struct err *run_words_read(const struct cli *cli, bool rollback, struct run_words *ret) {
    const char *command = rollback ? "rollback" : "run";
    struct run_words w = {.rollback = rollback, .arm = cli->arm, .through_windows = cli->through_windows};
    struct err *e = read_target(cli, command, &w);
    if (!e && !cli->plan) e = err_new(ERR_USAGE, "%s: no plan given; use --plan FILE", command);
    if (!e && !cli->arm) e = err_new(ERR_USAGE, "%s: --arm CONTEXT is missing: it acts only after the context's name is given", command);
    if (!e) e = read_pairs(&cli->confirm, "--confirm", "PHASE=TEXT", &w.confirm);
    if (!e) e = read_pairs(&cli->skip, "--skip", "PHASE=REASON", &w.skip);
    if (!e) e = read_pairs(&cli->override, "--override", "GATE=REASON", &w.override);
    if (!e && w.through_windows && w.phase) e = err_new(ERR_USAGE, "%s: --through-windows is of a run of all phases; one that is named is run anyway", command);
    if (!e && rollback && w.skip.n) e = err_new(ERR_USAGE, "rollback: no phase can be skipped");
    if (e) run_words_clear(&w);
    else *ret = w;
    return e;
}

static void pairs_clear(struct run_pairs *list) {
    for (size_t i = 0; i < list->n; i++) {
        mem_free(list->v[i].name);
        mem_free(list->v[i].value);
    }
    mem_free(list->v);
}

void run_words_clear(struct run_words *w) {
    mem_free(w->workload);
    mem_free(w->phase);
    pairs_clear(&w->confirm);
    pairs_clear(&w->skip);
    pairs_clear(&w->override);
    *w = (struct run_words){0};
}

/* A word for a shell. */
static void quoted(struct buf *out, const char *text) {
    if (*text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:@%+,") == strlen(text)) {
        buf_adds(out, text);
        return;
    }
    buf_addc(out, '\'');
    for (; *text; text++)
        if (*text == '\'') buf_adds(out, "'\\''");
        else buf_addc(out, *text);
    buf_addc(out, '\'');
}

static void option(struct buf *out, const char *name, const char *value) {
    if (!value) return;
    buf_printf(out, " %s ", name);
    quoted(out, value);
}

static void unused(struct buf *out, const char *name, const struct run_pairs *list) {
    for (size_t i = 0; i < list->n; i++) {
        if (list->v[i].used) continue;
        char *pair = str_printf("%s=%s", list->v[i].name, list->v[i].value);
        option(out, name, pair);
        mem_free(pair);
    }
}

void run_words_again(const struct cli *cli, const struct run_words *w, struct buf *out) {
    buf_adds(out, "ferryman");
    option(out, "--plan", cli->plan);
    option(out, "--kubeconfig", cli->kubeconfig);
    option(out, "--context", cli->context);
    buf_printf(out, " %s %s%s%s", w->rollback ? "rollback" : "run", w->workload, w->phase && !w->rollback ? "/" : "",
               w->phase && !w->rollback ? w->phase : "");
    option(out, "--arm", w->arm);
    unused(out, "--confirm", &w->confirm);
    unused(out, "--skip", &w->skip);
    unused(out, "--override", &w->override);
    if (w->through_windows) buf_adds(out, " --through-windows");
}
