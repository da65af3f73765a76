/* The dump, and what makes it the proof that everything rests on: its rows are the counts exactly, and the sums of writes are the same
 * before and after it (safety 3, 4; design §6 rule 7). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "client/pg_conn.h"
#include "migrate/dump_job.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "migrate/postgres_quiet.h"
#include "migrate/postgres_room.h"
#include "world/world.h"

#define PROOF_MAX_MS (INT64_C(24) * 60 * 60 * 1000)

/* The counts are of no use either: not told by comparing times, for a clock may be set back. */
void postgres_dump_is_stale(struct run *r)
{
    run_set_int(r, "dump.stale", clock_wall_ms());
    run_set(r, "counts.at", "");
}

bool postgres_dump_is_old(const struct run *r)
{
    return run_has(r, "dump.proved_at") && world_now(r->world) - run_fact_int(r, "dump.proved_at", 0) > PROOF_MAX_MS;
}

bool postgres_dump_goes_off(const struct run *r)
{
    return postgres_dump_is_old(r) && !run_has(r, "stop.seen");
}

static enum op_answer equal_writes(struct run *r, const char *fact, const char *when, struct buf *reason)
{
    if (r->preview)
        return OP_DONE;
    struct buf why = {0};
    bool equal = postgres_facts_equal(r, "counts.writes", fact, when, NULL, &why);
    if (equal)
        buf_adds(reason, "the sums of writes are the same");
    else
        buf_printf(reason, "the dump is stale: somebody wrote in spite of the fence: %s. Find who (a superuser may set itself read-write), "
                           "stop it, and run counts again", buf_str(&why));
    buf_free(&why);
    if (!equal)
        postgres_dump_is_stale(r);
    return equal ? OP_DONE : OP_REFUSE;
}

static enum op_answer see_before(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    return equal_writes(r, "dump.writes.before", "now", reason);
}

static enum op_answer see_after(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    return equal_writes(r, "dump.writes.after", "after the dump", reason);
}

static enum op_answer see_counted(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    if (r->preview || (run_has(r, "counts") && run_has(r, "counts.writes")))
        return OP_DONE;
    buf_adds(reason, "there are no counts to compare a dump with: run counts first");
    return OP_REFUSE;
}

static enum op_answer see_rows(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct buf why = {0};
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    bool equal = postgres_facts_equal(r, "counts", "dump.rows", "in the dump", NULL, &why);
    buf_printf(reason, "%s%s%s", equal ? "" : "the dump does not hold what was counted, and must not be restored from: ", buf_str(&why),
               equal ? "" : ". Run counts and dump again");
    buf_free(&why);
    if (!equal)
        postgres_dump_is_stale(r);
    return equal ? OP_DONE : OP_REFUSE;
}

static enum op_answer see_identity(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    if (r->preview || str_eq(run_fact(r, "dump.identifier"), run_fact(r, "pg.identifier.old"))) {
        buf_printf(reason, "of the server %s", run_fact(r, "pg.identifier.old"));
        return OP_DONE;
    }
    buf_printf(reason, "the dump is of the server %s, the source is %s: the address leads elsewhere",
               run_has(r, "dump.identifier") ? run_fact(r, "dump.identifier") : "(not known)", run_fact(r, "pg.identifier.old"));
    return OP_REFUSE;
}

static void script_before(struct run *r, struct script *s)
{
    move_script_look(r, s, "look");
    move_script_source(r, s, "source");
    script_check(s, "counted", "the counts are there", see_counted);
    script_check(s, "room", "room for the dump", postgres_see_room);
    postgres_script_alone(r, s, "before the dump");
    postgres_script_writes(r, s, DB_SERVER, "dump.writes.before");
    script_check(s, "unwritten before", "nobody wrote since the counts", see_before);
}

static void script_dump_it(struct run *r, struct script *s)
{
    const char *folder = postgres_spec(r)->dump.directory;
    script_dump(s, "dump", script_fmt(s, "pg_dumpall of every database and role into %s", folder ? folder : r->dir), DB_SERVER, NULL);
}

static enum op_answer see_good(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    buf_adds(reason, "proved");
    if (!r->preview)
        run_set(r, "dump.stale", "");
    return OP_DONE;
}

static void script_proof(struct run *r, struct script *s)
{
    script_check(s, "server", "it is a dump of the source", see_identity);
    script_check(s, "rows", "its rows are the counts", see_rows);
    postgres_script_writes(r, s, DB_SERVER, "dump.writes.after");
    script_check(s, "unwritten after", "nobody wrote meanwhile", see_after);
    script_dump_proof(s, "proof", "read it back from the disk", NULL);
    script_check(s, "good", "it is what was counted", see_good);
}

static const struct step steps[] = {
    {"before", "counts are there, and nobody writes", script_before},
    {"dump", "dump", script_dump_it},
    {"proof", "the dump is proved", script_proof},
    {NULL, NULL, NULL},
};

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (!run_has(r, "counts")) {
        buf_adds(reason, "the tables are not counted yet: run counts first");
        return false;
    }
    return postgres_may_begin(r, reason);
}

static void dialog(struct run *r, struct dialog *d)
{
    const struct plan_postgres *p = postgres_spec(r);
    dialog_line(d, "object", "server of deployment %s, all databases and roles, strategy %s", p->deployment, p->dump.strategy);
    dialog_line(d, "will come", "one file in %s, 0600, %s", p->dump.directory ? p->dump.directory : "the state folder",
                p->dump.encrypt.none ? p->dump.encrypt.reason : "encrypted with the passphrase of the plan");
    dialog_line(d, "proof", "SHA-256, end of dump, and rows of each table equal to the counts");
    dialog_line(d, "meanwhile", "the applications are stopped");
    dialog_line(d, "lost", "nothing: it reads");
    dialog_line(d, "undo", "the file can be deleted");
}

static int64_t estimate_ms(const struct run *r)
{
    return run_fact_int(r, "rehearse.seconds.dump", 0) * CLOCK_MS_PER_S;
}

/* A dump that is not what was counted, or of which it is not known, is made again; one that is there is proved. */
static const char *begin_at(const struct run *r)
{
    struct buf why = {0};
    bool good = run_has(r, "dump.file") && postgres_facts_equal(r, "counts", "dump.rows", "in the dump", NULL, &why) &&
                postgres_facts_equal(r, "counts.writes", "dump.writes.before", "now", NULL, &why) &&
                (!run_has(r, "dump.writes.after") ||
                 postgres_facts_equal(r, "counts.writes", "dump.writes.after", "after the dump", NULL, &why));
    buf_free(&why);
    return good ? "proof" : "before";
}

static bool undone(const struct run *r)
{
    return (run_has(r, "dump.stale") || postgres_dump_goes_off(r)) && !run_has(r, "pg.identifier.new");
}

const struct phase postgres_phase_dump = {
    .id = "dump",
    .title = "dump",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .undone = undone,
    .begin_at = begin_at,
    .estimate_ms = estimate_ms,
};
