/* See window_gates.h. Three things are told apart everywhere: it is well, it was seen not to be, and nobody knows. A node that was seen not
 * to answer is the second as long as another one does; when none does, the cause may be on our side, and it is the third. */
#include "migrate/window_gates.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft.h"
#include "world/gate_facts.h"
#include "world/world.h"

#define INDEX_AGE_MS INT64_C(10000)
#define LATE_ENTRIES 100

/* What one gate finds: bad news, and what is not known. Either decides, in this order. */
struct found {
    struct buf bad, unknown;
};

static void add(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add(struct buf *b, const char *fmt, ...) {
    va_list ap;
    if (b->len) buf_adds(b, ", ");
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

static void conclude(struct window_look *l, enum window_gate g, struct found *f) {
    l->answers[g] = f->bad.len ? WINDOW_FAIL : f->unknown.len ? WINDOW_NO_DATA : WINDOW_PASS;
    buf_adds(&l->reasons[g], buf_str(f->bad.len ? &f->bad : &f->unknown));
    buf_free(&f->bad);
    buf_free(&f->unknown);
}

static void no_data(struct window_look *l, enum window_gate g, const struct buf *why) {
    l->answers[g] = WINDOW_NO_DATA;
    buf_adds(&l->reasons[g], buf_str(why));
}

/* ---- The nodes ---- */

struct nodes {
    const struct run *r;
    const struct row *cluster; /* NULL: it is not fresh */
    bool leads;                /* somebody does */
};

static const struct row *peer_of(const struct nodes *n, int64_t ordinal, char *pod, size_t size) {
    char key[600];
    snprintf(pod, size, "%s-%d", raft_spec(n->r)->statefulset, (int)ordinal);
    snprintf(key, sizeof key, "%s/%s", n->r->workload->name, pod);
    return world_find(n->r->world, T_RAFT_PEERS, slice_of(key));
}

/* A row that may be rested on; else why not. */
static bool is_usable(const struct nodes *n, const struct row *peer, const char *pod, struct found *f) {
    struct buf why = {0};
    if (!peer) {
        add(&f->unknown, "nothing is known of %s", pod);
        return false;
    }
    bool fresh = gate_fresh(world_freshness(n->r->world, peer), slice_of(row_src(n->r->world, peer)), &why) == GATE_PASS;
    if (!fresh) add(&f->unknown, "%s", buf_str(&why));
    buf_free(&why);
    return fresh;
}

static void judge_voter(const struct nodes *n, const struct row *peer, const char *pod, struct found *f, int64_t *voters) {
    struct slice health = row_text(peer, RAFT_PEERS_HEALTH), role = row_text(peer, RAFT_PEERS_ROLE);
    bool votes = slice_is(role, "LEADER") || slice_is(role, "VOTER");
    bool unwell = !slice_is(health, "OK");
    if (slice_is(health, "UNKNOWN") || !health.p) add(&f->unknown, "the health of %s is not known", pod);
    else if (slice_is(health, "UNHEALTHY") && !n->leads) add(&f->unknown, "%s has no active node to follow", pod);
    else if (unwell) add(&f->bad, "%s is %.*s", pod, SLICE_FMT(health));
    else if (slice_is(role, "NON-VOTER") || slice_is(role, "NOT A PEER")) add(&f->bad, "%s is %.*s", pod, SLICE_FMT(role));
    else if (slice_is(row_text(peer, RAFT_PEERS_AUTOPILOT), "UNHEALTHY")) add(&f->bad, "autopilot calls %s unhealthy", pod);
    else if (!votes) add(&f->unknown, "whether %s votes is not known", pod);
    else (*voters)++;
}

static void look_voters(const struct nodes *n, struct window_look *l) {
    struct found f = {0};
    int64_t want = raft_replicas(n->r), voters = 0, said = n->cluster ? row_int(n->cluster, RAFT_CLUSTERS_VOTERS, -1) : -1;
    char pod[300], count[48];
    for (int64_t i = 0; i < want; i++) {
        const struct row *peer = peer_of(n, i, pod, sizeof pod);
        if (is_usable(n, peer, pod, &f)) judge_voter(n, peer, pod, &f, &voters);
    }
    if (said >= 0 && said != want) add(&f.bad, "the raft configuration has %d voters, not %d", (int)said, (int)want);
    if (n->leads && !f.bad.len && row_int(n->cluster, RAFT_CLUSTERS_HEALTHY, 1) == 0) add(&f.bad, "autopilot says that the cluster is not healthy");
    if (n->leads && !f.unknown.len && said < 0) add(&f.unknown, "the raft configuration is not known (it needs a token)");
    if (n->leads && !f.unknown.len && row_cell(n->cluster, RAFT_CLUSTERS_HEALTHY).type == CELL_NULL) add(&f.unknown, "autopilot's word is not known");
    if (f.bad.len && voters < want) {
        snprintf(count, sizeof count, "%d of %d voters: ", (int)voters, (int)want);
        buf_adds(&l->reasons[WINDOW_VOTERS], count);
    }
    conclude(l, WINDOW_VOTERS, &f);
}

static void look_unsealed(const struct nodes *n, struct window_look *l) {
    struct found f = {0};
    char pod[300];
    for (int64_t i = 0; i < raft_replicas(n->r); i++) {
        const struct row *peer = peer_of(n, i, pod, sizeof pod);
        if (!is_usable(n, peer, pod, &f)) continue;
        struct slice seal = row_text(peer, RAFT_PEERS_SEAL);
        if (slice_is(seal, "SEALED")) add(&f.bad, "%s is sealed", pod);
        else if (!slice_is(seal, "UNSEALED")) add(&f.unknown, "whether %s is sealed is not known", pod);
    }
    conclude(l, WINDOW_UNSEALED, &f);
}

/* What the leader had applied a while ago, by now every voter has applied, or it stands. A busy cluster's followers are always a few
 * entries behind. */
static void look_caught_up(const struct nodes *n, struct window_memory *m, struct window_look *l) {
    struct found f = {0};
    struct buf late = {0};
    char pod[300];
    int64_t now = n->leads ? row_int(n->cluster, RAFT_CLUSTERS_INDEX, -1) : -1;
    for (int64_t i = 0; i < raft_replicas(n->r); i++) {
        const struct row *peer = peer_of(n, i, pod, sizeof pod);
        if (!is_usable(n, peer, pod, &f)) continue;
        int64_t applied = row_int(peer, RAFT_PEERS_APPLIED, -1), lag = row_int(peer, RAFT_PEERS_LAG, -1);
        if (applied < 0) add(&f.unknown, "how far %s is, is not known", pod);
        else if (m->older > applied) add(&f.bad, "%s stands at %lld, the leader was at %lld before", pod, (long long)applied, (long long)m->older);
        else if (lag > LATE_ENTRIES) add(&late, "%s is %lld entries behind", pod, (long long)lag);
    }
    if (now < 0) add(&f.unknown, "no node is active");
    conclude(l, WINDOW_CAUGHT_UP, &f);
    if (late.len && l->answers[WINDOW_CAUGHT_UP] == WINDOW_PASS) {
        l->answers[WINDOW_CAUGHT_UP] = WINDOW_LATE;
        buf_adds(&l->reasons[WINDOW_CAUGHT_UP], buf_str(&late));
    }
    buf_free(&late);
    int64_t mono = clock_mono_ms();
    if (now >= 0 && (m->index < 0 || mono - m->index_mono >= INDEX_AGE_MS)) {
        m->older = m->index;
        m->index = now;
        m->index_mono = mono;
    }
}

static void look_leader(const struct nodes *n, struct window_look *l) {
    struct slice leader = row_text(n->cluster, RAFT_CLUSTERS_LEADER), state = row_text(n->cluster, RAFT_CLUSTERS_STATE);
    struct slice verdict = row_text(n->cluster, RAFT_CLUSTERS_VERDICT);
    bool stuck = slice_is(state, "STUCK");
    if (leader.n && !stuck) {
        l->answers[WINDOW_LEADER] = WINDOW_PASS;
        snprintf(l->leader, sizeof l->leader, "%.*s", SLICE_FMT(leader));
        return;
    }
    l->answers[WINDOW_LEADER] = !stuck && slice_is(state, "UNKNOWN") ? WINDOW_NO_DATA : WINDOW_FAIL;
    buf_add_slice(&l->reasons[WINDOW_LEADER], verdict.n ? verdict : SLICE_LIT("no node is active"));
}

static bool anybody_answers(const struct nodes *n) {
    static const char *const silent[] = {"SILENT", "UNREACHABLE", "UNKNOWN", NULL};
    for (const struct row *p = world_first(n->r->world, T_RAFT_PEERS); p; p = world_next(n->r->world, p)) {
        bool answers = slice_is(row_text(p, RAFT_PEERS_WORKLOAD), n->r->workload->name) && fresh_usable(world_freshness(n->r->world, p));
        for (size_t i = 0; silent[i]; i++) answers = answers && !slice_is(row_text(p, RAFT_PEERS_HEALTH), silent[i]);
        if (answers) return true;
    }
    return false;
}

static void look_raft(const struct run *r, struct window_memory *m, struct window_look *l) {
    struct nodes n = {.r = r, .cluster = world_find(r->world, T_RAFT_CLUSTERS, slice_of(r->workload->name))};
    struct buf why = {0};
    bool fresh = n.cluster && gate_row(r->world, n.cluster, &why) == GATE_PASS;
    if (!n.cluster) buf_adds(&why, "nothing is known of the cluster yet");
    if (fresh && !anybody_answers(&n)) {
        fresh = false;
        buf_adds(&why, "no node answers: our own network may be the cause");
    }
    if (!fresh) {
        static const enum window_gate all[] = {WINDOW_VOTERS, WINDOW_CAUGHT_UP, WINDOW_UNSEALED, WINDOW_LEADER};
        for (size_t i = 0; i < ARRAY_LEN(all); i++) no_data(l, all[i], &why);
    } else {
        n.leads = row_text(n.cluster, RAFT_CLUSTERS_LEADER).n > 0;
        look_voters(&n, l);
        look_unsealed(&n, l);
        look_caught_up(&n, m, l);
        look_leader(&n, l);
    }
    buf_free(&why);
}

/* ---- The world around ---- */

static enum window_answer answer_of(enum gate_answer a) {
    return a == GATE_PASS ? WINDOW_PASS : a == GATE_FAIL ? WINDOW_FAIL : a == GATE_WAIT ? WINDOW_LATE : a == GATE_NOT_ASKED ? WINDOW_NOT_ASKED : WINDOW_NO_DATA;
}

static bool is_overridden(const struct run *r, enum window_gate g, struct window_look *l) {
    const char *why = run_override(r, window_gate_names[g]);
    if (!why) return false;
    l->answers[g] = WINDOW_NOT_ASKED;
    buf_printf(&l->reasons[g], "overridden: %s", why);
    return true;
}

static void look_alerts(const struct run *r, int64_t since, struct window_look *l) {
    struct buf *reason = &l->reasons[WINDOW_ALERTS];
    if (is_overridden(r, WINDOW_ALERTS, l)) return;
    l->answers[WINDOW_ALERTS] = answer_of(gate_alerts_of(r->world, slice_of(r->workload->ns), since, reason));
    if (l->answers[WINDOW_ALERTS] == WINDOW_PASS) buf_clear(reason);
}

/* The probes of this workload: what others do while it is watched is theirs. */
static void look_http(const struct run *r, struct window_look *l) {
    struct found f = {0};
    size_t probes = 0;
    if (is_overridden(r, WINDOW_HTTP, l)) return;
    if (raft_spec(r)->http.n == 0) {
        l->answers[WINDOW_HTTP] = WINDOW_NOT_ASKED;
        buf_adds(&l->reasons[WINDOW_HTTP], "the plan names no HTTP probe of this workload");
        return;
    }
    for (const struct row *p = world_first(r->world, T_PROBES); p; p = world_next(r->world, p)) {
        struct slice state = row_text(p, PROBES_STATE), name = row_text(p, PROBES_NAME), error = row_text(p, PROBES_ERROR);
        struct buf why = {0};
        if (!slice_is(row_text(p, PROBES_WORKLOAD), r->workload->name)) continue;
        probes++;
        if (gate_row(r->world, p, &why) != GATE_PASS) add(&f.unknown, "%s", buf_str(&why));
        else if (!state.p || slice_is(state, "UNKNOWN")) add(&f.unknown, "%.*s: no answer yet", SLICE_FMT(name));
        else if (!slice_is(state, "OK")) add(&f.bad, "%.*s: %.*s", SLICE_FMT(name), SLICE_FMT(error.n ? error : state));
        buf_free(&why);
    }
    if (probes == 0) add(&f.unknown, "no probe has been made yet");
    conclude(l, WINDOW_HTTP, &f);
}

void window_look(const struct run *r, int64_t since, struct window_memory *m, struct window_look *ret) {
    *ret = (struct window_look){.answers = {[WINDOW_WRITE] = WINDOW_NOT_ASKED, [WINDOW_ALERTS] = WINDOW_NO_DATA}};
    look_raft(r, m, ret);
    look_alerts(r, since, ret);
    look_http(r, ret);
}

void window_look_clear(struct window_look *l) {
    for (size_t g = 0; g < WINDOW_GATES; g++) buf_free(&l->reasons[g]);
}
