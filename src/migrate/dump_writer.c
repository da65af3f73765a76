/* One pass over the bytes while they are in the cache: count, hash, encipher, authenticate, write. The kernel is told to write out as we
 * go, so that the fsync at the end finds little to do. The keys take half a second to be made: that is done beside it, and what comes until
 * then is kept in memory, up to a bound. */
#include "migrate/dump_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cipher.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "migrate/dump_keys.h"
#include "migrate/dump_scan.h"

#define PIECE ((size_t)256 * 1024)             /* stays in the second-level cache from one pass to the next */
#define LOOK_EVERY ((int64_t)16 * 1024 * 1024) /* bytes between two looks at the disk */
#define PENDING_MAX ((size_t)64 * 1024 * 1024)
#define FREE_PERCENT 10
#define ATTEMPTS 100

/* The thread that makes the keys has all of it until `done`. */
struct making {
    pthread_t thread;
    bool joined;
    struct secret *passphrase;
    unsigned char head[DUMP_HEAD_SIZE];
    unsigned iterations;
    struct dump_keys keys;
    atomic_bool done;
};

struct dump_writer {
    char *file, *part, *dir, *prefix;
    int fd;
    bool committed;
    struct dump_scan *scan;
    struct hash_stream *hash;
    struct hmac_stream *hmac;     /* NULL: not enciphered */
    struct cipher_stream *cipher;
    unsigned iterations;
    int64_t written, looked, flushed;
    char *out;
    struct making *making;        /* NULL: the keys are there, or none are needed */
    struct buf pending;           /* plain text that waits for them */
};

static struct err *disk_error(const struct dump_writer *w, int errnum) {
    const char *text = errnum == ENOSPC || errnum == EDQUOT ? "the disk is full" : errnum == EFBIG ? "the file is as large as it may become"
                                                                                                  : strerror(errnum);
    return err_new(ERR_SYSTEM, "dump %s: %s after %lld MiB; make room there, or let dump.directory of the plan lead to another disk", w->part,
                   text, (long long)(w->written >> 20));
}

/* A dump that fills the disk would leave no room for the journal (safety 28). */
static struct err *check_room(struct dump_writer *w) {
    struct statvfs v;
    if (statvfs(w->dir, &v)) return err_sys(errno, "dump: the free space of %s cannot be read", w->dir);
    if (v.f_blocks == 0 || v.f_bavail * 100 >= v.f_blocks * FREE_PERCENT) return NULL;
    return err_new(ERR_SYSTEM, "dump: only %.1f %% of the disk of %s is free (%llu of %llu MiB), and %d %% must stay so; make room there, or "
                   "let dump.directory of the plan lead to another disk", (double)v.f_bavail * 100 / (double)v.f_blocks, w->dir,
                   (unsigned long long)v.f_bavail * v.f_frsize >> 20, (unsigned long long)v.f_blocks * v.f_frsize >> 20, FREE_PERCENT);
}

/* A .part is locked as long as somebody writes it; one that nobody writes is of an attempt that was interrupted. The mutex makes creating
 * and locking one step for an attempt that was given up and is not gone yet. */
static pthread_mutex_t creating = PTHREAD_MUTEX_INITIALIZER;

static void remove_if_left(int folder, const char *name) {
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) (void)unlinkat(folder, name, 0); /* if it stays, the next one tries again */
    close(fd);
}

static void remove_leftovers(const char *dir, const char *prefix) {
    DIR *d = opendir(dir);
    if (!d) return;
    size_t n = strlen(prefix);
    for (struct dirent *x; (x = readdir(d));)
        if (strncmp(x->d_name, prefix, n) == 0 && x->d_name[n] == '-' && str_ends(x->d_name, ".part"))
            remove_if_left(dirfd(d), x->d_name);
    closedir(d);
}

/* A name that is free, and its .part created. */
static struct err *create(struct dump_writer *w, const struct dump_writer_options *o) {
    time_t now = (time_t)(clock_wall_ms() / CLOCK_MS_PER_S);
    struct tm tm;
    char at[32], more[16] = "";
    gmtime_r(&now, &tm);
    strftime(at, sizeof at, "%Y%m%dT%H%M%SZ", &tm);
    for (int i = 2; i < ATTEMPTS; i++) {
        mem_free(w->file);
        mem_free(w->part);
        w->file = str_printf("%s/%s-%s%s.sql%s", o->dir, o->prefix, at, more, o->passphrase_file ? ".enc" : "");
        w->part = str_printf("%s.part", w->file);
        snprintf(more, sizeof more, "-%d", i);
        if (file_exists(w->file)) continue;
        w->fd = open(w->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (w->fd >= 0 || errno != EEXIST) break;
    }
    if (w->fd >= 0) {
        (void)flock(w->fd, LOCK_EX | LOCK_NB); /* a file system without locks has but us to remove it */
        return NULL;
    }
    return err_sys(errno, "dump: %s cannot be created; check dump.directory of the plan", w->part);
}

static struct err *write_all(struct dump_writer *w, const char *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(w->fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return disk_error(w, errno);
        p += done;
        n -= (size_t)done;
        w->written += done;
    }
    return NULL;
}

static void *make_keys(void *arg) {
    struct making *m = arg;
    dump_keys_make(m->passphrase, m->head + DUMP_MAGIC_SIZE, m->iterations, &m->keys);
    atomic_store(&m->done, true);
    return NULL;
}

static struct err *begin_cipher(struct dump_writer *w, const struct dump_writer_options *o) {
    struct secret *passphrase = NULL;
    struct err *e = dump_keys_read(o->passphrase_file, &passphrase);
    if (e) return e;
    struct making *m = w->making = MEM_NEW(struct making);
    m->passphrase = passphrase;
    m->iterations = w->iterations = o->iterations ? o->iterations : DUMP_ITERATIONS;
    memcpy(m->head, DUMP_MAGIC, DUMP_MAGIC_SIZE);
    cipher_random(m->head + DUMP_MAGIC_SIZE, CIPHER_SALT_SIZE);
    e = write_all(w, (const char *)m->head, sizeof m->head);
    int code = pthread_create(&m->thread, NULL, make_keys, m);
    if (code == 0) return e;
    make_keys(m); /* it is done here, then */
    m->joined = true;
    return e;
}

static void making_free(struct making *m) {
    if (!m->joined) pthread_join(m->thread, NULL);
    secret_free(m->passphrase);
    secret_wipe(&m->keys, sizeof m->keys);
    mem_free(m);
}

struct err *dump_writer_open(const struct dump_writer_options *o, struct dump_writer **ret) {
    struct dump_writer *w = MEM_NEW(struct dump_writer);
    struct err *e = file_exists(o->dir) ? NULL : file_mkdirs(o->dir, 0700);
    w->fd = -1;
    w->dir = mem_strdup(o->dir);
    w->prefix = mem_strdup(o->prefix);
    pthread_mutex_lock(&creating);
    if (!e) {
        remove_leftovers(o->dir, o->prefix);
        e = check_room(w);
    }
    if (!e) e = create(w, o);
    pthread_mutex_unlock(&creating);
    if (!e && o->passphrase_file) e = begin_cipher(w, o);
    w->scan = dump_scan_new();
    w->hash = hash_stream_new();
    w->out = mem_alloc(PIECE);
    if (e) dump_writer_free(w);
    else *ret = w;
    return e;
}

/* Starts writing out what has come since the last time; waits for nothing. */
static void start_flush(struct dump_writer *w) {
#ifdef SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(w->fd, w->flushed, w->written - w->flushed, SYNC_FILE_RANGE_WRITE); /* fsync is what counts */
#endif
    w->flushed = w->written;
}

static struct err *write_piece(struct dump_writer *w, const char *p, size_t n) {
    if (w->cipher) {
        cipher_stream_apply(w->cipher, p, w->out, n);
        hmac_stream_add(w->hmac, w->out, n);
        p = w->out;
    }
    struct err *e = write_all(w, p, n);
    if (e || w->written - w->looked < LOOK_EVERY) return e;
    w->looked = w->written;
    start_flush(w);
    return check_room(w);
}

/* Waits for the keys, and writes what has waited for them. */
static struct err *take_keys(struct dump_writer *w) {
    struct making *m = w->making;
    struct err *e = NULL;
    if (!m) return NULL;
    if (!m->joined) pthread_join(m->thread, NULL);
    m->joined = true;
    w->making = NULL;
    w->cipher = cipher_stream_new(m->keys.cipher, m->keys.cipher + CIPHER_KEY_SIZE);
    w->hmac = hmac_stream_new(m->keys.mac);
    hmac_stream_add(w->hmac, m->head, sizeof m->head);
    making_free(m);
    for (size_t at = 0; !e && at < w->pending.len; at += PIECE)
        e = write_piece(w, w->pending.p + at, w->pending.len - at < PIECE ? w->pending.len - at : PIECE);
    buf_free(&w->pending);
    return e;
}

static struct err *add_piece(struct dump_writer *w, const char *p, size_t n) {
    struct err *e = NULL;
    dump_scan_add(w->scan, p, n);
    hash_stream_add(w->hash, p, n);
    if (w->making && (atomic_load(&w->making->done) || w->pending.len >= PENDING_MAX)) e = take_keys(w);
    if (e) return e;
    if (!w->making) return write_piece(w, p, n);
    buf_add(&w->pending, p, n);
    return NULL;
}

struct err *dump_writer_add(struct dump_writer *w, const char *p, size_t n) {
    struct err *e = NULL;
    while (!e && n > 0) {
        size_t piece = n < PIECE ? n : PIECE;
        e = add_piece(w, p, piece);
        p += piece;
        n -= piece;
    }
    return e;
}

const struct dump_scan *dump_writer_scan(const struct dump_writer *w) {
    return w->scan;
}

struct err *dump_writer_sync(struct dump_writer *w) {
    struct err *e = take_keys(w);
    return e ? e : fsync(w->fd) ? disk_error(w, errno) : NULL;
}

static struct err *sync_folder(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err *e = fd < 0 || fsync(fd) ? err_sys(errno, "dump: the folder %s cannot be made durable", dir) : NULL;
    if (fd >= 0) close(fd);
    return e;
}

static struct err *write_hmac(const struct dump_writer *w) {
    char text[HASH_HEX_SIZE + 1], *path = dump_hmac_path(w->file);
    hmac_stream_hex(w->hmac, text);
    text[HASH_HEX_SIZE - 1] = '\n';
    struct err *e = file_write_durable(path, text, HASH_HEX_SIZE, 0600);
    mem_free(path);
    return e;
}

struct err *dump_writer_commit(struct dump_writer *w, struct dump_manifest *m) {
    m->bytes = dump_scan_bytes(w->scan);
    m->rows = dump_scan_rows(w->scan);
    m->iterations = w->iterations;
    m->tables = dump_scan_rows_json(w->scan);
    hash_stream_hex(w->hash, m->sha256);
    struct err *e = dump_writer_sync(w);
    if (!e && w->hmac) e = write_hmac(w);
    if (!e) e = dump_manifest_write(m, w->file);
    if (!e && rename(w->part, w->file)) e = err_sys(errno, "dump: %s cannot be given its name", w->part);
    w->committed = e == NULL;
    return e ? e : sync_folder(w->dir);
}

/* The file and what lies beside it. */
static void remove_dump(const char *file) {
    char *manifest = dump_manifest_path(file), *hmac = dump_hmac_path(file);
    (void)unlink(file);
    (void)unlink(hmac);
    (void)unlink(manifest);
    mem_free(manifest);
    mem_free(hmac);
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
        if (!e && m.run && str_eq(m.run, run)) remove_dump(file);
        err_ignore(e, "a file without a manifest is not known to be ours");
        dump_manifest_clear(&m);
        mem_free(file);
    }
    if (d) closedir(d);
    mem_free(dir);
    mem_free(prefix);
}

const char *dump_writer_file(const struct dump_writer *w) {
    return w->file;
}

void dump_writer_discard(struct dump_writer *w) {
    w->committed = false;
    (void)unlink(w->part);
    remove_dump(w->file);
}

void dump_writer_free(struct dump_writer *w) {
    if (!w) return;
    if (w->fd >= 0) {
        if (!w->committed) dump_writer_discard(w);
        close(w->fd);
    }
    if (w->making) making_free(w->making);
    buf_free(&w->pending);
    dump_scan_free(w->scan);
    hash_stream_free(w->hash);
    hmac_stream_free(w->hmac);
    cipher_stream_free(w->cipher);
    mem_free(w->out);
    mem_free(w->file);
    mem_free(w->part);
    mem_free(w->dir);
    mem_free(w->prefix);
    mem_free(w);
}
