#include "source/raft_verdict.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define MINUTE_S 60
#define HOUR_S 3600
#define DAY_S 86400

/* ---- Words ------------------------------------------------------------------------------------------------------- */

void raft_add_duration(struct buf *out, int64_t ms)
{
    long long s = ms > 0 ? ms / CLOCK_MS_PER_S : 0;
    if (s < MINUTE_S)
        buf_printf(out, "%llds", s);
    else if (s < HOUR_S)
        buf_printf(out, "%lldm %02llds", s / MINUTE_S, s % MINUTE_S);
    else if (s < DAY_S)
        buf_printf(out, "%lldh %02lldm", s / HOUR_S, s % HOUR_S / MINUTE_S);
    else
        buf_printf(out, "%lldd %lldh", s / DAY_S, s % DAY_S / HOUR_S);
}

void raft_add_number(struct buf *out, int64_t n)
{
    char digits[32];
    char *text = str_printf("%lld", (long long)n);
    str_copy(digits, sizeof digits, text);
    mem_free(text);
    for (size_t i = 0, len = strlen(digits); i < len; i++) {
        buf_addc(out, digits[i]);
        size_t left = len - i - 1;
        if (left > 0 && left % 3 == 0 && digits[i] != '-')
            buf_addc(out, ',');
    }
}

static void add_since(struct buf *out, int64_t now, int64_t since)
{
    char hms[32];
    buf_printf(out, "since %sZ (", clock_format_hms(since, hms, sizeof hms));
    raft_add_duration(out, now - since);
    buf_addc(out, ')');
}

/* "a", "a and b", "a, b and c" of the nodes that `is` picks; returns how many. */
typedef bool (*pick_fn)(const struct raft_node *n, const void *arg);

static size_t add_names(struct buf *out, const struct raft_view *v, pick_fn is, const void *arg)
{
    size_t total = 0, done = 0;
    for (size_t i = 0; i < v->count; i++)
        total += is(&v->nodes[i], arg);
    for (size_t i = 0; i < v->count; i++) {
        if (!is(&v->nodes[i], arg))
            continue;
        if (done > 0)
            buf_adds(out, done + 1 == total ? " and " : ", ");
        buf_adds(out, v->nodes[i].name);
        done++;
    }
    return total;
}

static void sentence(struct buf *out)
{
    if (out->len > 0)
        buf_adds(out, "; ");
}

/* ---- Predicates -------------------------------------------------------------------------------------------------- */

static bool answers(const struct raft_node *n)
{
    return n->reach == RAFT_ANSWERS;
}

static bool is_silent(const struct raft_node *n)
{
    return n->reach == RAFT_SILENT || n->reach == RAFT_NO_ANSWER;
}

static bool is_young(const struct raft_node *n)
{
    return n->pod_age_ms >= 0 && n->pod_age_ms < RAFT_YOUNG_MS;
}

/* A voter that can vote and be led. */
static bool is_able(const struct raft_node *n)
{
    return answers(n) && n->initialized && !n->sealed && !n->removed;
}

static bool names_node(const struct raft_node *n, const void *name)
{
    return is_able(n) && !n->is_self && str_eq(n->names, name);
}

static bool loses_heartbeat(const struct raft_node *n, const void *arg)
{
    (void)arg;
    return is_able(n) && n->heartbeat_lost;
}

static const char *silence(const struct raft_node *n)
{
    return n->reach == RAFT_NO_ANSWER ? "answers nothing (TCP unknown through the API server)"
                                      : "accepts TCP, answers nothing";
}

/* ---- What is wrong with single nodes ----------------------------------------------------------------------------- */

static void add_node_trouble(struct buf *out, const struct raft_node *n, int64_t now)
{
    sentence(out);
    buf_printf(out, "%s ", n->name);
    if (n->no_pod)
        buf_adds(out, "has no pod");
    else if (is_young(n) && !answers(n))
        buf_adds(out, "is starting");
    else if (is_silent(n))
        buf_adds(out, silence(n));
    else if (n->reach == RAFT_UNREACHABLE)
        buf_adds(out, n->deleting ? "is being deleted" : "is unreachable");
    else if (n->removed)
        buf_adds(out, "was removed from the cluster for good: its disk must be wiped before it can join again");
    else if (!n->initialized)
        buf_adds(out, "is not initialised (waiting to join; never run init on it)");
    else if (n->sealed)
        buf_adds(out, "is sealed");
    else if (n->heartbeat_lost)
        buf_adds(out, "has lost its connection to the active node");
    else
        buf_adds(out, "is unhealthy by autopilot's word");
    if (answers(n) && n->lag > 0) {
        buf_adds(out, ", ");
        raft_add_number(out, n->lag);
        buf_adds(out, n->lag == 1 ? " entry behind" : " entries behind");
    }
    if (!answers(n) && n->missing_since >= 0) {
        buf_addc(out, ' ');
        add_since(out, now, n->missing_since);
    }
}

static bool has_trouble(const struct raft_node *n)
{
    if (n->reach == RAFT_UNASKED || n->reach == RAFT_BLOCKED)
        return false;
    return !is_able(n) || (!n->is_self && n->heartbeat_lost) || n->sick;
}

static size_t add_troubles(struct buf *out, const struct raft_view *v)
{
    size_t found = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (!has_trouble(&v->nodes[i]))
            continue;
        add_node_trouble(out, &v->nodes[i], v->now);
        found++;
    }
    return found;
}

/* ---- With an active node ----------------------------------------------------------------------------------------- */

/* The node that says it is active; of several the one that became so last. */
static int find_active(const struct raft_view *v, size_t *ret_count)
{
    int found = -1;
    *ret_count = 0;
    for (size_t i = 0; i < v->count; i++) {
        const struct raft_node *n = &v->nodes[i];
        if (!is_able(n) || !n->is_self)
            continue;
        (*ret_count)++;
        if (found < 0 || n->active_ms > v->nodes[found].active_ms)
            found = (int)i;
    }
    return found;
}

static bool is_active(const struct raft_node *n, const void *arg)
{
    (void)arg;
    return is_able(n) && n->is_self;
}

static bool is_not_asked(const struct raft_node *n, const void *arg)
{
    (void)arg;
    return n->reach == RAFT_UNASKED || n->reach == RAFT_BLOCKED;
}

static const char *first_error(const struct raft_view *v, pick_fn is)
{
    for (size_t i = 0; i < v->count; i++)
        if (is(&v->nodes[i], NULL) && v->nodes[i].error)
            return v->nodes[i].error;
    return NULL;
}

/* Whether writes to the node that leads have failed for long enough, while it and our way to it are well. */
static bool writes_fail(const struct raft_view *v, const struct raft_node *leader)
{
    const struct raft_probe *p = &v->probe;
    if (!p->node || !str_eq(p->node, leader->name) || p->failures < RAFT_WRITE_FAILURES)
        return false;
    bool fast = leader->latency_ms >= 0 && leader->latency_ms < RAFT_FAST_MS;
    return fast && p->failed_at - p->failing_since >= RAFT_WRITE_MS && v->now - p->failed_at < RAFT_PROBE_OLD_MS;
}

/* Classes B and B': every answer that needs no write is as it should be. */
static void tell_no_writes(const struct raft_view *v, const struct raft_node *leader, struct raft_verdict *ret)
{
    const struct raft_probe *p = &v->probe;
    struct buf *text = &ret->text;
    bool known = p->index_then >= 0 && leader->applied >= 0, moved = known && leader->applied > p->index_then;
    ret->state = "STUCK";
    buf_adds(text, "LEADER STUCK ");
    add_since(text, v->now, p->failing_since);
    buf_printf(text, ": %s says that it is active and answers at once, but %u writes to it in a row failed", leader->name,
               p->failures);
    if (p->error && *p->error)
        buf_printf(text, " (%s)", p->error);
    if (moved) {
        buf_adds(text, "; its index still moves, now ");
        raft_add_number(text, leader->applied);
        buf_adds(text, ": raft writes, so its audit device hangs or is full. Suggested: look at its audit volume; graceful "
                       "delete of pod ");
    } else {
        if (known) {
            buf_adds(text, "; its index is frozen at ");
            raft_add_number(text, leader->applied);
        }
        buf_adds(text, ": its storage does not end writes, and heartbeats, which need no disk, keep the others from "
                       "electing. Suggested: graceful delete of pod ");
    }
    buf_printf(text, "%s. Not: step-down, which would have to write%s", leader->name, leader->on_nfs ? "; --force (it mounts NFS)" : "; --force");
}

static void judge_led(const struct raft_view *v, size_t actives, struct raft_verdict *ret)
{
    struct buf *text = &ret->text;
    if (writes_fail(v, &v->nodes[ret->leader])) {
        tell_no_writes(v, &v->nodes[ret->leader], ret);
        return;
    }
    ret->state = "OK";
    if (actives > 1) {
        add_names(text, v, is_active, NULL);
        buf_adds(text, " both say they are active: the leader is changing, or one has not noticed yet");
    }
    add_troubles(text, v);
    if (text->len > 0) {
        ret->state = "DEGRADED";
        return;
    }
    if (add_names(text, v, is_not_asked, NULL) == 0)
        return;
    const char *why = first_error(v, is_not_asked);
    buf_printf(text, " could not be asked yet%s%s", why ? ": " : "", why ? why : "");
    ret->state = "UNKNOWN";
}

/* ---- Without ----------------------------------------------------------------------------------------------------- */

/* The node that every answering standby names; NULL if they name none or disagree. */
static const struct raft_node *named_leader(const struct raft_view *v)
{
    const char *name = NULL;
    for (size_t i = 0; i < v->count; i++) {
        const struct raft_node *n = &v->nodes[i];
        if (!is_able(n) || !n->names || !*n->names)
            continue;
        if (name && !str_eq(name, n->names))
            return NULL;
        name = n->names;
    }
    for (size_t i = 0; name && i < v->count; i++)
        if (str_eq(v->nodes[i].name, name))
            return &v->nodes[i];
    return NULL;
}

static const struct raft_node *node_by_name(const struct raft_view *v, const char *name)
{
    for (size_t i = 0; i < v->count; i++)
        if (str_eq(v->nodes[i].name, name))
            return &v->nodes[i];
    return NULL;
}

static bool somebody_is_fast(const struct raft_view *v)
{
    for (size_t i = 0; i < v->count; i++)
        if (answers(&v->nodes[i]) && v->nodes[i].latency_ms >= 0 && v->nodes[i].latency_ms < RAFT_FAST_MS)
            return true;
    return false;
}

/* Whether the named leader has hung for long enough, or has answered only once since it did. */
static bool is_stuck(const struct raft_view *v, const struct raft_memory *m, const struct raft_node *n)
{
    if (is_young(n) || n->deleting || n->no_pod)
        return false;
    if (str_eq(m->stuck_on, n->name) && (is_silent(n) || (answers(n) && n->hits < 2)))
        return true;
    return is_silent(n) && n->misses >= RAFT_STUCK_MISSES && v->now - n->missing_since >= RAFT_STUCK_MS &&
           somebody_is_fast(v);
}

/* "index frozen at 2,477,632", if it has not moved since then. */
static void add_index(struct buf *out, const struct raft_memory *m, int64_t since)
{
    if (m->index < 0)
        return;
    bool frozen = m->index_moved <= since + RAFT_FAST_MS;
    buf_adds(out, frozen ? "; index frozen at " : "; index still moved after that, now ");
    raft_add_number(out, m->index);
}

static void tell_stuck(const struct raft_view *v, struct raft_memory *m, const struct raft_node *n,
                       struct raft_verdict *ret)
{
    struct buf *text = &ret->text, names = {0}, losers = {0};
    if (!str_eq(m->stuck_on, n->name)) {
        str_copy(m->stuck_on, sizeof m->stuck_on, n->name);
        m->stuck_since = n->missing_since;
    }
    ret->state = "STUCK";
    buf_adds(text, "LEADER STUCK ");
    add_since(text, v->now, m->stuck_since);
    buf_printf(text, ": %s %s", n->name, answers(n) ? "answers again, once so far" : silence(n));
    size_t naming = add_names(&names, v, names_node, n->name);
    if (naming > 0)
        buf_printf(text, "; %s still name%s it", buf_str(&names), naming == 1 ? "s" : "");
    size_t losing = add_names(&losers, v, loses_heartbeat, NULL);
    if (losing > 0)
        buf_printf(text, "; %s %s lost the connection to it", buf_str(&losers), losing == 1 ? "has" : "have");
    add_index(text, m, m->stuck_since);
    buf_printf(text, ". Suggested: graceful delete of pod %s. Not: --force%s", n->name,
               n->on_nfs ? " (it mounts NFS)" : "");
    buf_free(&names);
    buf_free(&losers);
}

struct quorum {
    size_t voters, able, young;
};

static struct quorum count_quorum(const struct raft_view *v)
{
    struct quorum q = {0};
    for (size_t i = 0; i < v->count; i++) {
        const struct raft_node *n = &v->nodes[i];
        if (n->not_a_voter)
            continue;
        q.voters++;
        q.able += is_able(n);
        q.young += !is_able(n) && is_young(n);
    }
    return q;
}

static bool is_sealed(const struct raft_node *n, const void *arg)
{
    (void)arg;
    return answers(n) && n->initialized && n->sealed && !n->removed;
}

static bool is_away(const struct raft_node *n, const void *arg)
{
    (void)arg;
    return !answers(n);
}

static void tell_no_quorum(const struct raft_view *v, const struct raft_memory *m, const struct quorum *q,
                           struct raft_verdict *ret)
{
    struct buf *text = &ret->text, names = {0};
    ret->state = "NO LEADER";
    buf_adds(text, "NO LEADER ");
    add_since(text, v->now, m->no_active_since);
    buf_printf(text, ": no quorum, %zu of %zu voters can vote: ", q->able, q->voters);
    struct buf troubles = {0};
    add_troubles(&troubles, v);
    buf_adds(text, buf_str(&troubles));
    add_index(text, m, m->no_active_since);
    buf_adds(text, ". Suggested: restore the quorum");
    if (add_names(&names, v, is_sealed, NULL) > 0)
        buf_printf(text, ", unseal %s", buf_str(&names));
    buf_clear(&names);
    if (add_names(&names, v, is_away, NULL) > 0)
        buf_printf(text, ", bring %s back", buf_str(&names));
    buf_adds(text, ". Not: remove-peer, init");
    buf_free(&troubles);
    buf_free(&names);
}

static void tell_no_active(const struct raft_view *v, const struct raft_memory *m, const struct quorum *q,
                           const struct raft_node *named, struct raft_verdict *ret)
{
    struct buf *text = &ret->text, names = {0};
    ret->state = "NO LEADER";
    buf_adds(text, "NO LEADER ");
    add_since(text, v->now, m->no_active_since);
    buf_printf(text, ": %zu of %zu voters can vote, none is active", q->able, q->voters);
    if (named && add_names(&names, v, names_node, named->name) > 0)
        buf_printf(text, "; %s still name%s %s", buf_str(&names), strstr(buf_str(&names), " and ") ? "" : "s",
                   named->name);
    else
        buf_adds(text, "; they name no common leader");
    add_troubles(text, v);
    add_index(text, m, m->no_active_since);
    /* Entries are applied only by a raft leader: one that wrote and is not active hangs on its way there. */
    if (m->index >= 0 && m->index_moved > m->no_active_since + RAFT_NO_QUORUM_MS)
        buf_adds(text, ". So raft has a leader that never became active. Suggested: graceful delete of the pod that holds "
                       "the raft lead (its log says \"acquired lock\"). Not: --force, remove-peer");
    else
        buf_adds(text, ". Either raft elects nobody, or its leader never became active: without a token the two cannot be told "
                       "apart. Suggested: look for elections in the nodes' logs; graceful delete of the pod that holds the raft "
                       "lead. Not: --force, remove-peer");
    buf_free(&names);
}

/* It is too early to say more than that nobody leads. */
static void tell_waiting(const struct raft_view *v, const struct raft_memory *m, const struct raft_node *named,
                         struct raft_verdict *ret)
{
    struct buf troubles = {0};
    ret->state = "DEGRADED";
    buf_adds(&ret->text, "no node is active ");
    add_since(&ret->text, v->now, m->no_active_since);
    buf_adds(&ret->text, v->now < v->change_until ? ": the leader is stepping down" : ": an election takes seconds");
    if (named && is_silent(named))
        buf_printf(&ret->text, "; %s is still named as the leader", named->name);
    if (add_troubles(&troubles, v) > 0)
        buf_printf(&ret->text, "; %s", buf_str(&troubles));
    buf_free(&troubles);
}

static void judge_leaderless(const struct raft_view *v, struct raft_memory *m, struct raft_verdict *ret)
{
    const struct raft_node *named = named_leader(v), *stuck = m->stuck_on[0] ? node_by_name(v, m->stuck_on) : named;
    struct quorum q = count_quorum(v);
    int64_t waited;
    if (m->no_active_since < 0)
        m->no_active_since = v->now;
    waited = v->now - m->no_active_since;
    if (v->now < v->change_until) {
        tell_waiting(v, m, named, ret);
        return;
    }
    if (stuck && is_stuck(v, m, stuck)) {
        tell_stuck(v, m, stuck, ret);
        return;
    }
    m->stuck_on[0] = '\0';
    bool quorum = q.able >= q.voters / 2 + 1, young = q.young > 0 && waited < RAFT_NO_ACTIVE_MS;
    if (!quorum && !young && waited >= RAFT_NO_QUORUM_MS && !(named && is_silent(named) && waited < RAFT_STUCK_MS))
        tell_no_quorum(v, m, &q, ret);
    else if (waited >= RAFT_NO_ACTIVE_MS)
        tell_no_active(v, m, &q, named, ret);
    else
        tell_waiting(v, m, named, ret);
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static bool fails(const struct raft_node *n, const void *arg)
{
    (void)arg;
    return !answers(n) && n->reach != RAFT_UNASKED;
}

static void judge_unseen(const struct raft_view *v, struct raft_verdict *ret)
{
    const char *why = first_error(v, fails);
    int64_t since = -1;
    ret->state = "UNKNOWN";
    for (size_t i = 0; i < v->count; i++) {
        if (v->nodes[i].reach == RAFT_UNASKED)
            return; /* the first answers are awaited */
        if (v->nodes[i].missing_since > since)
            since = v->nodes[i].missing_since;
    }
    if (v->count == 0) {
        buf_adds(&ret->text, "no node is known");
        return;
    }
    buf_adds(&ret->text, "no node answers");
    if (since >= 0) {
        buf_addc(&ret->text, ' ');
        add_since(&ret->text, v->now, since);
    }
    buf_adds(&ret->text, ": our network or the API server may be the cause, nothing is known about the cluster");
    if (why)
        buf_printf(&ret->text, " (%s)", why);
}

/* Nobody is active among those who answer, but another could not be asked: it may be the one. */
static bool judge_unasked(const struct raft_view *v, struct raft_verdict *ret)
{
    const char *why = first_error(v, is_not_asked);
    if (add_names(&ret->text, v, is_not_asked, NULL) == 0)
        return false;
    ret->state = "UNKNOWN";
    if (why)
        buf_printf(&ret->text, " could not be asked, the others are not active: %s", why);
    else
        buf_clear(&ret->text);
    return true;
}

static void note_index(const struct raft_view *v, struct raft_memory *m)
{
    for (size_t i = 0; i < v->count; i++) {
        if (!answers(&v->nodes[i]) || v->nodes[i].applied < 0)
            continue;
        int64_t applied = v->nodes[i].applied, others = applied - v->probe.writes;
        if (others > m->others) {
            m->others = others;
            m->index_changed = v->now;
        }
        if (applied > m->index) {
            m->index = applied;
            m->index_moved = v->now;
        }
    }
}

void raft_judge(const struct raft_view *v, struct raft_memory *m, struct raft_verdict *ret)
{
    size_t actives, answering = 0;
    *ret = (struct raft_verdict){.leader = find_active(v, &actives)};
    note_index(v, m);
    for (size_t i = 0; i < v->count; i++)
        answering += answers(&v->nodes[i]);
    if (answering == 0) {
        judge_unseen(v, ret);
        return;
    }
    if (ret->leader < 0) {
        if (!judge_unasked(v, ret))
            judge_leaderless(v, m, ret);
        return;
    }
    m->no_active_since = -1;
    m->stuck_on[0] = '\0';
    judge_led(v, actives, ret);
}
