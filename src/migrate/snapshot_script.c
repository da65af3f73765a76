/* The operations of a snapshot, whether there is room for one, whether one is fresh, and how those of a run go. */
#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/work.h"
#include "migrate/raft.h"
#include "migrate/snapshot_file.h"
#include "migrate/snapshot_job_private.h"

#define SNAPSHOT_PATH "/v1/sys/storage/raft/snapshot"
#define LEADER_PATH "/v1/sys/leader"
#define FREE_PERCENT 10
#define MINUTE_MS (INT64_C(60) * CLOCK_MS_PER_S)

char *snapshot_dir(const struct run *r) {
    const struct plan_raft *p = raft_spec(r);
    return p->snapshot.directory ? mem_strdup(p->snapshot.directory) : str_printf("%s/snapshots", r->dir);
}

/* ---- Room ---- */

static char *existing(const char *path) {
    char *p = mem_strdup(path);
    struct statvfs s;
    while (statvfs(p, &s) != 0 && errno == ENOENT && !str_eq(p, "/") && !str_eq(p, ".")) {
        char *up = file_dirname(p);
        mem_free(p);
        p = up;
    }
    return p;
}

/* What is taken next is about as large as what was taken last; the first one's size nobody knows, and the writer looks as it writes. */
static enum op_answer judge_room(const struct run *r, const char *dir, struct buf *reason) {
    struct statvfs s;
    char *path = existing(dir);
    struct err *e = statvfs(path, &s) ? err_sys(errno, "%s", path) : snapshot_place(dir);
    mem_free(path);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_REFUSE;
    }
    double size = (double)s.f_blocks * (double)s.f_frsize, available = (double)s.f_bavail * (double)s.f_frsize;
    double need = (double)run_fact_int(r, "snapshot.bytes", 0) * 1.1;
    buf_printf(reason, "%s: %.0f MiB free", dir, available / 1048576);
    if (available - need >= size * FREE_PERCENT / 100) return OP_DONE;
    buf_printf(reason, ", about %.0f are needed, and %d %% of the disk (%.0f MiB) must stay free: make room there, or set snapshot.directory of the "
                       "plan to another disk", need / 1048576, FREE_PERCENT, size * FREE_PERCENT / 100 / 1048576);
    return OP_REFUSE;
}

static enum op_answer see_room(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op, (void)seen;
    if (r->preview) return OP_DONE;
    char *dir = snapshot_dir(r);
    enum op_answer answer = judge_room(r, dir, reason);
    mem_free(dir);
    return answer;
}

/* ---- Scripts ---- */

void snapshot_script(struct run *r, struct script *s) {
    char *dir = snapshot_dir(r);
    script_check(s, "snapshot room", "room for the snapshot", see_room);
    script_job(s, "snapshot take", script_fmt(s, "GET " SNAPSHOT_PATH " of the active node (" LEADER_PATH " before and after) into %s", dir), &snapshot_take_job, NULL, NULL);
    script_job(s, "snapshot prove", "read it back from the disk and prove it", &snapshot_prove_job, NULL, NULL);
    mem_free(dir);
}

bool snapshot_is_fresh(const struct run *r, const char *active, struct buf *reason) {
    int64_t age = clock_wall_ms() - run_fact_int(r, "snapshot.at", 0);
    if (r->preview) return true;
    if (!run_has(r, "snapshot.proved_at")) buf_adds(reason, run_has(r, "snapshot.file") ? "the snapshot is not proved yet" : "there is no snapshot yet");
    else if (!str_eq(run_fact(r, "snapshot.node"), active))
        buf_printf(reason, "the snapshot is from %s, active is %s now", run_fact(r, "snapshot.node"), active ? active : "nobody that is known");
    else if (age > SNAPSHOT_FRESH_MS) buf_printf(reason, "the snapshot is %lld minutes old, 60 at most are allowed", (long long)(age / MINUTE_MS));
    else if (age < -MINUTE_MS) buf_adds(reason, "the snapshot is from a time that has not come yet: the clock was set back");
    else if (!file_exists(run_fact(r, "snapshot.file"))) buf_printf(reason, "the snapshot %s is not there any more", run_fact(r, "snapshot.file"));
    else return true;
    return false;
}

/* ---- Clean-up ---- */

struct purge {
    char *dir, *prefix, *run, *kept;
    size_t n;
    struct err *e;
    struct run *r;
    struct op *op; /* NULL: given up */
};

static void purge_run(void *arg) {
    struct purge *p = arg;
    p->e = snapshot_remove(p->dir, p->prefix, p->run, p->kept, &p->n);
}

static void purge_done(void *arg) {
    struct purge *p = arg;
    if (p->op) {
        char text[100];
        snprintf(text, sizeof text, "%zu removed", p->n);
        p->op->data = NULL;
        op_job_done(p->r, p->op, p->e, text);
        p->e = NULL;
    }
    err_free(p->e);
    mem_free(p->dir);
    mem_free(p->prefix);
    mem_free(p->run);
    mem_free(p->kept);
    mem_free(p);
}

static void purge_start(struct run *r, struct op *op) {
    struct purge *p = MEM_NEW(struct purge);
    *p = (struct purge){.dir = snapshot_dir(r), .prefix = mem_strdup(r->workload->name), .run = mem_strdup(r->id), .r = r, .op = op,
                        .kept = run_has(r, "snapshot.file") ? mem_strdup(run_fact(r, "snapshot.file")) : NULL};
    op->data = p;
    work_start(r->loop, purge_run, purge_done, p);
}

static void purge_cancel(struct run *r, struct op *op) {
    struct purge *p = op->data;
    (void)r;
    if (p) p->op = NULL;
    op->data = NULL;
}

static const struct op_job purge_job = {.start = purge_start, .cancel = purge_cancel};

void snapshot_script_purge(struct run *r, struct script *s) {
    char *dir = snapshot_dir(r);
    script_job(s, "snapshots purge", script_fmt(s, "remove the snapshots of this run in %s, but the newest", dir), &purge_job, NULL, NULL);
    mem_free(dir);
}
