/* Two passes over one open descriptor: the first proves that the bytes are the ones that were written (HMAC, or the hash of a plain file),
 * the second gives them away. Nothing that was not authenticated is deciphered, counted or fed to anybody. */
#include "migrate/cipher_file.h"

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
#include "migrate/dump_keys.h"

#define PIECE ((size_t)256 * 1024)
#define WATCH_EVERY ((int64_t)4 * 1024 * 1024)

struct cipher_reader {
    const char *noun, *remedy;
    char *file, *passphrase_file;
    int fd;
    int64_t size, at, watched;      /* of the file, with its head */
    struct cipher_watch watch;
    bool enciphered;
    struct cipher_stream *cipher;
    struct hash_stream *hash;       /* of the plain text of the second pass */
    struct hash_stream *file_hash;  /* of what lies on the disk; NULL: not asked for */
    char *piece;
};

/* At most a piece; 0 at the end. */
static struct err *read_piece(struct cipher_reader *r, size_t *ret) {
    ssize_t n;
    do
        n = read(r->fd, r->piece, PIECE);
    while (n < 0 && errno == EINTR);
    if (n < 0) return err_sys(errno, "%s %s: it cannot be read", r->noun, r->file);
    *ret = (size_t)n;
    r->at += n;
    if (r->at - r->watched < WATCH_EVERY || !r->watch.go_on) return NULL;
    r->watched = r->at;
    return r->watch.go_on(r->watch.arg, r->at, r->size) ? NULL : err_new(ERR_CANCELLED, "reading %s was given up", r->file);
}

static struct err *rewind_to(struct cipher_reader *r, int64_t offset) {
    r->at = r->watched = offset;
    return lseek(r->fd, (off_t)offset, SEEK_SET) < 0 ? err_sys(errno, "%s %s: it cannot be read again", r->noun, r->file) : NULL;
}

struct err *cipher_reader_wrong(const struct cipher_reader *r, bool enciphered) {
    if (enciphered)
        return err_new(ERR_FAILED, "%s %s: its HMAC is not the one in %s.hmac: the file was changed or cut off, or the passphrase is another. %s",
                       r->noun, r->file, r->file, r->remedy);
    return err_new(ERR_FAILED, "%s %s: its SHA-256 is not the one in %s.json: the file was changed or cut off. %s", r->noun, r->file, r->file,
                   r->remedy);
}

/* The first pass. */
static struct err *authenticate(struct cipher_reader *r, const char *expected, struct hmac_stream *hmac) {
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
    return e ? e : hmac_hex_equal(found, expected) ? NULL : cipher_reader_wrong(r, r->enciphered);
}

static struct err *read_hmac(const char *file, char ret[HASH_HEX_SIZE]) {
    struct buf text = {0};
    char *path = cipher_file_hmac_path(file);
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

/* Deciphers from now on. */
static struct err *authenticate_enciphered(struct cipher_reader *r, unsigned iterations) {
    char expected[HASH_HEX_SIZE];
    unsigned char head[DUMP_HEAD_SIZE];
    struct dump_keys keys;
    if (!r->passphrase_file)
        return err_new(ERR_DATA, "%s %s: it is enciphered; its passphrase is needed (--passphrase-file, or %s.encrypt of the plan)", r->noun, r->file,
                       r->noun);
    if (pread(r->fd, head, sizeof head, 0) != (ssize_t)sizeof head)
        return err_new(ERR_DATA, "%s %s: it is shorter than the head of an enciphered file", r->noun, r->file);
    struct err *e = read_hmac(r->file, expected);
    if (!e) e = dump_keys_derive(r->passphrase_file, head + DUMP_MAGIC_SIZE, iterations, &keys);
    if (e) return e;
    struct hmac_stream *hmac = hmac_stream_new(keys.mac);
    r->cipher = cipher_stream_new(keys.cipher, keys.cipher + CIPHER_KEY_SIZE);
    secret_wipe(&keys, sizeof keys);
    e = authenticate(r, expected, hmac);
    hmac_stream_free(hmac);
    if (!e && r->file_hash) hash_stream_add(r->file_hash, head, sizeof head);
    return e ? e : rewind_to(r, DUMP_HEAD_SIZE);
}

struct err *cipher_reader_authenticate(struct cipher_reader *r, unsigned iterations, const char *sha256) {
    struct err *e = NULL;
    if (r->enciphered) return authenticate_enciphered(r, iterations);
    if (sha256) e = authenticate(r, sha256, NULL);
    return e ? e : rewind_to(r, 0);
}

static struct err *open_file(struct cipher_reader *r) {
    struct stat st;
    char magic[DUMP_MAGIC_SIZE] = "";
    r->fd = open(r->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0 || fstat(r->fd, &st)) {
        struct err *e = err_sys(errno, "%s %s: it cannot be opened", r->noun, r->file);
        err_set_kind(e, ERR_DATA);
        return e;
    }
    if (!S_ISREG(st.st_mode)) return err_new(ERR_DATA, "%s %s: it is not a file", r->noun, r->file);
    r->size = st.st_size;
    r->enciphered = pread(r->fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic && memcmp(magic, DUMP_MAGIC, sizeof magic) == 0;
    return NULL;
}

struct err *cipher_reader_open(const struct cipher_reader_options *o, struct cipher_reader **ret) {
    struct cipher_reader *r = MEM_NEW(struct cipher_reader);
    r->noun = o->noun;
    r->remedy = o->remedy;
    r->file = mem_strdup(o->file);
    r->passphrase_file = mem_strdup(o->passphrase_file);
    r->watch = o->watch;
    r->piece = mem_alloc(PIECE);
    r->hash = hash_stream_new();
    r->file_hash = o->hash ? hash_stream_new() : NULL;
    struct err *e = open_file(r);
    if (e) cipher_reader_free(r);
    else *ret = r;
    return e;
}

bool cipher_reader_enciphered(const struct cipher_reader *r) {
    return r->enciphered;
}

struct err *cipher_reader_next(struct cipher_reader *r, const char **ret_p, size_t *ret_n) {
    size_t n;
    struct err *e = read_piece(r, &n);
    if (e) return e;
    if (r->file_hash) hash_stream_add(r->file_hash, r->piece, n);
    if (r->cipher) cipher_stream_apply(r->cipher, r->piece, r->piece, n);
    hash_stream_add(r->hash, r->piece, n);
    *ret_p = r->piece;
    *ret_n = n;
    return NULL;
}

int64_t cipher_reader_size(const struct cipher_reader *r) {
    return r->enciphered ? r->size - DUMP_HEAD_SIZE : r->size;
}

void cipher_reader_hash(const struct cipher_reader *r, char ret[HASH_HEX_SIZE]) {
    hash_stream_hex(r->hash, ret);
}

void cipher_reader_file_hash(const struct cipher_reader *r, char ret[HASH_HEX_SIZE]) {
    hash_stream_hex(r->file_hash, ret);
}

void cipher_reader_free(struct cipher_reader *r) {
    if (!r) return;
    if (r->fd >= 0) close(r->fd);
    cipher_stream_free(r->cipher);
    hash_stream_free(r->hash);
    hash_stream_free(r->file_hash);
    mem_free(r->piece);
    mem_free(r->passphrase_file);
    mem_free(r->file);
    mem_free(r);
}
