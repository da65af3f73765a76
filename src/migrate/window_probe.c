/* See window_probe.h. What an answer is worth: 2xx passes. What Vault itself refuses for the token's sake (403), or because the plan's path
 * is none (4xx), says nothing about Vault: NO DATA, and never a pass. Neither does a way that is closed. Everything else, silence above
 * all, is a failure of the node that says it is active. */
#include "migrate/window_probe.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/vault_client.h"
#include "client/vault_parse.h"
#include "loop/timer.h"
#include "migrate/raft.h"
#include "migrate/run_vault.h"
#include "source/vault_source.h"
#include "world/freshness.h"
#include "world/world.h"

#define PROBE_TIMEOUT_MS INT64_C(10000)
#define TOKEN_AGAIN_MS INT64_C(60000)   /* a renewal that failed */
#define TOKEN_LOOK_MS INT64_C(3600000)  /* how often a token without end is asked again: it may have been replaced */
#define TOKEN_LEAST_MS INT64_C(5000)

struct window_probe {
    struct run *r;
    struct timer *timer, *token_timer;
    struct run_vault_asked *writing, *asking;
    char *node, *reason, *token_trouble;
    bool ended;
    enum window_answer answer;
};

/* ---- The write ---- */

static void tell_source(struct window_probe *p, enum vault_probe_state state) {
    vault_source_probe(p->r->world, p->r->workload->name, &(struct vault_probe){.node = p->node, .state = state, .error = p->reason});
}

static void end_probe(struct window_probe *p, enum window_answer a, const char *reason) {
    p->ended = true;
    p->answer = a;
    str_set(&p->reason, reason ? reason : "");
}

/* Whether another node is seen to be well right now: only then silence is the node's own. */
static bool others_answer(const struct window_probe *p) {
    for (const struct row *peer = world_first(p->r->world, T_RAFT_PEERS); peer; peer = world_next(p->r->world, peer))
        if (slice_is(row_text(peer, RAFT_PEERS_WORKLOAD), p->r->workload->name) && fresh_usable(world_freshness(p->r->world, peer)) &&
            slice_is(row_text(peer, RAFT_PEERS_HEALTH), "OK"))
            return true;
    return false;
}

static enum window_answer judge(const struct window_probe *p, const struct vault_reply *reply, struct buf *reason) {
    const char *error = reply->error ? err_text(reply->error) : "";
    if (!reply->error) return WINDOW_PASS;
    if (err_kind(reply->error) == ERR_DATA && reply->fate != VAULT_ANSWERED) { /* another cluster (run_vault.h) */
        buf_adds(reason, error);
        return WINDOW_FAIL;
    }
    if (reply->fate == VAULT_BLOCKED) {
        buf_printf(reason, "%s%s", err_kind(reply->error) == ERR_AUTH ? "token: " : "", error);
        return WINDOW_NO_DATA;
    }
    if (reply->fate == VAULT_ANSWERED && reply->status == 403) {
        buf_printf(reason, "token: it is refused, expired, or may not write to %s: %s", raft_spec(p->r)->vault.write_probe, error);
        return WINDOW_NO_DATA;
    }
    if (reply->fate == VAULT_ANSWERED && reply->status >= 400 && reply->status < 500) {
        buf_adds(reason, error);
        return WINDOW_NO_DATA;
    }
    if (reply->fate != VAULT_ANSWERED && !others_answer(p)) {
        buf_printf(reason, "%s; no other node answers either: our own network may be the cause", error);
        return WINDOW_NO_DATA;
    }
    buf_adds(reason, error);
    return WINDOW_FAIL;
}

static void on_written(void *arg, const struct vault_reply *reply) {
    struct window_probe *p = arg;
    struct buf reason = {0};
    enum window_answer a = judge(p, reply, &reason);
    end_probe(p, a, buf_str(&reason));
    tell_source(p, a == WINDOW_PASS ? VAULT_PROBE_OK : a == WINDOW_FAIL ? VAULT_PROBE_FAILED : VAULT_PROBE_UNKNOWN);
    buf_free(&reason);
    run_vault_ask_free(p->writing);
    p->writing = NULL;
}

/* Nobody is active, or nobody knows: there is nobody to write to. */
static void tell_nobody(struct window_probe *p) {
    const struct row *c = world_find(p->r->world, T_RAFT_CLUSTERS, slice_of(p->r->workload->name));
    bool known = c && fresh_usable(world_freshness(p->r->world, c)) && !slice_is(row_text(c, RAFT_CLUSTERS_STATE), "UNKNOWN");
    end_probe(p, known ? WINDOW_FAIL : WINDOW_NO_DATA, known ? "no node is active" : "it is not known which node is active");
}

static void on_timer(void *arg) {
    struct window_probe *p = arg;
    const char *leader = raft_leader(p->r);
    char path[600], body[80];
    if (p->writing) return; /* its deadline is shorter than any period */
    if (!leader) {
        tell_nobody(p);
        return;
    }
    str_set(&p->node, leader);
    snprintf(path, sizeof path, "/v1/%s", raft_spec(p->r)->vault.write_probe);
    snprintf(body, sizeof body, "{\"t\":%lld}", (long long)clock_wall_ms());
    str_set(&p->reason, NULL);
    tell_source(p, VAULT_PROBE_SENT);
    struct run_vault_call c = {.node = p->node, .method = "POST", .path = path, .body = body, .token = true, .timeout_ms = PROBE_TIMEOUT_MS};
    p->writing = run_vault_ask(p->r, &c, on_written, p);
}

bool window_probe_take(struct window_probe *p, enum window_answer *ret, const char **ret_reason) {
    if (!p->ended) return false;
    p->ended = false;
    *ret = p->answer;
    *ret_reason = p->reason ? p->reason : "";
    return true;
}

/* ---- The token: asked how long it lives, and renewed when two thirds of that are over ---- */

static void token_later(struct window_probe *p, int64_t ms) {
    timer_start(p->token_timer, ms > TOKEN_LEAST_MS ? ms : TOKEN_LEAST_MS, 0);
}

/* Said once, and once more when it is well again. */
static void token_trouble(struct window_probe *p, const char *text) {
    bool news = text ? !p->token_trouble : p->token_trouble != NULL;
    if (news && text) run_note(p->r, "WARN", "the Vault token could not be renewed: %s", text);
    else if (news) run_note(p->r, "GOOD", "the Vault token was renewed again");
    str_set(&p->token_trouble, text);
}

static void ask_token(struct window_probe *p, const char *method, const char *path, void (*fn)(void *arg, const struct vault_reply *reply)) {
    const char *leader = raft_leader(p->r);
    if (!leader) {
        token_later(p, TOKEN_LEAST_MS);
        return;
    }
    struct run_vault_call c = {.node = leader, .method = method, .path = path, .body = method ? "{}" : NULL, .token = true};
    p->asking = run_vault_ask(p->r, &c, fn, p);
}

static void token_asked(struct window_probe *p) {
    run_vault_ask_free(p->asking);
    p->asking = NULL;
}

static void on_renewed(void *arg, const struct vault_reply *reply) {
    struct window_probe *p = arg;
    struct json_t *d = NULL;
    struct err *e = reply->error ? err_copy(reply->error) : jd_parse(reply->body.p, reply->body.n, "renew-self", &d);
    int64_t ttl = jd_num(d, "auth.lease_duration", 0);
    token_trouble(p, e ? err_text(e) : NULL);
    token_later(p, e ? TOKEN_AGAIN_MS : ttl > 0 ? ttl * CLOCK_MS_PER_S * 2 / 3 : TOKEN_LOOK_MS);
    err_free(e);
    jd_free(d);
    token_asked(p);
}

static void renew(struct window_probe *p) {
    ask_token(p, "POST", "/v1/auth/token/renew-self", on_renewed);
}

/* creation_ttl is what it was given at first, or at its last renewal: two thirds of it are over when a third is left. */
static void on_looked_up(void *arg, const struct vault_reply *reply) {
    struct window_probe *p = arg;
    struct json_t *d = NULL;
    struct err *e = reply->error ? err_copy(reply->error) : jd_parse(reply->body.p, reply->body.n, "lookup-self", &d);
    int64_t ttl = jd_num(d, "data.ttl", 0), whole = jd_num(d, "data.creation_ttl", 0), third = (whole > ttl ? whole : ttl) / 3;
    bool ends = !e && ttl > 0, renewable = jd_flag(d, "data.renewable", false);
    char left[32];
    token_asked(p);
    if (ends && !renewable) {
        int64_t until = raft_spec(p->r)->window.duration_ms;
        if (ttl * CLOCK_MS_PER_S < until && !p->token_trouble) {
            clock_format_age(ttl * CLOCK_MS_PER_S, left, sizeof left);
            run_note(p->r, "WARN", "the Vault token ends in %s and cannot be renewed: replace it before, or the window's clock stops", left);
            str_set(&p->token_trouble, "it cannot be renewed");
        }
        token_later(p, TOKEN_LOOK_MS);
    } else if (ends && ttl <= third) {
        renew(p);
    } else {
        token_later(p, e ? TOKEN_AGAIN_MS : ends ? (ttl - third) * CLOCK_MS_PER_S : TOKEN_LOOK_MS);
    }
    err_free(e);
    jd_free(d);
}

/* Before every renewal it is asked how long it lives: it may have been replaced. */
static void on_token_timer(void *arg) {
    struct window_probe *p = arg;
    if (!p->asking) ask_token(p, NULL, "/v1/auth/token/lookup-self", on_looked_up);
}

/* ---- Life ---- */

struct window_probe *window_probe_new(struct run *r, int64_t every_ms) {
    struct window_probe *p = MEM_NEW(struct window_probe);
    p->r = r;
    p->timer = timer_new(r->loop, on_timer, p);
    p->token_timer = timer_new(r->loop, on_token_timer, p);
    timer_start(p->timer, 0, every_ms);
    timer_start(p->token_timer, 0, 0);
    return p;
}

void window_probe_free(struct window_probe *p) {
    if (!p) return;
    timer_free(p->timer);
    timer_free(p->token_timer);
    run_vault_ask_free(p->writing);
    run_vault_ask_free(p->asking);
    vault_source_probe(p->r->world, p->r->workload->name, NULL);
    mem_free(p->node);
    mem_free(p->reason);
    mem_free(p->token_trouble);
    mem_free(p);
}
