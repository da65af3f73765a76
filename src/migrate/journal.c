#include "migrate/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/fdwatch.h"
#include "loop/loop.h"
#include "migrate/journal_scan.h"
#include "migrate/journal_writer.h"

struct journal {
    struct loop *loop;
    char *path;
    int fd;
    char id[17];
    char key[40];
    char head[JOURNAL_HASH_SIZE]; /* of the last durable record */
    char last[JOURNAL_HASH_SIZE]; /* of the last one that was appended */
    int64_t seq;                  /* of that one */
    struct map *hashes;           /* of the durable records, to anything */
    struct journal_writer *writer;
    struct fdwatch *watch;
    struct journal_entry *waiting, **waiting_tail; /* appended, and nobody was told what became of it; in order */
};

/* ---- Opening ---- */

/* Who has a flock on that file, as /proc/locks tells it; 0: not known. */
static long holder_of(int fd) {
    struct stat st;
    char line[256], place[64];
    long pid = 0, found = 0;
    FILE *f = fstat(fd, &st) == 0 ? fopen("/proc/locks", "re") : NULL;
    if (!f) return 0;
    snprintf(place, sizeof place, "%02x:%02x:%llu ", major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
    while (fgets(line, sizeof line, f))
        if (strstr(line, place) && sscanf(line, "%*s FLOCK %*s %*s %ld", &pid) == 1 && pid > 0) found = pid;
    fclose(f);
    return found;
}

static struct err *locked(int fd, const char *path) {
    long pid = holder_of(fd);
    if (pid) return err_new(ERR_LOCKED, "another ferryman (process %ld) works on this plan: it has the journal %s", pid, path);
    return err_new(ERR_LOCKED, "another ferryman works on this plan: it has the journal %s", path);
}

struct err *journal_open_locked(const char *dir, const char *path, int *ret_fd) {
    struct err *e = file_mkdirs(dir, 0700);
    if (e) return e;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0) return err_sys(errno, "cannot open the journal %s", path);
    struct stat st;
    if (fstat(fd, &st)) e = err_sys(errno, "cannot look at the journal %s", path);
    else if (!S_ISREG(st.st_mode)) e = err_new(ERR_DATA, "the journal %s is no regular file; move it away", path);
    else if (st.st_mode & 077) e = err_new(ERR_DENIED, "the journal %s is open to others; run: chmod 600 %s", path, path);
    else if (flock(fd, LOCK_EX | LOCK_NB)) e = errno == EWOULDBLOCK ? locked(fd, path) : err_sys(errno, "cannot lock the journal %s", path);
    if (e) close(fd);
    else *ret_fd = fd;
    return e;
}

struct err *journal_read_fd(int fd, const char *path, struct buf *ret) {
    struct stat st;
    if (fstat(fd, &st)) return err_sys(errno, "cannot look at the journal %s", path);
    if (st.st_size > (off_t)JOURNAL_FILE_MAX) return err_new(ERR_DATA, "the journal %s is too large", path);
    buf_reserve(ret, (size_t)st.st_size + 1);
    while (ret->len < (size_t)st.st_size) {
        ssize_t n = pread(fd, ret->p + ret->len, (size_t)st.st_size - ret->len, (off_t)ret->len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(errno, "cannot read the journal %s", path);
        if (n == 0) break;
        ret->len += (size_t)n;
    }
    ret->p[ret->len] = '\0';
    return NULL;
}

/* What a crash left of a record goes to journal.torn, and only then from the journal. */
static struct err *move_torn(int fd, const char *dir, const char *path, struct slice tail, size_t good) {
    char *torn = str_printf("%s/journal.torn", dir);
    int out = open(torn, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct buf b = {0};
    buf_add_slice(&b, tail);
    buf_addc(&b, '\n');
    bool kept = out >= 0 && write(out, b.p, b.len) == (ssize_t)b.len && fsync(out) == 0;
    struct err *e = kept ? NULL : err_sys(errno, "cannot keep the torn end of the journal in %s", torn);
    if (!e && (ftruncate(fd, (off_t)good) || fsync(fd))) e = err_sys(errno, "cannot cut the torn end off the journal %s", path);
    if (out >= 0) close(out);
    buf_free(&b);
    mem_free(torn);
    return e;
}

struct reading {
    struct journal *j;
    void (*each)(void *arg, const struct json_t *record);
    void *arg;
};

static void on_record(void *arg, const struct json_t *record) {
    struct reading *r = arg;
    map_puts(r->j->hashes, jd_str(record, "hash"), r->j);
    if (r->each) r->each(r->arg, record);
}

/* Takes over what is there; *ret_end: where the next record goes. */
static struct err *take_over(struct journal *j, const char *dir, const char *plan, struct reading *r, int64_t *ret_end) {
    struct buf b = {0};
    struct journal_scanned s = {0};
    struct err *e = journal_read_fd(j->fd, j->path, &b);
    if (!e) e = journal_scan(buf_slice(&b), j->path, on_record, r, &s);
    if (!e && s.records && !str_eq(s.plan, plan))
        e = err_new(ERR_DATA, "%s:1: this is the journal of plan %s, not of %s; move it to that plan's folder", j->path, s.plan, plan);
    if (!e && s.torn) e = move_torn(j->fd, dir, j->path, (struct slice){b.p + s.good, b.len - s.good}, s.good);
    memcpy(j->head, s.head, sizeof j->head);
    memcpy(j->last, s.head, sizeof j->last);
    memcpy(j->id, s.id, sizeof j->id);
    j->seq = (int64_t)s.records;
    *ret_end = (int64_t)s.good;
    mem_free(s.plan);
    buf_free(&b);
    return e;
}

/* ---- Records ---- */

/* The line of a record: what every record has, around the fields. */
static void make_line(struct journal *j, const struct json_t *fields, struct journal_entry *x) {
    char at[32];
    struct buf inner = {0};
    struct json_t *own = jd_copy(fields);
    static const char *const ours[] = {"seq", "at", "prev", "hash"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) jd_del(own, ours[i]);
    jd_dump(own, &inner);
    jd_free(own);
    x->seq = ++j->seq;
    buf_printf(&x->line, "{\"seq\":%lld,\"at\":\"%s\",", (long long)x->seq, journal_time(clock_wall_ms(), at, sizeof at));
    buf_add(&x->line, inner.p + 1, inner.len - 2); /* without its braces */
    buf_printf(&x->line, ",\"prev\":\"%s\"", j->last);
    hash_hex(x->line.p, x->line.len, x->hash);
    buf_printf(&x->line, ",\"hash\":\"%s\"}\n", x->hash);
    memcpy(j->last, x->hash, sizeof j->last);
    buf_free(&inner);
}

static struct journal_entry *new_entry(struct journal *j, const struct json_t *fields) {
    const char *type = jd_str(fields, "t");
    if (!type) {
        fprintf(stderr, "ferryman: a journal record without a type\n");
        abort();
    }
    struct journal_entry *x = MEM_NEW(struct journal_entry);
    x->counted = str_eq(type, "act") || str_eq(type, "outcome");
    make_line(j, fields, x);
    return x;
}

void journal_append(struct journal *j, const struct json_t *fields, void (*fn)(void *arg, const struct err *e), void *arg) {
    struct journal_entry *x = new_entry(j, fields);
    x->fn = fn;
    x->arg = arg;
    *j->waiting_tail = x;
    j->waiting_tail = &x->later;
    journal_writer_put(j->writer, x);
}

void journal_forget(struct journal *j, void *arg) {
    for (struct journal_entry *x = j->waiting; x; x = x->later)
        if (x->arg == arg) x->fn = NULL;
}

/* Finished entries are the first that wait, in the same order. */
static void on_finished(void *arg, unsigned events) {
    struct journal *j = arg;
    (void)events;
    struct journal_entry *x = journal_writer_take(j->writer);
    while (x) {
        struct journal_entry *next = x->next;
        j->waiting = x->later;
        if (!j->waiting) j->waiting_tail = &j->waiting;
        if (!x->failed) {
            memcpy(j->head, x->hash, sizeof j->head);
            map_puts(j->hashes, x->hash, j);
        }
        if (x->fn) x->fn(x->arg, x->failed ? journal_writer_broken(j->writer) : NULL);
        journal_entry_free(x);
        x = next;
    }
}

/* ---- A new journal ---- */

static struct err *random_id(char ret[17]) {
    unsigned char bytes[8];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return err_sys(errno, "no random bytes for the journal's id");
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    return NULL;
}

/* The name of a new file is durable only with its folder. */
static struct err *sync_dir(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err *e = fd < 0 || fsync(fd) ? err_sys(errno, "cannot sync the folder %s", dir) : NULL;
    if (fd >= 0) close(fd);
    return e;
}

static struct err *write_first(struct journal *j, const char *dir, const struct journal_entry *x, int64_t *ret_end) {
    struct err *e = journal_room(j->fd, j->path, 0, (int64_t)x->line.len);
    if (!e && (pwrite(j->fd, x->line.p, x->line.len, 0) != (ssize_t)x->line.len || fsync(j->fd)))
        e = err_sys(errno, "cannot begin the journal %s", j->path);
    if (!e) e = sync_dir(dir);
    *ret_end = (int64_t)x->line.len;
    return e;
}

static struct err *begin(struct journal *j, const char *dir, const char *plan, struct reading *r, int64_t *ret_end) {
    struct err *e = random_id(j->id);
    if (e) return e;
    struct json_t *fields = jd_object(), *record = NULL;
    jd_set(fields, "t", jd_string("journal"));
    jd_set(fields, "id", jd_string(j->id));
    jd_set(fields, "plan", jd_string(plan));
    jd_set(fields, "version", jd_string(FERRYMAN_VERSION));
    struct journal_entry *x = new_entry(j, fields);
    jd_free(fields);
    e = write_first(j, dir, x, ret_end);
    if (!e) e = jd_parse(x->line.p, x->line.len, j->path, &record);
    if (!e) on_record(r, record);
    memcpy(j->head, x->hash, sizeof j->head);
    jd_free(record);
    journal_entry_free(x);
    return e;
}

/* ---- Life ---- */

struct err *journal_open(struct loop *l, const char *dir, const char *plan, void (*each)(void *arg, const struct json_t *record),
                         void *arg, struct journal **ret) {
    struct journal *j = MEM_NEW(struct journal);
    *j = (struct journal){.loop = l, .path = str_printf("%s/journal.jsonl", dir), .fd = -1, .hashes = map_new()};
    j->waiting_tail = &j->waiting;
    struct reading reading = {j, each, arg};
    int64_t end = 0;
    signal(SIGXFSZ, SIG_IGN); /* a limit of the file size is an error of a write, not our death */
    struct err *e = journal_open_locked(dir, j->path, &j->fd);
    if (!e) e = take_over(j, dir, plan, &reading, &end);
    if (!e && j->seq == 0) e = begin(j, dir, plan, &reading, &end);
    if (!e) e = journal_writer_new(j->fd, j->path, end, &j->writer);
    if (e) {
        journal_free(j);
        return e;
    }
    struct stat st = {0};
    (void)fstat(j->fd, &st);
    snprintf(j->key, sizeof j->key, "%s-%llx", j->id, (unsigned long long)st.st_ino);
    j->watch = fdwatch_new(l, journal_writer_wake(j->writer), on_finished, j);
    fdwatch_set(j->watch, FD_READABLE);
    *ret = j;
    return NULL;
}

void journal_free(struct journal *j) {
    if (!j) return;
    fdwatch_free(j->watch);
    journal_writer_free(j->writer);
    if (j->fd >= 0) close(j->fd);
    map_free(j->hashes, NULL);
    mem_free(j->path);
    mem_free(j);
}

const char *journal_key(const struct journal *j) {
    return j->key;
}

const char *journal_id(const struct journal *j) {
    return j->id;
}

const char *journal_head(const struct journal *j) {
    return j->head;
}

bool journal_has(const struct journal *j, const char *hash) {
    return map_gets(j->hashes, hash) != NULL;
}

const char *journal_path(const struct journal *j) {
    return j->path;
}

bool journal_settled(const struct journal *j) {
    return j->waiting == NULL;
}

int64_t journal_syncs(const struct journal *j) {
    return journal_writer_syncs(j->writer);
}
