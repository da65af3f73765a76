#include "source/pg_visit.h"

#include <stddef.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "source/pg_facts.h"
#include "source/pg_sql.h"
#include "source/source.h"
#include "world/world.h"

#define STALE_AFTER_MS 90000 /* three rounds */

/* A database. Its own name is what it is connected to by; what is shown is clean. */
struct place {
    struct pg_visit *visit;
    char *name, *shown;
    struct source_row *row;
    bool seen; /* in the last answer: it is there and takes our connections */
};

struct pg_visit {
    struct loop *loop;
    const struct pg_facts *facts;
    struct map *places; /* database → struct place */
    const struct pg_conn_options *how;
    struct pg_conn *conn;
    struct place **round; /* the places of this round; round[next] is visited */
    size_t count, next;
};

static void visit_next(struct pg_visit *v);

static struct place *place_of(struct pg_visit *v, const char *database) {
    struct place *p = map_gets(v->places, database);
    if (p) return p;
    char *shown = utf8_cleaned(slice_of(database)), *kind = str_printf("%s@%s", v->facts->workload, shown);
    p = MEM_NEW(struct place);
    *p = (struct place){
        .visit = v, .name = mem_strdup(database), .shown = shown,
        .row = source_row_new(v->facts->world, "postgres", kind, STALE_AFTER_MS),
    };
    map_puts(v->places, database, p);
    mem_free(kind);
    return p;
}

static void place_failed(struct place *p, const struct err *e) {
    source_row_failed(p->row, e, 0);
    pg_facts_database_error(p->visit->facts, p->shown, err_text(e));
}

static void on_extensions(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct place *p = arg;
    if (e) place_failed(p, e);
    else {
        pg_facts_extensions(p->visit->facts, p->shown, source_row_key(p->row), rows);
        source_row_ok(p->row, false);
        source_row_objects(p->row, (int64_t)pg_rows_count(rows));
    }
}

static void on_indexes(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct place *p = arg;
    if (e) place_failed(p, e);
    else pg_facts_indexes(p->visit->facts, p->shown, source_row_key(p->row), rows);
}

/* ---- A round ---- */

static void end_round(struct pg_visit *v) {
    pg_conn_free(v->conn);
    v->conn = NULL;
    mem_free(v->round);
    v->round = NULL;
    v->count = v->next = 0;
}

static void leave(struct pg_visit *v) {
    pg_conn_free(v->conn);
    v->conn = NULL;
    v->next++;
    visit_next(v);
}

static void on_last_answer(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_visit *v = arg;
    on_indexes(v->round[v->next], rows, e);
    leave(v);
}

static void on_up(void *arg) {
    struct pg_visit *v = arg;
    pg_query(v->conn, PG_SQL_EXTENSIONS, on_extensions, v->round[v->next]);
    pg_query(v->conn, PG_SQL_INDEXES, on_last_answer, v);
}

static void on_down(void *arg, const struct err *e) {
    struct pg_visit *v = arg;
    place_failed(v->round[v->next], e);
    leave(v);
}

static void visit_next(struct pg_visit *v) {
    if (v->next >= v->count) {
        end_round(v);
        return;
    }
    struct pg_conn_options o = *v->how;
    o.database = v->round[v->next]->name;
    o.on_up = on_up;
    o.on_down = on_down;
    o.arg = v;
    v->conn = pg_conn_new(v->loop, &o);
}

static void place_free(void *value) {
    struct place *p = value;
    source_row_free(p->row, false);
    mem_free(p->name);
    mem_free(p->shown);
    mem_free(p);
}

/* Removes the places that the last answer did not have, and what was known of them. */
static void forget_unseen(struct pg_visit *v) {
    size_t it = 0;
    struct slice name;
    void *value;
    while (map_each(v->places, &it, &name, &value)) {
        struct place *p = value;
        if (p->seen) continue;
        map_del(v->places, slice_of(p->name));
        pg_facts_forget(v->facts, source_row_key(p->row));
        source_row_free(p->row, true);
        p->row = NULL;
        place_free(p);
    }
}

void pg_visit_databases(struct pg_visit *v, const struct pg_rows *rows, const char *ours) {
    size_t it = 0;
    struct slice key;
    void *value;
    if (v->round) return;
    while (map_each(v->places, &it, &key, &value)) ((struct place *)value)->seen = slice_is(key, ours);
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        char *name = slice_dup(pg_rows_text(rows, i, 0));
        bool open = pg_rows_bool(rows, i, 6, false) && pg_rows_bool(rows, i, 11, false);
        struct place *p = open ? place_of(v, name) : map_gets(v->places, name);
        if (p) p->seen = p->seen || open; /* one that is closed to us now is left as one that is gone */
        mem_free(name);
    }
    forget_unseen(v);
}

void pg_visit_round(struct pg_visit *v, const struct pg_conn_options *how, const char *but) {
    size_t it = 0;
    struct slice name;
    void *value;
    if (v->round) return;
    v->how = how;
    v->round = mem_calloc(map_len(v->places) + 1, sizeof(struct place *));
    while (map_each(v->places, &it, &name, &value))
        if (!slice_is(name, but)) v->round[v->count++] = value;
    visit_next(v);
}

void pg_visit_stop(struct pg_visit *v) {
    if (v->round) end_round(v);
}

void pg_visit_ask(struct pg_visit *v, struct pg_conn *conn, const char *database) {
    struct place *p = place_of(v, database);
    pg_query(conn, PG_SQL_EXTENSIONS, on_extensions, p);
    pg_query(conn, PG_SQL_INDEXES, on_indexes, p);
}

void pg_visit_failed(struct pg_visit *v, const struct err *e) {
    size_t it = 0;
    struct slice name;
    void *value;
    while (map_each(v->places, &it, &name, &value)) {
        struct place *p = value;
        source_row_failed(p->row, e, 0);
    }
}

struct pg_visit *pg_visit_new(struct loop *l, const struct pg_facts *facts) {
    struct pg_visit *v = MEM_NEW(struct pg_visit);
    *v = (struct pg_visit){.loop = l, .facts = facts, .places = map_new()};
    return v;
}

void pg_visit_free(struct pg_visit *v) {
    if (!v) return;
    pg_visit_stop(v);
    map_free(v->places, place_free);
    mem_free(v);
}
