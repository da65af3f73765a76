/* The programs that dump and restore, for the server's version (safety 10; facts of PostgreSQL 3.1: \restrict). */
#include "base/mem.h"
#include "base/str.h"
#include "migrate/dump_keys.h"
#include "migrate/pg_tool.h"
#include "migrate/postgres.h"
#include "migrate/postgres_preflight.h"
#include "migrate/postgres_room.h"

struct programs {
    struct run *run;
    struct op *op;
    struct pg_tool *tool;
    struct buf found;
    int dump; /* version of pg_dumpall */
};

static void clear(struct programs *p)
{
    pg_tool_free(p->tool);
    p->tool = NULL;
}

static void end(struct programs *p, struct err *e)
{
    clear(p);
    op_job_done(p->run, p->op, e, buf_str(&p->found));
}

static int server_version(const struct run *r)
{
    return (int)run_fact_int(r, "pg.number", 0);
}

/* A dump with \restrict needs a psql that knows it, else it stops at the first line. */
static void on_psql(void *arg, const char *path, int version, const struct err *e)
{
    struct programs *p = arg;
    struct err *bad = e ? err_copy(e) : NULL;
    if (!bad)
        buf_printf(&p->found, ", %s %d.%d", path, version / 10000, version % 10000);
    if (!bad && pg_tool_restricts(p->dump) && !pg_tool_restricts(version))
        bad = err_new(ERR_FAILED, "pg_dumpall %d.%d writes \\restrict, which psql %d.%d does not know: install the newest minor of psql",
                      p->dump / 10000, p->dump % 10000, version / 10000, version % 10000);
    end(p, bad);
}

static void on_dumpall(void *arg, const char *path, int version, const struct err *e)
{
    struct programs *p = arg;
    struct err *bad = e ? err_copy(e) : NULL;
    p->dump = version;
    if (!bad)
        buf_printf(&p->found, "%s %d.%d", path, version / 10000, version % 10000);
    clear(p); /* path and e go with the tool */
    if (bad) {
        end(p, bad);
        return;
    }
    p->tool = pg_tool_find(p->run->loop, "psql", server_version(p->run), on_psql, p);
}

static void start(struct run *r, struct op *op)
{
    struct programs *p = op->data;
    p->run = r;
    p->op = op;
    buf_clear(&p->found);
    p->tool = pg_tool_find(r->loop, "pg_dumpall", server_version(r), on_dumpall, p);
}

static void cancel(struct run *r, struct op *op)
{
    (void)r;
    clear(op->data);
}

static void drop(void *data)
{
    struct programs *p = data;
    clear(p);
    buf_free(&p->found);
    mem_free(p);
}

static const struct op_job job = {.start = start, .cancel = cancel};

void preflight_script_programs(struct run *r, struct script *s)
{
    (void)r;
    script_job(s, "programs", "pg_dumpall --version and psql --version: do they fit the server", &job, MEM_NEW(struct programs), drop);
}

static enum op_answer see_passphrase(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct plan_postgres *plan = postgres_spec(r);
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    if (plan->dump.encrypt.none) {
        buf_printf(reason, "the dump is not enciphered: %s", plan->dump.encrypt.reason);
        return OP_DONE;
    }
    struct err *e = dump_keys_check(plan->dump.encrypt.passphrase_file);
    if (!e) {
        buf_printf(reason, "%s holds one", plan->dump.encrypt.passphrase_file);
        return OP_DONE;
    }
    buf_adds(reason, err_text(e));
    err_free(e);
    return OP_REFUSE;
}

void preflight_script_room(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "room", "room for the dump, and 10 % of the disk free", postgres_see_room);
    script_check(s, "passphrase", "the passphrase of the dump", see_passphrase);
}
