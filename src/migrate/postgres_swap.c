/* Phase "swap claim and first boot": the old server is stopped in order, the deployment gets a new claim, and what comes up on it is
 * an empty, fenced cluster like the old one. Nothing of the old claim is changed but its volume's reclaim policy (safety 6, 7, 8). */
#include "base/json_doc.h"
#include "base/str.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "world/world.h"

static void script_retain(struct run *r, struct script *s)
{
    move_script_retain(r, s, "retain");
}

static void script_stop(struct run *r, struct script *s)
{
    move_script_stop(r, s, true);
}

static void script_claim(struct run *r, struct script *s)
{
    const char *why;
    if (move_interrupted(r, &why))
        move_script_discard(r, s, why);
    move_script_claim(r, s);
}

static void script_name(struct run *r, struct script *s)
{
    move_script_name(r, s, true);
}

static enum op_answer see_boot_begun(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    run_set(r, "boot.begun", run_fact(r, "claim.new.uid"));
    buf_printf(reason, "claim uid %s", move_short(r, "claim.new.uid"));
    return OP_DONE;
}

void move_script_first_boot(struct run *r, struct script *s)
{
    script_check(s, "boot begins", "this claim is given to a server now: a crash from here on discards it", see_boot_begun);
    move_script_scale_up(r, s);
    move_script_boot(r, s, "first boot", BOOT_NEW);
    move_script_bound(r, s);
}

static void script_fresh(struct run *r, struct script *s)
{
    move_script_fence(r, s, DB_SERVER, "on", "fence.new");
    move_script_images(r, s, "images");
    move_script_fresh(r, s, DB_SERVER, "fresh.inventory");
}

static const struct step steps[] = {
    {"retain", "the old volume is kept", script_retain},
    {"stop", "stop the old server in order", script_stop},
    {"claim", "the new claim", script_claim},
    {"name", "the deployment names it", script_name},
    {"boot", "first boot", move_script_first_boot},
    {"fresh", "empty, like the source, fenced", script_fresh},
    {NULL, NULL, NULL},
};

/* A dump that is proved, of this server, after the counts. */
static bool may_begin(const struct run *r, struct buf *reason)
{
    if (!run_has(r, "dump.proved_at") || !run_has(r, "dump.file")) {
        buf_adds(reason, "there is no proved dump yet");
        return false;
    }
    if (run_has(r, "dump.identifier") && !str_eq(run_fact(r, "dump.identifier"), run_fact(r, "pg.identifier.old"))) {
        buf_printf(reason, "the dump is of system identifier %s, the source is %s", run_fact(r, "dump.identifier"),
                   run_fact(r, "pg.identifier.old"));
        return false;
    }
    if (postgres_dump_is_old(r)) {
        buf_adds(reason, "the dump was proved more than a day ago: run counts and dump again");
        return false;
    }
    return postgres_may_begin(r, reason);
}

static void dialog(struct run *r, struct dialog *d)
{
    const struct plan_postgres *p = postgres_spec(r);
    int64_t age = (world_now(r->world) - run_fact_int(r, "dump.proved_at", world_now(r->world))) / 60000;
    dialog_line(d, "will go", "pod %s, in order: CHECKPOINT, SIGTERM, \"database system is shut down\" seen", move_say(r, "pod.server.name"));
    dialog_line(d, "from", "claim %s  uid %s  %s  volume kept (Retain)", move_say(r, "claim.old.name"), move_short(r, "claim.old.uid"),
                move_say(r, "claim.old.class"));
    dialog_line(d, "to", "claim %s  %lld GiB  %s, empty, %s", p->claim.name, (long long)(p->claim.size >> 30), r->plan->target_class,
                str_eq(p->claim.apply, "external") ? "applied from outside" : "created here");
    dialog_line(d, "will come", "a new cluster by initdb, with an identifier of its own, read-only until resume");
    dialog_line(d, "meanwhile", "the database is away for the stop and the first boot; the applications stay stopped until resume");
    dialog_line(d, "proof", "dump %s, %lld bytes, proved %lld min ago", move_say(r, "dump.file"), (long long)run_fact_int(r, "dump.bytes", 0),
                (long long)age);
    for (const struct row *w = world_first(r->world, T_WORKLOADS); w; w = world_next(r->world, w))
        if (slice_is(row_text(w, WORKLOADS_NAME), p->deployment) && slice_is(row_text(w, WORKLOADS_NAMESPACE), r->workload->ns)) {
            struct slice text = row_text(w, WORKLOADS_MANAGER);
            if (text.n > 0 && !slice_starts(text, "ferryman"))
                dialog_line(d, "beware", "the deployment is written by %.*s: change claimName there too, or it brings the old claim back", SLICE_FMT(text));
        }
    dialog_line(d, "lost", "nothing: the old claim and its volume stay as they are");
    dialog_line(d, "undo", "rollback: the old name back, the same pod on the old claim; the new claim is discarded");
}

static int64_t estimate(const struct run *r)
{
    return 1000 * run_fact_int(r, "rehearse.seconds.boot", 0);
}

const struct phase postgres_phase_swap = {
    .id = "swap",
    .title = "swap claim and first boot",
    .stake = STAKE_HARD,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = move_from_the_start,
    .estimate_ms = estimate,
};
