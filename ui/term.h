/* The terminal: opened, restored, suspended and resized in one place; keys in, cells out. Only ui/ includes curses,
 * and of it only term.c and draw.c.
 *
 * /dev/tty is opened twice: once for polling and input (non-blocking, an open file description of its own), once for
 * output (blocking: ncurses spins on a non-blocking one). While curses runs, stderr goes to the log. */
#ifndef FERRYMAN_UI_TERM_H
#define FERRYMAN_UI_TERM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct term;
struct loop;

enum key_code {
    KEY_CODE_CHAR = 0, /* ch holds the code point; with ctrl set, ch is the letter */
    KEY_CODE_ENTER, KEY_CODE_ESC, KEY_CODE_TAB, KEY_CODE_BACKTAB, KEY_CODE_BACKSPACE, KEY_CODE_DELETE, KEY_CODE_UP,
        KEY_CODE_DOWN, KEY_CODE_LEFT,
    KEY_CODE_RIGHT, KEY_CODE_HOME, KEY_CODE_END, KEY_CODE_PAGE_UP, KEY_CODE_PAGE_DOWN, KEY_CODE_F1, KEY_CODE_MOUSE,
        KEY_CODE_WHEEL_UP, KEY_CODE_WHEEL_DOWN,
};

struct key {
    enum key_code code;
    uint32_t ch;
    bool ctrl;
    int y, x; /* mouse */
};

struct term_options {
    bool mouse;
    void (*on_key)(void *arg, struct key key);
    void (*on_lost)(void *arg); /* the terminal is gone (EOF, EIO): end */
    void *arg;
};

/* Opens the controlling terminal and starts curses. ERR_USAGE without a terminal; an unknown TERM is named with the
 * remedy. Draws nothing yet. At most one term at a time. */
struct err *term_open(const struct term_options *o, struct term **ret) MUST_CHECK;
/* For tests: no terminal, a fixed size. */
struct err *term_open_headless(int rows, int cols, struct term **ret) MUST_CHECK;
/* Starts delivering keys on the loop. */
void term_start(struct term *t, struct loop *l);
/* Keys that have come and were not delivered yet are forgotten (what is typed ahead of a dialog). ^C is delivered. */
void term_drop_input(struct term *t);
/* Restores the terminal. */
void term_close(struct term *t);
/* The same from anywhere, without freeing: for fatal ends. */
void term_restore(struct term *t);
/* ^Z: restores the terminal, stops the process group, and comes back with the screen repainted whole. */
void term_suspend(struct term *t);
/* Reads the size anew (SIGWINCH); in headless mode sets it. */
void term_resize(struct term *t, int rows, int cols);
int term_rows(const struct term *t);
int term_cols(const struct term *t);
int term_colors(const struct term *t); /* 0, 8, 16, 256 */
/* Puts what was drawn on the terminal (one doupdate). */
void term_flush(struct term *t);
void term_repaint(struct term *t); /* ^L: everything anew at the next flush */
/* Raw bytes to the terminal past curses: OSC 52. */
void term_raw(struct term *t, const char *p, size_t n);
/* The screen as text, one line a row, trailing blanks cut. */
void term_text(const struct term *t, struct buf *out);

#endif
