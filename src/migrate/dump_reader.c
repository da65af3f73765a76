/* Two passes over one open descriptor: the first proves that the bytes are the ones that were written (HMAC, or the hash of a plain file),
 * the second gives them away. Nothing that was not authenticated is deciphered, counted or fed to anybody. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cipher.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "migrate/dump_file.h"
#include "migrate/dump_keys.h"

#define PIECE ((size_t)256 * 1024)
#define WATCH_EVERY ((int64_t)4 * 1024 * 1024)

struct dump_reader {
    char *file;
    int fd;
    int64_t size, at, watched;    /* of the file, with its head */
    struct dump_manifest manifest;
    struct dump_watch watch;
    bool has_manifest, enciphered;
    struct cipher_stream *cipher;
    struct hash_stream *hash;     /* of the plain text of the second pass */
    char *piece;
};

/* At most a piece; 0 at the end. */
static struct err *read_piece(struct dump_reader *r, size_t *ret) {
    ssize_t n;
    do
        n = read(r->fd, r->piece, PIECE);
    while (n < 0 && errno == EINTR);
    if (n < 0) return err_sys(errno, "dump %s: it cannot be read", r->file);
    *ret = (size_t)n;
    r->at += n;
    if (r->at - r->watched < WATCH_EVERY || !r->watch.go_on) return NULL;
    r->watched = r->at;
    return r->watch.go_on(r->watch.arg, r->at, r->size) ? NULL : err_new(ERR_CANCELLED, "reading %s was given up", r->file);
}

static struct err *rewind_to(struct dump_reader *r, int64_t offset) {
    r->at = r->watched = offset;
    return lseek(r->fd, (off_t)offset, SEEK_SET) < 0 ? err_sys(errno, "dump %s: it cannot be read again", r->file) : NULL;
}

static struct err *wrong(const struct dump_reader *r) {
    if (r->enciphered)
        return err_new(ERR_FAILED, "dump %s: its HMAC is not the one in %s.hmac: the file was changed or cut off, or the passphrase is another. Put "
                                   "back the file that was proved, or roll back and dump again",
                       r->file, r->file);
    return err_new(ERR_FAILED, "dump %s: its SHA-256 is not the one in %s.json: the file was changed or cut off. Put back the file that was "
                               "proved, or roll back and dump again", r->file, r->file);
}

/* The first pass. */
static struct err *authenticate(struct dump_reader *r, const char *expected, struct hmac_stream *hmac) {
    char found[HASH_HEX_SIZE];
    struct hash_stream *hash = hmac ? NULL : hash_stream_new();
    size_t n = 1;
    struct err *e = rewind_to(r, 0);
    (void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED); /* from the disk, as far as the kernel likes */
    while (!e && n > 0) {
        e = read_piece(r, &n);
        if (e) break;
        if (hmac) hmac_stream_add(hmac, r->piece, n);
        else hash_stream_add(hash, r->piece, n);
    }
    if (hmac) hmac_stream_hex(hmac, found);
    else hash_stream_hex(hash, found);
    hash_stream_free(hash);
    return e ? e : hmac_hex_equal(found, expected) ? NULL : wrong(r);
}

static struct err *read_hmac(const char *file, char ret[HASH_HEX_SIZE]) {
    struct buf text = {0};
    char *path = dump_hmac_path(file);
    struct err *e = file_read(path, 4096, &text);
    struct slice digits = slice_trim(buf_slice(&text));
    if (!e && digits.n != HASH_HEX_SIZE - 1) e = err_new(ERR_DATA, "%s: it must hold 64 hexadecimal digits", path);
    if (!e) {
        memcpy(ret, digits.p, digits.n);
        ret[digits.n] = '\0';
    } else {
        err_set_kind(e, ERR_DATA);
    }
    buf_free(&text);
    mem_free(path);
    return e;
}

static struct err *open_enciphered(struct dump_reader *r, const struct dump_reader_options *o) {
    char expected[HASH_HEX_SIZE];
    unsigned char head[DUMP_HEAD_SIZE];
    struct dump_keys keys;
    unsigned iterations = r->has_manifest ? r->manifest.iterations : DUMP_ITERATIONS;
    if (!o->passphrase_file)
        return err_new(ERR_DATA, "dump %s: it is enciphered; its passphrase is needed (--passphrase-file, or dump.encrypt of the plan)", r->file);
    if (pread(r->fd, head, sizeof head, 0) != (ssize_t)sizeof head)
        return err_new(ERR_DATA, "dump %s: it is shorter than the head of an enciphered file", r->file);
    struct err *e = read_hmac(r->file, expected);
    if (!e) e = dump_keys_derive(o->passphrase_file, head + DUMP_MAGIC_SIZE, iterations, &keys);
    if (e) return e;
    struct hmac_stream *hmac = hmac_stream_new(keys.mac);
    r->cipher = cipher_stream_new(keys.cipher, keys.cipher + CIPHER_KEY_SIZE);
    secret_wipe(&keys, sizeof keys);
    e = authenticate(r, expected, hmac);
    hmac_stream_free(hmac);
    return e ? e : rewind_to(r, DUMP_HEAD_SIZE);
}

static struct err *open_file(struct dump_reader *r) {
    struct stat st;
    char magic[DUMP_MAGIC_SIZE] = "";
    r->fd = open(r->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0 || fstat(r->fd, &st)) {
        struct err *e = err_sys(errno, "dump %s: it cannot be opened", r->file);
        err_set_kind(e, ERR_DATA);
        return e;
    }
    if (!S_ISREG(st.st_mode)) return err_new(ERR_DATA, "dump %s: it is not a file", r->file);
    r->size = st.st_size;
    r->enciphered = pread(r->fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic && memcmp(magic, DUMP_MAGIC, sizeof magic) == 0;
    return NULL;
}

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
    if (r->enciphered == (r->manifest.iterations > 0)) return NULL;
    r->enciphered = r->manifest.iterations > 0;
    return wrong(r);
}

struct err *dump_reader_open(const struct dump_reader_options *o, struct dump_reader **ret) {
    struct dump_reader *r = MEM_NEW(struct dump_reader);
    r->file = mem_strdup(o->file);
    r->watch = o->watch;
    r->piece = mem_alloc(PIECE);
    r->hash = hash_stream_new();
    struct err *e = open_file(r);
    if (!e) e = open_manifest(r, o);
    if (!e && r->enciphered) e = open_enciphered(r, o);
    else if (!e && r->has_manifest) e = authenticate(r, r->manifest.sha256, NULL);
    if (!e && !r->enciphered) e = rewind_to(r, 0);
    if (e) dump_reader_free(r);
    else *ret = r;
    return e;
}

struct err *dump_reader_next(struct dump_reader *r, const char **ret_p, size_t *ret_n) {
    size_t n;
    struct err *e = read_piece(r, &n);
    if (e) return e;
    if (r->cipher) cipher_stream_apply(r->cipher, r->piece, r->piece, n);
    hash_stream_add(r->hash, r->piece, n);
    *ret_p = r->piece;
    *ret_n = n;
    return NULL;
}

struct err *dump_reader_finish(struct dump_reader *r) {
    char found[HASH_HEX_SIZE];
    hash_stream_hex(r->hash, found);
    if (!r->has_manifest || str_eq(found, r->manifest.sha256)) return NULL;
    return err_new(ERR_FAILED, "dump %s: the SHA-256 of its plain text is not the one in its manifest: it changed while it was read, or the "
                   "manifest is of another dump", r->file);
}

const struct dump_manifest *dump_reader_manifest(const struct dump_reader *r) {
    return &r->manifest;
}

int64_t dump_reader_size(const struct dump_reader *r) {
    return r->enciphered ? r->size - DUMP_HEAD_SIZE : r->size;
}

void dump_reader_hash(const struct dump_reader *r, char ret[HASH_HEX_SIZE]) {
    hash_stream_hex(r->hash, ret);
}

void dump_reader_free(struct dump_reader *r) {
    if (!r) return;
    if (r->fd >= 0) close(r->fd);
    dump_manifest_clear(&r->manifest);
    cipher_stream_free(r->cipher);
    hash_stream_free(r->hash);
    mem_free(r->piece);
    mem_free(r->file);
    mem_free(r);
}
