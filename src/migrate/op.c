/* Building scripts, and the judgements that come with patch, create and delete. */
#include "migrate/op.h"

#include <stdarg.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/managers.h"
#include "migrate/op_private.h"
#include "migrate/run.h"
#include "net/http.h"

#define ANNOTATION "ferryman.io/run"
#define OPS_MAX 20000

/* ---- Scripts ---- */

struct script *script_new(void) {
    return MEM_NEW(struct script);
}

static void op_free(struct op *op) {
    while (op->guards) {
        struct op *guard = op->guards;
        op->guards = guard->next;
        op_free(guard);
    }
    if (op->drop) op->drop(op->data);
    jd_free(op->body);
    mem_free(op->id);
    mem_free(op->what);
    mem_free(op->get);
    mem_free(op->database);
    mem_free(op->look);
    mem_free(op->method);
    mem_free(op->path);
    mem_free(op->content_type);
    mem_free(op->sql);
    mem_free(op->uid);
    mem_free(op->vault);
    mem_free(op);
}

void script_free(struct script *s) {
    if (!s) return;
    while (s->first) {
        struct op *op = s->first;
        s->first = op->next;
        op_free(op);
    }
    for (size_t i = 0; i < s->ntexts; i++) mem_free(s->texts[i]);
    mem_free(s->texts);
    mem_free(s);
}

const struct op *script_first(const struct script *s) {
    return s->first;
}

const char *script_fmt(struct script *s, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    s->texts = mem_reallocarray(s->texts, s->ntexts + 1, sizeof *s->texts);
    s->texts[s->ntexts++] = text;
    return text;
}

/* At the end; behind the operation that is called, while one is. */
static struct op *add(struct script *s, enum op_kind kind, const char *id, const char *what, op_see_fn see) {
    struct op *op = MEM_NEW(struct op);
    *op = (struct op){.kind = kind, .id = mem_strdup(id), .what = mem_strdup(what), .see = see};
    struct op *before = s->at ? s->at : s->last;
    if (before) {
        op->next = before->next;
        before->next = op;
    } else {
        s->first = op;
    }
    if (before == s->last) s->last = op;
    if (s->at) s->at = op;
    return op;
}

void script_call_now(struct run *r, struct script *s, struct op *op) {
    if (op->called) return;
    op->called = true;
    s->at = op;
    op->call(r, s, op);
    s->at = NULL;
}

void script_expand(struct run *r, struct script *s) {
    bool preview = r->preview;
    size_t n = 0;
    r->preview = true; /* nothing is noted, and what is not known yet has a name */
    for (struct op *op = s->first; op && n < OPS_MAX; op = op->next, n++)
        if (op->kind == OP_CALL) script_call_now(r, s, op);
    r->preview = preview;
}

/* ---- Operations ---- */

struct op *script_get(struct script *s, const char *id, const char *what, const char *path, op_see_fn see) {
    struct op *op = add(s, OP_READ, id, what, see);
    op->get = mem_strdup(path);
    return op;
}

struct op *script_ask(struct script *s, const char *id, const char *what, const char *path, struct json_t *body, op_see_fn see) {
    struct op *op = add(s, OP_READ, id, what, see);
    op->method = mem_strdup("POST");
    op->path = mem_strdup(path);
    op->content_type = mem_strdup("application/json");
    op->body = body;
    return op;
}

struct op *script_query(struct script *s, const char *id, const char *what, enum run_db db, const char *database, const char *sql,
                        op_see_fn see) {
    struct op *op = add(s, OP_READ, id, what, see);
    op->db = db;
    op->database = mem_strdup(database);
    op->look = mem_strdup(sql);
    return op;
}

struct op *script_check(struct script *s, const char *id, const char *what, op_see_fn see) {
    return add(s, OP_READ, id, what, see);
}

struct op *script_wait(struct script *s, const char *id, const char *what, const char *path, op_see_fn see, int64_t deadline_ms) {
    struct op *op = add(s, OP_WAIT, id, what, see);
    op->get = mem_strdup(path);
    op->deadline_ms = deadline_ms;
    return op;
}

struct op *script_wait_query(struct script *s, const char *id, const char *what, enum run_db db, const char *database, const char *sql,
                             op_see_fn see, int64_t deadline_ms) {
    struct op *op = add(s, OP_WAIT, id, what, see);
    op->db = db;
    op->database = mem_strdup(database);
    op->look = mem_strdup(sql);
    op->deadline_ms = deadline_ms;
    return op;
}

static struct op *add_request(struct script *s, const char *id, const char *what, const char *method, const char *path,
                              const char *content_type, struct json_t *body, op_see_fn see) {
    struct op *op = add(s, OP_ACT, id, what, see);
    op->method = mem_strdup(method);
    op->path = mem_strdup(path);
    op->content_type = mem_strdup(content_type);
    op->body = body;
    op->dry = true;
    return op;
}

struct op *script_patch(struct script *s, const char *id, const char *what, const char *path, struct json_t *patch, op_see_fn see) {
    struct op *op = add_request(s, id, what, "PATCH", path, "application/json-patch+json", patch, see);
    op->get = mem_strdup(path);
    return op;
}

struct json_t *script_patch_new(const char *uid) {
    struct json_t *patch = jd_array();
    script_patch_test(patch, "/metadata/uid", jd_string(uid ? uid : ""));
    return patch;
}

void script_patch_test(struct json_t *patch, const char *pointer, struct json_t *value) {
    script_patch_set(patch, "test", pointer, value);
}

void script_patch_set(struct json_t *patch, const char *op, const char *pointer, struct json_t *value) {
    struct json_t *d = jd_object();
    jd_set(d, "op", jd_string(op));
    jd_set(d, "path", jd_string(pointer));
    if (value && !str_eq(op, "remove")) jd_set(d, "value", value);
    else jd_free(value);
    jd_append(patch, d);
}

struct op *script_create(struct script *s, const char *id, const char *what, const char *collection, struct json_t *object, op_see_fn see) {
    struct op *op = add_request(s, id, what, "POST", collection, "application/json", object, see);
    struct buf path = {0};
    const char *name = jd_str(object, "metadata.name");
    buf_printf(&path, "%s/", collection);
    http_escape(&path, name ? name : "");
    op->get = buf_steal(&path);
    op->creates = true;
    return op;
}

struct op *script_delete(struct script *s, const char *id, const char *what, const char *path, const char *uid, int64_t grace_s,
                         op_see_fn see) {
    struct json_t *body = jd_object();
    jd_set(body, "kind", jd_string("DeleteOptions"));
    jd_set(body, "apiVersion", jd_string("v1"));
    jd_put(body, "preconditions.uid", jd_string(uid ? uid : ""));
    jd_set(body, "propagationPolicy", jd_string("Background"));
    if (grace_s >= 0) jd_set(body, "gracePeriodSeconds", jd_int(grace_s));
    struct op *op = add_request(s, id, what, "DELETE", path, "application/json", body, see);
    op->get = mem_strdup(path);
    op->uid = mem_strdup(uid ? uid : "");
    return op;
}

struct op *script_orphan(struct script *s, const char *id, const char *what, const char *path, const char *uid, op_see_fn see) {
    struct op *op = script_delete(s, id, what, path, uid, -1, see);
    jd_set(op->body, "propagationPolicy", jd_string("Orphan"));
    return op;
}

static struct op *add_guard(struct op *act, const char *what, const char *path, op_see_fn see) {
    struct op *guard = MEM_NEW(struct op), **at = &act->guards;
    *guard = (struct op){.kind = OP_READ, .id = mem_strdup(act->id), .what = mem_strdup(what), .get = mem_strdup(path), .see = see};
    while (*at) at = &(*at)->next;
    *at = guard;
    return guard;
}

struct op *script_guard_get(struct op *act, const char *what, const char *path, op_see_fn see) {
    return add_guard(act, what, path, see);
}

struct op *script_guard_vault(struct op *act, const char *what, const char *node, const char *path, bool token, op_see_fn see) {
    struct op *guard = add_guard(act, what, path, see);
    guard->vault = mem_strdup(node);
    guard->token = token;
    return guard;
}

struct op *script_sql(struct script *s, const char *id, const char *what, enum run_db db, const char *database, const char *sql,
                      const char *look, op_see_fn see) {
    struct op *op = add(s, OP_ACT, id, what, see);
    op->db = db;
    op->database = mem_strdup(database);
    op->sql = mem_strdup(sql);
    op->look = mem_strdup(look);
    return op;
}

static struct op *add_vault(struct script *s, enum op_kind kind, const char *id, const char *what, const char *node, const char *look, bool token,
                            op_see_fn see) {
    struct op *op = add(s, kind, id, what, see);
    op->vault = mem_strdup(node ? node : "");
    op->get = mem_strdup(look);
    op->token = token;
    return op;
}

struct op *script_vault_get(struct script *s, const char *id, const char *what, const char *node, const char *path, bool token, op_see_fn see) {
    return add_vault(s, OP_READ, id, what, node, path, token, see);
}

struct op *script_vault_wait(struct script *s, const char *id, const char *what, const char *node, const char *path, bool token, op_see_fn see,
                             int64_t deadline_ms) {
    struct op *op = add_vault(s, OP_WAIT, id, what, node, path, token, see);
    op->deadline_ms = deadline_ms;
    return op;
}

struct op *script_vault_act(struct script *s, const char *id, const char *what, const char *node, const char *method, const char *path,
                            struct json_t *body, const char *look, op_see_fn see) {
    struct op *op = add_vault(s, OP_ACT, id, what, node, look, true, see);
    op->method = mem_strdup(method);
    op->path = mem_strdup(path);
    op->body = body;
    return op;
}

struct op *script_job(struct script *s, const char *id, const char *what, const struct op_job *job, void *data, void (*drop)(void *)) {
    struct op *op = add(s, OP_JOB, id, what, NULL);
    op->job = job;
    op->data = data;
    op->drop = drop;
    return op;
}

struct op *script_call(struct script *s, const char *id, void (*call)(struct run *r, struct script *s, struct op *op), void *data,
                       void (*drop)(void *)) {
    struct op *op = add(s, OP_CALL, id, id, NULL);
    op->call = call;
    op->data = data;
    op->drop = drop;
    return op;
}

/* ---- Judging ---- */

/* The uid that the patch tests first. */
static const char *patch_uid(const struct op *op) {
    if (!str_eq(op->method, "PATCH") || !str_eq(jd_str(op->body, "0.path"), "/metadata/uid")) return NULL;
    return jd_str(op->body, "0.value");
}

/* Whether every value that the patch sets is there already. */
static bool patch_holds(const struct op *op, const struct json_t *doc) {
    for (size_t i = 0; i < jd_len(op->body); i++) {
        const struct json_t *d = jd_at(op->body, i), *want = jd_member(d, "value");
        const char *how = jd_str(d, "op"), *pointer = jd_str(d, "path");
        if (str_eq(how, "test")) continue;
        const struct json_t *found = managers_field(doc, pointer ? pointer : "");
        if (str_eq(how, "remove") ? found != NULL : !found || !jd_equal(found, want)) return false;
    }
    return true;
}

static enum op_answer judge_patch(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *uid = patch_uid(op), *found = jd_str(seen->doc, "metadata.uid");
    if (seen->doc && uid && found && !str_eq(uid, found)) {
        buf_printf(reason, "%s is another object now: its uid is %s, not %s; read the state again before anything is done", op->get, found, uid);
        return OP_REFUSE;
    }
    if (op->see) return op->see(r, op, seen, reason);
    if (!seen->doc) {
        buf_printf(reason, "%s is not there", op->get);
        return OP_REFUSE;
    }
    return patch_holds(op, seen->doc) ? OP_DONE : OP_TODO;
}

bool op_on_its_way_out(const struct op *op, const struct seen *seen) {
    return op->creates && seen->doc && jd_str(seen->doc, "metadata.deletionTimestamp");
}

static enum op_answer judge_create(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *annotations = jd_get(seen->doc, "metadata.annotations");
    const char *whose = jd_string_value(jd_member(annotations, ANNOTATION));
    if (!seen->doc) return OP_TODO;
    if (!whose || !str_eq(whose, r->id)) {
        buf_printf(reason, "%s is there already and %s%s; look at whose it is, and delete or rename it by hand if it may go", op->get,
                   whose ? "was made by another run, " : "was not made by ferryman", whose ? whose : "");
        return OP_REFUSE;
    }
    enum op_answer a = op->see ? op->see(r, op, seen, reason) : OP_DONE;
    if (a == OP_TODO && !reason->len) buf_printf(reason, "%s is there and is not as it should be", op->get);
    return a == OP_TODO ? OP_REFUSE : a;
}

static enum op_answer judge_delete(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *found = jd_str(seen->doc, "metadata.uid");
    if (!seen->doc) {
        buf_adds(reason, "it is gone");
        return OP_DONE;
    }
    if (!*op->uid) {
        buf_printf(reason, "%s is there, and the uid of what may be deleted is not known", op->get);
        return OP_REFUSE;
    }
    if (!str_eq(found, op->uid)) {
        buf_adds(reason, "it is gone; another object has its name now");
        return OP_DONE;
    }
    if (jd_str(seen->doc, "metadata.deletionTimestamp")) {
        buf_adds(reason, "it is on its way out");
        return OP_DONE;
    }
    return op->see ? op->see(r, op, seen, reason) : OP_TODO;
}

enum op_answer op_judge(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    if (op->creates) return judge_create(r, op, seen, reason);
    if (op->uid) return judge_delete(r, op, seen, reason);
    if (op->kind == OP_ACT && str_eq(op->method, "PATCH")) return judge_patch(r, op, seen, reason);
    if (!op->see && op->kind == OP_ACT) {
        buf_adds(reason, "this act cannot be seen afterwards, so it must not be done");
        return OP_REFUSE;
    }
    return op->see ? op->see(r, op, seen, reason) : OP_DONE;
}
