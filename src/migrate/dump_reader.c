/* A dump read back: cipher_reader.c proves that its bytes are the ones that were written; here its manifest says what they must be. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/dump_file.h"

struct dump_reader {
    char *file;
    struct cipher_reader *in;
    struct dump_manifest manifest;
    bool has_manifest;
};

/* A file that should be enciphered and does not look so was changed at its first bytes; one that looks so and should not be, too. */
static struct err *open_manifest(struct dump_reader *r, const struct dump_reader_options *o) {
    char *path = dump_manifest_path(r->file);
    bool skip = o->without_manifest && !file_exists(path);
    mem_free(path);
    r->manifest.bytes = -1;
    if (skip) return NULL;
    struct err *e = dump_manifest_read(r->file, &r->manifest);
    if (e) return e;
    r->has_manifest = true;
    bool enciphered = r->manifest.iterations > 0;
    return cipher_reader_enciphered(r->in) == enciphered ? NULL : cipher_reader_wrong(r->in, enciphered);
}

struct err *dump_reader_open(const struct dump_reader_options *o, struct dump_reader **ret) {
    struct cipher_reader_options co = {.noun = "dump", .remedy = "Put back the file that was proved, or roll back and dump again", .file = o->file,
                                       .passphrase_file = o->passphrase_file, .watch = o->watch};
    struct dump_reader *r = MEM_NEW(struct dump_reader);
    r->file = mem_strdup(o->file);
    struct err *e = cipher_reader_open(&co, &r->in);
    if (!e) e = open_manifest(r, o);
    if (!e && r->has_manifest) e = cipher_reader_authenticate(r->in, r->manifest.iterations, r->manifest.sha256);
    else if (!e) e = cipher_reader_authenticate(r->in, CIPHER_FILE_ITERATIONS, NULL);
    if (e) dump_reader_free(r);
    else *ret = r;
    return e;
}

struct err *dump_reader_next(struct dump_reader *r, const char **ret_p, size_t *ret_n) {
    return cipher_reader_next(r->in, ret_p, ret_n);
}

struct err *dump_reader_finish(struct dump_reader *r) {
    char found[HASH_HEX_SIZE];
    dump_reader_hash(r, found);
    if (!r->has_manifest || str_eq(found, r->manifest.sha256)) return NULL;
    return err_new(ERR_FAILED, "dump %s: the SHA-256 of its plain text is not the one in its manifest: it changed while it was read, or the "
                   "manifest is of another dump", r->file);
}

const struct dump_manifest *dump_reader_manifest(const struct dump_reader *r) {
    return &r->manifest;
}

int64_t dump_reader_size(const struct dump_reader *r) {
    return cipher_reader_size(r->in);
}

void dump_reader_hash(const struct dump_reader *r, char ret[HASH_HEX_SIZE]) {
    cipher_reader_hash(r->in, ret);
}

void dump_reader_free(struct dump_reader *r) {
    if (!r) return;
    cipher_reader_free(r->in);
    dump_manifest_clear(&r->manifest);
    mem_free(r->file);
    mem_free(r);
}
