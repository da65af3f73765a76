/* The console: header, sources, one screen of a stack, footer, prompt, messages. It reads a world that somebody else
 * feeds (stream_reader) and draws it; what the operator asks of the engine goes out as intents. */
#ifndef FERRYMAN_UI_CONSOLE_H
#define FERRYMAN_UI_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct console;
struct loop;
struct term;
struct world;

struct console_options {
    struct loop *loop;
    struct world *world;     /* the replica; borrowed */
    struct term *term;       /* opened by the caller (term_open, or term_open_headless in tests); borrowed */
    const char *theme;       /* name or file; NULL: the default */
    const char *color;       /* auto, always, never */
    bool ascii, mouse, read_only_attach;
    bool watch;              /* for the wall: it only looks, and begins with the window */
    bool bell;               /* rings when something bad happens */
    const char *ns;          /* storage begins filtered to this namespace; NULL: all */
    const char *state_dir;   /* screens are saved below it */
    /* One JSON line (without newline) to the engine. */
    void (*send)(void *arg, const char *json_line);
    void (*quit)(void *arg);
    void *arg;
};

/* Errors: a theme that cannot be read (ERR_DATA with file:line:column). Draws the first frame at once. */
struct err *console_new(const struct console_options *o, struct console **ret) MUST_CHECK;
void console_free(struct console *c);

/* What the reader of the stream tells. */
void console_commit(struct console *c);   /* the world is consistent and may have changed */
void console_tick(struct console *c);     /* world_now moved on */
/* peer: our number at the engine; 0: none (a recording). */
void console_hello(struct console *c, const char *plan, const char *context, unsigned peer);
void console_lagged(struct console *c, int64_t ms);
/* The line to the engine is up, or down and why: while it is down every fact is shown as old. */
void console_engine(struct console *c, bool connected, const char *why);

/* For the composition root: the terminal was resized, or we come back from ^Z. */
void console_resize(struct console *c);
void console_resume(struct console *c);

/* For tests. */
struct key;
void console_key(struct console *c, struct key key);
void console_draw_now(struct console *c);
void console_text(struct console *c, struct buf *out); /* the screen as UTF-8 lines */

#endif
