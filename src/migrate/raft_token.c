/* Our token outlives the work (safety 28): at least twice what a phase may take, and it can be renewed, which is tried once, now. A token that
 * cannot be renewed must last for the windows, too. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/vault_client.h"
#include "client/vault_parse.h"
#include "loop/loop.h"
#include "migrate/raft_look.h"
#include "migrate/raft_preflight.h"
#include "migrate/raft_token.h"
#include "migrate/run_vault.h"

#define PHASE_MS (INT64_C(1800) * 1000) /* a snapshot, a swap and a rejoin */

static bool has_policy(const char *list, const char *policy) {
    struct slice rest = slice_of(list), item;
    while (slice_cut(&rest, ',', &item))
        if (slice_is(slice_trim(item), policy)) return true;
    return false;
}

enum op_answer raft_judge_token(const struct vault_token *before, int64_t left_ms, bool renewed, int64_t window_ms, struct buf *out, struct buf *warn) {
    char age[24], want[24];
    if (has_policy(before->policies, "root"))
        buf_adds(warn, "this is a root token: it may do everything, and its loss is everybody's. Use one with the policy of doc/permissions.md");
    if (before->expires_ms < 0) {
        buf_adds(out, "it does not end");
        return OP_DONE;
    }
    buf_printf(out, "%s, ends in %s", renewed ? "renewed" : "not renewable", clock_format_age(left_ms, age, sizeof age));
    int64_t least = 2 * (renewed ? PHASE_MS : window_ms > PHASE_MS ? window_ms : PHASE_MS);
    if (left_ms < least) {
        buf_printf(out, ", less than twice the %s that it has to last%s: log in anew with a longer one", clock_format_age(least / 2, want, sizeof want),
                   renewed ? "" : " (a window, for it cannot be renewed)");
        return OP_REFUSE;
    }
    if (left_ms < 2 * window_ms && renewed) buf_adds(warn, "the token ends within a window: it has to be renewed on the way");
    return OP_DONE;
}

/* ---- The trial ---- */

enum at { AT_LOOKUP, AT_RENEW, AT_AGAIN };

struct trial {
    struct run *run;
    struct op *op;
    const char *node; /* lives as long as the script */
    enum at at;
    bool renewed;
    struct vault_token token;
    struct run_vault_asked *asked;
};

static void ask(struct trial *t);

static void finish(struct trial *t, struct err *e) {
    struct buf out = {0}, warn = {0};
    int64_t left = t->token.ttl_s * CLOCK_MS_PER_S;
    struct run *r = t->run;
    if (!e && raft_judge_token(&t->token, left, t->renewed, raft_spec(r)->window.duration_ms, &out, &warn) != OP_DONE)
        e = err_new(ERR_FAILED, "%s", buf_str(&out));
    if (!e && warn.len) run_note(r, "WARN", "%s", buf_str(&warn));
    if (!e) run_set(r, "token.renewable", t->token.expires_ms < 0 ? "endless" : t->renewed ? "yes" : "no");
    op_job_done(r, t->op, e, buf_str(&out));
    buf_free(&warn);
    buf_free(&out);
}

/* The error of an answer, with what to do; NULL: it is one. */
static struct err *refusal(const struct trial *t, const struct vault_reply *reply) {
    if (!reply->error) return NULL;
    if (t->at == AT_RENEW) return err_new(ERR_FAILED, "the token cannot be renewed, though it says that it can: %s; log in anew", err_text(reply->error));
    if (reply->status == 403) return err_new(ERR_DENIED, "the token is not accepted (%s): log in anew", err_text(reply->error));
    return err_copy(reply->error);
}

static void on_reply(void *arg, const struct vault_reply *reply) {
    struct trial *t = arg;
    struct run_vault_asked *done = t->asked;
    struct err *e = refusal(t, reply);
    t->asked = NULL;
    if (!e && t->at != AT_RENEW) e = vault_parse_token(reply->body, &t->token);
    bool last = e || t->at == AT_AGAIN || (t->at == AT_LOOKUP && (t->token.expires_ms < 0 || !t->token.renewable));
    if (!last) {
        t->renewed = t->renewed || t->at == AT_RENEW;
        t->at = t->at == AT_LOOKUP ? AT_RENEW : AT_AGAIN;
        ask(t);
    }
    run_vault_ask_free(done);
    if (last) finish(t, e);
}

static void ask(struct trial *t) {
    bool renew = t->at == AT_RENEW;
    t->asked = run_vault_ask(t->run, &(struct run_vault_call){.node = t->node, .method = renew ? "POST" : "GET",
                                                              .path = renew ? "/v1/auth/token/renew-self" : "/v1/auth/token/lookup-self",
                                                              .body = renew ? "{}" : NULL, .token = true}, on_reply, t);
}

static void start(struct run *r, struct op *op) {
    struct trial *t = op->data;
    t->run = r;
    t->op = op;
    t->at = AT_LOOKUP;
    t->renewed = false;
    ask(t);
}

static void cancel(struct run *r, struct op *op) {
    struct trial *t = op->data;
    (void)r;
    run_vault_ask_free(t->asked);
    t->asked = NULL;
}

static const struct op_job job = {.start = start, .cancel = cancel};

struct op *raft_script_renewal(struct run *r, struct script *s, const char *node) {
    struct trial *t = MEM_NEW(struct trial);
    (void)r;
    t->node = script_fmt(s, "%s", node);
    return script_job(s, "token", "our token: how long it lives, and one renewal on trial (POST auth/token/renew-self)", &job, t, mem_free);
}

void raft_preflight_token(struct run *r, struct script *s) {
    raft_script_renewal(r, s, raft_said(s, r, "leader.now"));
}
