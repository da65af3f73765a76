/* Operations as text, for previews, dialogs and the journal, without secrets. */
#include <string.h>
#include <strings.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "migrate/managers.h"
#include "migrate/op_private.h"
#include "migrate/run.h"

#define MASK "•••"
#define PLACEHOLDER "‹"
#define BODY_MAX 4000

/* ---- Masks ---- */

static bool has_word(const char *text, const char *word) {
    size_t n = strlen(word);
    for (; *text; text++)
        if (strncasecmp(text, word, n) == 0) return true;
    return false;
}

/* Keys of annotations, environment variables and settings whose values are not for others' eyes. */
static bool is_secret_name(const char *name) {
    static const char *const words[] = {"password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "api-key", "api_key",
                                        "private-key", "privatekey", "last-applied-configuration"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (has_word(name, words[i])) return true;
    return false;
}

static void mask_values(struct json_t *object, bool (*which)(const char *key)) {
    const char **keys = mem_calloc(jd_len(object) + 1, sizeof *keys);
    size_t n = 0;
    for (void *it = jd_iter(object); it; it = jd_iter_next(object, it))
        if (!which || which(jd_iter_key(it))) keys[n++] = jd_iter_key(it);
    for (size_t i = 0; i < n; i++) jd_set(object, keys[i], jd_string(MASK)); /* the keys stay: they are replaced in place */
    mem_free(keys);
}

static void mask(struct json_t *d);

/* env: [{name, value}]: any value may be a secret. */
static void mask_env(struct json_t *list) {
    for (size_t i = 0; i < jd_len(list); i++) {
        struct json_t *entry = jd_at(list, i);
        if (jd_is_object(entry) && jd_is_string(jd_member(entry, "value"))) jd_set(entry, "value", jd_string(MASK));
    }
}

static void mask_member(const char *key, struct json_t *value) {
    if (str_eq(key, "env") && jd_is_array(value)) mask_env(value);
    else if (str_eq(key, "annotations") && jd_is_object(value)) mask_values(value, is_secret_name);
    else mask(value);
}

static void mask_object(struct json_t *object) {
    bool is_secret = str_eq(jd_str(object, "kind"), "Secret");
    for (void *it = jd_iter(object); it; it = jd_iter_next(object, it)) mask_member(jd_iter_key(it), jd_iter_value(it));
    if (is_secret && jd_is_object(jd_member(object, "data"))) mask_values(jd_member(object, "data"), NULL);
    if (is_secret && jd_is_object(jd_member(object, "stringData"))) mask_values(jd_member(object, "stringData"), NULL);
}

static void mask(struct json_t *d) {
    if (jd_is_object(d)) mask_object(d);
    for (size_t i = 0; jd_is_array(d) && i < jd_len(d); i++) mask(jd_at(d, i));
}

/* Values of a JSON Patch: their names are in the pointer. */
static void mask_patch(struct json_t *patch) {
    for (size_t i = 0; i < jd_len(patch); i++) {
        struct json_t *d = jd_at(patch, i);
        const char *pointer = jd_str(d, "path");
        if (!pointer || !jd_member(d, "value")) continue;
        bool leaf = jd_is_string(jd_member(d, "value"));
        if (leaf && (strstr(pointer, "/env/") || str_starts(pointer, "/data/") || str_starts(pointer, "/stringData/") ||
                     (strstr(pointer, "/annotations/") && is_secret_name(pointer))))
            jd_set(d, "value", jd_string(MASK));
        else if (str_ends(pointer, "/env")) mask_env(jd_member(d, "value"));
        else if (str_ends(pointer, "/annotations")) mask_values(jd_member(d, "value"), is_secret_name);
        else if (str_eq(pointer, "/data") || str_eq(pointer, "/stringData")) mask_values(jd_member(d, "value"), NULL);
        else mask(jd_member(d, "value"));
    }
}

static bool is_patch(const struct json_t *body) {
    return jd_is_array(body) && jd_str(body, "0.op") && jd_str(body, "0.path");
}

static struct json_t *masked(const struct json_t *body) {
    struct json_t *copy = jd_copy(body);
    if (is_patch(copy)) mask_patch(copy);
    else mask(copy);
    return copy;
}

void op_masked(const struct json_t *body, struct buf *out) {
    struct buf raw = {0};
    struct json_t *copy = masked(body);
    jd_dump(copy, &raw);
    utf8_clean(out, buf_slice(&raw));
    buf_free(&raw);
    jd_free(copy);
}

/* A statement with the literal behind the word PASSWORD masked. */
static void add_sql(struct buf *out, const char *sql) {
    struct buf raw = {0};
    for (const char *p = sql; *p;) {
        if (strncasecmp(p, "password", 8) != 0) {
            buf_addc(&raw, *p++);
            continue;
        }
        const char *quote = p + 8 + strspn(p + 8, " \t\n");
        if (*quote != '\'') {
            buf_add(&raw, p, 8);
            p += 8;
            continue;
        }
        buf_add(&raw, p, (size_t)(quote - p));
        buf_adds(&raw, "'" MASK "'");
        for (p = quote + 1; *p && (*p != '\'' || p[1] == '\''); p += *p == '\'' ? 2 : 1) continue;
        p += *p == '\'';
    }
    utf8_clean(out, buf_slice(&raw));
    buf_free(&raw);
}

/* ---- Texts ---- */

static void add_value(struct buf *out, const struct json_t *value) {
    struct buf raw = {0};
    jd_dump(value, &raw);
    utf8_clean(out, buf_slice(&raw));
    buf_free(&raw);
}

/* "test /metadata/uid="…", /spec/replicas=2; replace /spec/replicas=0" */
static void add_patch(struct buf *out, const struct json_t *body) {
    struct json_t *patch = masked(body);
    const char *last = NULL;
    for (size_t i = 0; i < jd_len(patch); i++) {
        const struct json_t *d = jd_at(patch, i), *value = jd_member(d, "value");
        const char *how = jd_str(d, "op"), *pointer = jd_str(d, "path");
        buf_printf(out, "%s%s%s", !last ? " " : str_eq(last, how) ? ", " : "; ", str_eq(last, how) ? "" : how, str_eq(last, how) ? "" : " ");
        utf8_clean(out, slice_of(pointer ? pointer : ""));
        if (value) buf_addc(out, '=');
        if (value) add_value(out, value);
        last = how;
    }
    jd_free(patch);
}

static void add_body(struct buf *out, const struct json_t *body) {
    struct buf text = {0};
    op_masked(body, &text);
    struct slice shown = {buf_str(&text), text.len};
    if (shown.n > BODY_MAX) shown = utf8_clip(shown, BODY_MAX, NULL);
    buf_printf(out, " %.*s%s", SLICE_FMT(shown), shown.n < text.len ? "…" : "");
    buf_free(&text);
}

static void add_options(struct buf *out, const struct json_t *options) {
    const char *uid = jd_str(options, "preconditions.uid"), *policy = jd_str(options, "propagationPolicy");
    int64_t grace = jd_num(options, "gracePeriodSeconds", -1);
    buf_printf(out, " preconditions.uid=%s, propagationPolicy=%s", uid ? uid : "", policy ? policy : "");
    if (grace >= 0) buf_printf(out, ", gracePeriodSeconds=%lld", (long long)grace);
}

/* "vault-1 ": whom it is asked of, if not the API server. */
static void add_node(struct buf *out, const struct op *op) {
    if (!op->vault) return;
    utf8_clean(out, slice_of(op->vault));
    buf_addc(out, ' ');
}

static void add_request(struct buf *out, const struct op *op) {
    add_node(out, op);
    buf_printf(out, "%s ", op->method);
    utf8_clean(out, slice_of(op->path));
    if (!op->body) return;
    if (is_patch(op->body)) add_patch(out, op->body);
    else if (str_eq(op->method, "DELETE")) add_options(out, op->body);
    else add_body(out, op->body);
}

static void add_statement(struct buf *out, const struct op *op, const char *sql) {
    buf_printf(out, "SQL on %s", op->db == DB_SERVER ? "the server" : "the scratch server");
    if (op->database) buf_adds(out, ", database ");
    if (op->database) utf8_clean(out, slice_of(op->database));
    buf_adds(out, ": ");
    add_sql(out, sql);
}

void op_text(const struct op *op, struct buf *out) {
    if (op->method) add_request(out, op);
    else if (op->sql) add_statement(out, op, op->sql);
    else if (op->get) {
        add_node(out, op);
        buf_adds(out, "GET ");
        utf8_clean(out, slice_of(op->get));
    } else if (op->look) add_statement(out, op, op->look);
}

bool op_has_placeholder(const struct op *op) {
    struct buf text = {0};
    op_text(op, &text);
    bool found = strstr(buf_str(&text), PLACEHOLDER) != NULL || (op->get && strstr(op->get, PLACEHOLDER)) ||
                 (op->get && strstr(op->get, "%E2%80%B9")); /* escaped in a path */
    buf_free(&text);
    return found;
}

bool op_failing_test(const struct op *op, const struct json_t *doc, struct buf *out) {
    for (size_t i = 0; i < jd_len(op->body); i++) {
        const struct json_t *d = jd_at(op->body, i), *want = jd_member(d, "value");
        const char *pointer = jd_str(d, "path");
        struct buf manager = {0};
        if (!str_eq(jd_str(d, "op"), "test") || !pointer) continue;
        const struct json_t *found = managers_field(doc, pointer);
        if (found ? jd_equal(found, want) : jd_is_null(want)) continue;
        buf_printf(out, "%s is ", pointer);
        if (found) add_value(out, found);
        else buf_adds(out, "absent");
        buf_adds(out, ", not ");
        add_value(out, want);
        managers_owner(doc, pointer, &manager);
        if (manager.len) buf_printf(out, " (last set by %s)", buf_str(&manager));
        buf_free(&manager);
        return true;
    }
    return false;
}
