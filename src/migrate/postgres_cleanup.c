/* Phase "clean up": after the retention the old copy goes (safety 30, 31). By uid and handle from the journal, never by name: the old
 * claim is deleted while its volume is Retain, then the volume's object, when it is Released by that very claim, of a source class,
 * and no other volume lies on the same or a parent path. Deleting a Retain volume frees nothing: what has to be removed on the server is
 * printed, and the plaintext is said to be there until an operator says otherwise. Dumps are purged too. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "loop/work.h"
#include "migrate/cipher_file.h"
#include "migrate/dump_manifest.h"
#include "migrate/postgres.h"
#include "migrate/postgres_cleanup.h"
#include "migrate/postgres_move.h"
#include "migrate/postgres_rollback.h"
#include "migrate/retired_volume.h"
#include "world/world.h"

#define FOREIGN_FILES "foreign-files"

/* ---- Who would miss it ---- */

/* An object whose pods mount the claim. */
static enum op_answer see_no_template(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct json_t *items = jd_get(seen->doc, "items");
    const char *claim = run_fact(r, "claim.old.name"), *kind = op->data;
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *one = jd_at(items, i);
        if (!postgres_mounts(postgres_pod_spec(one), claim) || postgres_pod_finished(one))
            continue;
        buf_printf(reason, "%s/%s mounts claim %s: give it another one first, or delete it", kind, jd_str(one, "metadata.name"), claim);
        return OP_REFUSE;
    }
    buf_printf(reason, "none of %zu", jd_len(items));
    return OP_DONE;
}

static enum op_answer see_serving(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct slice id = seen->rows ? pg_rows_text(seen->rows, 0, 0) : (struct slice){0};
    (void)op;
    buf_printf(reason, "system identifier %.*s", SLICE_FMT(id));
    if (slice_is(id, run_fact(r, "pg.identifier.new")))
        return OP_DONE;
    buf_printf(reason, " serves, not the new database (%s): the old copy may be in use; nothing is purged", run_fact(r, "pg.identifier.new"));
    return OP_REFUSE;
}

static void script_look(struct run *r, struct script *s)
{
    static const struct {
        const char *kind, *base, *plural;
    } kinds[] = {{"pod", "/api/v1", "pods"},
                 {"deployment", "/apis/apps/v1", "deployments"},
                 {"statefulset", "/apis/apps/v1", "statefulsets"},
                 {"cronjob", "/apis/batch/v1", "cronjobs"},
                 {"job", "/apis/batch/v1", "jobs"}};
    move_script_target(r, s, "target");
    script_query(s, "serving", "the new database serves", DB_SERVER, NULL, postgres_sql_identifier, see_serving);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct op *op = script_get(s, script_fmt(s, "%s users", kinds[i].kind), script_fmt(s, "no %s mounts the old claim", kinds[i].kind),
                                   script_fmt(s, "%s/namespaces/%s/%s", kinds[i].base, r->workload->ns, kinds[i].plural), see_no_template);
        op->data = (void *)(uintptr_t)kinds[i].kind;
    }
}

/* ---- The claim ---- */

static enum op_answer see_purging(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_set_int(r, "cleanup.begun", clock_plan_ms());
    return OP_DONE;
}

/* The phase may begin here again, long after it was looked: a deployment that was put back on the old claim meanwhile would lose it. */
static void script_claim(struct run *r, struct script *s)
{
    const char *name = move_fact(r, s, "claim.old.name");
    script_look(r, s);
    script_check(s, "purging", "from here on there is no rollback", see_purging);
    script_get(s, "retained", "the old volume is kept", postgres_path_volume(move_fact(r, s, "volume.old.name")).p, move_see_retained);
    move_script_gone(r, s, script_fmt(s, "claim/%s", name), postgres_path_claim(r, name).p, move_fact(r, s, "claim.old.uid"), -1, NULL)
        ->irreversible = true;
}

/* ---- The volume ---- */

static void note_place(struct run *r, const char *volume, const char *place)
{
    (void)volume;
    run_set(r, "cleanup.place", place);
}

static enum op_answer see_told(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    const char *place = run_has(r, "cleanup.place") ? run_fact(r, "cleanup.place") : run_fact(r, "volume.old.handle");
    run_note(r, "WARN", "PLAINTEXT IS STILL ON %s: deleting a volume that is Retain frees nothing; remove it there. What else was said to lie in it: %s",
             place, run_override(r, FOREIGN_FILES) ? run_override(r, FOREIGN_FILES) : "nothing");
    buf_printf(reason, "plaintext is still on %s: remove it there", place);
    return OP_DONE;
}

static void script_volume(struct run *r, struct script *s)
{
    struct retired_volume v = {.name = move_fact(r, s, "volume.old.name"),
                               .uid = move_fact(r, s, "volume.old.uid"),
                               .handle = move_fact(r, s, "volume.old.handle"),
                               .claim_uid = move_fact(r, s, "claim.old.uid")};
    script_look(r, s);
    retired_script_look(r, s, &v, note_place);
    retired_script_purge(r, s, &v, note_place);
    script_check(s, "told", "what is left on the server", see_told);
}

/* ---- Dumps ---- */

struct purge {
    struct run *run;
    struct op *op; /* NULL: given up */
    char *file;
    struct err *e;
};

static struct err *remove_file(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return NULL;
    return err_sys(errno, "cannot remove %s", path);
}

/* A dump of the parallel strategy is a folder of files. */
static struct err *remove_folder(const char *path)
{
    struct err *e = NULL;
    DIR *d = opendir(path);
    for (struct dirent *entry; d && !e && (entry = readdir(d));) {
        if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
            continue;
        char *file = str_printf("%s/%s", path, entry->d_name);
        e = remove_file(file);
        mem_free(file);
    }
    if (d)
        closedir(d);
    if (!e && rmdir(path) != 0 && errno != ENOENT)
        e = err_sys(errno, "cannot remove %s", path);
    return e;
}

struct err *cleanup_remove_dump(const char *file)
{
    struct stat st;
    char *manifest = dump_manifest_path(file), *hmac = cipher_file_hmac_path(file);
    struct err *e = lstat(file, &st) == 0 && S_ISDIR(st.st_mode) ? remove_folder(file) : remove_file(file);
    if (!e)
        e = remove_file(hmac);
    if (!e)
        e = remove_file(manifest);
    mem_free(manifest);
    mem_free(hmac);
    return e;
}

static void purge_run(void *arg)
{
    struct purge *p = arg;
    p->e = cleanup_remove_dump(p->file);
}

static void purge_done(void *arg)
{
    struct purge *p = arg;
    if (p->op) {
        p->op->data = NULL;
        op_job_done(p->run, p->op, p->e, p->file);
        p->e = NULL;
    }
    err_free(p->e);
    mem_free(p->file);
    mem_free(p);
}

static void purge_start(struct run *r, struct op *op)
{
    struct purge *p = MEM_NEW(struct purge);
    *p = (struct purge){.run = r, .op = op, .file = mem_strdup(op->what + strlen("remove "))};
    op->data = p;
    work_start(r->loop, purge_run, purge_done, p);
}

static void purge_cancel(struct run *r, struct op *op)
{
    struct purge *p = op->data;
    (void)r;
    if (p)
        p->op = NULL;
    op->data = NULL;
}

static const struct op_job purge_job = {.start = purge_start, .cancel = purge_cancel};

void cleanup_script_purge(struct run *r, struct script *s, const char *id, const char *fact)
{
    if (r->preview || run_has(r, fact))
        script_job(s, id, script_fmt(s, "remove %s", move_fact(r, s, fact)), &purge_job, NULL, NULL);
}

static enum op_answer see_clean(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_set_int(r, "cleanup.done", clock_plan_ms());
    return OP_DONE;
}

static void script_dumps(struct run *r, struct script *s)
{
    cleanup_script_purge(r, s, "dump", "dump.file");
    rehearse_script_remove(r, s);
    script_check(s, "clean", "everything that was made on the way is gone", see_clean);
}

static const struct step steps[] = {
    {"look", "nobody needs the old copy", script_look},
    {"claim", "the old claim goes", script_claim},
    {"volume", "the old volume goes", script_volume},
    {"dumps", "dumps and scratch go", script_dumps},
    {NULL, NULL, NULL},
};

static bool may_begin(const struct run *r, struct buf *reason)
{
    int64_t until = run_fact_int(r, "retain.until", 0), now = clock_plan_ms();
    char text[40], age[40];
    if (!run_has(r, "resume.at") || until == 0) {
        buf_adds(reason, "the applications have not been resumed on the new copy yet");
        return false;
    }
    if (now < until) {
        clock_format_utc(until, text, sizeof text);
        buf_printf(reason, "claim %s is kept until %s (%s)", run_fact(r, "claim.old.name"), text, clock_format_age(now - until, age, sizeof age));
        return false;
    }
    if (!run_override(r, FOREIGN_FILES)) {
        buf_printf(reason, "what else lies on volume %s cannot be seen from here (backups in a subPath?): look, then override the gate "
                           FOREIGN_FILES " with what you found as the reason", move_say(r, "volume.old.name"));
        return false;
    }
    return postgres_may_begin(r, reason);
}

static void dialog(struct run *r, struct dialog *d)
{
    char age[40];
    dialog_line(d, "will go", "claim %s  uid %s  %s", move_say(r, "claim.old.name"), move_short(r, "claim.old.uid"), move_say(r, "claim.old.class"));
    dialog_line(d, "will go", "volume %s  uid %s  handle %s: its object; what lies on the server stays there until you remove it",
                move_say(r, "volume.old.name"), move_short(r, "volume.old.uid"), move_say(r, "volume.old.handle"));
    dialog_line(d, "will go", "dump %s", move_say(r, "dump.file"));
    dialog_line(d, "proof", "system identifier %s serves; it was verified against the old one %s ago", move_say(r, "pg.identifier.new"),
                clock_format_age(clock_plan_ms() - run_fact_int(r, "verify.done", 0), age, sizeof age));
    if (run_override(r, FOREIGN_FILES))
        dialog_line(d, "also there", "%s", run_override(r, FOREIGN_FILES));
    dialog_line(d, "lost", "the old copy of the database, for good: this is the end of every rollback");
    dialog_line(d, "undo", "none");
}

const struct phase postgres_phase_cleanup = {
    .id = "cleanup",
    .title = "clean up",
    .stake = STAKE_PURGE,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .no_rollback_after = true,
};
