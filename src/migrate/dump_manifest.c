#include "migrate/dump_manifest.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"

#define SCHEMA "ferryman/dump/1"
#define MANIFEST_MAX ((size_t)256 * 1024 * 1024) /* a million tables */
#define ITERATIONS_MAX 100000000

char *dump_manifest_path(const char *file) {
    return str_printf("%s.json", file);
}

static struct json_t *time_text(int64_t ms) {
    char text[32];
    return jd_string(clock_format_utc(ms, text, sizeof text));
}

static struct json_t *encryption(const struct dump_manifest *m) {
    struct json_t *e = jd_object();
    if (!m->iterations) {
        jd_set(e, "cipher", jd_string("none"));
        jd_set(e, "reason", jd_string(m->reason));
        return e;
    }
    jd_set(e, "cipher", jd_string("aes-256-ctr"));
    jd_set(e, "key", jd_string("pbkdf2-hmac-sha256"));
    jd_set(e, "iterations", jd_int(m->iterations));
    jd_set(e, "authentication", jd_string("hmac-sha256"));
    return e;
}

struct err *dump_manifest_write(const struct dump_manifest *m, const char *file) {
    struct json_t *d = jd_object();
    const char *name = strrchr(file, '/');
    jd_set(d, "schema", jd_string(SCHEMA));
    jd_set(d, "file", jd_string(name ? name + 1 : file));
    jd_set(d, "run", jd_string(m->run));
    jd_set(d, "workload", jd_string(m->workload));
    jd_set(d, "strategy", jd_string(m->strategy));
    jd_put(d, "server.version", jd_int(m->server_version));
    jd_put(d, "server.identifier", jd_string(m->identifier));
    jd_set(d, "started", time_text(m->started_ms));
    jd_set(d, "ended", time_text(m->ended_ms));
    jd_set(d, "bytes", jd_int(m->bytes));
    jd_set(d, "sha256", jd_string(m->sha256));
    jd_set(d, "rows", jd_int(m->rows));
    jd_set(d, "encryption", encryption(m));
    jd_set(d, "tables", jd_copy(m->tables));
    struct buf text = {0};
    jd_dump_pretty(d, &text);
    buf_addc(&text, '\n');
    char *path = dump_manifest_path(file);
    struct err *e = file_write_durable(path, text.p, text.len, 0600);
    mem_free(path);
    buf_free(&text);
    jd_free(d);
    return e;
}

static int64_t time_of(const struct json_t *d, const char *key) {
    int64_t ms;
    return clock_parse_rfc3339(slice_of(jd_str(d, key)), &ms) ? ms : 0;
}

/* Everything that a reader relies on is there and of its type. */
static bool take(const struct json_t *d, struct dump_manifest *m) {
    const char *sha256 = jd_str(d, "sha256"), *cipher = jd_str(d, "encryption.cipher");
    int64_t iterations = jd_num(d, "encryption.iterations", 0);
    bool plain = str_eq(cipher, "none");
    if (!str_eq(jd_str(d, "schema"), SCHEMA) || !sha256 || strlen(sha256) + 1 != sizeof m->sha256 || !cipher) return false;
    if (!plain && (!str_eq(cipher, "aes-256-ctr") || iterations < 1 || iterations > ITERATIONS_MAX)) return false;
    if (!jd_is_object(jd_get(d, "tables"))) return false;
    str_copy(m->sha256, sizeof m->sha256, sha256);
    m->iterations = plain ? 0 : (unsigned)iterations;
    m->bytes = jd_num(d, "bytes", -1);
    m->rows = jd_num(d, "rows", -1);
    m->server_version = jd_num(d, "server.version", 0);
    m->started_ms = time_of(d, "started");
    m->ended_ms = time_of(d, "ended");
    m->run = mem_strdup(jd_str(d, "run"));
    m->workload = mem_strdup(jd_str(d, "workload"));
    m->strategy = mem_strdup(jd_str(d, "strategy"));
    m->identifier = mem_strdup(jd_str(d, "server.identifier"));
    m->reason = mem_strdup(jd_str(d, "encryption.reason"));
    m->tables = jd_ref(jd_get(d, "tables"));
    return m->bytes >= 0 && m->rows >= 0;
}

struct err *dump_manifest_read(const char *file, struct dump_manifest *ret) {
    struct buf text = {0};
    struct json_t *d = NULL;
    struct dump_manifest m = {0};
    char *path = dump_manifest_path(file);
    struct err *e = file_read(path, MANIFEST_MAX, &text);
    if (!e) e = jd_parse(buf_str(&text), text.len, path, &d);
    if (!e && !take(d, &m))
        e = err_new(ERR_DATA, "%s: it is not the manifest of a dump, or of a newer version of this program", path);
    if (e) {
        err_set_kind(e, ERR_DATA);
        dump_manifest_clear(&m);
    } else {
        *ret = m;
    }
    jd_free(d);
    buf_free(&text);
    mem_free(path);
    return e;
}

void dump_manifest_clear(struct dump_manifest *m) {
    mem_free(m->run);
    mem_free(m->workload);
    mem_free(m->strategy);
    mem_free(m->identifier);
    mem_free(m->reason);
    if (m->tables) jd_free(m->tables);
    *m = (struct dump_manifest){0};
}
