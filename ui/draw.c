#include "ui/draw.h"

#include <curses.h>
#include <stdio.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/term.h"

struct draw {
    struct term *term;
    const struct theme *theme;
    attr_t attrs[STYLE_COUNT];
    short pairs[STYLE_COUNT];
};

static attr_t curses_attrs(unsigned bits) {
    attr_t a = A_NORMAL;
    if (bits & THEME_BOLD) a |= A_BOLD;
    if (bits & THEME_DIM) a |= A_DIM;
    if (bits & THEME_REVERSE) a |= A_REVERSE;
    if (bits & THEME_UNDERLINE) a |= A_UNDERLINE;
    return a;
}

void draw_set_theme(struct draw *d, const struct theme *theme) {
    d->theme = theme;
    for (short i = 0; i < STYLE_COUNT; i++) {
        struct theme_style s = theme_style(theme, (enum style)i);
        d->attrs[i] = curses_attrs(s.attrs);
        d->pairs[i] = 0;
        if (has_colors() && (s.fg >= 0 || s.bg >= 0) && s.fg < COLORS && s.bg < COLORS && i + 1 < COLOR_PAIRS) {
            d->pairs[i] = (short)(i + 1);
            init_pair(d->pairs[i], (short)s.fg, (short)s.bg);
        }
    }
}

struct draw *draw_new(struct term *t, const struct theme *theme) {
    struct draw *d = MEM_NEW(struct draw);
    d->term = t;
    draw_set_theme(d, theme);
    return d;
}

void draw_free(struct draw *d) {
    mem_free(d);
}

const struct theme *draw_theme(const struct draw *d) {
    return d->theme;
}

/* The columns of [x, x + cols) that are on the terminal; negative or 0: nothing to draw. */
static int visible(const struct draw *d, int y, int x, int cols) {
    if (y < 0 || y >= term_rows(d->term) || x < 0) return 0;
    return x + cols > term_cols(d->term) ? term_cols(d->term) - x : cols;
}

static void put(const struct draw *d, int y, int x, enum style s, uint32_t cp) {
    wchar_t chars[2] = {(wchar_t)cp, 0};
    cchar_t cell;
    setcchar(&cell, chars, d->attrs[s], d->pairs[s], NULL);
    mvadd_wch(y, x, &cell);
}

/* What stands for a character where only ASCII may be drawn: marks of our own have their like, foreign letters
 * become '?'. */
static uint32_t ascii_of(uint32_t cp) {
    static const struct {
        uint32_t cp;
        char ascii;
    } likes[] = {{0x00A0, ' '}, {0x00B7, '-'}, {0x2013, '-'}, {0x2014, '-'}, {0x2026, '~'}, {0x2190, '<'}, {0x2191, '^'},
                 {0x2192, '>'}, {0x2193, 'v'}, {0x250C, '+'}, {0x2510, '+'}, {0x2514, '+'}, {0x2518, '+'},
                 {0x00D7, 'x'}, {0x2500, '-'}, {0x2502, '|'}, {0x2713, '+'}, {0x2717, 'X'}, {0x2022, '\''}};
    if (cp < 0x80) return cp;
    for (size_t i = 0; i < ARRAY_LEN(likes); i++)
        if (likes[i].cp == cp) return (uint32_t)likes[i].ascii;
    if (cp >= 0x2581 && cp <= 0x2588) return (uint32_t)"_.:-=+*#"[cp - 0x2581]; /* bars of growing height */
    return cp >= 0x2589 && cp <= 0x2593 ? '#' : '?';
}

/* Each character at its own place: what the terminal thinks of its width moves nothing else. Zero-width characters
 * are left out. */
static int put_text(const struct draw *d, int y, int x, enum style s, struct slice text) {
    int used = 0;
    while (text.n) {
        uint32_t cp;
        size_t n = utf8_decode(text.p, text.n, &cp);
        int w = utf8_width(cp);
        if (w > 0 && theme_ascii(d->theme)) put(d, y, x + used, s, ascii_of(cp));
        else if (w > 0) put(d, y, x + used, s, cp);
        used += w;
        text.p += n;
        text.n -= n;
    }
    return used;
}

int draw_text(struct draw *d, int y, int x, int cols, enum style s, struct slice text) {
    cols = visible(d, y, x, cols);
    if (cols <= 0 || !text.p) return 0;
    if (utf8_columns(text) <= (size_t)cols) return put_text(d, y, x, s, text);
    int used = put_text(d, y, x, s, utf8_clip(text, (size_t)cols - 1, NULL));
    return used + draw_glyph(d, y, x + used, s, GLYPH_ELLIPSIS);
}

int draw_str(struct draw *d, int y, int x, int cols, enum style s, const char *text) {
    return draw_text(d, y, x, cols, s, slice_of(text));
}

int draw_fmt(struct draw *d, int y, int x, int cols, enum style s, const char *fmt, ...) {
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    int used = draw_text(d, y, x, cols, s, buf_slice(&text));
    buf_free(&text);
    return used;
}

void draw_right(struct draw *d, int y, int x, int cols, enum style s, struct slice text) {
    int width = text.p ? (int)utf8_columns(text) : 0;
    if (width < cols) draw_text(d, y, x + cols - width, width, s, text);
    else draw_text(d, y, x, cols, s, text);
}

void draw_fill(struct draw *d, int y, int x, int cols, enum style s) {
    cols = visible(d, y, x, cols);
    for (int i = 0; i < cols; i++) put(d, y, x + i, s, ' ');
}

void draw_clear(struct draw *d, struct rect r) {
    for (int y = r.y; y < r.y + r.rows; y++) draw_fill(d, y, r.x, r.cols, STYLE_NORMAL);
}

int draw_glyph(struct draw *d, int y, int x, enum style s, enum glyph g) {
    return visible(d, y, x, 1) > 0 ? put_text(d, y, x, s, slice_of(theme_glyph(d->theme, g))) : 0;
}

void draw_hline(struct draw *d, int y, int x, int cols) {
    for (int i = 0; i < cols; i++) draw_glyph(d, y, x + i, STYLE_BORDER, GLYPH_HLINE);
}

void draw_vline(struct draw *d, int y, int x, int rows) {
    for (int i = 0; i < rows; i++) draw_glyph(d, y + i, x, STYLE_BORDER, GLYPH_VLINE);
}

int draw_status(struct draw *d, int y, int x, int cols, struct slice word) {
    enum level l = word.p ? status_level(word) : LEVEL_UNKNOWN;
    enum style s = theme_level_style(l);
    if (cols < 2) return draw_glyph(d, y, x, s, theme_level_glyph(l));
    draw_glyph(d, y, x, s, theme_level_glyph(l));
    return 2 + draw_text(d, y, x + 2, cols - 2, s, word.p ? word : SLICE_LIT("UNKNOWN"));
}

static const struct {
    enum style style;
    enum glyph glyph;
    const char *word;
} fresh_look[] = {
    [FRESH_LIVE] = {STYLE_OK, GLYPH_OK, "live"},       [FRESH_POLLED] = {STYLE_OK, GLYPH_OK, ""},
    [FRESH_STALE] = {STYLE_STALE, GLYPH_STALE, "STALE"}, [FRESH_DENIED] = {STYLE_WARN, GLYPH_WARN, "DENIED"},
    [FRESH_DOWN] = {STYLE_BAD, GLYPH_BAD, "DOWN"},     [FRESH_OFF] = {STYLE_DIM, GLYPH_NONE, "off"},
    [FRESH_STARTING] = {STYLE_BUSY, GLYPH_BUSY, "starting"},
};

static void fresh_text(struct fresh f, char *text, size_t size) {
    char age[24] = "";
    bool with_age = f.state != FRESH_LIVE && f.state != FRESH_OFF && f.state != FRESH_STARTING && f.age_ms >= 0;
    if (with_age) clock_format_age(f.age_ms, age, sizeof age);
    snprintf(text, size, "%s%s%s", fresh_look[f.state].word, *fresh_look[f.state].word && *age ? " " : "", age);
}

int draw_fresh_cols(struct fresh f) {
    char text[48];
    fresh_text(f, text, sizeof text);
    return 2 + (int)utf8_columns(slice_of(text));
}

int draw_fresh(struct draw *d, int y, int x, int cols, struct fresh f) {
    char text[48];
    enum style s = fresh_look[f.state].style;
    fresh_text(f, text, sizeof text);
    draw_glyph(d, y, x, s, fresh_look[f.state].glyph);
    return 2 + draw_str(d, y, x + 2, cols - 2, s, text);
}

void draw_overlay(struct draw *d, int y, int x, int cols, enum style s) {
    cols = visible(d, y, x, cols);
    if (cols > 0) mvchgat(y, x, cols, d->attrs[s], d->pairs[s], NULL);
}
