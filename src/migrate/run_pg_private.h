/* What run_pg*.c share: the sessions of a run, the ways to its servers, what children are told. */
#ifndef FERRYMAN_MIGRATE_RUN_PG_PRIVATE_H
#define FERRYMAN_MIGRATE_RUN_PG_PRIVATE_H

#include "migrate/run_private.h"

struct pg_conn;
struct pg_forward;
struct kube_request;
struct timer;

enum session_state { SESSION_WAITING /* for its way */, SESSION_CONNECTING, SESSION_PROVING, SESSION_READY, SESSION_ENDED };

struct session {
    struct run_pg *pg;
    enum run_db db;
    char *database;  /* NULL: conninfo's */
    bool write;
    char *hold_sql;  /* a kept session, and what it was asked for */
    char *phase;     /* in this phase */
    bool held;       /* and that was answered */
    char *name, *pod_uid, *identifier;
    enum session_state state;
    struct pg_conn *conn;
    struct err *failure;
    struct run_asked *first;
    struct session *next;
};

/* A port-forward to the pod, shared by the sessions and the children. */
struct way {
    struct run_pg *pg;
    enum run_db db;
    struct pg_forward *forward;
    struct kube_request *check; /* of the pod's uid, once it listens */
    struct timer *timer;        /* it must listen and be proved in time */
    char *pod_uid;
    unsigned port;              /* 0 until it is proved */
    unsigned listens;
};

struct env_asked {
    struct run_pg *pg;
    enum run_db db;
    char *options;
    struct run_asked *asked;
    void (*fn)(void *arg, const char *const *env, const struct err *e);
    void *arg;
    struct env_asked *next;
};

struct run_pg {
    struct run *run;
    struct session *sessions, *ended;
    struct way ways[2];
    struct env_asked *envs;
    struct secret *password;
    bool password_known;
    char *passfile[2];     /* ours, with the password, for children */
    char **env;
    size_t nenv;
    char *end_sql, *count_sql;
    struct err *lost;      /* a kept session is gone */
    char *lost_phase;
};

const char *run_pg_what(enum run_db db);
/* pod.server.name and so on; NULL if it is not noted. */
const char *run_pg_pod_fact(const struct run *r, enum run_db db, const char *which);

/* run_pg.c; e is taken over */
void session_fail(struct session *s, struct err *e);
void session_drop(struct session *s); /* without a word */
void session_connect(struct session *s, const char *hostaddr, unsigned port);

/* run_pg_way.c */
bool run_pg_forwards(const struct run *r);
/* Leads to session_connect or session_fail. */
void run_pg_way(struct session *s, const char *pod, const char *ip);
void run_pg_way_close(struct way *w);
struct err *run_pg_password(struct run_pg *p) MUST_CHECK; /* into p->password */
void run_pg_password_forget(struct run_pg *p);
/* The system identifier that the server must have; NULL: none is noted. */
const char *run_pg_expected(const struct run *r, enum run_db db);
const char *run_pg_also_expected(const struct run *r, enum run_db db); /* NULL */

/* run_pg_hold.c */
void run_pg_holds(struct session *s);
void run_pg_hold_is_lost(struct session *s, const struct err *e);

/* run_pg_env.c: removes the password file and forgets who waits. */
void run_pg_env_close(struct run_pg *p, enum run_db db);
void run_pg_env_clean(struct run_pg *p); /* what a crash has left */

#endif
