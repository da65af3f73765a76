/* Reading conninfos, and finding the password that libpq would find: libpq looks it up by the address that it connects to, and a pod that
 * is reached directly, or a new server under the old one's credentials, has another address than the one that is filed. The passfile's
 * form and rules are libpq's (manual, "The Password File"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "client/pg_conn_private.h"

#define PASSFILE_MAX_BYTES ((size_t)1 << 20)

const char *pg_conninfo_option(PQconninfoOption *info, const char *key) {
    for (PQconninfoOption *i = info; i && i->keyword; i++)
        if (str_eq(i->keyword, key)) return i->val;
    return NULL;
}

static void set_option(PQconninfoOption *info, const char *key, const char *value) {
    for (PQconninfoOption *i = info; i && i->keyword; i++)
        if (str_eq(i->keyword, key)) {
            PQfreemem(i->val);
            i->val = strdup(value); /* libpq frees it with free() */
        }
}

static bool is_set(const char *text) {
    return text && *text;
}

struct err *pg_conninfo_read(const struct pg_conninfo *c, PQconninfoOption **ret) {
    char *message = NULL;
    PQconninfoOption *base = PQconndefaults(), *own = c->conninfo ? PQconninfoParse(c->conninfo, &message) : NULL;
    if (c->conninfo && !own) {
        struct err *e = err_new(ERR_DATA, "%s: conninfo: %s", c->name, message ? message : "cannot be read");
        PQfreemem(message);
        PQconninfoFree(base);
        return e;
    }
    bool named = is_set(pg_conninfo_option(own, "service")) || is_set(getenv("PGSERVICE"));
    bool user = named || is_set(pg_conninfo_option(own, "user")) || is_set(getenv("PGUSER"));
    bool database = named || is_set(pg_conninfo_option(own, "dbname")) || is_set(getenv("PGDATABASE"));
    for (PQconninfoOption *i = own; i && i->keyword; i++)
        if (i->val) set_option(base, i->keyword, i->val);
    if (!user && c->default_user) set_option(base, "user", c->default_user);
    if (!database && c->default_database) set_option(base, "dbname", c->default_database);
    PQconninfoFree(own);
    *ret = base;
    return NULL;
}

/* ---- The password file ---- */

/* The next field of a line, with \: and \\ undone. */
static bool take_field(struct slice *line, struct buf *out) {
    size_t i = 0;
    buf_clear(out);
    if (!line->p) return false;
    for (; i < line->n && line->p[i] != ':'; i++) {
        if (line->p[i] == '\\' && i + 1 < line->n) i++;
        buf_addc(out, line->p[i]);
    }
    if (i < line->n) *line = (struct slice){line->p + i + 1, line->n - i - 1};
    else *line = (struct slice){NULL, 0};
    return true;
}

static bool line_matches(struct slice *line, const char *const want[4]) {
    struct buf field = {0};
    bool same = line->n > 0 && line->p[0] != '#';
    for (size_t i = 0; same && i < 4; i++)
        same = take_field(line, &field) && (str_eq(buf_str(&field), "*") || str_eq(buf_str(&field), want[i]));
    buf_free(&field);
    return same && line->p;
}

static struct secret *search(const struct buf *text, const char *const want[4]) {
    struct slice rest = buf_slice(text), line;
    struct secret *found = NULL;
    while (!found && slice_cut(&rest, '\n', &line)) {
        struct buf password = {0};
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        if (line_matches(&line, want) && take_field(&line, &password)) found = secret_new(buf_str(&password), password.len);
        if (password.p) secret_wipe(password.p, password.len);
        buf_free(&password);
    }
    return found;
}

/* As libpq does, a file that others may read is passed over. */
static bool is_private(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & (S_IRWXG | S_IRWXO));
}

static char *default_passfile(void) {
    const char *home = getenv("HOME");
    return home ? str_printf("%s/.pgpass", home) : NULL;
}

static void find_in_file(PQconninfoOption *info, const char *file, struct secret **ret) {
    const char *host = pg_conninfo_option(info, "host"), *port = pg_conninfo_option(info, "port");
    const char *user = pg_conninfo_option(info, "user"), *database = pg_conninfo_option(info, "dbname");
    struct buf text = {0};
    if (!is_set(host)) host = pg_conninfo_option(info, "hostaddr");
    if (!is_set(host) || *host == '/') host = "localhost";
    const char *want[4] = {host, is_set(port) ? port : "5432", is_set(database) ? database : user ? user : "", user ? user : ""};
    struct err *e = is_private(file) ? file_read(file, PASSFILE_MAX_BYTES, &text) : NULL;
    if (!e) *ret = search(&text, want);
    err_ignore(e, "libpq passes over what it cannot read, too");
    if (text.p) secret_wipe(text.p, text.len);
    buf_free(&text);
}

struct err *pg_password_find(const char *name, const char *conninfo, const char *passfile, const char *default_database,
                             const char *default_user, struct secret **ret) {
    PQconninfoOption *info = NULL;
    struct secret *found = NULL;
    struct err *e = pg_conninfo_read(&(struct pg_conninfo){.name = name, .conninfo = conninfo, .default_user = default_user, .default_database = default_database}, &info);
    if (e) return e;
    const char *password = pg_conninfo_option(info, "password"), *file = passfile ? passfile : pg_conninfo_option(info, "passfile");
    char *own = is_set(file) ? NULL : default_passfile();
    if (is_set(password)) found = secret_new(password, strlen(password));
    else if (is_set(file) || own) find_in_file(info, is_set(file) ? file : own, &found);
    mem_free(own);
    PQconninfoFree(info);
    *ret = found;
    return NULL;
}
