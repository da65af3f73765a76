#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "ui/command.h"
#include "ui/term.h"
#include "world/stream.h"
#include "world/world.h"

#define FIXTURE_MAX ((size_t)8 * 1024 * 1024)

struct stage {
    struct loop *loop;
    struct world *world;
    struct term *term;
    struct console *console;
    struct stream_reader *reader;
    struct buf text, line, sent;
    bool quit;
};

static void check(struct err *e) {
    if (e) fprintf(stderr, "%s\n", err_text(e));
    assert_null(e);
}

static char *path_of(const char *folder, const char *name, const char *suffix) {
    const char *top = getenv("top_srcdir");
    return str_printf("%s/%s%s%s", top ? top : ".", folder, name, suffix);
}

static void on_commit(void *arg) {
    struct stage *s = arg;
    console_commit(s->console);
}

static void on_tick(void *arg) {
    struct stage *s = arg;
    console_tick(s->console);
}

static void on_hello(void *arg, const char *version, const char *plan, const char *context, unsigned peer) {
    struct stage *s = arg;
    (void)version;
    console_engine(s->console, true, NULL);
    console_hello(s->console, plan, context, peer);
}

static void on_lagged(void *arg, int64_t ms) {
    struct stage *s = arg;
    console_lagged(s->console, ms);
}

static void on_send(void *arg, const char *line) {
    struct stage *s = arg;
    buf_adds(&s->sent, line);
    buf_addc(&s->sent, '\n');
}

static void on_quit(void *arg) {
    struct stage *s = arg;
    s->quit = true;
}

struct stage *stage_open(int rows, int cols, const char *fixture, const struct stage_options *o) {
    static const struct stage_options none;
    static const struct stream_reader_events events = {.on_commit = on_commit, .on_tick = on_tick,
                                                       .on_hello = on_hello, .on_lagged = on_lagged};
    struct stage *s = MEM_NEW(struct stage);
    char *themes = path_of("", "themes", "");
    if (!o) o = &none;
    setlocale(LC_CTYPE, "C.UTF-8");
    unsetenv("NO_COLOR");
    setenv("FERRYMAN_THEMES", themes, 1);
    setenv("XDG_CONFIG_HOME", o->config_dir ? o->config_dir : "/nonexistent", 1);
    mem_free(themes);
    s->loop = loop_new();
    s->world = world_new();
    check(term_open_headless(rows, cols, &s->term));
    check(console_new(&(struct console_options){
        .loop = s->loop, .world = s->world, .term = s->term, .ns = o->ns, .theme = o->theme,
            .color = o->color ? o->color : "auto",
        .ascii = o->ascii, .read_only_attach = o->attach, .state_dir = o->state_dir, .send = on_send, .quit = on_quit, .arg = s,
    }, &s->console));
    s->reader = stream_reader_new(s->world, &events, s);
    if (fixture) stage_feed(s, fixture);
    return s;
}

void stage_close(struct stage *s) {
    console_free(s->console);
    term_close(s->term);
    stream_reader_free(s->reader);
    world_free(s->world);
    loop_free(s->loop);
    buf_free(&s->text);
    buf_free(&s->line);
    buf_free(&s->sent);
    mem_free(s);
}

void stage_feed_line(struct stage *s, const char *json) {
    check(stream_reader_feed(s->reader, json, strlen(json)));
    check(stream_reader_feed(s->reader, "\n", 1));
}

void stage_feed(struct stage *s, const char *fixture) {
    char *path = path_of("tests/screens/", fixture, "");
    struct buf text = {0};
    check(file_read(path, FIXTURE_MAX, &text));
    check(stream_reader_feed(s->reader, buf_str(&text), text.len));
    buf_free(&text);
    mem_free(path);
}

void stage_keys(struct stage *s, const char *keys) {
    struct slice rest = slice_of(keys), word;
    while (slice_cut(&rest, ' ', &word)) {
        char name[32];
        struct key key;
        if (!word.n) continue;
        assert_true(word.n < sizeof name);
        memcpy(name, word.p, word.n);
        name[word.n] = 0;
        assert_true(key_parse(name, &key));
        console_key(s->console, key);
    }
}

void stage_type(struct stage *s, const char *text) {
    for (; *text; text++) console_key(s->console, (struct key){.ch = (unsigned char)*text});
}

static void on_seen(void *arg) {
    bool *seen = arg;
    *seen = true;
}

/* A timer of the same length that begins later ends later. */
void stage_seen(struct stage *s) {
    console_draw_now(s->console);
    stage_pass(s, 310);
}

void stage_pass(struct stage *s, int64_t ms) {
    bool seen = false;
    struct timer *t = timer_new(s->loop, on_seen, &seen);
    timer_start(t, ms, 0);
    assert_true(loop_run_until(s->loop, &seen, 5000));
    timer_free(t);
}

void stage_resize(struct stage *s, int rows, int cols) {
    term_resize(s->term, rows, cols);
    console_resize(s->console);
}

const char *stage_text(struct stage *s) {
    console_draw_now(s->console);
    buf_clear(&s->text);
    console_text(s->console, &s->text);
    return buf_str(&s->text);
}

const char *stage_line(struct stage *s, int y) {
    struct slice rest = slice_of(stage_text(s)), line = {NULL, 0};
    for (int i = 0; i <= y; i++) assert_true(slice_cut(&rest, '\n', &line));
    buf_clear(&s->line);
    buf_add_slice(&s->line, line);
    return buf_str(&s->line);
}

void stage_shows(struct stage *s, const char *text) {
    const char *screen = stage_text(s);
    if (!strstr(screen, text)) fail_msg("not on the screen: %s\n%s", text, screen);
}

void stage_hides(struct stage *s, const char *text) {
    const char *screen = stage_text(s);
    if (strstr(screen, text)) fail_msg("should not be on the screen: %s\n%s", text, screen);
}

void stage_golden(struct stage *s, const char *name) {
    char *path = path_of("tests/screens/golden/", name, ".txt");
    const char *now = stage_text(s);
    struct buf want = {0};
    if (getenv("GENERATE")) {
        check(file_write_durable(path, now, strlen(now), 0644));
    } else {
        check(file_read(path, FIXTURE_MAX, &want));
        if (!str_eq(buf_str(&want), now))
            fail_msg("%s differs; GENERATE=1 writes it anew\n--- wanted\n%s--- is\n%s", path, buf_str(&want), now);
    }
    buf_free(&want);
    mem_free(path);
}

struct console *stage_console(struct stage *s) {
    return s->console;
}

const char *stage_sent(const struct stage *s) {
    return buf_str(&s->sent);
}

void stage_forget_sent(struct stage *s) {
    buf_clear(&s->sent);
}

bool stage_quit(const struct stage *s) {
    return s->quit;
}
