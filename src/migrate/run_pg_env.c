/* What children (pg_dumpall, psql) are told: libpq's environment variables of a session that has just been proved, and the password in
 * a file of our own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "loop/loop.h"
#include "migrate/run_pg_private.h"

/* ---- The password file ---- */

static char *passfile_path(const struct run_pg *p, enum run_db db) {
    return str_printf("%s/.pgpass-%s-%s", p->run->dir, p->run->workload->name, db == DB_SERVER ? "server" : "scratch");
}

/* Overwritten, then removed; also one that a crash has left. */
static void remove_file(const char *path) {
    struct stat st;
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        static const char zeros[256];
        for (off_t left = st.st_size; left > 0; left -= (off_t)sizeof zeros)
            if (write(fd, zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros) <= 0) break;
    }
    if (fd >= 0) close(fd);
    unlink(path);
}

static struct err *write_file(const char *path, const struct buf *text) {
    remove_file(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return err_sys(errno, "%s: cannot be created", path);
    ssize_t n = write(fd, text->p, text->len);
    int why = n < 0 ? errno : ENOSPC;
    close(fd);
    if (n == (ssize_t)text->len) return NULL;
    remove_file(path);
    return err_sys(why, "%s: cannot be written", path);
}

static struct err *make_passfile(struct run_pg *p, enum run_db db) {
    struct buf line = {0};
    if (!p->password || p->passfile[db]) return NULL;
    const char *word = secret_bytes(p->password);
    buf_reserve(&line, 2 * secret_len(p->password) + 16); /* so that it does not move: it is wiped below */
    buf_adds(&line, "*:*:*:*:");
    for (; *word; word++) {
        if (*word == ':' || *word == '\\') buf_addc(&line, '\\');
        buf_addc(&line, *word);
    }
    buf_addc(&line, '\n');
    char *path = passfile_path(p, db);
    struct err *e = write_file(path, &line);
    secret_wipe(line.p, line.len);
    buf_free(&line);
    if (e) mem_free(path);
    else p->passfile[db] = path;
    return e;
}

void run_pg_env_close(struct run_pg *p, enum run_db db) {
    if (!p->passfile[db]) return;
    remove_file(p->passfile[db]);
    mem_free(p->passfile[db]);
    p->passfile[db] = NULL;
}

void run_pg_env_clean(struct run_pg *p) {
    for (int db = DB_SERVER; p->run->dir && p->run->workload && db <= DB_SCRATCH; db++) {
        char *path = passfile_path(p, (enum run_db)db);
        remove_file(path);
        mem_free(path);
    }
}

/* ---- The variables ---- */

static void add(void *arg, const char *name, const char *value) {
    struct run_pg *p = arg;
    p->env = mem_reallocarray(p->env, p->nenv + 2, sizeof *p->env);
    p->env[p->nenv++] = str_printf("%s=%s", name, value);
    p->env[p->nenv] = NULL;
}

static void clear(struct run_pg *p) {
    for (size_t i = 0; i < p->nenv; i++) mem_free(p->env[i]);
    p->nenv = 0;
}

static const struct session *ready_session(const struct run_pg *p, enum run_db db) {
    for (const struct session *s = p->sessions; s; s = s->next)
        if (s->db == db && s->state == SESSION_READY) return s;
    return NULL;
}

static struct err *fill(struct env_asked *a) {
    struct run_pg *p = a->pg;
    const struct session *s = ready_session(p, a->db);
    char application[80];
    if (!s) return err_new(ERR_UNAVAILABLE, "postgres of %s: the session was lost", p->run->workload->name);
    struct err *e = make_passfile(p, a->db);
    if (e) return e;
    snprintf(application, sizeof application, "ferryman/%s", p->run->id);
    clear(p);
    pg_conn_environment(s->conn, add, p);
    add(p, "PGAPPNAME", application);
    add(p, "PGOPTIONS", a->options);
    add(p, "PGCLIENTENCODING", "UTF8");
    /* without a password of ours none is looked for elsewhere: what we use and what they use is the same. A file that is not there is
     * passed over in silence; libpq warns of /dev/null */
    char *none = p->passfile[a->db] ? NULL : passfile_path(p, a->db);
    add(p, "PGPASSFILE", none ? none : p->passfile[a->db]);
    mem_free(none);
    return NULL;
}

static void unlink_env(struct env_asked *a) {
    for (struct env_asked **at = &a->pg->envs; *at; at = &(*at)->next)
        if (*at == a) {
            *at = a->next;
            return;
        }
}

static void destroy(struct env_asked *a) {
    unlink_env(a);
    run_query_free(a->asked);
    mem_free(a->options);
    mem_free(a);
}

static void on_proved(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct env_asked *a = arg;
    (void)rows;
    struct err *bad = e ? err_copy(e) : fill(a);
    void (*fn)(void *, const char *const *, const struct err *) = a->fn;
    void *fn_arg = a->arg;
    struct run_pg *p = a->pg;
    destroy(a);
    fn(fn_arg, bad ? NULL : (const char *const *)p->env, bad);
    err_free(bad);
}

/* A query that asks nothing: the session behind it is proved, and its identifier judged, like for any other. */
void run_pg_env(struct run *r, enum run_db db, const char *pgoptions, void (*fn)(void *arg, const char *const *env, const struct err *e), void *arg) {
    struct env_asked *a = MEM_NEW(struct env_asked);
    *a = (struct env_asked){.pg = r->pg, .db = db, .options = mem_strdup(pgoptions ? pgoptions : ""), .fn = fn, .arg = arg, .next = r->pg->envs};
    r->pg->envs = a;
    a->asked = run_query(r, &(struct run_query){.db = db, .sql = "SELECT 1"}, on_proved, a);
}

void run_pg_env_cancel(struct run *r, const void *arg) {
    for (struct env_asked *a = r->pg ? r->pg->envs : NULL, *next; a; a = next) {
        next = a->next;
        if (a->arg == arg) destroy(a);
    }
}
