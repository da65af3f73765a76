/* The judgement over a raft cluster's nodes: pure, from what each node was seen to do.
 *
 * Why it is not simply "the leader answers": heartbeats run in their own goroutine, so a leader whose state lock or
 * disk hangs stays the leader for ever, and its standbys go on naming it and call themselves healthy. Two classes are
 * told apart without writing:
 *
 * - A: the node that everybody names accepts TCP and answers nothing, while the others answer at once: STUCK.
 * - C and D: nobody is active for long, a raft leader never became active or there is no quorum: NO LEADER.
 *
 * Two show only in a write probe, which a phase or window runs and whose results come with the view:
 *
 * - B: the node that says it is active answers at once, but writes to it fail, and its index stands: its storage hangs.
 * - B': the same, but its index moves: raft writes, so it is the audit device that every request waits for.
 *
 * An index that stands without a write probe means nothing: idle clusters write nothing. C and D look alike to who asks
 * without a token; only an index that moved while nobody was active says that raft has a leader (C). If nobody answers,
 * the cause may be on our side: UNKNOWN. A node that says it is active, or two answers in a row of the node that hung,
 * clear the alarm; so does a write that succeeds. While a change of the leader is expected, its absence is no alarm. */
#ifndef FERRYMAN_SOURCE_RAFT_VERDICT_H
#define FERRYMAN_SOURCE_RAFT_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define RAFT_STUCK_MS 45000 /* silence of the named leader from which it is stuck */
#define RAFT_STUCK_MISSES 3 /* and unanswered polls */
#define RAFT_FAST_MS 1000       /* an answer that proves our own network */
#define RAFT_NO_ACTIVE_MS 90000 /* elections take seconds; a step-down up to about 90 s */
#define RAFT_NO_QUORUM_MS 15000
#define RAFT_YOUNG_MS 60000 /* a pod this young may be silent */
#define RAFT_WRITE_FAILURES 3 /* failed write probes in a row */
#define RAFT_WRITE_MS 60000   /* over at least this time */
#define RAFT_PROBE_OLD_MS 180000 /* a write probe that failed so long ago, and none since, says nothing */

enum raft_reach {
    RAFT_UNASKED, /* no poll has ended yet */
    RAFT_ANSWERS,
    RAFT_SILENT,      /* accepts TCP, answers nothing */
    RAFT_NO_ANSWER,   /* through the API server: answers nothing, TCP unknown */
    RAFT_UNREACHABLE, /* no connection, or no pod */
    RAFT_BLOCKED,     /* our way to it is closed: says nothing about it */
};

struct raft_node {
    const char *name;
    enum raft_reach reach;
    int64_t missing_since; /* wall ms of the first unanswered poll; -1 */
    unsigned misses, hits; /* unanswered or answered polls in a row */
    int64_t latency_ms;    /* of its last answer; -1 */
    const char *error;     /* why it could not be asked; NULL */
    /* by its own word, while it answers */
    bool initialized, sealed, removed, is_self;
    int64_t active_ms;   /* active_time; -1 */
    const char *names;   /* node that it names as leader; "": none; NULL: it does not say */
    bool heartbeat_lost; /* its connection to the active node fails */
    int64_t applied;     /* -1 */
    int64_t lag;         /* entries behind the leader; 0 also where not known */
    /* by Kubernetes and the raft configuration */
    int64_t pod_age_ms; /* -1: not known */
    bool no_pod, deleting, on_nfs;
    bool not_a_voter; /* the raft configuration says so, or does not have it */
    bool sick;        /* autopilot's word */
};

/* The write probe of a phase or window; zero: none is run. */
struct raft_probe {
    const char *node;      /* that was written to; NULL: none is run */
    unsigned failures;     /* in a row; 0: the last one succeeded */
    int64_t failing_since; /* wall ms: when the first of them was sent */
    int64_t failed_at;     /* wall ms: end of the last of them */
    int64_t index_then;    /* its applied index before the first of them; -1: not known */
    const char *error;     /* of the last of them */
    int64_t writes;        /* that succeeded, or may have, ever: the index moved by them, not by anybody else */
};

struct raft_view {
    int64_t now; /* wall ms */
    const struct raft_node *nodes;
    size_t count;
    struct raft_probe probe;
    int64_t change_until; /* wall ms: until then a change of the leader is expected (a step-down of ours); 0: none is */
};

/* What has to be remembered between two judgements. Start with RAFT_MEMORY_NEW. */
struct raft_memory {
    int64_t no_active_since; /* -1 */
    char stuck_on[128];      /* node; "" */
    int64_t stuck_since;
    int64_t index, index_changed; /* highest applied index seen, and when it last moved by anybody but us; -1 */
    int64_t index_moved;          /* by anybody at all */
    int64_t others;               /* the same index less our own write probes */
};
#define RAFT_MEMORY_NEW {.no_active_since = -1, .index = -1, .index_changed = -1, .others = -1}

struct raft_verdict {
    const char *state; /* OK, DEGRADED, STUCK, NO LEADER, UNKNOWN */
    int leader;        /* index of the node that is active by its own word, fresh; -1 */
    struct buf text;   /* one line; empty when well. The caller's: buf_free */
};

/* Judges this moment's view. `m` is the caller's, zero before the first call: what earlier calls have seen. ret is filled
 * anew. */
void raft_judge(const struct raft_view *v, struct raft_memory *m, struct raft_verdict *ret);

/* "7m 03s", "12s", "5h 07m", "9d 4h": appended. */
void raft_add_duration(struct buf *out, int64_t ms);
/* "2,477,632" */
void raft_add_number(struct buf *out, int64_t n);

#endif
