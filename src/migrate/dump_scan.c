/* A state machine over bytes: it holds no more than the beginning of the present statement, comment line or meta-command, so a dump may
 * be cut anywhere between two calls. Nearly all bytes of a dump are COPY data, of which only the newlines are looked for (memchr) and the
 * first bytes of each line; long literals, bodies and comments are skipped the same way.
 *
 * What psql's own lexer (psqlscan.l) knows, it has to know too: E'' with backslashes, standard_conforming_strings, nested comments,
 * $ inside of identifiers. */
#include "migrate/dump_scan.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "migrate/dump_names.h"

enum state {
    IN_TEXT,
    IN_COMMENT,     /* -- … */
    IN_BLOCK,       /* nested comments */
    IN_STRING,      /* '…' */
    IN_ESCAPED,     /* E'…', or any string without standard_conforming_strings */
    IN_ESCAPE,      /* after a backslash in it */
    AFTER_ESCAPED,  /* after its quote: another one goes on with it */
    IN_IDENTIFIER,  /* "…" */
    IN_TAG,         /* $ta */
    IN_DOLLAR,      /* $tag$ … */
    IN_META,        /* \connect … */
    BEFORE_DATA,    /* COPY … FROM stdin; */
    IN_DATA,
};

enum {
    STATEMENT_MAX = 1024 * 1024, /* 1600 columns with names of 63 bytes in quotes are a tenth of that */
    STATEMENT_SHORT = 64,        /* of statements that are no COPY */
    COMMENT_MAX = 1024,
    META_MAX = 64 * 1024,
    TAG_MAX = 1024,
    OBJECTS = 1024,
    LABEL_MAX = 160,
};

struct table {
    char *name;           /* schema.table */
    int64_t rows;
    int64_t first, last;  /* lines of its last COPY, from COPY to \. */
    struct database *database;
};

struct database {
    char *name;
    struct table **tables;
    size_t count;
    struct map *by_name;
};

struct object {
    int64_t line;
    char label[LABEL_MAX];
};

struct dump_scan {
    enum state state;
    bool line_start;         /* the next byte begins a line (of text) */
    bool escapes;            /* standard_conforming_strings is off */
    char last;               /* byte before this one, in text; */
    bool last_began;         /* it began a line */
    size_t word;             /* length of the identifier that ends there */
    unsigned depth;          /* of block comments */
    size_t matched;          /* bytes of the closing tag */
    unsigned dots;           /* data: 0 at a line's start, 1 after its \, 2 after \., 3 inside */
    struct buf statement, comment, meta, tag;
    bool comment_counts;     /* it began at a line's start, outside of statements */
    struct database **databases;
    size_t ndatabases;
    struct database *database;
    struct table *table;
    int64_t line, bytes, rows, tables;
    int64_t heads, trailers, restricts, unrestricts;
    bool cluster_end, after_end;
    int64_t malformed;       /* line of the first thing that no dump has; 0 */
    struct object *objects;  /* a ring */
    int64_t nobjects;
};

struct dump_scan *dump_scan_new(void) {
    struct dump_scan *s = MEM_NEW(struct dump_scan);
    s->line_start = true;
    s->line = 1;
    s->objects = mem_calloc(OBJECTS, sizeof *s->objects);
    return s;
}

static void free_database(struct database *d) {
    for (size_t i = 0; i < d->count; i++) {
        mem_free(d->tables[i]->name);
        mem_free(d->tables[i]);
    }
    map_free(d->by_name, NULL);
    mem_free(d->tables);
    mem_free(d->name);
    mem_free(d);
}

void dump_scan_free(struct dump_scan *s) {
    if (!s) return;
    for (size_t i = 0; i < s->ndatabases; i++) free_database(s->databases[i]);
    mem_free(s->databases);
    mem_free(s->objects);
    buf_free(&s->statement);
    buf_free(&s->comment);
    buf_free(&s->meta);
    buf_free(&s->tag);
    mem_free(s);
}

static void bad(struct dump_scan *s) {
    if (!s->malformed) s->malformed = s->line;
}

/* ---- Databases, tables, objects ---- */

static struct database *find_database(struct dump_scan *s, struct slice name) {
    for (size_t i = 0; i < s->ndatabases; i++)
        if (slice_is(name, s->databases[i]->name)) return s->databases[i];
    struct database *d = MEM_NEW(struct database);
    d->name = slice_dup(name);
    d->by_name = map_new();
    s->databases = mem_reallocarray(s->databases, s->ndatabases + 1, sizeof *s->databases);
    return s->databases[s->ndatabases++] = d;
}

static struct table *find_table(struct dump_scan *s, struct slice name) {
    if (!s->database) s->database = find_database(s, SLICE_LIT(""));
    struct database *d = s->database;
    struct table *t = map_get(d->by_name, name);
    if (t) return t;
    t = MEM_NEW(struct table);
    t->name = slice_dup(name);
    t->database = d;
    if (d->count % 64 == 0) d->tables = mem_reallocarray(d->tables, d->count + 64, sizeof(struct table *));
    d->tables[d->count++] = t;
    map_put(d->by_name, name, t);
    s->tables++;
    return t;
}

static void add_object(struct dump_scan *s, const char *label) {
    struct object *o = &s->objects[s->nobjects++ % OBJECTS];
    o->line = s->line;
    str_copy(o->label, sizeof o->label, label);
}

/* ---- Ends of statements, meta-commands and comments ---- */

static void connect_to(struct dump_scan *s, struct slice arg) {
    struct buf name = {0};
    if (!dump_name_connect(arg, &name)) bad(s);
    s->database = find_database(s, (struct slice){buf_str(&name), name.len});
    buf_free(&name);
}

static void end_meta(struct dump_scan *s) {
    struct slice line = {buf_str(&s->meta), s->meta.len};
    bool leave = slice_starts(line, "unrestrict");
    s->restricts += slice_starts(line, "restrict");
    s->unrestricts += leave;
    if (s->cluster_end && !leave) s->after_end = true;
    if (slice_starts(line, "connect ")) {
        line.p += strlen("connect "), line.n -= strlen("connect ");
        connect_to(s, line);
    }
    buf_clear(&s->meta);
    s->state = IN_TEXT;
    s->line_start = true;
}

static void end_statement(struct dump_scan *s) {
    static const char set[] = "SET standard_conforming_strings = ";
    struct buf name = {0};
    struct slice text = {buf_str(&s->statement), s->statement.len};
    s->state = IN_TEXT;
    if (dump_name_copy(text, &name)) {
        s->table = find_table(s, (struct slice){buf_str(&name), name.len});
        s->table->first = s->line;
        s->state = BEFORE_DATA;
    } else if (slice_starts(text, "COPY ")) {
        bad(s);
    } else if (slice_starts(text, set)) {
        s->escapes = slice_starts((struct slice){text.p + sizeof set - 1, text.n - (sizeof set - 1)}, "off");
    }
    buf_free(&name);
    buf_clear(&s->statement);
}

static bool is_comment(const struct dump_scan *s, const char *text) {
    return slice_is((struct slice){buf_str(&s->comment), s->comment.len}, text);
}

/* "-- Name: clip_index; Type: INDEX; Schema: public; Owner: immich" → "INDEX public.clip_index". */
static void note_object(struct dump_scan *s) {
    static const char name_key[] = " Name: ", type_key[] = "; Type: ", schema_key[] = "; Schema: ", owner_key[] = "; Owner: ";
    const char *text = buf_str(&s->comment), *name, *type, *schema, *owner;
    if (!str_starts(text, name_key)) return;
    name = text + sizeof name_key - 1;
    if (!(type = strstr(name, type_key)) || !(schema = strstr(type, schema_key)) || !(owner = strstr(schema, owner_key))) return;
    struct slice n = {name, (size_t)(type - name)}, t = {type + sizeof type_key - 1, (size_t)(schema - type) - (sizeof type_key - 1)},
                 c = {schema + sizeof schema_key - 1, (size_t)(owner - schema) - (sizeof schema_key - 1)};
    struct buf label = {0}, clean = {0};
    buf_add_slice(&label, t);
    buf_addc(&label, ' ');
    if (!slice_is(c, "-")) {
        buf_add_slice(&label, c);
        buf_addc(&label, '.');
    }
    buf_add_slice(&label, n);
    utf8_clean(&clean, buf_slice(&label));
    add_object(s, buf_str(&clean));
    buf_free(&label);
    buf_free(&clean);
}

static void end_comment(struct dump_scan *s) {
    if (s->comment_counts) {
        if (is_comment(s, " PostgreSQL database cluster dump complete")) s->cluster_end = true;
        else if (is_comment(s, " PostgreSQL database dump complete")) s->trailers++;
        else if (is_comment(s, " PostgreSQL database dump")) s->heads++;
        else note_object(s);
    }
    buf_clear(&s->comment);
    s->state = IN_TEXT;
    s->line_start = true;
}

/* ---- Bytes ---- */

/* Keeps the beginning of the present statement; all of a COPY. */
static void keep(struct dump_scan *s, char c) {
    if (s->statement.len < STATEMENT_SHORT) buf_addc(&s->statement, c);
    else if (memcmp(s->statement.p, "COPY ", 5) != 0) return;
    else if (s->statement.len < STATEMENT_MAX) buf_addc(&s->statement, c);
    else bad(s);
}

/* The byte before this one was the first of a comment, not of the statement. */
static void unkeep(struct dump_scan *s, char c) {
    if (s->statement.len && s->statement.p[s->statement.len - 1] == c) s->statement.p[--s->statement.len] = '\0';
}

static void begin_comment(struct dump_scan *s, enum state state) {
    unkeep(s, s->last);
    s->comment_counts = s->last_began && s->statement.len == 0;
    s->state = state;
    s->depth = 1;
    s->last = '\0';
    s->word = 0;
}

static void text_byte(struct dump_scan *s, char c) {
    bool at_start = s->line_start, blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    s->line_start = c == '\n';
    if (c == '\n') s->line++;
    if (at_start && c == '\\' && s->statement.len == 0) {
        s->state = IN_META;
        return;
    }
    if (c == ';') {
        s->last = '\0', s->word = 0;
        end_statement(s);
        return;
    }
    if ((c == '-' && s->last == '-') || (c == '*' && s->last == '/')) {
        begin_comment(s, c == '-' ? IN_COMMENT : IN_BLOCK);
        return;
    }
    if (!blank || s->statement.len) keep(s, c);
    if (c == '\'') s->state = s->escapes || (s->word == 1 && (s->last == 'E' || s->last == 'e')) ? IN_ESCAPED : IN_STRING;
    else if (c == '"') s->state = IN_IDENTIFIER;
    else if (c == '$' && s->word == 0) {
        s->state = IN_TAG;
        buf_clear(&s->tag);
        buf_addc(&s->tag, '$');
    }
    if (s->cluster_end && !blank && c != '-') s->after_end = true;
    s->word = s->state == IN_TEXT && dump_name_char(c) ? s->word + 1 : 0;
    s->last = c;
    s->last_began = at_start;
}

/* Back in text after a literal or identifier. */
static void leave(struct dump_scan *s) {
    s->state = IN_TEXT;
    s->last = '\0';
    s->word = 0;
}

static int64_t count_lines(const char *p, const char *end) {
    int64_t n = 0;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) n++, p++;
    return n;
}

/* Goes to the next of `c`, keeping what a COPY needs; end if there is none. */
static const char *skip_to(struct dump_scan *s, const char *p, const char *end, char c) {
    const char *at = memchr(p, c, (size_t)(end - p));
    if (!at) at = end;
    s->line += count_lines(p, at);
    for (const char *q = p; q < at && (s->statement.len < STATEMENT_SHORT || s->state == IN_IDENTIFIER); q++) keep(s, *q);
    return at;
}

static const char *scan_comment(struct dump_scan *s, const char *p, const char *end) {
    const char *at = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((at ? at : end) - p), room = COMMENT_MAX - s->comment.len;
    buf_add(&s->comment, p, n < room ? n : room);
    if (!at) return end;
    s->line++;
    end_comment(s);
    return at + 1;
}

static const char *scan_meta(struct dump_scan *s, const char *p, const char *end) {
    const char *at = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((at ? at : end) - p), room = META_MAX - s->meta.len;
    if (n > room) bad(s);
    buf_add(&s->meta, p, n < room ? n : room);
    if (!at) return end;
    end_meta(s);
    s->line++;
    return at + 1;
}

static void block_byte(struct dump_scan *s, char c) {
    if (c == '\n') s->line++;
    if (c == '*' && s->last == '/') s->depth++, c = '\0';
    else if (c == '/' && s->last == '*') s->depth--, c = '\0';
    s->last = c;
    if (s->depth == 0) leave(s);
}

/* 'a\'b' up to what ends it or escapes. */
static const char *scan_escaped(struct dump_scan *s, const char *p, const char *end) {
    for (; p < end; p++) {
        if (*p == '\n') s->line++;
        keep(s, *p);
        if (*p == '\\' || *p == '\'') {
            s->state = *p == '\\' ? IN_ESCAPE : AFTER_ESCAPED;
            return p + 1;
        }
    }
    return end;
}

static const char *scan_tag(struct dump_scan *s, const char *p) {
    char c = *p;
    bool first_digit = s->tag.len == 1 && c >= '0' && c <= '9';
    if (c == '$') {
        buf_addc(&s->tag, c);
        keep(s, c);
        s->matched = 0;
        s->state = IN_DOLLAR;
        return p + 1;
    }
    if (dump_name_char(c) && !first_digit && s->tag.len < TAG_MAX) {
        buf_addc(&s->tag, c);
        keep(s, c);
        return p + 1;
    }
    s->state = IN_TEXT; /* $1, or an operator: what followed it is a word */
    s->word = s->tag.len - 1;
    s->last = s->tag.p[s->tag.len - 1];
    return p;
}

static const char *scan_dollar(struct dump_scan *s, const char *p, const char *end) {
    if (s->matched == 0 && (p = skip_to(s, p, end, '$')) == end) return end;
    if (*p == '\n') s->line++;
    keep(s, *p);
    if (*p == s->tag.p[s->matched]) s->matched++;
    else s->matched = *p == '$';
    if (s->matched == s->tag.len) leave(s);
    return p + 1;
}

/* The byte that ends a line of data, or comes early in it. */
static void data_byte(struct dump_scan *s, char c) {
    if (c == '\n') {
        s->line++;
        if (s->dots == 2) {
            s->table->last = s->line;
            s->table = NULL;
            s->state = IN_TEXT;
            s->line_start = true;
        } else {
            s->table->rows++;
            s->rows++;
        }
        s->dots = 0;
    } else if (s->dots == 0) {
        s->dots = c == '\\' ? 1 : 3;
    } else if (s->dots == 1) {
        s->dots = c == '.' ? 2 : 3;
    } else if (s->dots == 2) {
        bad(s); /* \. and more: no row begins so, and psql would end the data here */
        s->dots = 3;
    }
}

/* Whole lines as long as they do not begin with a backslash; then byte by byte to where such a line is known. */
static const char *scan_data(struct dump_scan *s, const char *p, const char *end) {
    int64_t n = 0;
    while (p < end && s->state == IN_DATA) {
        if (s->dots == 3 || (s->dots == 0 && *p != '\\')) {
            const char *at = memchr(p, '\n', (size_t)(end - p));
            if (!at) {
                s->dots = 3;
                p = end;
                break;
            }
            s->dots = 0;
            n++;
            p = at + 1;
        } else {
            s->table->rows += n, s->rows += n, s->line += n;
            n = 0;
            data_byte(s, *p++);
        }
    }
    if (s->table) s->table->rows += n;
    s->rows += n, s->line += n;
    return p;
}

static const char *before_data(struct dump_scan *s, const char *p) {
    if (*p == '\n') {
        s->line++;
        s->state = IN_DATA;
        s->dots = 0;
    } else if (*p != ' ' && *p != '\r') {
        bad(s);
    }
    return p + 1;
}

static const char *scan_quoted(struct dump_scan *s, const char *p, const char *end, char quote) {
    p = skip_to(s, p, end, quote);
    if (p == end) return end;
    keep(s, quote);
    leave(s);
    return p + 1;
}

/* As much as one state takes; at least one byte, or the state changes. */
static const char *step(struct dump_scan *s, const char *p, const char *end) {
    switch (s->state) {
    case IN_TEXT:
        while (p < end && s->state == IN_TEXT) text_byte(s, *p++);
        return p;
    case IN_COMMENT: return scan_comment(s, p, end);
    case IN_BLOCK: block_byte(s, *p); return p + 1;
    case IN_STRING: return scan_quoted(s, p, end, '\'');
    case IN_IDENTIFIER: return scan_quoted(s, p, end, '"');
    case IN_ESCAPED: return scan_escaped(s, p, end);
    case IN_ESCAPE:
        if (*p == '\n') s->line++;
        keep(s, *p);
        s->state = IN_ESCAPED;
        return p + 1;
    case AFTER_ESCAPED:
        if (*p != '\'') {
            leave(s);
            return p;
        }
        keep(s, *p);
        s->state = IN_ESCAPED;
        return p + 1;
    case IN_TAG: return scan_tag(s, p);
    case IN_DOLLAR: return scan_dollar(s, p, end);
    case IN_META: return scan_meta(s, p, end);
    case BEFORE_DATA: return before_data(s, p);
    case IN_DATA: return scan_data(s, p, end);
    }
    return end;
}

void dump_scan_add(struct dump_scan *s, const char *p, size_t n) {
    const char *end = p + n;
    s->bytes += (int64_t)n;
    while (p < end) p = step(s, p, end);
}

/* ---- What it says ---- */

bool dump_scan_complete(const struct dump_scan *s, struct buf *why) {
    if (s->malformed) buf_printf(why, "line %lld is not what pg_dumpall writes", (long long)s->malformed);
    else if (s->state == IN_DATA || s->state == BEFORE_DATA) {
        buf_adds(why, "it ends inside of the rows of ");
        utf8_clean(why, slice_of(s->table->name));
    } else if (!s->cluster_end) buf_adds(why, "the last line \"PostgreSQL database cluster dump complete\" is missing");
    else if (s->heads != s->trailers)
        buf_printf(why, "%lld databases begin in it, but %lld are complete", (long long)s->heads, (long long)s->trailers);
    else if (s->after_end) buf_adds(why, "there is more after its last line");
    else if (s->restricts != s->unrestricts) buf_adds(why, "the last \\unrestrict is missing");
    else if ((s->state != IN_TEXT && s->state != IN_COMMENT) || s->statement.len > 1) buf_adds(why, "it ends inside of a statement");
    else return true;
    return false;
}

int64_t dump_scan_bytes(const struct dump_scan *s) {
    return s->bytes;
}

int64_t dump_scan_rows(const struct dump_scan *s) {
    return s->rows;
}

int64_t dump_scan_tables(const struct dump_scan *s) {
    return s->tables;
}

int64_t dump_scan_databases(const struct dump_scan *s) {
    return s->heads;
}

struct json_t *dump_scan_rows_json(const struct dump_scan *s) {
    struct json_t *all = jd_object();
    for (size_t i = 0; i < s->ndatabases; i++) {
        const struct database *d = s->databases[i];
        struct json_t *tables = jd_object();
        for (size_t k = 0; k < d->count; k++) {
            char *name = utf8_cleaned(slice_of(d->tables[k]->name));
            jd_set(tables, name, jd_int(d->tables[k]->rows));
            mem_free(name);
        }
        char *name = utf8_cleaned(slice_of(d->name));
        jd_set(all, name, tables);
        mem_free(name);
    }
    return all;
}

void dump_scan_now(const struct dump_scan *s, struct buf *out) {
    if (s->table) {
        buf_adds(out, "COPY ");
        utf8_clean(out, slice_of(s->table->name));
    } else if (s->nobjects) {
        buf_adds(out, s->objects[(s->nobjects - 1) % OBJECTS].label);
    }
}

/* The table whose COPY (with the line after it, which psql names when it failed) has that line. */
static const struct table *table_at(const struct dump_scan *s, int64_t line) {
    for (size_t i = 0; i < s->ndatabases; i++)
        for (size_t k = 0; k < s->databases[i]->count; k++) {
            const struct table *t = s->databases[i]->tables[k];
            if (line >= t->first && (t == s->table || line <= t->last)) return t;
        }
    return NULL;
}

void dump_scan_at_line(const struct dump_scan *s, int64_t line, struct buf *out) {
    const struct table *t = table_at(s, line);
    const struct object *found = NULL;
    if (t) {
        buf_adds(out, "COPY ");
        utf8_clean(out, slice_of(t->name));
        if (*t->database->name) {
            buf_adds(out, " in ");
            utf8_clean(out, slice_of(t->database->name));
        }
        return;
    }
    for (int64_t i = s->nobjects > OBJECTS ? s->nobjects - OBJECTS : 0; i < s->nobjects; i++) {
        const struct object *o = &s->objects[i % OBJECTS];
        if (o->line <= line && (!found || o->line >= found->line)) found = o;
    }
    if (found) buf_adds(out, found->label);
}
