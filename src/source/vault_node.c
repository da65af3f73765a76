/* One node: three questions a poll, each with its own deadline, and what they say together about how it was reached.
 *
 * sys/leader and sys/seal-status need the state lock that a hung node never gives; OpenBao's sys/health does not. So a
 * node answers only if all that was asked was answered. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "source/source.h"
#include "source/vault_source_private.h"

static const char *const paths[TOPIC_COUNT] = {
    [TOPIC_HEALTH] = "/v1/sys/health",
    [TOPIC_LEADER] = "/v1/sys/leader",
    [TOPIC_SEAL] = "/v1/sys/seal-status",
};

struct vault_node *vault_node_new(struct vault_source *s, const char *name, const char *url)
{
    struct vault_node *n = MEM_NEW(struct vault_node);
    n->source = s;
    n->name = mem_strdup(name);
    n->health_ms = n->missing_since = n->lag = -1;
    n->client = vault_client_new(&(struct vault_client_options){
        .loop = s->loop,
        .name = name,
        .url = url,
        .ca_pem = s->ca_pem,
        .tls_server_name = s->tls_server_name,
        .insecure = s->o.insecure,
        .kube = s->o.kube,
        .ns = s->ns,
        .pod = name,
        .scheme = s->scheme,
        .port = s->o.port,
    });
    n->row = source_row_new(s->world, "vault", name, 3 * s->poll_ms);
    source_row_detail(n->row, vault_client_endpoint(n->client));
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        n->questions[i] = (struct vault_question){.node = n, .topic = (enum vault_topic)i};
    return n;
}

static void give_up(struct vault_node *n)
{
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        vault_request_free(n->questions[i].request);
        n->questions[i].request = NULL;
    }
    vault_request_free(n->dial_request);
    n->dial_request = NULL;
    n->open = 0;
}

void vault_node_free(struct vault_node *n)
{
    if (!n)
        return;
    give_up(n);
    source_row_free(n->row, true);
    vault_client_free(n->client);
    mem_free(n->name);
    mem_free(n->pod_uid);
    mem_free(n->poll_error);
    mem_free(n->error);
    mem_free(n->dial_error);
    mem_free(n);
}

bool vault_node_is_active(const struct vault_node *n)
{
    return n->reach == RAFT_ANSWERS && n->has_leader && n->leader.is_self;
}

/* ---- Requests in the last minute --------------------------------------------------------------------------------- */

static void count_requests(struct vault_node *n, unsigned more)
{
    int64_t now = clock_mono_ms() / CLOCK_MS_PER_S, total = 0;
    int64_t gap = now - n->rate_second;
    for (int64_t s = n->rate_second + 1; s <= now && gap < 60; s++)
        n->per_second[s % 60] = 0;
    if (gap >= 60)
        memset(n->per_second, 0, sizeof n->per_second);
    n->rate_second = now;
    n->per_second[now % 60] = (uint16_t)(n->per_second[now % 60] + more);
    for (size_t i = 0; i < 60; i++)
        total += n->per_second[i];
    source_row_requests(n->row, total);
}

/* ---- The long request -------------------------------------------------------------------------------------------- */

/* No dial error although the API server has had time for it: the pod has accepted TCP. */
static void on_dial(void *arg, const struct vault_reply *r)
{
    struct vault_node *n = arg;
    vault_request_free(n->dial_request);
    n->dial_request = NULL;
    str_set(&n->dial_error, r->error ? err_text(r->error) : NULL);
    n->dial = r->fate == VAULT_NO_ANSWER ? DIAL_ACCEPTED : r->fate == VAULT_UNREACHABLE ? DIAL_FAILED : DIAL_UNKNOWN;
}

static void start_dial(struct vault_node *n)
{
    if (n->dial_request || !vault_client_is_proxied(n->client))
        return;
    n->dial_request = vault_ask(n->client, &(struct vault_call){
                                               .path = paths[TOPIC_HEALTH],
                                               .timeout_ms = VAULT_DIAL_MS,
                                               .on_reply = on_dial,
                                               .arg = n,
                                           });
    count_requests(n, 1);
}

/* ---- The end of a poll ------------------------------------------------------------------------------------------- */

static bool any(const struct vault_node *n, enum vault_fate fate)
{
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        if (n->questions[i].fate == fate)
            return true;
    return false;
}

static enum raft_reach reached(struct vault_node *n)
{
    if (any(n, VAULT_SILENT))
        return RAFT_SILENT;
    if (any(n, VAULT_NO_ANSWER)) {
        if (n->dial == DIAL_FAILED && n->dial_error)
            str_set(&n->poll_error, n->dial_error);
        if (n->dial == DIAL_ACCEPTED)
            str_set(&n->poll_error, "accepts TCP (the API server connects to it), answers nothing");
        return n->dial == DIAL_ACCEPTED ? RAFT_SILENT : n->dial == DIAL_FAILED ? RAFT_UNREACHABLE : RAFT_NO_ANSWER;
    }
    if (any(n, VAULT_UNREACHABLE) || any(n, VAULT_NO_POD))
        return RAFT_UNREACHABLE;
    return any(n, VAULT_BLOCKED) ? RAFT_BLOCKED : RAFT_ANSWERS;
}

static void count_reach(struct vault_node *n)
{
    if (n->reach == RAFT_ANSWERS) {
        n->hits++;
        n->misses = 0;
        n->missing_since = -1;
        n->dial = DIAL_UNKNOWN;
        return;
    }
    n->hits = 0;
    if (n->reach == RAFT_BLOCKED)
        return;
    n->misses++;
    if (n->missing_since < 0)
        n->missing_since = n->asked_wall;
}

/* Facts of a node that no longer answers are not kept: what it said is not what it is. */
static void take_facts(struct vault_node *n)
{
    bool answers = n->reach == RAFT_ANSWERS;
    n->has_health = n->got.health && answers;
    n->has_leader = n->got.leader && answers;
    n->has_seal = n->got.seal && answers;
    n->code = n->got.code;
    n->health_ms = n->got.health_ms;
    if (n->has_health)
        n->health = n->new_health;
    if (n->has_leader) {
        n->leader = n->new_leader;
        n->sampled_mono = n->asked_mono;
    }
    if (n->has_seal)
        n->seal = n->new_seal;
}

static void tell_row(struct vault_node *n)
{
    if (n->reach == RAFT_ANSWERS) {
        source_row_ok(n->row, false);
        return;
    }
    struct err *e = err_new(ERR_UNAVAILABLE, "%s", n->error ? n->error : "no answer");
    source_row_failed(n->row, e, clock_mono_ms() + n->source->poll_ms);
    err_free(e);
}

static void tell_seal(struct vault_node *n)
{
    if (!n->has_seal)
        return;
    enum vault_flag now = n->seal.sealed ? VAULT_YES : VAULT_NO;
    if (n->last_sealed != VAULT_NOT_SAID && n->last_sealed != now)
        timeline_add(n->source->world, now == VAULT_YES ? "BAD" : "GOOD", n->name,
                     now == VAULT_YES ? "sealed" : "unsealed");
    n->last_sealed = now;
}

static void conclude(struct vault_node *n)
{
    n->ended_mono = clock_mono_ms();
    n->reach = reached(n);
    count_reach(n);
    take_facts(n);
    mem_free(n->error);
    n->error = n->reach == RAFT_ANSWERS ? NULL : n->poll_error;
    if (n->reach == RAFT_ANSWERS)
        mem_free(n->poll_error);
    n->poll_error = NULL;
    if (any(n, VAULT_NO_ANSWER))
        start_dial(n);
    tell_row(n);
    tell_seal(n);
    n->was_active = n->was_active || vault_node_is_active(n);
    vault_source_changed(n->source);
    if (n->due)
        vault_node_poll(n);
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

/* Worse fates explain more: their text is kept. */
static void keep_error(struct vault_node *n, const struct vault_reply *r)
{
    if (r->fate != VAULT_ANSWERED && (!n->poll_error || r->fate == VAULT_SILENT || r->fate == VAULT_NO_ANSWER))
        str_set(&n->poll_error, r->error ? err_text(r->error) : NULL);
}

static void take(struct vault_question *q, const struct vault_reply *r)
{
    struct vault_node *n = q->node;
    struct err *e = NULL;
    if (r->status >= 300 && r->status < 400) {
        e = err_new(ERR_PROTOCOL, "it answers with a redirect (%d), which is not followed: is this the node's own address?", r->status);
    } else if (q->topic == TOPIC_HEALTH) {
        e = vault_parse_health(r->body, &n->new_health);
        n->got.health = !e;
        n->got.code = r->status;
        n->got.health_ms = r->ms;
    } else if (r->status == 200 && q->topic == TOPIC_LEADER) {
        e = vault_parse_leader(r->body, &n->new_leader);
        n->got.leader = !e;
    } else if (r->status == 200) {
        e = vault_parse_seal(r->body, &n->new_seal);
        n->got.seal = !e;
    }
    if (!e)
        return;
    q->fate = VAULT_BLOCKED; /* an answer that cannot be understood says nothing */
    if (!n->poll_error)
        n->poll_error = str_printf("%s: %s", n->name, err_text(e));
    err_free(e);
}

static void on_reply(void *arg, const struct vault_reply *r)
{
    struct vault_question *q = arg;
    struct vault_node *n = q->node;
    struct vault_request *done = q->request;
    q->request = NULL;
    q->fate = r->fate;
    keep_error(n, r);
    if (r->fate == VAULT_ANSWERED)
        take(q, r);
    n->open--;
    if (n->open == 0)
        conclude(n);
    vault_request_free(done);
}

/* A node without a pod is not asked: that it has none is the answer. */
static void conclude_podless(struct vault_node *n)
{
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        n->questions[i].fate = VAULT_NO_POD;
    n->poll_error = str_printf("%s: pod %s/%s does not exist", n->name, n->source->ns, n->name);
    conclude(n);
}

void vault_node_poll(struct vault_node *n)
{
    if (n->open > 0) {
        n->due = clock_mono_ms() - n->asked_mono > n->source->poll_ms / 2;
        return;
    }
    n->due = false;
    n->asked_mono = clock_mono_ms();
    n->asked_wall = clock_wall_ms();
    memset(&n->got, 0, sizeof n->got);
    n->got.health_ms = -1;
    str_set(&n->poll_error, NULL);
    if (!n->has_pod && vault_client_is_proxied(n->client)) {
        conclude_podless(n);
        return;
    }
    n->open = TOPIC_COUNT;
    count_requests(n, TOPIC_COUNT);
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        n->questions[i].request = vault_ask(n->client, &(struct vault_call){
                                                           .path = paths[i],
                                                           .on_reply = on_reply,
                                                           .arg = &n->questions[i],
                                                       });
}

void vault_node_pod(struct vault_node *n, struct slice uid)
{
    bool same = uid.p ? n->pod_uid && slice_is(uid, n->pod_uid) : !n->has_pod;
    n->has_pod = uid.p != NULL;
    if (same)
        return;
    if (n->pod_uid && uid.p)
        timeline_add(n->source->world, "INFO", n->name, "is another pod now");
    if (uid.p || n->pod_uid)
        give_up(n);
    mem_free(n->pod_uid);
    n->pod_uid = slice_dup(uid);
    n->misses = n->hits = 0;
    n->missing_since = -1;
    n->dial = DIAL_UNKNOWN;
    vault_node_poll(n);
}
