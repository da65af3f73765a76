/* One pass over the bytes while they are in the cache: count, hash, and what cipher_writer.c does with them. */
#include "migrate/dump_file.h"

#include <dirent.h>
#include <string.h>

#include "base/cipher.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/dump_scan.h"

#define PIECE ((size_t)256 * 1024) /* stays in the second-level cache from one pass to the next */

struct dump_writer {
    struct cipher_writer *out;
    struct dump_scan *scan;
    struct hash_stream *hash; /* of the plain text */
};

struct err *dump_writer_open(const struct dump_writer_options *o, struct dump_writer **ret) {
    struct cipher_writer_options co = {.noun = "dump", .setting = "dump.directory", .dir = o->dir, .prefix = o->prefix, .suffix = "sql",
                                       .passphrase_file = o->passphrase_file, .iterations = o->iterations};
    struct cipher_writer *out = NULL;
    struct err *e = cipher_writer_open(&co, &out);
    if (e) return e;
    struct dump_writer *w = *ret = MEM_NEW(struct dump_writer);
    w->out = out;
    w->scan = dump_scan_new();
    w->hash = hash_stream_new();
    return NULL;
}

struct err *dump_writer_add(struct dump_writer *w, const char *p, size_t n) {
    struct err *e = NULL;
    while (!e && n > 0) {
        size_t piece = n < PIECE ? n : PIECE;
        dump_scan_add(w->scan, p, piece);
        hash_stream_add(w->hash, p, piece);
        e = cipher_writer_add(w->out, p, piece);
        p += piece;
        n -= piece;
    }
    return e;
}

const struct dump_scan *dump_writer_scan(const struct dump_writer *w) {
    return w->scan;
}

struct err *dump_writer_sync(struct dump_writer *w) {
    return cipher_writer_sync(w->out);
}

struct err *dump_writer_commit(struct dump_writer *w, struct dump_manifest *m) {
    m->bytes = dump_scan_bytes(w->scan);
    m->rows = dump_scan_rows(w->scan);
    m->iterations = cipher_writer_iterations(w->out);
    m->tables = dump_scan_rows_json(w->scan);
    hash_stream_hex(w->hash, m->sha256);
    struct err *e = cipher_writer_sync(w->out);
    if (!e) e = cipher_writer_authenticate(w->out);
    if (!e) e = dump_manifest_write(m, cipher_writer_file(w->out));
    return e ? e : cipher_writer_name(w->out);
}

/* "PREFIX-20261122T110355Z.sql" and what may follow. */
static bool is_named(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0 || name[n] != '-') return false;
    name += n + 1;
    return strspn(name, "0123456789") == 8 && name[8] == 'T' && strspn(name + 9, "0123456789") == 6 && name[15] == 'Z' &&
           (str_ends(name, ".sql") || str_ends(name, ".sql.enc"));
}

/* NULL if it is not named by us. */
static char *prefix_of(const char *name) {
    for (const char *dash = strchr(name, '-'); dash; dash = strchr(dash + 1, '-')) {
        char *prefix = mem_strndup(name, (size_t)(dash - name));
        if (is_named(name, prefix)) return prefix;
        mem_free(prefix);
    }
    return NULL;
}

void dump_supersede(const char *kept, const char *run) {
    const char *slash = strrchr(kept, '/'), *name = slash ? slash + 1 : kept;
    char *dir = slash ? mem_strndup(kept, (size_t)(slash - kept)) : mem_strdup("."), *prefix = prefix_of(name);
    DIR *d = prefix ? opendir(dir) : NULL;
    for (struct dirent *x; d && (x = readdir(d));) {
        struct dump_manifest m = {0};
        char *file = str_printf("%s/%s", dir, x->d_name);
        struct err *e = !str_eq(x->d_name, name) && is_named(x->d_name, prefix) ? dump_manifest_read(file, &m) : NULL;
        if (!e && m.run && str_eq(m.run, run)) cipher_file_remove(file);
        err_ignore(e, "a file without a manifest is not known to be ours");
        dump_manifest_clear(&m);
        mem_free(file);
    }
    if (d) closedir(d);
    mem_free(dir);
    mem_free(prefix);
}

const char *dump_writer_file(const struct dump_writer *w) {
    return cipher_writer_file(w->out);
}

void dump_writer_discard(struct dump_writer *w) {
    cipher_writer_discard(w->out);
}

void dump_writer_free(struct dump_writer *w) {
    if (!w) return;
    cipher_writer_free(w->out);
    dump_scan_free(w->scan);
    hash_stream_free(w->hash);
    mem_free(w);
}
