/* What needs a token, asked of the node that says it is active and of no other: a standby would forward or redirect.
 *
 * Every round asks for the raft configuration and autopilot's state; every twelfth, and after a refusal, also for what
 * changes rarely. Facts are dropped when they have not been confirmed for a while: what a leader said before it hung is
 * not what is. */
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "loop/loop.h"
#include "source/source.h"
#include "source/vault_source_private.h"
#include "world/freshness.h"

enum { SLOW_EVERY = 12, FACTS_MAX_POLLS = 4 };

static const char needed[] = "read on sys/storage/raft/configuration, sys/storage/raft/autopilot/state, "
                             "sys/storage/raft/autopilot/configuration and sys/ha-status";
static const char give[] = "set VAULT_TOKEN, put one into ~/.vault-token, or name a file in the plan "
                           "(vault: {token: {file: ...}})";

enum auth_topic { AUTH_SERVERS, AUTH_AUTOPILOT, AUTH_CONFIG, AUTH_MEMBERS, AUTH_TOKEN, AUTH_COUNT };

static const struct {
    const char *path;
    bool slow;
} topics[AUTH_COUNT] = {
    [AUTH_SERVERS] = {"/v1/sys/storage/raft/configuration", false},
    [AUTH_AUTOPILOT] = {"/v1/sys/storage/raft/autopilot/state", false},
    [AUTH_CONFIG] = {"/v1/sys/storage/raft/autopilot/configuration", true},
    [AUTH_MEMBERS] = {"/v1/sys/ha-status", true},
    [AUTH_TOKEN] = {"/v1/auth/token/lookup-self", true},
};

struct auth_question {
    struct vault_auth *auth;
    enum auth_topic topic;
    struct vault_request *request;
    int64_t ok_mono;    /* last success; 0: never */
    enum err_kind kind; /* of the last failure */
    char *error;        /* NULL: the last one succeeded */
};

struct vault_auth {
    struct vault_source *source;
    struct source_row *row;
    struct secret *token;
    struct timespec token_mtime;
    char *token_error;
    struct auth_question questions[AUTH_COUNT];
    unsigned open, rounds;
    char *asked; /* node */
    struct vault_servers servers;
    struct vault_autopilot autopilot;
    struct vault_autopilot_config config;
    struct vault_members members;
    struct vault_token who;
    bool credentials_written;
};

struct vault_auth *vault_auth_new(struct vault_source *s)
{
    struct vault_auth *a = MEM_NEW(struct vault_auth);
    a->source = s;
    a->token = s->o.token ? secret_ref(s->o.token) : NULL;
    a->row = source_row_new(s->world, "vault", s->workload, 3 * s->poll_ms);
    for (size_t i = 0; i < AUTH_COUNT; i++)
        a->questions[i] = (struct auth_question){.auth = a, .topic = (enum auth_topic)i};
    return a;
}

static void give_up(struct vault_auth *a)
{
    for (size_t i = 0; i < AUTH_COUNT; i++) {
        vault_request_free(a->questions[i].request);
        a->questions[i].request = NULL;
    }
    a->open = 0;
}

void vault_auth_free(struct vault_auth *a)
{
    if (!a)
        return;
    give_up(a);
    for (size_t i = 0; i < AUTH_COUNT; i++)
        mem_free(a->questions[i].error);
    if (a->credentials_written)
        world_remove(a->source->world, T_CREDENTIALS, SLICE_LIT("vault"));
    source_row_free(a->row, true);
    secret_free(a->token);
    mem_free(a->token_error);
    mem_free(a->asked);
    mem_free(a);
}

const char *vault_auth_row_key(const struct vault_auth *a)
{
    return source_row_key(a->row);
}

static bool is_fresh(const struct vault_auth *a, enum auth_topic topic)
{
    int64_t polls = topics[topic].slow ? FACTS_MAX_POLLS * SLOW_EVERY : FACTS_MAX_POLLS;
    int64_t ok = a->questions[topic].ok_mono;
    return ok > 0 && clock_mono_ms() - ok <= polls * a->source->poll_ms + VAULT_TIMEOUT_MS;
}

/* Whether the last round was answered: what autopilot says now is known only then. What may be kept for a while is the
 * configuration, which nobody changes without a leader. */
static bool is_answered(const struct vault_auth *a)
{
    return fresh_usable(world_source_freshness(a->source->world, source_row_key(a->row)));
}

struct vault_facts vault_auth_facts(const struct vault_auth *a)
{
    return (struct vault_facts){
        .servers = is_fresh(a, AUTH_SERVERS) ? &a->servers : NULL,
        .autopilot = is_answered(a) && is_fresh(a, AUTH_AUTOPILOT) ? &a->autopilot : NULL,
        .config = is_fresh(a, AUTH_CONFIG) ? &a->config : NULL,
        .members = is_fresh(a, AUTH_MEMBERS) ? &a->members : NULL,
    };
}

/* ---- The token --------------------------------------------------------------------------------------------------- */

/* Re-read when the file has changed; what was read before stays while it cannot be read. */
static void load_token(struct vault_auth *a)
{
    const char *path = a->source->token_file;
    struct stat st;
    struct secret *token = NULL;
    if (!path)
        return;
    bool there = stat(path, &st) == 0;
    if (there && a->token && st.st_mtim.tv_sec == a->token_mtime.tv_sec && st.st_mtim.tv_nsec == a->token_mtime.tv_nsec)
        return;
    struct err *e = secret_from_file(path, &token);
    str_set(&a->token_error, e ? err_text(e) : NULL);
    err_free(e);
    if (!token)
        return;
    secret_free(a->token);
    a->token = token;
    if (there)
        a->token_mtime = st.st_mtim;
    a->rounds = 0; /* who it is, is asked at once */
}

static void write_credentials(struct vault_auth *a, const char *state)
{
    const struct vault_source *s = a->source;
    const struct vault_token *t = &a->who;
    const struct vault_node *active = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (vault_node_is_active(s->nodes[i]))
            active = s->nodes[i];
    bool known = str_eq(state, "OK") || str_eq(state, "EXPIRED");
    char *method = known ? str_printf("token (%s, %s)", t->type, t->path) : mem_strdup(a->token ? "token" : "none");
    const struct vault_health *h = active && active->has_health ? &active->health : NULL;
    struct cell cells[CREDENTIALS_COLS] = {
        [CREDENTIALS_USER] = known ? cell_text(t->display_name) : CELL_NONE,
        [CREDENTIALS_GROUPS] = known ? cell_text(t->policies) : CELL_NONE,
        [CREDENTIALS_METHOD] = cell_text(method),
        [CREDENTIALS_SERVER] = active ? cell_text(vault_client_endpoint(active->client)) : CELL_NONE,
        [CREDENTIALS_VERSION] = h ? cell_text(h->version) : CELL_NONE,
        [CREDENTIALS_IDENTITY] = h && h->cluster_id[0] ? cell_text(h->cluster_id) : CELL_NONE,
        [CREDENTIALS_EXPIRES] = known && t->expires_ms >= 0 ? cell_int(t->expires_ms) : CELL_NONE,
        [CREDENTIALS_STATE] = cell_text(state),
    };
    world_upsert(s->world, T_CREDENTIALS, SLICE_LIT("vault"), source_row_key(a->row), cells);
    a->credentials_written = true;
    mem_free(method);
}

/* ---- The row ----------------------------------------------------------------------------------------------------- */

static void fail(struct vault_auth *a, enum err_kind kind, const char *text)
{
    struct err *e = err_new(kind, "%s", text);
    source_row_failed(a->row, e, clock_mono_ms() + a->source->poll_ms);
    err_free(e);
}

static void fail_without_token(struct vault_auth *a)
{
    char *text = a->token_error ? str_printf("the token cannot be read: %s", a->token_error)
                                : str_printf("no Vault token, so raft configuration and autopilot are unknown: %s; "
                                             "it needs %s", give, needed);
    fail(a, ERR_DENIED, text);
    write_credentials(a, a->token_error ? "UNKNOWN" : "DENIED");
    mem_free(text);
}

/* Of Vault's 403: it does not know the token at all. */
static bool is_invalid(const struct auth_question *q)
{
    return q->error && strstr(q->error, "invalid token");
}

static bool was_denied(const struct auth_question *q)
{
    return q->error && (q->kind == ERR_DENIED || q->kind == ERR_AUTH);
}

/* A refused lookup-self means that the token is dead; else it only lacks a policy. */
static void fail_denied(struct vault_auth *a, const struct auth_question *q)
{
    bool dead = was_denied(&a->questions[AUTH_TOKEN]) || is_invalid(q);
    const char *policies = a->questions[AUTH_TOKEN].ok_mono > 0 ? a->who.policies : "unknown";
    char *text = dead ? str_printf("the Vault token is refused (expired or revoked): %s", give)
                      : str_printf("%s; the token (policies: %s) needs %s", q->error, policies, needed);
    fail(a, ERR_DENIED, text);
    write_credentials(a, dead ? "DENIED" : a->questions[AUTH_TOKEN].ok_mono > 0 ? "OK" : "UNKNOWN");
    mem_free(text);
}

static void conclude(struct vault_auth *a)
{
    const struct auth_question *denied = NULL, *failed = NULL;
    for (size_t i = AUTH_COUNT; i-- > 0;) {
        const struct auth_question *q = &a->questions[i];
        if (was_denied(q))
            denied = q;
        else if (q->error && !topics[i].slow)
            failed = q;
    }
    if (denied) {
        a->rounds = 0; /* all of it again, until somebody has given the token what it needs */
        fail_denied(a, denied);
    } else if (failed) {
        fail(a, ERR_UNAVAILABLE, failed->error);
    } else {
        bool expired = a->who.expires_ms >= 0 && a->who.expires_ms < clock_wall_ms();
        char *detail = str_printf("asked of %s as %s", a->asked, a->who.display_name);
        source_row_detail(a->row, detail);
        source_row_objects(a->row, (int64_t)a->servers.count);
        source_row_ok(a->row, false);
        write_credentials(a, a->questions[AUTH_TOKEN].ok_mono == 0 ? "UNKNOWN" : expired ? "EXPIRED" : "OK");
        mem_free(detail);
    }
    vault_source_changed(a->source);
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

static struct err *parse(struct vault_auth *a, enum auth_topic topic, struct slice body)
{
    switch (topic) {
    case AUTH_SERVERS:
        return vault_parse_servers(body, &a->servers);
    case AUTH_AUTOPILOT:
        return vault_parse_autopilot(body, &a->autopilot);
    case AUTH_CONFIG:
        return vault_parse_autopilot_config(body, &a->config);
    case AUTH_MEMBERS:
        return vault_parse_members(body, &a->members);
    case AUTH_TOKEN:
        return vault_parse_token(body, &a->who);
    case AUTH_COUNT:
        break;
    }
    return err_new(ERR_FAILED, "no such question");
}

static void on_reply(void *arg, const struct vault_reply *r)
{
    struct auth_question *q = arg;
    struct vault_auth *a = q->auth;
    struct err *e = r->error ? err_copy(r->error) : parse(a, q->topic, r->body);
    /* A refusal by the API server is not Vault's: the token is not to blame. */
    enum err_kind kind = e && r->fate == VAULT_ANSWERED ? err_kind(e) : ERR_UNAVAILABLE;
    q->kind = kind;
    str_set(&q->error, e ? err_text(e) : NULL);
    if (!e)
        q->ok_mono = clock_mono_ms();
    err_free(e);
    vault_request_free(q->request);
    q->request = NULL;
    a->open--;
    if (a->open == 0)
        conclude(a);
}

static void ask(struct vault_auth *a, struct vault_node *active)
{
    bool slow = a->rounds % SLOW_EVERY == 0;
    a->rounds++;
    str_set(&a->asked, active->name);
    for (size_t i = 0; i < AUTH_COUNT; i++)
        a->open += slow || !topics[i].slow;
    for (size_t i = 0; i < AUTH_COUNT; i++)
        if (slow || !topics[i].slow)
            a->questions[i].request = vault_ask(active->client, &(struct vault_call){
                                                                    .path = topics[i].path,
                                                                    .token = a->token,
                                                                    .on_reply = on_reply,
                                                                    .arg = &a->questions[i],
                                                                });
}

void vault_auth_poll(struct vault_auth *a, struct vault_node *active)
{
    if (a->open > 0)
        return;
    load_token(a);
    if (!a->token)
        fail_without_token(a);
    else if (active)
        ask(a, active);
    else
        fail(a, ERR_UNAVAILABLE,
             a->source->count == 0 ? "no node is known that could be asked" : "no active node that could be asked");
}
