/* The report is kept, so that rows are joined with claims again when volumes become known, without running the command
 * again. */
#include "source/lvm_source.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/lvm_parse.h"
#include "loop/child.h"
#include "loop/timer.h"
#include "source/source.h"

enum { POLL_MS = 60000, DEADLINE_MS = 30000, JOIN_MS = 500, STDERR_SHOWN = 300, UUID_NAME = 40 /* pvc-UUID */ };
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
    struct buf report;  /* the last good one */
    struct map *claims; /* while rows are written: name of a volume on the hypervisor, or pvc-UUID → "ns/claim" */
    int64_t count;
};

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

/* "cluster/zone/storage/vm-9999-pvc-UUID" → its last part; also by the volume's own name, pvc-UUID. */
static struct map *claims_by_volume(const struct world *w)
{
    struct map *m = map_new();
    for (const struct row *r = world_first(w, T_VOLUMES); r; r = world_next(w, r)) {
        struct slice handle = row_text(r, VOLUMES_HANDLE), name = row_text(r, VOLUMES_NAME),
                     claim = row_text(r, VOLUMES_CLAIM), part;
        if (claim.n == 0)
            continue;
        for (struct slice rest = handle; slice_cut(&rest, '/', &part);)
            handle = part;
        if (handle.n > 0)
            mem_free(map_put(m, handle, slice_dup(claim)));
        if (slice_starts(name, "pvc-"))
            mem_free(map_put(m, name, slice_dup(claim)));
    }
    return m;
}

static const char *claim_of(const struct map *claims, struct slice volume)
{
    const char *claim = map_get(claims, volume);
    const char *at = volume.n > 0 ? memmem(volume.p, volume.n, "pvc-", 4) : NULL;
    if (claim || !at)
        return claim;
    size_t left = volume.n - (size_t)(at - volume.p);
    return map_get(claims, (struct slice){at, left < UUID_NAME ? left : UUID_NAME});
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

static void on_volume(void *arg, const struct lvm_volume *v)
{
    static const char *const kinds[] = {[LVM_POOL] = "pool", [LVM_VOLUME] = "volume", [LVM_SNAPSHOT] = "snapshot"};
    struct lvm_source *s = arg;
    const char *claim =
        claim_of(s->claims, buf_slice(v->kind == LVM_SNAPSHOT && v->origin.len ? &v->origin : &v->name));
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
        [SNAPSHOTS_CLAIM] = cell_text(v->kind == LVM_POOL ? NULL : claim),
    };
    char *key = str_printf("%s/%s", buf_str(&v->group), buf_str(&v->name));
    world_upsert(s->world, T_SNAPSHOTS, slice_of(key), source_row_key(s->row), cells);
    s->count++;
    mem_free(key);
}

/* Rows of this report; what it does not have vanishes only if it could be read to its end. */
static struct err *write_rows(struct lvm_source *s, struct slice report)
{
    uint32_t sweep = world_sweep_begin(s->world);
    s->claims = claims_by_volume(s->world);
    s->count = 0;
    struct err *e = lvm_parse(report, on_volume, s);
    if (!e)
        world_sweep_end(s->world, T_SNAPSHOTS, source_row_key(s->row), sweep);
    map_free(s->claims, mem_free);
    s->claims = NULL;
    return e;
}

static void on_join(void *arg)
{
    struct lvm_source *s = arg;
    if (s->report.len > 0)
        err_ignore(write_rows(s, buf_slice(&s->report)), "it was read to its end before");
}

static void on_volumes(void *arg, enum world_table t, const struct row *old, const struct row *now)
{
    struct lvm_source *s = arg;
    (void)old;
    (void)now;
    if (t == T_VOLUMES && s->report.len > 0 && !timer_active(s->join))
        timer_start(s->join, JOIN_MS, 0);
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static void fail(struct lvm_source *s, struct err *e)
{
    source_row_failed(s->row, e, clock_mono_ms() + s->poll_ms);
    err_free(e);
}

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
    struct err *e =
        x->status == 0 && !x->timed_out && !x->overflow ? write_rows(s, buf_slice(&x->out)) : exit_error(s, x);
    if (e) {
        fail(s, e);
    } else {
        buf_clear(&s->report);
        buf_add_slice(&s->report, buf_slice(&x->out));
        source_row_objects(s->row, s->count);
        source_row_ok(s->row, false);
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
    world_sweep_end(s->world, T_SNAPSHOTS, source_row_key(s->row), world_sweep_begin(s->world));
    source_row_free(s->row, true);
    for (size_t i = 0; s->command[i]; i++)
        mem_free(s->command[i]);
    mem_free(s->command);
    buf_free(&s->report);
    mem_free(s);
}

void lvm_source_poke(struct lvm_source *s)
{
    timer_start(s->timer, 0, s->poll_ms);
}
