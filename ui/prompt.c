/* The line in which filters and commands are typed. A filter works while it is typed; Esc brings back the one
 * before. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "ui/console_private.h"

#define PROMPT_MAX 512

void prompt_free(struct prompt *p) {
    buf_free(&p->text);
    mem_free(p->before);
    mem_free(p->typed);
    mem_free(p->label);
    mem_free(p->help);
    for (size_t k = 0; k <= PROMPT_PALETTE; k++)
        for (size_t i = 0; i < p->history[k].n; i++) mem_free(p->history[k].lines[i]);
}

static void set_text(struct prompt *p, const char *text) {
    buf_clear(&p->text);
    buf_adds(&p->text, text);
}

static void forget_completion(struct prompt *p) {
    str_set(&p->typed, NULL);
    p->completion = 0;
}

void prompt_open(struct console *c, enum prompt_kind kind) {
    struct prompt *p = &c->prompt;
    struct list *l = console_list(c);
    if (kind == PROMPT_FILTER && !l) {
        ui_message(&c->ui, STYLE_WARN, "there is no list here to filter");
        return;
    }
    p->kind = kind;
    p->recall = 0;
    forget_completion(p);
    set_text(p, kind == PROMPT_FILTER ? list_filter_text(l) : "");
    str_set(&p->before, kind == PROMPT_FILTER ? list_filter_text(l) : NULL);
}

void prompt_ask(struct console *c, const struct ask *ask) {
    struct prompt *p = &c->prompt;
    p->kind = PROMPT_ASK;
    p->recall = 0;
    p->ask = *ask;
    str_set(&p->label, ask->label);
    str_set(&p->help, ask->help);
    forget_completion(p);
    set_text(p, "");
}

static void prompt_close(struct console *c) {
    c->prompt.kind = PROMPT_NONE;
}

static void remember(struct history *h, const char *line) {
    if (!*line || (h->n && str_eq(h->lines[h->n - 1], line))) return;
    if (h->n == HISTORY_MAX) {
        mem_free(h->lines[0]);
        memmove(h->lines, h->lines + 1, (HISTORY_MAX - 1) * sizeof *h->lines);
        h->n--;
    }
    h->lines[h->n++] = mem_strdup(line);
}

static void recall(struct prompt *p, int step) {
    if (p->kind == PROMPT_ASK) return;
    const struct history *h = &p->history[p->kind];
    if (step > 0 && p->recall < h->n) p->recall++;
    else if (step < 0 && p->recall > 0) p->recall--;
    else return;
    set_text(p, p->recall ? h->lines[h->n - p->recall] : "");
}

static void erase_char(struct prompt *p) {
    while (p->text.len && ((unsigned char)p->text.p[p->text.len - 1] & 0xC0) == 0x80) p->text.len--;
    if (p->text.len) p->text.len--;
    if (p->text.p) p->text.p[p->text.len] = 0;
}

static void erase_word(struct prompt *p) {
    while (p->text.len && p->text.p[p->text.len - 1] == ' ') erase_char(p);
    while (p->text.len && p->text.p[p->text.len - 1] != ' ') erase_char(p);
}

static void complete(struct console *c) {
    struct prompt *p = &c->prompt;
    char **(*find)(struct console *, const char *) = p->kind == PROMPT_PALETTE ? palette_completions : p->ask.complete;
    if (p->kind == PROMPT_FILTER || !find) return;
    if (!p->typed) str_set(&p->typed, buf_str(&p->text));
    char **list = find(c, p->typed);
    size_t n = 0;
    while (list[n]) n++;
    if (n) set_text(p, list[p->completion++ % n]);
    palette_completions_free(list);
}

static void accept(struct console *c) {
    struct prompt *p = &c->prompt;
    enum prompt_kind kind = p->kind;
    char *line = mem_strdup(buf_str(&p->text));
    if (kind != PROMPT_ASK) remember(&p->history[kind], line);
    prompt_close(c);
    if (kind == PROMPT_PALETTE) palette_run(c, line);
    else if (kind == PROMPT_ASK) p->ask.done(c, line); /* may ask the next question */
    mem_free(line);
}

void prompt_cancel(struct console *c) {
    struct list *l = console_list(c);
    if (c->prompt.kind == PROMPT_FILTER && l) list_filter(l, c->prompt.before ? c->prompt.before : "");
    prompt_close(c);
}

static void type_char(struct prompt *p, uint32_t cp) {
    char bytes[4];
    if (p->text.len < PROMPT_MAX && utf8_width(cp) > 0) buf_add(&p->text, bytes, utf8_encode(cp, bytes));
}

static void edit(struct console *c, struct key key) {
    struct prompt *p = &c->prompt;
    if (key.code == KEY_CODE_BACKSPACE || key.code == KEY_CODE_DELETE) {
        if (!p->text.len) prompt_cancel(c);
        else erase_char(p);
    } else if (key.code == KEY_CODE_CHAR && key.ctrl) {
        if (key.ch == 'u') set_text(p, "");
        else if (key.ch == 'w') erase_word(p);
    } else if (key.code == KEY_CODE_CHAR) {
        type_char(p, key.ch);
    } else if (key.code == KEY_CODE_UP || key.code == KEY_CODE_DOWN) {
        recall(p, key.code == KEY_CODE_UP ? 1 : -1);
    }
    forget_completion(p);
}

/* The key is the whole answer. */
static void one_key(struct console *c, struct key key) {
    char text[5] = "";
    if (key.code == KEY_CODE_CHAR && !key.ctrl) text[utf8_encode(key.ch, text)] = 0;
    prompt_close(c);
    c->prompt.ask.done(c, text);
}

void prompt_key(struct console *c, struct key key) {
    struct prompt *p = &c->prompt;
    bool interrupt = key.code == KEY_CODE_CHAR && key.ctrl && (key.ch == 'c' || key.ch == 'g');
    if (p->kind == PROMPT_ASK && p->ask.one_key) {
        one_key(c, key);
        return;
    }
    if (key.code == KEY_CODE_ENTER) accept(c);
    else if (key.code == KEY_CODE_ESC || interrupt) prompt_cancel(c);
    else if (key.code == KEY_CODE_TAB) complete(c);
    else edit(c, key);
    struct list *l = p->kind == PROMPT_FILTER ? console_list(c) : NULL;
    if (l) list_filter(l, buf_str(&p->text));
}

void prompt_draw(struct console *c, int y) {
    const struct prompt *p = &c->prompt;
    struct draw *d = c->ui.draw;
    int cols = term_cols(c->o.term), x = 1;
    struct slice text = buf_slice(&p->text);
    const char *label = p->kind == PROMPT_ASK ? p->label : p->kind == PROMPT_FILTER ? "/" : ":";
    x += draw_str(d, y, x, cols - 12, p->kind == PROMPT_ASK ? STYLE_WARN : STYLE_PROMPT, label);
    int room = cols - x - 2;
    while ((int)utf8_columns(text) > room) { /* the end is what is being typed */
        uint32_t cp;
        size_t n = utf8_decode(text.p, text.n, &cp);
        text.p += n;
        text.n -= n;
    }
    x += draw_text(d, y, x, room, STYLE_PROMPT, text);
    draw_overlay(d, y, x, 1, STYLE_SELECTED);
    const char *help = p->kind == PROMPT_ASK ? p->help : p->kind == PROMPT_FILTER ? "words  column:word  !word    Enter keeps  Esc undoes"
        : "Tab completes  Enter runs  Esc leaves";
    int help_cols = (int)utf8_columns(slice_of(help));
    if (x + help_cols + 4 < cols) draw_str(d, y, cols - help_cols - 1, help_cols, STYLE_DIM, help);
    if (p->kind == PROMPT_PALETTE) palette_draw(c, y);
}
