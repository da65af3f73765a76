/* The application's own login: its password is read from the Secret by name, used in one session that asks SELECT 1, and wiped. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "loop/loop.h"
#include "migrate/kube_ask.h"
#include "migrate/postgres.h"
#include "migrate/postgres_login.h"

#define ASK_MS 10000

struct login {
    struct run *run;
    struct op *op;
    struct kube_ask *ask;
    struct secret *password;
    struct pg_conn *conn;
    struct err *error; /* of the end that is deferred */
    bool waiting_env;  /* run_pg_env will call: the struct lives until then */
    bool done, orphan;
};

static void clear(struct login *l)
{
    loop_undefer(l->run->loop, l);
    err_free(l->error);
    l->error = NULL;
    kube_ask_free(l->ask);
    pg_conn_free(l->conn);
    secret_free(l->password);
    l->ask = NULL;
    l->conn = NULL;
    l->password = NULL;
}

static void finish(struct login *l, struct err *e, const char *detail)
{
    l->done = true;
    clear(l);
    op_job_done(l->run, l->op, e, detail);
}

static const struct plan_login *of(const struct login *l)
{
    return &postgres_spec(l->run)->verify.login;
}

static struct err *refused(const struct login *l, const struct err *e)
{
    return err_wrap(err_copy(e), "the application cannot log in as %s with the password of Secret %s, key %s", of(l)->user, of(l)->secret,
                    of(l)->key);
}

static void end_later(void *arg)
{
    struct login *l = arg;
    struct err *e = l->error;
    l->error = NULL;
    char *detail = str_printf("%s logged in with the password of Secret %s", of(l)->user, of(l)->secret);
    finish(l, e, detail);
    mem_free(detail);
}

/* A session is not freed inside the answer to its query. */
static void on_answer(void *arg, const struct pg_rows *rows, const struct err *e)
{
    struct login *l = arg;
    (void)rows;
    l->error = e ? refused(l, e) : NULL;
    loop_defer(l->run->loop, end_later, l);
}

static void on_up(void *arg)
{
    struct login *l = arg;
    pg_query(l->conn, "SELECT 1", on_answer, l);
}

static void on_down(void *arg, const struct err *e)
{
    struct login *l = arg;
    finish(l, refused(l, e), NULL);
}

/* What of libpq's environment says where the server is; never the password or the user of ours. */
static void add_place(struct buf *conninfo, const char *const *env)
{
    static const char *const names[][2] = {
        {"PGHOST", "host"}, {"PGHOSTADDR", "hostaddr"}, {"PGPORT", "port"}, {"PGSSLMODE", "sslmode"}, {"PGSSLROOTCERT", "sslrootcert"}};
    for (; *env; env++)
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            size_t n = strlen(names[i][0]);
            if (strncmp(*env, names[i][0], n) != 0 || (*env)[n] != '=' || !(*env)[n + 1])
                continue;
            buf_printf(conninfo, "%s%s='", conninfo->len ? " " : "", names[i][1]);
            for (const char *p = *env + n + 1; *p; p++) {
                if (*p == '\'' || *p == '\\')
                    buf_addc(conninfo, '\\');
                buf_addc(conninfo, *p);
            }
            buf_addc(conninfo, '\'');
        }
}

static const char *database_of(const struct run *r)
{
    const struct plan_postgres *p = postgres_spec(r);
    return p->postgres.database ? p->postgres.database : run_has(r, "pg.database") ? run_fact(r, "pg.database") : NULL;
}

static void on_env(void *arg, const char *const *env, const struct err *e)
{
    struct login *l = arg;
    struct buf conninfo = {0};
    l->waiting_env = false;
    if (l->orphan) {
        mem_free(l);
        return;
    }
    if (l->done)
        return;
    if (e) {
        finish(l, err_copy(e), NULL);
        return;
    }
    add_place(&conninfo, env);
    l->conn = pg_conn_new(l->run->loop, &(struct pg_conn_options){
                                            .name = "login of the application",
                                            .conninfo = buf_str(&conninfo),
                                            .database = database_of(l->run),
                                            .user = of(l)->user,
                                            .password = l->password,
                                            .on_up = on_up,
                                            .on_down = on_down,
                                            .arg = l,
                                        });
    buf_free(&conninfo);
}

struct err *login_password(const struct json_t *doc, const char *secret, const char *key, struct secret **ret)
{
    const char *text = jd_string_value(jd_member(jd_get(doc, "data"), key));
    struct buf raw = {0};
    if (!text)
        return err_new(ERR_FAILED, "Secret %s has no key %s; correct verify.login of the plan", secret, key);
    if (!hash_base64_decode(slice_of(text), &raw)) {
        buf_free(&raw);
        return err_new(ERR_FAILED, "key %s of Secret %s is not base64", key, secret);
    }
    *ret = secret_new(raw.p ? raw.p : "", raw.len);
    if (raw.p)
        secret_wipe(raw.p, raw.len);
    buf_free(&raw);
    return NULL;
}

static void on_secret(void *arg, int status, const struct json_t *doc, const struct err *e)
{
    struct login *l = arg;
    (void)status;
    struct err *bad = e ? err_wrap(err_copy(e), "Secret %s of verify.login", of(l)->secret)
                        : login_password(doc, of(l)->secret, of(l)->key, &l->password);
    if (bad) {
        finish(l, bad, NULL);
        return;
    }
    l->waiting_env = true;
    run_pg_env(l->run, DB_SERVER, NULL, on_env, l);
}

static void start(struct run *r, struct op *op)
{
    struct login *l = op->data;
    l->run = r;
    l->op = op;
    clear(l);
    l->done = false;
    l->ask = kube_ask_new(r->kube, "GET", postgres_path_secret(r, of(l)->secret).p, NULL, ASK_MS, on_secret, l);
}

static void cancel(struct run *r, struct op *op)
{
    struct login *l = op->data;
    (void)r;
    l->done = true;
    clear(l);
}

static void drop(void *data)
{
    struct login *l = data;
    if (l->run)
        clear(l);
    if (l->waiting_env) {
        l->orphan = true;
        return;
    }
    mem_free(l);
}

static const struct op_job job = {.start = start, .cancel = cancel};

void postgres_script_login(struct run *r, struct script *s)
{
    const struct plan_login *l = &postgres_spec(r)->verify.login;
    if (l->user)
        script_job(s, "login", script_fmt(s, "GET %s, and with its key %s log in as %s", postgres_path_secret(r, l->secret).p, l->key, l->user), &job,
                   MEM_NEW(struct login), drop);
}
