/* Facts, notes and the fields that are watched. Sessions are run_pg.c. */
#include "migrate/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "migrate/journal.h"
#include "migrate/run_private.h"
#include "migrate/run_vault.h"
#include "source/source.h"

#define OVERRIDE "override."
#define WATCH "watch."

struct run *run_new(const struct run *fields) {
    struct run *r = MEM_NEW(struct run);
    *r = *fields;
    r->facts = map_new();
    r->placeholders = map_new();
    r->runner = NULL;
    r->pg = r->preview ? NULL : run_pg_new(r);
    r->vault = r->workload && r->workload->kind == &plan_kind_raft ? run_vault_new(r) : NULL;
    return r;
}

void run_free(struct run *r) {
    if (!r) return;
    run_pg_free(r->pg);
    run_vault_free(r->vault);
    map_free(r->facts, mem_free);
    map_free(r->placeholders, mem_free);
    mem_free(r);
}

/* ---- Facts ---- */

/* "‹claim.new.uid›": what a preview says where only the run will know. */
static const char *placeholder(const struct run *r, const char *name) {
    char *text = map_gets(r->placeholders, name);
    if (text) return text;
    text = str_printf("‹%s›", name);
    map_puts(r->placeholders, name, text);
    return text;
}

const char *run_fact(const struct run *r, const char *name) {
    const char *value = map_gets(r->facts, name);
    return value || !r->preview ? value : placeholder(r, name);
}

bool run_has(const struct run *r, const char *name) {
    const char *value = map_gets(r->facts, name);
    return value && *value;
}

int64_t run_fact_int(const struct run *r, const char *name, int64_t fallback) {
    int64_t v;
    return slice_to_i64(slice_of(map_gets(r->facts, name)), &v) ? v : fallback;
}

struct json_t *run_fact_json(const struct run *r, const char *name) {
    struct json_t *d = NULL;
    const char *value = map_gets(r->facts, name);
    if (!value || !*value) return NULL;
    struct slice text = slice_of(value);
    err_ignore(jd_parse(text.p, text.n, name, &d), "a fact that is no JSON is none");
    return d;
}

bool run_each_fact(const struct run *r, size_t *it, struct slice *ret_name, const char **ret_value) {
    void *value;
    if (!map_each(r->facts, it, ret_name, &value)) return false;
    *ret_value = value;
    return true;
}

static struct json_t *record(const struct run *r, const char *type) {
    struct json_t *d = jd_object();
    jd_set(d, "t", jd_string(type));
    if (r->workload) jd_set(d, "workload", jd_string(r->workload->name));
    return d;
}

void run_restore_fact(struct run *r, const char *name, const char *value) {
    mem_free(map_puts(r->facts, name, mem_strdup(value)));
}

void run_set(struct run *r, const char *name, const char *value) {
    const char *old = map_gets(r->facts, name);
    if (r->preview || str_eq(old ? old : "", value)) return; /* a preview notes nothing */
    run_restore_fact(r, name, value);
    if (!r->journal) return;
    struct json_t *d = record(r, "fact");
    jd_set(d, "name", jd_string(name));
    jd_set(d, "value", jd_string(value));
    journal_append(r->journal, d, NULL, NULL);
    jd_free(d);
}

void run_set_int(struct run *r, const char *name, int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    run_set(r, name, text);
}

void run_set_json(struct run *r, const char *name, const struct json_t *value) {
    struct buf text = {0};
    jd_dump(value, &text);
    run_set(r, name, buf_str(&text));
    buf_free(&text);
}

void run_note(struct run *r, const char *level, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *raw = str_vprintf(fmt, ap), *text = utf8_cleaned(slice_of(raw));
    va_end(ap);
    if (r->world) timeline_add(r->world, level, r->workload ? r->workload->name : "", "%s", text);
    if (r->journal) {
        struct json_t *d = record(r, "note");
        jd_set(d, "level", jd_string(level));
        jd_set(d, "text", jd_string(text));
        journal_append(r->journal, d, NULL, NULL);
        jd_free(d);
    }
    mem_free(raw);
    mem_free(text);
}

void run_notify(const struct run *r, const char *event, const char *name, const char *state, const char *text) {
    if (r->on_notify && !r->preview) r->on_notify(r->notify_arg, event, name, state, text);
}

const char *run_override(const struct run *r, const char *gate) {
    char *name = str_printf(OVERRIDE "%s", gate);
    const char *reason = run_has(r, name) ? map_gets(r->facts, name) : NULL;
    mem_free(name);
    return reason;
}

/* ---- Watched fields: the fact watch.HASH = {"path":…,"pointer":…,"expected":…,"label":…} ---- */

/* The name is the same for the same place, so that a field is watched once. */
static char *watch_name(const char *path, const char *pointer) {
    struct buf text = {0};
    char hex[HASH_HEX_SIZE];
    buf_printf(&text, "%s %s", path, pointer);
    hash_hex(text.p, text.len, hex);
    hex[16] = '\0';
    buf_free(&text);
    return str_printf(WATCH "%s", hex);
}

void run_watch_field(struct run *r, const char *path, const char *pointer, const char *expected, const char *label) {
    struct json_t *d = jd_object();
    char *name = watch_name(path, pointer);
    jd_set(d, "path", jd_string(path));
    jd_set(d, "pointer", jd_string(pointer));
    jd_set(d, "expected", jd_string(expected));
    jd_set(d, "label", jd_string(label));
    run_set_json(r, name, d);
    mem_free(name);
    jd_free(d);
}

void run_unwatch_field(struct run *r, const char *path, const char *pointer) {
    char *name = watch_name(path, pointer);
    run_set(r, name, "");
    mem_free(name);
}
