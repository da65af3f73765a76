/* Fields that are set, objects that go: the two shapes that nearly every act here has. */
#include "migrate/postgres_move.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/postgres.h"

#define GONE_MS INT64_C(300000)

const char *move_fact(const struct run *r, struct script *s, const char *name)
{
    const char *value = run_fact(r, name);
    return value && value[0] ? value : script_fmt(s, "‹%s›", name);
}

const char *move_say(const struct run *r, const char *name)
{
    return run_has(r, name) ? run_fact(r, name) : "(not known yet)";
}

const char *move_short(const struct run *r, const char *name)
{
    static char texts[8][48];
    static unsigned next;
    const char *value = run_fact(r, name);
    char *out = texts[next++ % ARRAY_LEN(texts)];
    if (!value || !value[0])
        snprintf(out, sizeof texts[0], "(not known yet)");
    else if (strstr(value, "‹"))
        str_copy(out, sizeof texts[0], value);
    else
        snprintf(out, sizeof texts[0], "%.8s", value);
    return out;
}

bool move_same(const struct run *r, const char *fact, const char *other)
{
    return run_has(r, fact) && run_has(r, other) && str_eq(run_fact(r, fact), run_fact(r, other));
}

void move_each_database(const struct json_t *inventory, void (*fn)(void *arg, const char *database), void *arg)
{
    struct json_t *all = jd_get(inventory, "databases");
    for (void *it = all ? jd_iter(all) : NULL; it; it = jd_iter_next(all, it))
        if (jd_flag(jd_iter_value(it), "connect", true) && !str_eq(jd_iter_key(it), "template0"))
            fn(arg, jd_iter_key(it));
}

bool move_cold(const struct run *r)
{
    return r->preview && !run_has(r, "deployment.uid");
}

const char *move_from_the_start(const struct run *r)
{
    (void)r;
    return NULL;
}

/* ---- A field ---- */

struct field {
    char *uid, *pointer, *dotted, *path, *label;
    struct json_t *from, *to;
};

static void field_free(void *data)
{
    struct field *f = data;
    mem_free(f->uid);
    mem_free(f->pointer);
    mem_free(f->dotted);
    mem_free(f->path);
    mem_free(f->label);
    jd_free(f->from);
    jd_free(f->to);
    mem_free(f);
}

/* "/spec/replicas" → "spec.replicas"; our pointers have no escapes. */
static char *dotted_of(const char *pointer)
{
    char *text = mem_strdup(pointer[0] == '/' ? pointer + 1 : pointer);
    for (char *p = text; *p; p++)
        if (*p == '/')
            *p = '.';
    return text;
}

static struct field *field_new(const char *path, const char *uid, const char *pointer, const char *label, struct json_t *from,
                               struct json_t *to)
{
    struct field *f = MEM_NEW(struct field);
    *f = (struct field){.uid = mem_strdup(uid),
                        .pointer = mem_strdup(pointer),
                        .dotted = dotted_of(pointer),
                        .path = mem_strdup(path),
                        .label = label ? mem_strdup(label) : NULL,
                        .from = from,
                        .to = to};
    return f;
}

/* What is 0 or false may be left out by an API server. */
static bool is_value(const struct json_t *now, const struct json_t *want)
{
    if (now && !jd_is_null(now))
        return jd_equal(now, want);
    return jd_is_null(want) || jd_int_value(want, 1) == 0 || !jd_bool_value(want, true);
}

static void add_json(struct buf *out, const struct json_t *d)
{
    if (d)
        jd_dump(d, out);
    else
        buf_adds(out, "absent");
}

/* Who wrote the object last. */
static const char *last_manager(const struct json_t *doc)
{
    const struct json_t *all = jd_get(doc, "metadata.managedFields");
    const char *who = NULL, *when = "";
    for (size_t i = 0; i < jd_len(all); i++) {
        const char *at = jd_str(jd_at(all, i), "time");
        if (jd_str(jd_at(all, i), "subresource") || !at || strcmp(at, when) < 0)
            continue;
        when = at;
        who = jd_str(jd_at(all, i), "manager");
    }
    return who ? who : "somebody";
}

static enum op_answer wrong_object(const struct field *f, const struct seen *seen, struct buf *reason)
{
    if (!seen->doc) {
        buf_printf(reason, "%s is not there", f->path);
        return OP_REFUSE;
    }
    buf_printf(reason, "%s is another object now (uid %.8s, was %.8s): it was re-created; nothing here applies to it", f->path,
               jd_str(seen->doc, "metadata.uid"), f->uid);
    return OP_REFUSE;
}

static enum op_answer see_field(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct field *f = op->data;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), f->uid))
        return wrong_object(f, seen, reason);
    const struct json_t *now = jd_get(seen->doc, f->dotted);
    if (is_value(now, f->to)) {
        if (!f->label)
            run_unwatch_field(r, f->path, f->pointer);
        return OP_DONE;
    }
    if (!is_value(now, f->from)) {
        buf_printf(reason, "%s of %s is ", f->pointer, f->path);
        add_json(reason, now);
        buf_adds(reason, ", neither ");
        add_json(reason, f->from);
        buf_adds(reason, " nor ");
        add_json(reason, f->to);
        buf_printf(reason, ": %s changed it; set it back, or have that manager stopped", last_manager(seen->doc));
        return OP_REFUSE;
    }
    run_unwatch_field(r, f->path, f->pointer);
    return OP_TODO;
}

static enum op_answer see_read_back(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct field *f = op->data;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), f->uid))
        return wrong_object(f, seen, reason);
    const struct json_t *now = jd_get(seen->doc, f->dotted);
    struct buf want = {0};
    jd_dump(f->to, &want);
    bool same = is_value(now, f->to);
    if (same && f->label)
        run_watch_field(r, f->path, f->pointer, buf_str(&want), f->label);
    buf_printf(reason, "read back: ");
    add_json(reason, now);
    if (!same)
        buf_printf(reason, " instead of %s: %s changed it back", buf_str(&want), last_manager(seen->doc));
    buf_free(&want);
    return same ? OP_DONE : OP_REFUSE;
}

struct op *move_script_field(struct run *r, struct script *s, const char *id, const char *what, const char *path, const char *uid,
                             const char *pointer, struct json_t *from, struct json_t *to, const char *label)
{
    (void)r;
    struct json_t *patch = script_patch_new(uid);
    if (!jd_is_null(from))
        script_patch_test(patch, pointer, jd_copy(from));
    script_patch_set(patch, jd_is_null(from) ? "add" : "replace", pointer, jd_copy(to));
    struct op *op = script_patch(s, id, what, path, patch, see_field);
    op->data = field_new(path, uid, pointer, label, from, to);
    op->drop = field_free;
    struct op *back = script_get(s, script_fmt(s, "%s: read back", id), script_fmt(s, "read %s back", pointer), path, see_read_back);
    back->data = field_new(path, uid, pointer, label, jd_copy(from), jd_copy(to));
    back->drop = field_free;
    return op;
}

struct op *move_script_still(struct script *s, const char *id, const char *what, const char *path, const char *uid, const char *pointer,
                             struct json_t *value, const char *label)
{
    struct op *op = script_get(s, id, what, path, see_read_back);
    op->data = field_new(path, uid, pointer, label, jd_copy(value), value);
    op->drop = field_free;
    return op;
}

/* ---- An object that goes ---- */

static enum op_answer see_gone(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *uid = op->data;
    (void)r;
    if (!seen->doc) {
        buf_adds(reason, "gone");
        return OP_DONE;
    }
    if (!str_eq(jd_str(seen->doc, "metadata.uid"), uid)) {
        buf_printf(reason, "gone; another one has its name (uid %.8s)", jd_str(seen->doc, "metadata.uid"));
        return OP_DONE;
    }
    const struct json_t *finalizers = jd_get(seen->doc, "metadata.finalizers");
    buf_adds(reason, jd_str(seen->doc, "metadata.deletionTimestamp") ? "it is being deleted" : "it is still there");
    for (size_t i = 0; i < jd_len(finalizers); i++)
        buf_printf(reason, "%s%s", i ? ", " : ", held by ", jd_string_value(jd_at(finalizers, i)));
    return OP_TODO;
}

struct op *move_script_gone(struct run *r, struct script *s, const char *what, const char *path, const char *uid, int64_t grace_s,
                      op_see_fn before)
{
    (void)r;
    struct op *del = script_delete(s, script_fmt(s, "delete %s", what), script_fmt(s, strstr(uid, "‹") ? "delete %s (uid %s)" : "delete %s (uid %.8s)", what, uid), path, uid, grace_s, before);
    struct op *gone = script_wait(s, script_fmt(s, "%s gone", what), script_fmt(s, "wait until %s is gone", what), path, see_gone, GONE_MS);
    gone->data = mem_strdup(uid);
    gone->drop = mem_free;
    return del;
}
