/* One thread, one descriptor, records in order. What waits together is written one after another and synced once. Room is kept
 * ahead of the end, so that a full disk is noticed while there is still room to write down what was done; when it comes
 * to the worst the journal is broken and stays so: nothing may be done that cannot be written down. */
#include "migrate/journal_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"

enum { ROOM = 1024 * 1024 };

struct journal_writer {
    int fd, wake;
    const char *path;
    int64_t end;  /* of the last whole record */
    int64_t room; /* up to where room is taken */
    bool room_short;
    pthread_t thread;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t more;
    struct journal_entry *todo, **todo_tail, *done, **done_tail;
    bool stop;
    int64_t syncs;
    struct err *broken;
};

void journal_entry_free(struct journal_entry *x) {
    buf_free(&x->line);
    mem_free(x);
}

static void free_list(struct journal_entry *x) {
    while (x) {
        struct journal_entry *next = x->next;
        journal_entry_free(x);
        x = next;
    }
}

struct err *journal_room(int fd, const char *path, int64_t end, int64_t bytes) {
    int rc;
    do
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)end, (off_t)bytes);
    while (rc < 0 && errno == EINTR);
    if (rc == 0 || errno == EOPNOTSUPP || errno == ENOSYS) return NULL;
    return err_sys(errno, "no room for the journal %s; free some space on that disk", path);
}

/* Keeps at least half of the room ahead. Not being able to is no failure yet: what was taken is still there. */
static void keep_room(struct journal_writer *w) {
    if (w->room - w->end > ROOM / 2) return;
    struct err *e = journal_room(w->fd, w->path, w->end, ROOM);
    if (!e) w->room = w->end + ROOM;
    else if (!w->room_short) log_warn("%s", err_text(e));
    w->room_short = e != NULL;
    err_free(e);
}

static struct err *write_bytes(struct journal_writer *w, const char *p, size_t n) {
    int64_t at = w->end;
    while (n > 0) {
        ssize_t done = pwrite(w->fd, p, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            struct err *e = err_sys(errno, "cannot write the journal %s; free some space on that disk and start ferryman again", w->path);
            /* Half a record would be taken for a torn one, which is right, too: cutting it off is only tidier. */
            if (ftruncate(w->fd, (off_t)w->end)) log_warn("cannot cut off what was written of a record at the end of %s", w->path);
            return e;
        }
        p += done;
        at += done;
        n -= (size_t)done;
    }
    w->end = at;
    return NULL;
}

/* Writes and syncs a list; entries that could not be made durable are marked. Without the lock. */
static struct err *make_durable(struct journal_writer *w, struct journal_entry *list) {
    struct err *e = NULL;
    for (struct journal_entry *x = list; x; x = x->next) {
        if (x->counted && !e) failpoint_at("journal.before", x->seq);
        if (!e) e = write_bytes(w, x->line.p, x->line.len);
        x->failed = e != NULL;
    }
    if (fdatasync(w->fd)) {
        struct err *sync = err_sys(errno, "cannot sync the journal %s; look at that disk, then start ferryman again", w->path);
        for (struct journal_entry *x = list; x; x = x->next) x->failed = true;
        if (e) err_ignore(sync, "that it could not be written is told already");
        else e = sync;
    }
    for (struct journal_entry *x = list; x; x = x->next)
        if (x->counted && !x->failed) failpoint_at("journal.after", x->seq);
    return e;
}

static void wake_loop(struct journal_writer *w) {
    const uint64_t one = 1;
    while (write(w->wake, &one, sizeof one) < 0 && errno == EINTR) {}
}

/* With the lock held: hands a list back. */
static void hand_back(struct journal_writer *w, struct journal_entry *list, struct err *e) {
    if (e) w->broken = e;
    *w->done_tail = list;
    while (*w->done_tail) w->done_tail = &(*w->done_tail)->next;
    wake_loop(w);
}

static void *writer_run(void *arg) {
    struct journal_writer *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->todo && !w->stop) pthread_cond_wait(&w->more, &w->lock);
        if (!w->todo) break;
        struct journal_entry *list = w->todo;
        struct err *e = NULL;
        bool broken = w->broken != NULL;
        w->todo = NULL;
        w->todo_tail = &w->todo;
        if (broken) {
            for (struct journal_entry *x = list; x; x = x->next) x->failed = true;
        } else {
            w->syncs++;
            pthread_mutex_unlock(&w->lock);
            e = make_durable(w, list);
            if (!e) keep_room(w);
            pthread_mutex_lock(&w->lock);
        }
        hand_back(w, list, e);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals are the loop's. */
static int start_thread(struct journal_writer *w) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&w->thread, NULL, writer_run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

struct err *journal_writer_new(int fd, const char *path, int64_t end, struct journal_writer **ret) {
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0) return err_sys(errno, "no descriptor for the journal %s", path);
    struct journal_writer *w = MEM_NEW(struct journal_writer);
    *w = (struct journal_writer){.fd = fd, .wake = wake, .path = path, .end = end, .room = end};
    w->todo_tail = &w->todo;
    w->done_tail = &w->done;
    struct err *e = journal_room(fd, path, end, ROOM);
    if (!e) {
        w->room = end + ROOM;
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->more, NULL);
        int rc = start_thread(w);
        if (rc) e = err_sys(rc, "no thread for the journal %s", path);
    }
    if (e) {
        close(wake);
        mem_free(w);
        return e;
    }
    *ret = w;
    return NULL;
}

void journal_writer_free(struct journal_writer *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    free_list(w->done);
    err_free(w->broken);
    close(w->wake);
    mem_free(w);
}

int journal_writer_wake(const struct journal_writer *w) {
    return w->wake;
}

void journal_writer_put(struct journal_writer *w, struct journal_entry *x) {
    pthread_mutex_lock(&w->lock);
    *w->todo_tail = x;
    w->todo_tail = &x->next;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

struct journal_entry *journal_writer_take(struct journal_writer *w) {
    uint64_t n;
    while (read(w->wake, &n, sizeof n) < 0 && errno == EINTR) {}
    pthread_mutex_lock(&w->lock);
    struct journal_entry *list = w->done;
    w->done = NULL;
    w->done_tail = &w->done;
    pthread_mutex_unlock(&w->lock);
    return list;
}

const struct err *journal_writer_broken(struct journal_writer *w) {
    pthread_mutex_lock(&w->lock);
    const struct err *e = w->broken;
    pthread_mutex_unlock(&w->lock);
    return e;
}

int64_t journal_writer_syncs(struct journal_writer *w) {
    pthread_mutex_lock(&w->lock);
    int64_t n = w->syncs;
    pthread_mutex_unlock(&w->lock);
    return n;
}
