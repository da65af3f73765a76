/* The report is kept, so that rows are joined with claims again when volumes become known, without running the command
 * again. It is read some volumes a turn: a hypervisor may have very many. */
#include "source/lvm_source.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/lvm_parse.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/source.h"

enum { POLL_MS = 60000, DEADLINE_MS = 30000, JOIN_MS = 100, STDERR_SHOWN = 300, UUID_NAME = 40 /* pvc-UUID */,
       TURN_VOLUMES = 250 };
enum { POOL_FILLING = 8000, POOL_FULL = 9500 }; /* hundredths of a percent */

#define MAX_OUTPUT ((size_t)32 * 1024 * 1024)

struct lvm_source {
    struct loop *loop;
    struct world *world;
    char **command;
    int64_t poll_ms;
    struct child *child;
    struct source_row *row;
    struct timer *timer, *join;
    struct buf report;       /* the last good one */
    struct buf fresh;        /* one that has just come and is not known to be good yet */
    struct lvm_reader *reader; /* of fresh if there is one, else of report; NULL: nothing is being read */
    uint32_t sweep;
    int64_t count;
    struct map *handles; /* name on the hypervisor → name of the volume, where one cannot be told from the other */
};

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

/* The last part of "cluster/zone/storage/vm-100-disk-3" if it may be a name on the hypervisor and does not end with the
 * volume's own, as a provisioner's do (vm-9999-pvc-UUID). */
static struct slice odd_handle(const struct row *volume)
{
    struct slice rest = row_text(volume, VOLUMES_HANDLE), part = rest;
    while (slice_cut(&rest, '/', &part))
        continue;
    for (size_t i = 0; i < part.n; i++)
        if (part.p[i] == '#' || part.p[i] == ':') /* of a file share */
            return (struct slice){NULL, 0};
    struct slice name = row_text(volume, VOLUMES_NAME);
    bool own = name.n <= part.n && name.n > 0 && !memcmp(part.p + part.n - name.n, name.p, name.n);
    return part.n > 0 && !own ? part : (struct slice){NULL, 0};
}

static void note_handle(struct lvm_source *s, const struct row *old, const struct row *now)
{
    struct slice before = old ? odd_handle(old) : (struct slice){NULL, 0};
    struct slice after = now ? odd_handle(now) : (struct slice){NULL, 0};
    if (before.p)
        mem_free(map_del(s->handles, before));
    if (after.p)
        mem_free(map_put(s->handles, after, slice_dup(row_text(now, VOLUMES_NAME))));
}

/* The claim of the volume that is called so on the hypervisor: "ns/name", or absent. */
static struct slice claim_of(const struct lvm_source *s, struct slice volume)
{
    struct slice name = slice_of(map_get(s->handles, volume));
    const char *at = volume.n > 0 ? memmem(volume.p, volume.n, "pvc-", 4) : NULL;
    if (!name.p && at) {
        size_t left = volume.n - (size_t)(at - volume.p);
        name = (struct slice){at, left < UUID_NAME ? left : UUID_NAME};
    }
    const struct row *r = name.n ? world_find_name(s->world, T_VOLUMES, (struct slice){NULL, 0}, name) : NULL;
    struct slice claim = r ? row_text(r, VOLUMES_CLAIM) : (struct slice){NULL, 0};
    return claim.n ? claim : (struct slice){NULL, 0};
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static const char *state_of(const struct lvm_volume *v)
{
    if (v->kind == LVM_SNAPSHOT)
        return "PRESENT"; /* that it restores is not known */
    if (v->kind == LVM_VOLUME)
        return "OK"; /* a thin volume that is full in the pool is not full inside */
    int64_t used = v->data > v->metadata ? v->data : v->metadata;
    return used >= POOL_FULL                ? "FULL"
           : used >= POOL_FILLING           ? "FILLING"
           : v->data < 0 || v->metadata < 0 ? "UNKNOWN"
                                            : "OK";
}

static struct cell optional_int(int64_t n)
{
    return n < 0 ? CELL_NONE : cell_int(n);
}

static struct cell optional_text(const struct buf *b)
{
    return b->len > 0 ? cell_slice(buf_slice(b)) : CELL_NONE;
}

static void write_row(struct lvm_source *s, const struct lvm_volume *v)
{
    static const char *const kinds[] = {[LVM_POOL] = "pool", [LVM_VOLUME] = "volume", [LVM_SNAPSHOT] = "snapshot"};
    bool of_origin = v->kind == LVM_SNAPSHOT && v->origin.len > 0;
    struct cell cells[SNAPSHOTS_COLS] = {
        [SNAPSHOTS_NAME] = cell_slice(buf_slice(&v->name)),
        [SNAPSHOTS_GROUP] = cell_slice(buf_slice(&v->group)),
        [SNAPSHOTS_KIND] = cell_text(kinds[v->kind]),
        [SNAPSHOTS_STATE] = cell_text(state_of(v)),
        [SNAPSHOTS_ORIGIN] = optional_text(&v->origin),
        [SNAPSHOTS_POOL] = optional_text(&v->pool),
        [SNAPSHOTS_SIZE] = optional_int(v->size),
        [SNAPSHOTS_DATA] = optional_int(v->data),
        [SNAPSHOTS_METADATA] = optional_int(v->metadata),
        [SNAPSHOTS_CREATED] = optional_int(v->created_ms),
    };
    if (v->kind != LVM_POOL)
        cells[SNAPSHOTS_CLAIM] = cell_slice(claim_of(s, buf_slice(of_origin ? &v->origin : &v->name)));
    char *key = str_printf("%s/%s", buf_str(&v->group), buf_str(&v->name));
    world_upsert(s->world, T_SNAPSHOTS, slice_of(key), source_row_key(s->row), cells);
    s->count++;
    mem_free(key);
}

static void fail(struct lvm_source *s, struct err *e)
{
    source_row_failed(s->row, e, clock_mono_ms() + s->poll_ms);
    err_free(e);
}

/* The report has been read. What it does not have vanishes only if it could be read to its end. */
static void finish(struct lvm_source *s)
{
    struct err *e = lvm_reader_finish(s->reader);
    bool fresh = s->fresh.len > 0;
    lvm_reader_free(s->reader);
    s->reader = NULL;
    if (e) {
        fail(s, e);
    } else {
        world_sweep_end(s->world, T_SNAPSHOTS, source_row_key(s->row), s->sweep);
        source_row_objects(s->row, s->count);
        if (fresh)
            source_row_ok(s->row, false);
    }
    if (fresh && !e) {
        buf_free(&s->report);
        s->report = s->fresh;
        s->fresh = (struct buf){0};
    }
    buf_free(&s->fresh);
}

/* Some rows, then the loop has its turn. */
static void read_on(void *arg)
{
    struct lvm_source *s = arg;
    const struct lvm_volume *v = NULL;
    for (int i = 0; i < TURN_VOLUMES && (v = lvm_reader_next(s->reader)); i++)
        write_row(s, v);
    if (v)
        loop_defer(s->loop, read_on, s);
    else
        finish(s);
}

/* From the start, whatever was being read. */
static void read_report(struct lvm_source *s)
{
    const struct buf *text = s->fresh.len > 0 ? &s->fresh : &s->report;
    loop_undefer(s->loop, s);
    lvm_reader_free(s->reader);
    s->reader = lvm_reader_new(buf_slice(text));
    s->sweep = world_sweep_begin(s->world);
    s->count = 0;
    read_on(s);
}

static void on_join(void *arg)
{
    struct lvm_source *s = arg;
    if (s->report.len > 0 || s->fresh.len > 0)
        read_report(s);
}

static void on_volumes(void *arg, enum world_table t, const struct row *old, const struct row *now)
{
    struct lvm_source *s = arg;
    if (t != T_VOLUMES)
        return;
    note_handle(s, old, now);
    if ((s->report.len > 0 || s->fresh.len > 0) && !timer_active(s->join))
        timer_start(s->join, JOIN_MS, 0);
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

/* How it ended and what it said about it. */
static struct err *exit_error(const struct lvm_source *s, const struct child_exit *x)
{
    struct slice said = slice_trim(buf_slice(&x->err));
    if (said.n > STDERR_SHOWN)
        said = (struct slice){said.p + said.n - STDERR_SHOWN, STDERR_SHOWN};
    char *text = said.n > 0 ? utf8_cleaned(said) : mem_strdup("it said nothing");
    struct err *e;
    if (x->timed_out)
        e = err_new(ERR_UNAVAILABLE, "%s did not end within %d s: %s", s->command[0], DEADLINE_MS / 1000, text);
    else if (x->overflow)
        e = err_new(ERR_PROTOCOL, "%s wrote more than %zu MiB", s->command[0], MAX_OUTPUT >> 20);
    else if (x->signal)
        e = err_new(ERR_UNAVAILABLE, "%s was ended by signal %d: %s", s->command[0], x->signal, text);
    else
        e = err_new(ERR_UNAVAILABLE, "%s ended with status %d: %s", s->command[0], x->status, text);
    mem_free(text);
    return e;
}

static void on_exit_of_child(void *arg, const struct child_exit *x)
{
    struct lvm_source *s = arg;
    if (x->status != 0 || x->timed_out || x->overflow) {
        fail(s, exit_error(s, x));
    } else {
        buf_clear(&s->fresh);
        buf_add_slice(&s->fresh, x->out.len > 0 ? buf_slice(&x->out) : SLICE_LIT(" ")); /* nothing is no report either */
        read_report(s);
    }
    child_free(s->child);
    s->child = NULL;
}

static void on_timer(void *arg)
{
    struct lvm_source *s = arg;
    if (s->child)
        return;
    struct err *e = child_spawn(s->loop,
                                &(struct child_options){
                                    .argv = (const char *const *)s->command,
                                    .timeout_ms = DEADLINE_MS,
                                    .max_output = MAX_OUTPUT,
                                    .on_exit = on_exit_of_child,
                                    .arg = s,
                                },
                                &s->child);
    if (e)
        fail(s, e);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

struct lvm_source *lvm_source_new(const struct lvm_source_options *o)
{
    struct lvm_source *s = MEM_NEW(struct lvm_source);
    struct buf detail = {0};
    size_t n = 0;
    *s = (struct lvm_source){.loop = o->loop, .world = o->world, .poll_ms = o->poll_ms ? o->poll_ms : POLL_MS};
    while (o->command[n])
        n++;
    s->command = mem_calloc(n + 1, sizeof *s->command);
    for (size_t i = 0; i < n; i++) {
        s->command[i] = mem_strdup(o->command[i]);
        buf_printf(&detail, "%s%s", i > 0 ? " " : "", o->command[i]);
    }
    s->row = source_row_new(s->world, "lvm", "lvs", 3 * s->poll_ms);
    char *clean = utf8_cleaned(buf_slice(&detail));
    source_row_detail(s->row, clean);
    mem_free(clean);
    buf_free(&detail);
    s->timer = timer_new(s->loop, on_timer, s);
    s->join = timer_new(s->loop, on_join, s);
    s->handles = map_new();
    for (const struct row *r = world_first(s->world, T_VOLUMES); r; r = world_next(s->world, r))
        note_handle(s, NULL, r);
    world_watch(s->world, on_volumes, s);
    timer_start(s->timer, 0, s->poll_ms);
    return s;
}

void lvm_source_free(struct lvm_source *s)
{
    if (!s)
        return;
    world_unwatch(s->world, on_volumes, s);
    timer_free(s->timer);
    timer_free(s->join);
    child_free(s->child);
    loop_undefer(s->loop, s);
    lvm_reader_free(s->reader);
    map_free(s->handles, mem_free);
    world_sweep_end(s->world, T_SNAPSHOTS, source_row_key(s->row), world_sweep_begin(s->world));
    source_row_free(s->row, true);
    for (size_t i = 0; s->command[i]; i++)
        mem_free(s->command[i]);
    mem_free(s->command);
    buf_free(&s->report);
    buf_free(&s->fresh);
    mem_free(s);
}

void lvm_source_poke(struct lvm_source *s)
{
    timer_start(s->timer, 0, s->poll_ms);
}
