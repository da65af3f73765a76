#include "migrate/postgres_compare.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"

#define NAMED_MAX 4 /* differences that are named; the rest is counted */
#define PARTS_MAX 8

/* ---- Versions ---- */

static size_t version_parts(const char *text, long parts[PARTS_MAX])
{
    size_t n = 0;
    while (isdigit((unsigned char)*text) && n < PARTS_MAX) {
        char *end;
        parts[n++] = strtol(text, &end, 10);
        text = end;
        if (*text != '.')
            break;
        text++;
    }
    return *text ? 0 : n;
}

enum drift drift_between(const char *from, const char *to)
{
    long a[PARTS_MAX] = {0}, b[PARTS_MAX] = {0};
    if (str_eq(from, to))
        return DRIFT_NONE;
    if (version_parts(from, a) == 0 || version_parts(to, b) == 0)
        return DRIFT_MAJOR;
    for (size_t i = 0; i < PARTS_MAX; i++) {
        if (a[i] == b[i])
            continue;
        if (b[i] < a[i])
            return DRIFT_BACK;
        return i == 0 ? DRIFT_MAJOR : i == 1 ? DRIFT_MINOR : DRIFT_PATCH;
    }
    return DRIFT_NONE; /* 1.0 and 1.0.0 */
}

bool drift_allowed(enum drift d, const char *policy)
{
    if (d == DRIFT_NONE || str_eq(policy, "any"))
        return true;
    if (str_eq(policy, "minor"))
        return d == DRIFT_PATCH || d == DRIFT_MINOR;
    return str_eq(policy, "patch") && d == DRIFT_PATCH;
}

const char *drift_word(enum drift d)
{
    static const char *const words[] = {
        [DRIFT_NONE] = "the same", [DRIFT_PATCH] = "patch", [DRIFT_MINOR] = "minor", [DRIFT_MAJOR] = "major", [DRIFT_BACK] = "older"};
    return words[d];
}

/* ---- Differences ---- */

struct diff {
    struct buf text;
    size_t n;
};

static void differs(struct diff *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void differs(struct diff *d, const char *fmt, ...)
{
    va_list ap;
    if (++d->n > NAMED_MAX)
        return;
    buf_adds(&d->text, d->n > 1 ? "; " : "");
    va_start(ap, fmt);
    buf_vprintf(&d->text, fmt, ap);
    va_end(ap);
}

static bool diff_end(struct diff *d, struct buf *out)
{
    bool none = d->n == 0;
    buf_add(out, buf_str(&d->text), d->text.len);
    if (d->n > NAMED_MAX)
        buf_printf(out, "; and %zu more", d->n - NAMED_MAX);
    buf_free(&d->text);
    return none;
}

static void value_text(const struct json_t *v, struct buf *out)
{
    if (!v)
        buf_adds(out, "absent");
    else if (jd_is_string(v))
        buf_adds(out, jd_string_value(v));
    else
        jd_dump(v, out);
}

static void differ_value(struct diff *d, const char *what, const struct json_t *a, const struct json_t *b)
{
    struct buf x = {0}, y = {0};
    value_text(a, &x);
    value_text(b, &y);
    differs(d, "%s: %.80s, now %.80s", what, buf_str(&x), buf_str(&y));
    buf_free(&x);
    buf_free(&y);
}

/* Members of two flat objects; `prefix` names whose they are. passed: a member that is not compared. */
static void diff_members(struct diff *d, const char *prefix, const struct json_t *a, const struct json_t *b, const char *passed)
{
    struct json_t *old = jd_copy(a), *new = jd_copy(b);
    for (void *it = old ? jd_iter(old) : NULL; it; it = jd_iter_next(old, it)) {
        const char *key = jd_iter_key(it);
        const struct json_t *there = jd_member(new, key);
        if (str_eq(key, passed) || (there && jd_equal(jd_iter_value(it), there)))
            continue;
        char *what = str_printf("%s%s%s", prefix, *prefix ? " " : "", key);
        differ_value(d, what, jd_iter_value(it), there);
        mem_free(what);
    }
    for (void *it = new ? jd_iter(new) : NULL; it; it = jd_iter_next(new, it)) {
        const char *key = jd_iter_key(it);
        if (str_eq(key, passed) || jd_member(old, key))
            continue;
        char *what = str_printf("%s%s%s", prefix, *prefix ? " " : "", key);
        differ_value(d, what, NULL, jd_iter_value(it));
        mem_free(what);
    }
    jd_free(old);
    jd_free(new);
}

/* Objects of objects by name: those that are missing, those that are new, and the members of those in both. */
static size_t diff_named(struct diff *d, const char *kind, const struct json_t *a, const struct json_t *b, const char *passed,
                         const char *skip)
{
    struct json_t *old = jd_copy(a), *new = jd_copy(b);
    size_t n = 0;
    for (void *it = old ? jd_iter(old) : NULL; it; it = jd_iter_next(old, it)) {
        const char *name = jd_iter_key(it);
        const struct json_t *there = jd_member(new, name);
        if (str_eq(name, skip))
            continue;
        n++;
        if (!there) {
            differs(d, "%s %s is missing", kind, name);
            continue;
        }
        char *prefix = str_printf("%s %s", kind, name);
        diff_members(d, prefix, jd_iter_value(it), there, passed);
        mem_free(prefix);
    }
    for (void *it = new ? jd_iter(new) : NULL; it; it = jd_iter_next(new, it))
        if (!str_eq(jd_iter_key(it), skip) && !jd_member(old, jd_iter_key(it)))
            differs(d, "%s %s was not there before", kind, jd_iter_key(it));
    jd_free(old);
    jd_free(new);
    return n;
}

/* A part of each database's inside: both sides by the database's name. */
static size_t diff_inside(struct diff *d, const char *part, const struct json_t *old, const struct json_t *new)
{
    struct json_t *a = jd_copy(jd_get(old, "inside"));
    const struct json_t *b = jd_get(new, "inside");
    size_t n = 0;
    for (void *it = a ? jd_iter(a) : NULL; it; it = jd_iter_next(a, it)) {
        const char *database = jd_iter_key(it);
        const struct json_t *there = jd_member(b, database), *mine = jd_member(jd_iter_value(it), part);
        n += jd_len(mine);
        if (!there)
            differs(d, "database %s is missing", database);
        else
            diff_members(d, database, mine, jd_member(there, part), NULL);
    }
    jd_free(a);
    return n;
}

/* ---- Extensions ---- */

static void add_drift(struct buf *drifted, const char *name, const char *from, const char *to, enum drift how)
{
    char *text = str_printf("%s %s→%s %s", name, from, to, drift_word(how));
    if (!strstr(buf_str(drifted), text))
        buf_printf(drifted, ", %s", text);
    mem_free(text);
}

struct extensions {
    struct diff diff;
    struct json_t *names; /* each once, however many databases have it */
    struct buf drifted;
    const char *policy;
};

static void judge_extension(struct extensions *x, const char *database, const char *name, const char *from, const char *to)
{
    jd_set(x->names, name, jd_bool(true));
    if (!from || !to) {
        differs(&x->diff, "%s has no extension %s now", database, name);
        return;
    }
    enum drift how = drift_between(from, to);
    if (how != DRIFT_NONE)
        add_drift(&x->drifted, name, from, to, how);
    if (!drift_allowed(how, x->policy))
        differs(&x->diff, "extension %s of %s: %s→%s is %s%s, the plan allows %s", name, database, from, to, drift_word(how),
                how == DRIFT_BACK ? "" : " drift", x->policy);
}

static bool extensions_end(struct extensions *x, struct buf *out)
{
    size_t n = jd_len(x->names);
    bool pass = x->diff.n == 0;
    if (pass)
        buf_printf(out, "%zu of %zu%s", n, n, buf_str(&x->drifted));
    bool same = diff_end(&x->diff, out);
    if (!same)
        buf_adds(out, ". Pin the image, or raise verify.extensions.drift of the plan");
    jd_free(x->names);
    buf_free(&x->drifted);
    return pass;
}

bool compare_extensions(const struct json_t *old, const struct json_t *new, const char *policy, struct buf *out)
{
    struct extensions x = {.names = jd_object(), .policy = policy};
    struct json_t *inside = jd_copy(jd_get(old, "inside"));
    for (void *it = inside ? jd_iter(inside) : NULL; it; it = jd_iter_next(inside, it)) {
        struct json_t *mine = jd_member(jd_iter_value(it), "extensions");
        const struct json_t *there = jd_member(jd_member(jd_get(new, "inside"), jd_iter_key(it)), "extensions");
        for (void *e = mine ? jd_iter(mine) : NULL; e; e = jd_iter_next(mine, e)) {
            const struct json_t *now = jd_member(there, jd_iter_key(e));
            judge_extension(&x, jd_iter_key(it), jd_iter_key(e), jd_str(jd_iter_value(e), "version"), jd_str(now, "version"));
            const char *schema = jd_str(jd_iter_value(e), "schema"), *schema_now = jd_str(now, "schema");
            if (now && !str_eq(schema, schema_now))
                differs(&x.diff, "extension %s of %s: in schema %s, now in %s", jd_iter_key(e), jd_iter_key(it), schema, schema_now);
        }
    }
    jd_free(inside);
    return extensions_end(&x, out);
}

bool compare_available(const struct json_t *inventory, const char *policy, struct buf *out)
{
    struct extensions x = {.names = jd_object(), .policy = policy};
    struct json_t *inside = jd_copy(jd_get(inventory, "inside"));
    for (void *it = inside ? jd_iter(inside) : NULL; it; it = jd_iter_next(inside, it)) {
        struct json_t *mine = jd_member(jd_iter_value(it), "extensions");
        for (void *e = mine ? jd_iter(mine) : NULL; e; e = jd_iter_next(mine, e)) {
            const char *by_default = jd_str(jd_iter_value(e), "default");
            if (by_default)
                judge_extension(&x, jd_iter_key(it), jd_iter_key(e), jd_str(jd_iter_value(e), "version"), by_default);
            else
                differs(&x.diff, "the image does not have extension %s, which %s uses", jd_iter_key(e), jd_iter_key(it));
        }
    }
    jd_free(inside);
    return extensions_end(&x, out);
}

/* ---- The rest ---- */

static bool end_counted(struct diff *d, size_t n, const char *what, struct buf *out)
{
    if (d->n == 0)
        buf_printf(out, "%zu %s, equal", n, what);
    return diff_end(d, out);
}

bool compare_databases(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    size_t n = diff_named(&d, "database", jd_get(old, "databases"), jd_get(new, "databases"), "collversion", "template0");
    diff_members(&d, "tablespace", jd_get(old, "tablespaces"), jd_get(new, "tablespaces"), NULL);
    return end_counted(&d, n, "databases", out);
}

bool compare_roles(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    size_t n = diff_named(&d, "role", jd_get(old, "roles"), jd_get(new, "roles"), NULL, NULL);
    const struct json_t *a = jd_get(old, "memberships"), *b = jd_get(new, "memberships");
    if (a && b && !jd_equal(a, b))
        differ_value(&d, "memberships", a, b);
    return end_counted(&d, n, "roles with their attributes and memberships", out);
}

bool compare_settings(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    diff_members(&d, "", jd_get(old, "settings"), jd_get(new, "settings"), NULL);
    return end_counted(&d, jd_len(jd_get(old, "settings")), "settings of databases and roles", out);
}

bool compare_objects(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    size_t n = diff_inside(&d, "objects", old, new);
    return end_counted(&d, n, "numbers of tables, indexes, functions, constraints, …", out);
}

bool compare_acls(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    size_t n = diff_inside(&d, "acls", old, new);
    return end_counted(&d, n, "kinds of owners and privileges", out);
}

bool compare_sequences(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    size_t n = diff_inside(&d, "sequences", old, new);
    return end_counted(&d, n, "sequences", out);
}

bool compare_large_objects(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    int64_t count = 0, bytes = 0;
    struct json_t *inside = jd_copy(jd_get(old, "inside"));
    diff_inside(&d, "large_objects", old, new);
    for (void *it = inside ? jd_iter(inside) : NULL; it; it = jd_iter_next(inside, it)) {
        count += jd_num(jd_iter_value(it), "large_objects.count", 0);
        bytes += jd_num(jd_iter_value(it), "large_objects.bytes", 0);
    }
    jd_free(inside);
    if (d.n == 0)
        buf_printf(out, "%lld large object%s, %lld bytes, equal", (long long)count, count == 1 ? "" : "s", (long long)bytes);
    return diff_end(&d, out);
}

static void name_all(struct diff *d, const char *fmt, const struct json_t *list)
{
    for (size_t i = 0; i < jd_len(list); i++)
        differs(d, "%s %s", fmt, jd_string_value(jd_at(list, i)));
}

static bool inside_none(const struct json_t *new, const char *part, const char *what, struct diff *d)
{
    struct json_t *inside = jd_copy(jd_get(new, "inside"));
    for (void *it = inside ? jd_iter(inside) : NULL; it; it = jd_iter_next(inside, it)) {
        char *text = str_printf("%s of %s:", what, jd_iter_key(it));
        name_all(d, text, jd_member(jd_iter_value(it), part));
        mem_free(text);
    }
    bool known = inside != NULL;
    jd_free(inside);
    return known;
}

bool compare_collations(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    (void)old;
    name_all(&d, "made with another version of its collation: database", jd_get(new, "stale_collations"));
    if (!inside_none(new, "collations", "made with another version: collation", &d))
        differs(&d, "not known");
    if (d.n == 0)
        buf_adds(out, "every database and collation is of this system's versions");
    return diff_end(&d, out);
}

bool compare_indexes(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    int64_t n = 0;
    struct json_t *inside = jd_copy(jd_get(new, "inside"));
    (void)old;
    for (void *it = inside ? jd_iter(inside) : NULL; it; it = jd_iter_next(inside, it))
        n += jd_num(jd_iter_value(it), "objects.indexes", 0);
    jd_free(inside);
    if (!inside_none(new, "invalid_indexes", "invalid index", &d))
        differs(&d, "not known");
    if (d.n == 0)
        buf_printf(out, "%lld indexes, all valid", (long long)n);
    return diff_end(&d, out);
}

bool compare_configuration(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    diff_members(&d, "", jd_get(old, "configuration"), jd_get(new, "configuration"), NULL);
    const struct json_t *a = jd_get(old, "hba"), *b = jd_get(new, "hba"), *slots = jd_get(old, "slots");
    if (a && b && !jd_equal(a, b))
        differs(&d, "pg_hba.conf has %zu rules, now %zu, or others", jd_len(a), jd_len(b));
    for (size_t i = 0; i < jd_len(slots); i++)
        differs(&d, "replication slot %s is not carried", jd_string_value(jd_at(slots, i)));
    if (d.n == 0)
        buf_adds(out, "configuration files and pg_hba.conf say the same");
    return diff_end(&d, out);
}

bool compare_md5(const struct json_t *new, struct buf *out)
{
    struct diff d = {0};
    struct json_t *roles = jd_copy(jd_get(new, "roles"));
    const struct json_t *hba = jd_get(new, "hba");
    bool scram = false, md5 = false;
    for (size_t i = 0; i < jd_len(hba); i++) {
        const char *rule = jd_string_value(jd_at(hba, i));
        scram = scram || (rule && str_starts(rule, "host") && str_ends(rule, "scram-sha-256"));
        md5 = md5 || (rule && str_starts(rule, "host") && str_ends(rule, " md5"));
    }
    for (void *it = scram && !md5 && roles ? jd_iter(roles) : NULL; it; it = jd_iter_next(roles, it))
        if (str_eq(jd_str(jd_iter_value(it), "password"), "md5"))
            differs(&d, "role %s has an md5 password, and pg_hba.conf takes scram-sha-256 only", jd_iter_key(it));
    jd_free(roles);
    if (d.n == 0)
        buf_adds(out, "no password that the new server would refuse by its kind");
    return diff_end(&d, out);
}
