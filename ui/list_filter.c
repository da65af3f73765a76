/* The filter's small language: words, "quoted words", column:word, !word; all must match. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ui/list_private.h"

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool starts_fold(const char *s, struct slice prefix) {
    for (size_t i = 0; i < prefix.n; i++)
        if (!s[i] || lower(s[i]) != lower(prefix.p[i])) return false;
    return true;
}

/* Whether `text` holds `needle` (lower case already), in any letter case of ASCII. */
static bool contains_fold(struct slice text, const char *needle) {
    size_t n = strlen(needle);
    if (!n) return true;
    for (size_t i = 0; i + n <= text.n; i++) {
        size_t k = 0;
        while (k < n && lower(text.p[i + k]) == needle[k]) k++;
        if (k == n) return true;
    }
    return false;
}

static bool is_whole(const char *s, struct slice name) {
    return starts_fold(s, name) && !s[name.n];
}

/* The columns whose title begins so (only the one that is called so, if there is one), else those of the table. */
static void find_columns(struct term_of_filter *t, struct slice name, const struct list_spec *spec) {
    const struct world_table_info *info = world_table_info(spec->table);
    for (size_t i = 0; i < spec->ncols; i++) {
        if (!starts_fold(spec->cols[i].title, name)) continue;
        if (is_whole(spec->cols[i].title, name)) {
            t->list_cols = UINT32_C(1) << i;
            return;
        }
        t->list_cols |= UINT32_C(1) << i;
    }
    for (size_t i = 0; i < info->ncols && !t->list_cols; i++)
        if (starts_fold(info->cols[i].name, name)) t->table_cols |= UINT32_C(1) << i;
}

static void add_term(struct filter *f, struct slice word, const struct list_spec *spec) {
    struct term_of_filter t = {0};
    if (word.n && *word.p == '!') {
        t.negate = true;
        word.p++;
        word.n--;
    }
    const char *colon = word.n ? memchr(word.p, ':', word.n) : NULL;
    if (colon && colon > word.p) {
        find_columns(&t, (struct slice){word.p, (size_t)(colon - word.p)}, spec);
        if (t.list_cols || t.table_cols) {
            word.n -= (size_t)(colon + 1 - word.p);
            word.p = colon + 1;
        }
    }
    if (!word.n) return; /* being typed: "!" or "class:" alone asks nothing yet */
    t.text = mem_strndup(word.p, word.n);
    size_t kept = 0;
    for (char *p = t.text; *p; p++)
        if (*p != '"') t.text[kept++] = lower(*p);
    t.text[kept] = 0;
    f->terms = mem_reallocarray(f->terms, f->n + 1, sizeof *f->terms);
    f->terms[f->n++] = t;
}

void filter_parse(struct filter *f, const char *text, const struct list_spec *spec) {
    filter_free(f);
    f->text = mem_strdup(text);
    const char *p = text;
    while (*p) {
        while (*p == ' ') p++;
        const char *start = p;
        bool quoted = false;
        for (; *p && (*p != ' ' || quoted); p++)
            if (*p == '"') quoted = !quoted;
        if (p > start) add_term(f, (struct slice){start, (size_t)(p - start)}, spec);
    }
}

void filter_free(struct filter *f) {
    for (size_t i = 0; i < f->n; i++) mem_free(f->terms[i].text);
    mem_free(f->terms);
    mem_free(f->text);
    *f = (struct filter){0};
}

static bool list_column_has(const struct list *l, const struct row *r, size_t col, const char *text,
                            struct buf *scratch) {
    buf_clear(scratch);
    return list_cell(l, r, col, scratch) && contains_fold(buf_slice(scratch), text);
}

static bool table_column_has(const struct list *l, const struct row *r, int col, const char *text,
                             struct buf *scratch) {
    buf_clear(scratch);
    struct cell c = row_cell(r, col);
    if (c.type == CELL_TEXT) return contains_fold(c.s, text);
    if (c.type == CELL_NULL) return false;
    if (world_table_info(l->spec->table)->cols[col].type == COL_BOOL) buf_adds(scratch, c.i ? "yes" : "no");
    else buf_printf(scratch, "%lld", (long long)c.i);
    return contains_fold(buf_slice(scratch), text);
}

static bool term_matches(const struct list *l, const struct row *r, const struct term_of_filter *t,
                         struct buf *scratch) {
    for (size_t i = 0; i < l->spec->ncols && !t->table_cols; i++)
        if ((!t->list_cols || t->list_cols >> i & 1) && list_column_has(l, r, i, t->text, scratch)) return true;
    for (int i = 0; i < WORLD_COLS_MAX; i++)
        if ((t->table_cols >> i & 1) && table_column_has(l, r, i, t->text, scratch)) return true;
    return false;
}

bool filter_matches(const struct list *l, const struct row *r) {
    struct buf scratch = {0};
    bool all = true;
    for (size_t i = 0; i < l->filter.n && all; i++)
        all = term_matches(l, r, &l->filter.terms[i], &scratch) != l->filter.terms[i].negate;
    buf_free(&scratch);
    return all;
}
