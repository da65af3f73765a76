#include "migrate/snapshot_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cipher.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"

#define SCHEMA "ferryman/snapshot/1"
#define MANIFEST_MAX ((size_t)64 * 1024)
#define ITERATIONS_MAX 100000000
#define NOUN "snapshot"

/* Of statfs(2). */
enum { MAGIC_NFS = 0x6969, MAGIC_TMPFS = 0x01021994, MAGIC_OVERLAY = 0x794c7630 };

/* ---- The manifest ---- */

static struct json_t *encryption(const struct snapshot_manifest *m) {
    struct json_t *e = jd_object();
    jd_set(e, "cipher", jd_string(m->iterations ? "aes-256-ctr" : "none"));
    if (m->iterations) {
        jd_set(e, "key", jd_string("pbkdf2-hmac-sha256"));
        jd_set(e, "iterations", jd_int(m->iterations));
        jd_set(e, "authentication", jd_string("hmac-sha256"));
    } else {
        jd_set(e, "reason", jd_string(m->reason));
    }
    return e;
}

static struct err *write_manifest(const struct snapshot_manifest *m, const struct snapshot_said *said, const char *file) {
    const char *name = strrchr(file, '/');
    char at[32], *path = str_printf("%s.json", file);
    struct json_t *d = jd_object();
    struct buf text = {0};
    jd_set(d, "schema", jd_string(SCHEMA));
    jd_set(d, "file", jd_string(name ? name + 1 : file));
    jd_set(d, "run", jd_string(m->run));
    jd_set(d, "workload", jd_string(m->workload));
    jd_set(d, "node", jd_string(m->node));
    jd_set(d, "at", jd_string(clock_format_utc(m->at_ms, at, sizeof at)));
    jd_set(d, "index", jd_int(m->index));
    jd_set(d, "term", jd_int(m->term));
    jd_set(d, "bytes", jd_int(m->bytes));
    jd_set(d, "sha256", jd_string(m->sha256));
    jd_set(d, "servers", jd_string(buf_str(&said->nodes)));
    jd_set(d, "encryption", encryption(m));
    jd_dump_pretty(d, &text);
    buf_addc(&text, '\n');
    struct err *e = file_write_durable(path, text.p, text.len, 0600);
    buf_free(&text);
    jd_free(d);
    mem_free(path);
    return e;
}

/* Everything that a reader relies on is there and of its type. */
static bool take(const struct json_t *d, struct snapshot_manifest *m) {
    const char *sha256 = jd_str(d, "sha256"), *cipher = jd_str(d, "encryption.cipher"), *at = jd_str(d, "at");
    int64_t iterations = jd_num(d, "encryption.iterations", 0);
    bool plain = str_eq(cipher, "none");
    if (!str_eq(jd_str(d, "schema"), SCHEMA) || !sha256 || strlen(sha256) + 1 != sizeof m->sha256 || !cipher) return false;
    if (!plain && (!str_eq(cipher, "aes-256-ctr") || iterations < 1 || iterations > ITERATIONS_MAX)) return false;
    str_copy(m->sha256, sizeof m->sha256, sha256);
    m->iterations = plain ? 0 : (unsigned)iterations;
    m->bytes = jd_num(d, "bytes", -1);
    m->index = jd_num(d, "index", -1);
    m->term = jd_num(d, "term", -1);
    if (!clock_parse_rfc3339(slice_of(at), &m->at_ms)) m->at_ms = 0;
    m->run = mem_strdup(jd_str(d, "run"));
    m->workload = mem_strdup(jd_str(d, "workload"));
    m->node = mem_strdup(jd_str(d, "node"));
    return m->bytes > 0 && m->index > 0;
}

struct err *snapshot_manifest_read(const char *file, struct snapshot_manifest *ret) {
    struct buf text = {0};
    struct json_t *d = NULL;
    struct snapshot_manifest m = {0};
    char *path = str_printf("%s.json", file);
    struct err *e = file_read(path, MANIFEST_MAX, &text);
    if (!e) e = jd_parse(buf_str(&text), text.len, path, &d);
    if (!e && !take(d, &m)) e = err_new(ERR_DATA, "%s: it is not the manifest of a snapshot, or of a newer version of this program", path);
    if (e) {
        err_set_kind(e, ERR_DATA);
        snapshot_manifest_clear(&m);
    } else {
        *ret = m;
    }
    jd_free(d);
    buf_free(&text);
    mem_free(path);
    return e;
}

void snapshot_manifest_clear(struct snapshot_manifest *m) {
    mem_free(m->run);
    mem_free(m->workload);
    mem_free(m->node);
    mem_free(m->reason);
    *m = (struct snapshot_manifest){0};
}

/* ---- Places ---- */

struct err *snapshot_place_judge(const char *dir, long type, bool in_pod) {
    if (type == MAGIC_NFS)
        return err_new(ERR_DATA, "snapshot: %s lies on NFS, and what is moved away from it must not rest on it: set snapshot.directory of the plan to "
                                 "a local disk", dir);
    if (in_pod && (type == MAGIC_OVERLAY || type == MAGIC_TMPFS))
        return err_new(ERR_DATA, "snapshot: %s lies in the file system of the pod that this runs in, and goes with it: set snapshot.directory of the "
                                 "plan to a volume that stays", dir);
    return NULL;
}

struct err *snapshot_place(const char *dir) {
    char *p = mem_strdup(dir);
    struct statfs s;
    int failed;
    while ((failed = statfs(p, &s)) != 0 && errno == ENOENT && !str_eq(p, "/") && !str_eq(p, ".")) {
        char *up = file_dirname(p);
        mem_free(p);
        p = up;
    }
    bool in_pod = getenv("KUBERNETES_SERVICE_HOST") && file_exists("/var/run/secrets/kubernetes.io");
    struct err *e = failed ? err_sys(errno, "snapshot: %s", p) : snapshot_place_judge(dir, (long)s.f_type, in_pod);
    mem_free(p);
    return e;
}

/* "PREFIX-20261122T110355Z" and what may follow. */
static bool is_named(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0 || name[n] != '-') return false;
    name += n + 1;
    return strspn(name, "0123456789") == 8 && name[8] == 'T' && strspn(name + 9, "0123456789") == 6 && name[15] == 'Z' &&
           (str_ends(name, ".snap") || str_ends(name, ".snap.enc"));
}

struct err *snapshot_remove(const char *dir, const char *prefix, const char *run, const char *kept, size_t *ret_n) {
    DIR *d = opendir(dir);
    struct err *left = NULL;
    *ret_n = 0;
    if (!d) return errno == ENOENT ? NULL : err_sys(errno, "snapshot: the folder %s cannot be read", dir);
    for (struct dirent *x; (x = readdir(d));) {
        struct snapshot_manifest m = {0};
        if (!is_named(x->d_name, prefix)) continue;
        char *file = str_printf("%s/%s", dir, x->d_name);
        struct err *e = str_eq(file, kept) ? NULL : snapshot_manifest_read(file, &m);
        if (!e && str_eq(m.run, run)) {
            cipher_file_remove(file);
            if (!file_exists(file)) ++*ret_n;
            else if (!left) left = err_new(ERR_SYSTEM, "snapshot: %s cannot be removed; remove it, FILE.json and FILE.hmac by hand", file);
        }
        err_ignore(e, "a file without a manifest is not known to be ours");
        snapshot_manifest_clear(&m);
        mem_free(file);
    }
    closedir(d);
    return left;
}

/* ---- Writing ---- */

struct snapshot_writer {
    struct cipher_writer *file;
    struct snapshot_proof *proof;
    struct hash_stream *hash; /* of the archive */
};

struct err *snapshot_writer_open(const char *dir, const char *prefix, const char *passphrase_file, struct snapshot_writer **ret) {
    struct cipher_writer *file = NULL;
    struct cipher_writer_options o = {.noun = NOUN, .setting = "snapshot.directory", .dir = dir, .prefix = prefix, .suffix = "snap",
                                      .passphrase_file = passphrase_file, .hash = true};
    struct err *e = snapshot_place(dir);
    if (!e) e = cipher_writer_open(&o, &file);
    if (e) return e;
    struct snapshot_writer *w = *ret = MEM_NEW(struct snapshot_writer);
    w->file = file;
    w->proof = snapshot_proof_new();
    w->hash = hash_stream_new();
    return NULL;
}

/* The first fault ends it; what it is, the end of the proof says. */
static struct err *fault(struct snapshot_writer *w) {
    struct snapshot_said said = {0};
    struct err *e = snapshot_proof_end(w->proof, &said);
    snapshot_said_clear(&said);
    return err_wrap(e, "the snapshot that came is damaged");
}

struct err *snapshot_writer_add(struct snapshot_writer *w, struct slice bytes) {
    if (!snapshot_proof_feed(w->proof, bytes)) return fault(w);
    hash_stream_add(w->hash, bytes.p, bytes.n);
    return cipher_writer_add(w->file, bytes.p, bytes.n);
}

static struct err *judge(struct snapshot_writer *w, int64_t applied, struct snapshot_manifest *m, struct snapshot_said *said) {
    struct err *e = snapshot_proof_end(w->proof, said);
    if (e) return err_wrap(e, "the snapshot that came is damaged");
    if (said->index < applied)
        return err_new(ERR_DATA, "the snapshot that came is old: its index is %lld, and %s had applied %lld before it was asked for", (long long)said->index,
                       m->node, (long long)applied);
    m->bytes = said->archive_bytes;
    m->index = said->index;
    m->term = said->term;
    m->iterations = cipher_writer_iterations(w->file);
    hash_stream_hex(w->hash, m->sha256);
    return NULL;
}

struct err *snapshot_writer_commit(struct snapshot_writer *w, int64_t applied, struct snapshot_manifest *m, struct snapshot_said *ret) {
    struct snapshot_said said = {0};
    struct err *e = judge(w, applied, m, &said);
    if (!e) e = cipher_writer_sync(w->file);
    if (!e) e = cipher_writer_authenticate(w->file);
    if (!e) e = write_manifest(m, &said, cipher_writer_file(w->file));
    if (!e) e = cipher_writer_name(w->file);
    if (e) snapshot_said_clear(&said);
    else *ret = said;
    return e;
}

const char *snapshot_writer_file(const struct snapshot_writer *w) {
    return cipher_writer_file(w->file);
}

void snapshot_writer_hash(const struct snapshot_writer *w, char ret[HASH_HEX_SIZE]) {
    cipher_writer_hash(w->file, ret);
}

void snapshot_writer_discard(struct snapshot_writer *w) {
    cipher_writer_discard(w->file);
}

void snapshot_writer_free(struct snapshot_writer *w) {
    if (!w) return;
    cipher_writer_free(w->file);
    snapshot_proof_free(w->proof);
    hash_stream_free(w->hash);
    mem_free(w);
}

/* ---- Proving ---- */

/* What the manifest says must be what was found; it could be of another snapshot under the same passphrase. */
static struct err *compare(const struct snapshot_verdict *v, const char *file) {
    const struct snapshot_manifest *m = &v->manifest;
    if (!v->has_manifest) return NULL;
    if (m->bytes != v->said.archive_bytes)
        return err_new(ERR_DATA, "%lld bytes, %s.json says %lld", (long long)v->said.archive_bytes, file, (long long)m->bytes);
    if (!str_eq(m->sha256, v->sha256)) return err_new(ERR_DATA, "its SHA-256 is %.16s…, %s.json says %.16s…", v->sha256, file, m->sha256);
    if (m->index != v->said.index) return err_new(ERR_DATA, "its index is %lld, %s.json says %lld", (long long)v->said.index, file, (long long)m->index);
    return NULL;
}

/* The second pass. */
static struct err *read_archive(struct cipher_reader *r, struct snapshot_verdict *v, const char *file) {
    struct snapshot_proof *proof = snapshot_proof_new();
    const char *p;
    size_t n;
    struct err *e;
    while (!(e = cipher_reader_next(r, &p, &n)) && n > 0) (void)snapshot_proof_feed(proof, (struct slice){p, n}); /* all is hashed */
    if (!e) {
        cipher_reader_hash(r, v->sha256);
        cipher_reader_file_hash(r, v->file_sha256);
        v->damage = snapshot_proof_end(proof, &v->said);
        if (!v->damage) v->damage = compare(v, file);
    }
    snapshot_proof_free(proof);
    return e;
}

static struct err *open_manifest(const struct cipher_reader *r, const char *file, struct snapshot_verdict *v) {
    char *path = str_printf("%s.json", file);
    struct err *e = file_exists(path) ? snapshot_manifest_read(file, &v->manifest) : NULL;
    v->has_manifest = !e && file_exists(path);
    mem_free(path);
    if (!e && v->has_manifest && v->enciphered != (v->manifest.iterations > 0)) e = cipher_reader_wrong(r, v->manifest.iterations > 0);
    return e;
}

struct err *snapshot_verify(const struct snapshot_verify_options *o, struct snapshot_verdict *ret) {
    struct cipher_reader_options ro = {.noun = NOUN, .remedy = "Take another", .file = o->file, .passphrase_file = o->passphrase_file,
                                       .watch = o->watch, .hash = true};
    struct snapshot_verdict v = {0};
    struct cipher_reader *r = NULL;
    struct stat st;
    struct err *e = cipher_reader_open(&ro, &r);
    if (!e) {
        v.enciphered = cipher_reader_enciphered(r);
        v.file_bytes = stat(o->file, &st) == 0 ? (int64_t)st.st_size : cipher_reader_size(r);
        e = open_manifest(r, o->file, &v);
    }
    if (!e) e = cipher_reader_authenticate(r, v.has_manifest ? v.manifest.iterations : CIPHER_FILE_ITERATIONS, NULL);
    if (!e) e = read_archive(r, &v, o->file);
    if (e && err_kind(e) == ERR_FAILED) { /* its bytes are not the ones that were written */
        v.damage = e;
        e = NULL;
    }
    cipher_reader_free(r);
    if (e) snapshot_verdict_clear(&v);
    else *ret = v;
    return e;
}

void snapshot_verdict_clear(struct snapshot_verdict *v) {
    err_free(v->damage);
    snapshot_said_clear(&v->said);
    snapshot_manifest_clear(&v->manifest);
    *v = (struct snapshot_verdict){0};
}
