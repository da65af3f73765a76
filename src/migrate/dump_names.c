#include "migrate/dump_names.h"

#include <string.h>

bool dump_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Takes one identifier, quoted or not, from the front of *p and appends its name. */
static bool take_identifier(struct slice *p, struct buf *out) {
    size_t i = 0;
    if (p->n == 0 || *p->p != '"') {
        while (i < p->n && dump_name_char(p->p[i])) i++;
        buf_add(out, p->p, i);
        p->p += i, p->n -= i;
        return i > 0;
    }
    for (i = 1; i < p->n; i++) {
        if (p->p[i] == '"' && (i + 1 == p->n || p->p[i + 1] != '"')) {
            p->p += i + 1, p->n -= i + 1;
            return true;
        }
        if (p->p[i] == '"') i++;
        buf_addc(out, p->p[i]);
    }
    return false;
}

static void skip_spaces(struct slice *p) {
    while (p->n && (*p->p == ' ' || *p->p == '\n' || *p->p == '\t' || *p->p == '\r')) p->p++, p->n--;
}

/* "(a, \"b)\")" at the front, if it is there. */
static bool skip_columns(struct slice *p) {
    bool quoted = false;
    if (p->n == 0 || *p->p != '(') return true;
    for (size_t i = 1; i < p->n; i++) {
        if (p->p[i] == '"') quoted = !quoted;
        if (quoted || p->p[i] != ')') continue;
        p->p += i + 1, p->n -= i + 1;
        return true;
    }
    return false;
}

bool dump_name_copy(struct slice text, struct buf *name) {
    static const char verb[] = "COPY ";
    if (!slice_starts(text, verb)) return false;
    text.p += sizeof verb - 1, text.n -= sizeof verb - 1;
    if (!take_identifier(&text, name)) return false;
    while (text.n && *text.p == '.') {
        text.p++, text.n--;
        buf_addc(name, '.');
        if (!take_identifier(&text, name)) return false;
    }
    skip_spaces(&text);
    if (!skip_columns(&text)) return false;
    return slice_is(slice_trim(text), "FROM stdin");
}

/* The value of dbname='…' in a connection string (appendConnStrVal), or the whole if it is none. */
static void connection_database(struct slice text, struct buf *out) {
    static const char key[] = "dbname=";
    if (!slice_starts(text, key)) {
        buf_add_slice(out, text);
        return;
    }
    text.p += sizeof key - 1, text.n -= sizeof key - 1;
    bool quoted = text.n && *text.p == '\'';
    for (size_t i = quoted; i < text.n; i++) {
        if (text.p[i] == (quoted ? '\'' : ' ')) break;
        if (text.p[i] == '\\' && i + 1 < text.n) i++;
        buf_addc(out, text.p[i]);
    }
}

bool dump_name_connect(struct slice arg, struct buf *out) {
    static const char reuse[] = "-reuse-previous=on ";
    bool complex = slice_starts(arg, reuse), well = true;
    struct buf word = {0};
    size_t before = out->len;
    if (complex) arg.p += sizeof reuse - 1, arg.n -= sizeof reuse - 1;
    if (arg.n && *arg.p == '"') well = take_identifier(&arg, &word);
    else buf_add_slice(&word, slice_trim(arg));
    if (complex) connection_database((struct slice){buf_str(&word), word.len}, out);
    else buf_add(out, buf_str(&word), word.len);
    buf_free(&word);
    return well && out->len > before;
}
