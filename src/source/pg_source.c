#include "source/pg_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "client/pg_conn.h"
#include "client/pg_forward.h"
#include "loop/timer.h"
#include "net/backoff.h"
#include "source/pg_facts.h"
#include "source/pg_sql.h"
#include "source/pg_visit.h"
#include "source/source.h"

#define POLL_MS 5000
#define SLOW_POLLS 6 /* every sixth poll asks what changes slowly, too */
#define PASSWORD_MAX_BYTES ((size_t)64 * 1024)

struct pg_source {
    struct loop *loop;
    struct world *world;
    char *workload, *ns, *object, *conninfo, *database, *password_file, *name;
    char **kubectl, **preload;
    unsigned port;
    int64_t poll_ms;
    struct pg_facts facts;
    struct pg_visit *visit;
    struct source_row *row;
    struct secret *password;
    char *passfile;
    struct pg_conn_options how; /* how to connect now; borrowed by visits */
    struct pg_forward *forward;
    struct pg_conn *conn;
    struct timer *poll, *retry;
    struct backoff backoff;
    unsigned polls;
    bool waiting; /* a round of questions is under way */
    char *identifier;
    int64_t started; /* postmaster's start, 0: not known yet */
};

static void begin(void *arg);

/* ---- Rows ---- */

static void put_credentials(struct pg_source *s, const char *state) {
    char *key = str_printf("postgres/%s", s->workload);
    bool up = s->conn && pg_conn_up(s->conn);
    struct cell cells[CREDENTIALS_COLS] = {
        [CREDENTIALS_USER] = up ? cell_text(pg_conn_user(s->conn)) : CELL_NONE,
        [CREDENTIALS_METHOD] = cell_text(s->password || s->passfile ? "password" : "libpq's own"),
        [CREDENTIALS_SERVER] = up ? cell_text(pg_conn_endpoint(s->conn)) : CELL_NONE,
        [CREDENTIALS_IDENTITY] = cell_text(s->identifier),
        [CREDENTIALS_STATE] = cell_text(state),
    };
    world_upsert(s->world, T_CREDENTIALS, slice_of(key), source_row_key(s->row), cells);
    mem_free(key);
}

static const char *server_state(bool recovery, bool read_only) {
    return recovery ? "RECOVERY" : read_only ? "READ ONLY" : "OK";
}

static int64_t total_size(const struct pg_source *s) {
    int64_t sum = 0;
    for (const struct row *r = world_first(s->world, T_DATABASES); r; r = world_next(s->world, r))
        if (slice_is(row_text(r, DATABASES_WORKLOAD), s->workload)) sum += row_int(r, DATABASES_SIZE, 0);
    return sum;
}

/* The server said that it was started at another time than before. */
static void note_restart(struct pg_source *s, int64_t started) {
    if (s->started && started && s->started != started) timeline_add(s->world, "WARN", s->workload, "PostgreSQL was restarted");
    s->started = started;
}

static void put_server(struct pg_source *s, const struct pg_rows *rows) {
    struct buf user = {0}, preload = {0}, dir = {0}, version = {0};
    bool superuser = pg_rows_bool(rows, 0, 4, false);
    note_restart(s, pg_rows_int(rows, 0, 1, 0));
    utf8_clean(&version, pg_rows_text(rows, 0, 0));
    utf8_clean(&user, pg_rows_text(rows, 0, 3));
    buf_adds(&user, superuser ? " (superuser)" : " (not a superuser)");
    if (!pg_rows_null(rows, 0, 5)) utf8_clean(&preload, pg_rows_text(rows, 0, 5));
    if (!pg_rows_null(rows, 0, 8)) utf8_clean(&dir, pg_rows_text(rows, 0, 8));
    struct cell cells[PG_SERVERS_COLS] = {
        [PG_SERVERS_STATE] = cell_text(server_state(pg_rows_bool(rows, 0, 2, false), pg_rows_bool(rows, 0, 11, false))),
        [PG_SERVERS_VERSION] = cell_text(buf_str(&version)),
        [PG_SERVERS_IDENTIFIER] = cell_text(s->identifier),
        [PG_SERVERS_STARTED] = pg_rows_null(rows, 0, 1) ? CELL_NONE : cell_int(s->started),
        [PG_SERVERS_ENDPOINT] = cell_text(pg_conn_endpoint(s->conn)),
        [PG_SERVERS_USER] = cell_text(buf_str(&user)),
        [PG_SERVERS_PRELOAD] = pg_rows_null(rows, 0, 5) ? CELL_NONE : cell_text(buf_str(&preload)),
        [PG_SERVERS_CONNECTIONS] = cell_int(pg_rows_int(rows, 0, 9, 0)),
        [PG_SERVERS_MAX_CONNECTIONS] = cell_int(pg_rows_int(rows, 0, 7, 0)),
        [PG_SERVERS_OLDEST_XACT] = pg_rows_null(rows, 0, 10) ? CELL_NONE : cell_int(pg_rows_int(rows, 0, 10, 0)),
        [PG_SERVERS_CHECKSUMS] = cell_slice(pg_rows_text(rows, 0, 6)),
        [PG_SERVERS_DATA_DIR] = dir.len ? cell_text(buf_str(&dir)) : CELL_NONE,
        [PG_SERVERS_SIZE] = total_size(s) > 0 ? cell_int(total_size(s)) : CELL_NONE,
    };
    world_upsert(s->world, T_PG_SERVERS, slice_of(s->workload), source_row_key(s->row), cells);
    buf_free(&user);
    buf_free(&preload);
    buf_free(&dir);
    buf_free(&version);
}

static void put_server_down(struct pg_source *s) {
    const int cols[] = {PG_SERVERS_STATE};
    const struct cell cells[] = {cell_text("DOWN")};
    world_patch(s->world, T_PG_SERVERS, slice_of(s->workload), cols, cells, 1);
}

/* ---- Down and up again ---- */

static void drop_connection(struct pg_source *s) {
    timer_stop(s->poll);
    pg_visit_stop(s->visit);
    pg_conn_free(s->conn);
    s->conn = NULL;
    pg_forward_free(s->forward);
    s->forward = NULL;
    s->waiting = false;
}

static void down(struct pg_source *s, const struct err *e) {
    int64_t now = clock_mono_ms(), delay = backoff_next(&s->backoff, now);
    drop_connection(s);
    source_row_failed(s->row, e, now + delay);
    pg_visit_failed(s->visit, e);
    put_server_down(s);
    put_credentials(s, err_kind(e) == ERR_AUTH ? "DENIED" : "UNKNOWN");
    timer_start(s->retry, delay, 0);
}

static void on_down(void *arg, const struct err *e) {
    down(arg, e);
}

/* ---- Questions ---- */

/* A question that fails leaves its rows as they are: their source says why. */
static bool answered(struct pg_source *s, const struct err *e) {
    if (e) source_row_failed(s->row, e, 0);
    return !e;
}

static void on_activity(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_source *s = arg;
    if (answered(s, e)) pg_facts_activity(&s->facts, rows);
}

static void on_progress(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_source *s = arg;
    if (answered(s, e)) pg_facts_progress(&s->facts, rows);
}

static void on_settings(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_source *s = arg;
    if (answered(s, e)) pg_facts_settings(&s->facts, rows);
}

static void on_databases(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_source *s = arg;
    if (!answered(s, e)) return;
    pg_facts_databases(&s->facts, rows);
    pg_visit_databases(s->visit, rows, pg_conn_database(s->conn));
}

static void on_preload(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_source *s = arg;
    if (!answered(s, e)) return;
    char *loaded = pg_rows_null(rows, 0, 0) ? NULL : utf8_cleaned(pg_rows_text(rows, 0, 0));
    str_set(&s->facts.loaded, loaded);
    mem_free(loaded);
}

/* Another data directory serves: by our own doing, as the workload's row has it, or by somebody else's. */
static void note_identifier(struct pg_source *s, const char *now) {
    const struct row *w = world_find(s->world, T_PLAN_WORKLOADS, slice_of(s->workload));
    if (w && slice_is(row_text(w, PLAN_WORKLOADS_IDENTIFIER), now))
        timeline_add(s->world, "INFO", s->workload, "the server of this move serves now: system identifier %s, before it %s", now, s->identifier);
    else
        timeline_add(s->world, "BAD", s->workload, "the system identifier changed from %s to %s: this is another data directory", s->identifier, now);
}

static void on_identifier(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_source *s = arg;
    if (e || pg_rows_count(rows) == 0) return; /* not everybody may read it: the cell stays null */
    char *text = utf8_cleaned(pg_rows_text(rows, 0, 0));
    if (s->identifier && !str_eq(s->identifier, text)) note_identifier(s, text);
    mem_free(s->identifier);
    s->identifier = text;
}

/* The last answer of a round: what came before it has come. */
static void on_server(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_source *s = arg;
    s->waiting = false;
    if (!answered(s, e)) return;
    put_server(s, rows);
    put_credentials(s, "OK");
    source_row_ok(s->row, false);
    if (s->polls % SLOW_POLLS == 1) pg_visit_round(s->visit, &s->how, pg_conn_database(s->conn));
}

static void ask(void *arg) {
    struct pg_source *s = arg;
    int version = pg_conn_version(s->conn);
    if (s->waiting) return; /* a slow server is not asked faster than it answers */
    s->waiting = true;
    if (s->polls++ % SLOW_POLLS == 0) {
        pg_query(s->conn, PG_SQL_IDENTIFIER, on_identifier, s);
        pg_query(s->conn, version >= 150000 ? PG_SQL_DATABASES_15 : PG_SQL_DATABASES_12, on_databases, s);
        pg_query(s->conn, PG_SQL_SETTINGS, on_settings, s);
    }
    pg_query(s->conn, PG_SQL_PRELOAD, on_preload, s); /* before the extensions, which say whether they are loaded */
    pg_query(s->conn, PG_SQL_ACTIVITY, on_activity, s);
    pg_query(s->conn, version >= 140000 ? PG_SQL_PROGRESS_14 : PG_SQL_PROGRESS_12, on_progress, s);
    pg_visit_ask(s->visit, s->conn, pg_conn_database(s->conn));
    pg_query(s->conn, PG_SQL_SERVER, on_server, s);
}

static void on_up(void *arg) {
    struct pg_source *s = arg;
    source_row_detail(s->row, pg_conn_endpoint(s->conn));
    s->polls = 0;
    ask(s);
    timer_start(s->poll, s->poll_ms, s->poll_ms);
}

/* ---- Connecting ---- */

/* host:port:database:user:password lines are .pgpass's form; anything else in the file is the password itself. */
static bool is_pgpass(const struct buf *text) {
    struct slice rest = buf_slice(text), line;
    slice_cut(&rest, '\n', &line);
    int colons = 0;
    for (size_t i = 0; i < line.n; i++) colons += line.p[i] == ':';
    return colons >= 4;
}

static struct err *read_password(struct pg_source *s) {
    struct buf text = {0};
    if (!s->password_file) return NULL;
    struct err *e = file_read(s->password_file, PASSWORD_MAX_BYTES, &text);
    bool pgpass = !e && is_pgpass(&text);
    if (text.p) secret_wipe(text.p, text.len);
    buf_free(&text);
    if (e) return err_wrap(e, "%s: password_file", s->name);
    secret_free(s->password);
    s->password = NULL;
    str_set(&s->passfile, pgpass ? s->password_file : NULL);
    return pgpass ? NULL : secret_from_file(s->password_file, &s->password);
}

static void connect_to(struct pg_source *s, const char *hostaddr, unsigned port) {
    s->how = (struct pg_conn_options){
        .name = s->name, .conninfo = s->conninfo, .database = s->database, .hostaddr = hostaddr, .port = port,
        .password = s->password, .passfile = s->passfile, .on_up = on_up, .on_down = on_down, .arg = s,
    };
    s->conn = pg_conn_new(s->loop, &s->how);
}

static void on_port(void *arg, unsigned port) {
    connect_to(arg, "127.0.0.1", port);
}

static void begin(void *arg) {
    struct pg_source *s = arg;
    struct err *e = read_password(s);
    if (!e && s->kubectl)
        e = pg_forward_start(s->loop, &(struct pg_forward_options){
            .kubectl = (const char *const *)s->kubectl, .ns = s->ns, .object = s->object, .port = s->port, .on_port = on_port, .on_end = on_down, .arg = s,
        }, &s->forward);
    if (e) {
        down(s, e);
        err_free(e);
        return;
    }
    if (!s->kubectl) connect_to(s, NULL, 0);
}

static char **copy_list(const char *const *list) {
    size_t n = 0;
    while (list && list[n]) n++;
    char **copy = list ? mem_calloc(n + 1, sizeof *copy) : NULL;
    for (size_t i = 0; i < n; i++) copy[i] = mem_strdup(list[i]);
    return copy;
}

static void free_list(char **list) {
    for (size_t i = 0; list && list[i]; i++) mem_free(list[i]);
    mem_free(list);
}

struct pg_source *pg_source_new(const struct pg_source_options *o) {
    struct pg_source *s = MEM_NEW(struct pg_source);
    *s = (struct pg_source){
        .loop = o->loop, .world = o->world, .workload = mem_strdup(o->workload), .ns = mem_strdup(o->ns),
        .object = str_printf("deployment/%s", o->deployment), .conninfo = mem_strdup(o->conninfo), .database = mem_strdup(o->database),
        .password_file = mem_strdup(o->password_file), .name = str_printf("postgres %s", o->workload), .kubectl = copy_list(o->kubectl),
        .preload = copy_list(o->preload), .port = o->port ? o->port : 5432, .poll_ms = o->poll_ms ? o->poll_ms : POLL_MS,
    };
    s->row = source_row_new(o->world, "postgres", o->workload, 3 * s->poll_ms + 1000);
    s->facts = (struct pg_facts){.world = o->world, .workload = s->workload, .src = source_row_key(s->row), .preload = (const char *const *)s->preload};
    s->visit = pg_visit_new(o->loop, &s->facts);
    s->poll = timer_new(o->loop, ask, s);
    s->retry = timer_new(o->loop, begin, s);
    timer_start(s->retry, 0, 0);
    return s;
}

void pg_source_poke(struct pg_source *s) {
    if (s->conn && pg_conn_up(s->conn)) {
        s->polls = 0;
        ask(s);
    } else if (timer_active(s->retry)) {
        backoff_reset(&s->backoff);
        timer_start(s->retry, 0, 0);
    }
}

void pg_source_free(struct pg_source *s) {
    if (!s) return;
    drop_connection(s);
    pg_visit_free(s->visit);
    timer_free(s->poll);
    timer_free(s->retry);
    source_row_free(s->row, false);
    secret_free(s->password);
    free_list(s->kubectl);
    free_list(s->preload);
    mem_free(s->facts.loaded);
    mem_free(s->workload);
    mem_free(s->ns);
    mem_free(s->object);
    mem_free(s->conninfo);
    mem_free(s->database);
    mem_free(s->password_file);
    mem_free(s->passfile);
    mem_free(s->name);
    mem_free(s->identifier);
    mem_free(s);
}
