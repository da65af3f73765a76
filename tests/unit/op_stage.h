/* A run on a stage: an API server that keeps objects (GET, POST, PUT, JSON Patch, DELETE with preconditions, dryRun) and can go wrong in
 * every way, a journal in a folder of its own, a lock if it is wanted, and a script that is carried out. */
#ifndef FERRYMAN_TESTS_OP_STAGE_H
#define FERRYMAN_TESTS_OP_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "client/kube_config.h"
#include "migrate/op.h"
#include "migrate/run.h"
#include "tests/unit/tiny_http.h"

#define DEPLOYMENT "/apis/apps/v1/namespaces/immich/deployments/immich-server"
#define CLAIMS_OF "/api/v1/namespaces/immich/persistentvolumeclaims"

enum fault {
    FAULT_NONE,
    FAULT_LOST,       /* carried out, and the connection ends without an answer */
    FAULT_RESET,      /* not carried out, the connection is reset */
    FAULT_STATUS,     /* not carried out: fault_status, fault_body */
};

struct op_stage {
    struct loop *loop;
    struct tiny_http *server;
    struct kube_config config;
    struct kube_client *client;
    struct plan *plan;
    struct journal *journal;
    struct lock *lock;
    struct run *run;
    struct op_runner *runner;
    struct timer *poll;
    struct map *objects;   /* path → struct json_t */
    char *dir;
    int uids;

    /* the server's moods */
    enum fault fault;      /* of the next `faults` acts */
    int faults, fault_status;
    const char *fault_body;
    int get_faults, get_status;       /* the next GETs of objects are answered so */
    int64_t get_delay_ms;             /* the next GET of an object comes so late */
    int64_t act_delay_ms;             /* the answer of the next act comes so late; it is carried out at once */
    void (*before_act)(struct op_stage *w); /* once, before the next act is judged */

    /* what was seen */
    int acts, carried_out, gets; /* acts but for Lease and Secret, dry runs not counted */
    int dry_runs;
    struct buf states;     /* texts of on_state, one a line */
    int64_t deadline;      /* of the last */
    bool done;
    struct err *error;     /* of on_done */
    bool (*want)(struct op_stage *w);
    bool reached;
    struct buf answer;
};

/* with_lock: it is acquired before this returns. conninfo NULL: none that leads anywhere. */
struct op_stage *op_stage_new(const char *conninfo, bool with_lock);
void op_stage_free(struct op_stage *w);
/* How it answers, for a stage that answers some paths itself; arg: the stage. */
bool op_stage_answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret);
/* Puts an object (JSON; it gets a uid if it has none) at the path. */
void op_stage_put(struct op_stage *w, const char *path, const char *json);
struct json_t *op_stage_get(struct op_stage *w, const char *path); /* borrowed; NULL */
const char *op_stage_uid(struct op_stage *w, const char *path);
/* A deployment with 2 replicas that helm and kubectl-scale have written. */
void op_stage_deployment(struct op_stage *w);
/* Somebody else takes the Lease. */
void op_stage_steal_lock(struct op_stage *w);

void op_stage_begin(struct op_stage *w, struct script *s);
void op_stage_await(struct op_stage *w, bool (*want)(struct op_stage *w), const char *what);
void op_stage_end(struct op_stage *w);       /* until on_done, which frees the runner */
void op_stage_run(struct op_stage *w, struct script *s); /* begin and end */
/* The journal's records as "act scale\noutcome scale done\nfact x=1\n"; borrowed until the next call. */
const char *op_stage_records(struct op_stage *w);
void op_stage_assert_in(const char *text, const char *part);
void op_stage_assert_fine(struct op_stage *w);
/* It ended with an error of that kind whose text has this part. */
void op_stage_assert_error(struct op_stage *w, enum err_kind kind, const char *part);

#define AWAIT(w, want) op_stage_await(w, want, #want)

/* ---- Scripts that several tests use ---- */

/* replicas 2 → 0 of the deployment, seen by its replicas. */
struct op *op_stage_scale(struct op_stage *w, struct script *s);

#endif
