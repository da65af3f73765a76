/* See pg_clients.h. A session is a psql on a pipe, through a forwarder that gives it the pod's address. */
#include "sandbox/pg_clients.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/kubelet.h"
#include "sandbox/object.h"
#include "sandbox/pg.h"
#include "sandbox/pg_entry.h"
#include "sandbox/pg_private.h"
#include "sandbox/rest.h"
#include "sandbox/tcp_forward.h"

#define SESSIONS_MAX 2
#define READY_MS 1200
#define AGAIN_MS 1000
#define ASK_MS 3000
#define WRITER "psql-admin"

enum client_kind { CLIENT_SERVER, CLIENT_BACKUP, CLIENT_WRITER };

static const struct client_kind_row {
    const char *ns, *prefix, *application;
    unsigned sessions;
} client_kinds[] = {
    [CLIENT_SERVER] = {"immich", "immich-server-", "postgres.js", 2},
    [CLIENT_BACKUP] = {"immich", "postgresql-backup-", "pg_dump", 1},
    [CLIENT_WRITER] = {"immich", WRITER, "psql", 1},
};

struct question {
    struct question *next;
    struct client *client;
    struct http_request *r;
    void (*ok)(struct http_request *r), (*failed)(struct http_request *r);
    struct timer *timer;
};

struct session {
    struct client *client;
    struct child *psql; /* NULL: none now */
};

struct client {
    struct client *next;
    struct pg_clients *all;
    char *ns, *name, *address;
    enum client_kind kind;
    bool ready;
    struct timer *ready_timer, *again_timer;
    struct tcp_forward *forward;
    struct session session[SESSIONS_MAX];
    struct question *questions;
};

struct pg_clients {
    struct sandbox *s;
    struct client *list;
    bool cron_writes;
};

static void client_free(struct client *c);

static struct pg_clients *clients_of(struct sandbox *s)
{
    return rest_of(s)->pg_clients;
}

/* ---- Questions ---------------------------------------------------------------------------------------------------- */

static void question_free(struct question *q)
{
    struct question **at = &q->client->questions;

    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    timer_free(q->timer);
    mem_free(q);
}

static void question_answer(struct question *q, bool ok)
{
    struct http_request *r = q->r;
    void (*answer)(struct http_request *) = ok ? q->ok : q->failed;

    question_free(q);
    answer(r);
}

static void question_late(void *arg)
{
    question_answer(arg, false);
}

static void question_gone(void *arg)
{
    question_free(arg);
}

static void answer_all(struct client *c, bool ok)
{
    while (c->questions)
        question_answer(c->questions, ok);
}

static void ask(struct client *c)
{
    static const char sql[] = "SELECT 1 FROM assets LIMIT 1;\n";

    if (c->questions && c->session[0].psql)
        child_write(c->session[0].psql, sql, strlen(sql));
}

/* ---- Sessions ----------------------------------------------------------------------------------------------------- */

static void session_on_output(void *arg, const char *p, size_t n)
{
    struct session *s = arg;

    if (memchr(p, '1', n))
        answer_all(s->client, true);
}

/* Its command ends in "|| true". */
static void backup_ended(struct client *c)
{
    struct sandbox *s = c->all->s;
    char *ns = mem_strdup(c->ns), *name = mem_strdup(c->name);

    client_free(c);
    kube_pod_exited(s, ns, name, 0);
    mem_free(ns);
    mem_free(name);
}

static void session_on_exit(void *arg, const struct child_exit *exit)
{
    struct session *s = arg;
    struct client *c = s->client;

    (void)exit;
    child_free(s->psql);
    s->psql = NULL;
    if (c->kind == CLIENT_BACKUP)
        backup_ended(c);
    else
        timer_start(c->again_timer, AGAIN_MS, 0);
}

/* What a session begins with. The writer overrides the read-only default, as a superuser's tool may. */
static const char *session_script(const struct client *c)
{
    switch (c->kind) {
    case CLIENT_BACKUP:
        return c->all->cron_writes ? "BEGIN READ WRITE;\n"
                                     "INSERT INTO tags (value) VALUES ('cron-' || public.uuid_generate_v4());\n"
                                     "COMMIT;\n\\q\n"
                                   : "SELECT count(*) FROM assets;\nSELECT FROM pg_sleep(1.5);\n\\q\n";
    case CLIENT_WRITER:
        return "SET default_transaction_read_only = off;\n"
               "INSERT INTO tags (value) VALUES ('admin-' || public.uuid_generate_v4()) \\watch 1\n";
    case CLIENT_SERVER:
        break;
    }
    return "";
}

static struct err *session_start(struct session *s)
{
    struct client *c = s->client;
    struct sandbox *sb = c->all->s;
    char *psql = str_printf("%s/psql", pg_of(sb)->bin), *port = str_printf("%u", tcp_forward_port(c->forward));
    char *passfile = str_printf("PGPASSFILE=%s/pgpass", sb->dir);
    char *name = str_printf("PGAPPNAME=%s", client_kinds[c->kind].application);
    const char *const argv[] = {psql, "-X", "-q", "-At", "-h", c->address, "-p", port, "-U", PG_APP_USER,
                                "-d", PG_DATABASE, NULL};
    const char *const env[] = {passfile, name, NULL};
    struct err *e = child_spawn(sb->loop,
                                &(struct child_options){.argv = argv, .env = env, .keep_stdin = true,
                                                        .on_output = session_on_output, .on_exit = session_on_exit,
                                                        .arg = s},
                                &s->psql);

    mem_free(psql);
    mem_free(port);
    mem_free(passfile);
    mem_free(name);
    if (!e)
        child_write(s->psql, session_script(c), strlen(session_script(c)));
    return e;
}

/* Brings back what is missing, once there is a server to talk to. */
static void connect_all(void *arg)
{
    struct client *c = arg;

    for (unsigned i = 0; i < client_kinds[c->kind].sessions; i++) {
        if (c->session[i].psql)
            continue;
        if (!pg_is_up(c->all->s) && c->kind != CLIENT_BACKUP) {
            timer_start(c->again_timer, AGAIN_MS, 0);
            return;
        }
        struct err *e = session_start(&c->session[i]);
        if (e)
            fprintf(stderr, "ferryman-sandbox: pod %s/%s: %s\n", c->ns, c->name, err_text(e));
        err_free(e);
    }
    ask(c);
}

/* A connection was ended by the server: psql would notice only when it is next asked something. */
static void on_closed(void *arg)
{
    struct client *c = arg;

    if (c->kind == CLIENT_BACKUP || tcp_forward_count(c->forward) > 0)
        return;
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        child_free(c->session[i].psql);
        c->session[i].psql = NULL;
    }
    timer_start(c->again_timer, AGAIN_MS, 0);
}

/* The database is reached by its Service, whose address leads to the ready pod. */
static bool client_target(void *arg, const char **ret_address, unsigned *ret_port)
{
    const struct client *c = arg;

    *ret_address = "127.0.0.1";
    *ret_port = c->all->s->ports.postgres;
    return true;
}

/* ---- Pods --------------------------------------------------------------------------------------------------------- */

static struct client *client_find(struct pg_clients *all, const char *ns, const char *name)
{
    struct client *c = all->list;

    while (c && !(str_eq(c->ns, ns) && str_eq(c->name, name)))
        c = c->next;
    return c;
}

static void client_free(struct client *c)
{
    struct client **at = &c->all->list;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    loop_undefer(c->all->s->loop, c);
    answer_all(c, false);
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        child_free(c->session[i].psql);
    tcp_forward_free(c->forward);
    timer_free(c->ready_timer);
    timer_free(c->again_timer);
    mem_free(c->ns);
    mem_free(c->name);
    mem_free(c->address);
    mem_free(c);
}

static void on_ready(void *arg)
{
    struct client *c = arg;

    c->ready = true;
    kube_pod_ready(c->all->s, c->ns, c->name, true);
}

static bool kind_of(const char *ns, const char *name, enum client_kind *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(client_kinds); i++) {
        if (!str_eq(ns, client_kinds[i].ns) || !str_starts(name, client_kinds[i].prefix))
            continue;
        *ret = (enum client_kind)i;
        return true;
    }
    return false;
}

static bool clients_want(const struct json_t *pod)
{
    enum client_kind kind;

    return kind_of(object_namespace(pod), object_name(pod), &kind);
}

static struct err *client_listen(struct client *c)
{
    struct tcp_forward_options o = {.address = c->address, .source = c->address, .target = client_target,
                                    .on_closed = on_closed, .arg = c};
    struct err *e = tcp_forward_new(c->all->s->loop, &o, &c->forward);

    return e ? e : tcp_forward_open(c->forward, true);
}

static void client_begin(struct sandbox *s, const struct pod_info *info)
{
    struct pg_clients *all = clients_of(s);
    enum client_kind kind;

    if (client_find(all, info->ns, info->name) || !kind_of(info->ns, info->name, &kind))
        return;
    struct client *c = MEM_NEW(struct client);
    *c = (struct client){.next = all->list, .all = all, .ns = mem_strdup(info->ns), .name = mem_strdup(info->name),
                         .address = mem_strdup(str_starts(info->ip, "127.") ? info->ip : "127.0.0.1"), .kind = kind};
    c->ready_timer = timer_new(s->loop, on_ready, c);
    c->again_timer = timer_new(s->loop, connect_all, c);
    all->list = c;
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        c->session[i].client = c;
    struct err *e = client_listen(c);
    if (e)
        fprintf(stderr, "ferryman-sandbox: pod %s/%s: %s\n", c->ns, c->name, err_text(e));
    else
        timer_start(c->again_timer, 1, 0);
    err_free(e);
    timer_start(c->ready_timer, READY_MS, 0);
}

static void client_end(struct sandbox *s, const struct pod_info *info)
{
    struct client *c = client_find(clients_of(s), info->ns, info->name);

    if (c)
        client_free(c);
    kube_pod_exited(s, info->ns, info->name, info->grace_ms > 0 ? 0 : 137);
}

static const struct pod_backend clients_backend = {.wants = clients_want,
                                                   .loopback = true,
                                                   .start = client_begin,
                                                   .stop = client_end};

void pg_clients_ask(struct sandbox *s, struct http_request *r, void (*ok)(struct http_request *r),
                    void (*failed)(struct http_request *r))
{
    struct client *c = clients_of(s) ? clients_of(s)->list : NULL;

    while (c && c->kind != CLIENT_SERVER)
        c = c->next;
    if (!c || !pg_is_up(s)) {
        failed(r);
        return;
    }
    struct question *q = MEM_NEW(struct question);
    *q = (struct question){.next = c->questions, .client = c, .r = r, .ok = ok, .failed = failed};
    c->questions = q;
    q->timer = timer_new(s->loop, question_late, q);
    timer_start(q->timer, ASK_MS, 0);
    http_request_on_gone(r, question_gone, q);
    ask(c);
}

/* ---- Scenarios and commands ---------------------------------------------------------------------------------------- */

static struct err *scenario_writer(struct sandbox *s, bool on)
{
    if (!on) {
        kube_delete(s->kube, KIND_POD, "immich", WRITER, NULL, 1, false, NULL, NULL);
        return NULL;
    }
    struct json_t *pod = object_parse("{'metadata':{'name':'" WRITER "','namespace':'immich'},'spec':{'containers':[{'name':"
                                      "'psql','image':'postgres:15','command':['sleep','infinity']}]}}");
    kube_add(s->kube, KIND_POD, pod, "kubectl-run");
    jd_free(pod);
    return NULL;
}

static struct err *scenario_cron_writes(struct sandbox *s, bool on)
{
    clients_of(s)->cron_writes = on;
    return NULL;
}

static const struct scenario clients_scenarios[] = {
    {"pg-superuser-writer", "a pod nobody knows of sets itself read-write and adds a row every second", scenario_writer},
    {"pg-cron-writes", "jobs of the backup's CronJob set themselves read-write and add a row", scenario_cron_writes},
};

/* ---- The part ------------------------------------------------------------------------------------------------------ */

static struct err *clients_start(struct sandbox *s)
{
    struct pg_clients *all = rest_of(s)->pg_clients = MEM_NEW(struct pg_clients);

    all->s = s;
    kube_register_backend(s, &clients_backend);
    return NULL;
}

static void clients_stop(struct sandbox *s)
{
    struct pg_clients *all = clients_of(s);

    if (!all)
        return;
    while (all->list)
        client_free(all->list);
    mem_free(all);
    rest_of(s)->pg_clients = NULL;
    rest_free(s);
}

const struct sandbox_part pg_clients_part = {.name = "clients",
                                             .start = clients_start,
                                             .stop = clients_stop,
                                             .scenarios = clients_scenarios,
                                             .scenario_count = ARRAY_LEN(clients_scenarios)};
