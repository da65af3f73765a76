/* Looking at a journal that is not ours to write: for commands that only show, and for an engine beside another one. The file is
 * read again when it has grown; whether somebody is at work on it is told by the flock that its writer holds. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "migrate/migration_private.h"

#define JOURNAL_FILE "journal.jsonl"

static bool held(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    bool taken = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return taken;
}

/* Only then is the flock tried: trying it could turn away a process that opens the journal at that moment. */
static bool under_way(const struct migration *m) {
    for (size_t i = 0; i < m->nmovers; i++)
        for (size_t k = 0; k < m->movers[i].nphases; k++)
            if (m->movers[i].phases[k].state == PHASE_INTERRUPTED) return true;
    return false;
}

void migration_look(struct migration *m) {
    struct stat st;
    char head[JOURNAL_HASH_SIZE], *path = str_printf("%s/" JOURNAL_FILE, m->dir);
    size_t records;
    bool torn, there = stat(path, &st) == 0;
    if (there && (st.st_size != m->looked_size || st.st_mtime != m->looked_at)) {
        m->looked_size = st.st_size;
        m->looked_at = st.st_mtime;
        for (size_t i = 0; i < m->nmovers; i++) mover_forget(&m->movers[i]);
        struct err *e = journal_read(path, migration_fold, m, &records, head, &torn);
        if (e) log_warn("%s", err_text(e));
        err_free(e);
    }
    m->elsewhere = there && under_way(m) && held(path);
    mem_free(path);
}
