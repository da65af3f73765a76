#include "ui/term.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "loop/fdwatch.h"
#include "loop/loop.h"
#include "ui/term_fatal.h"
#include "ui/term_type.h"


/* Pasted text is no typing: the terminal brackets it, and what stands between is dropped. */
#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"
#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"
enum { KEY_PASTE_BEGIN = KEY_MAX + 1, KEY_PASTE_END };

struct term {
    struct term_options options;
    bool headless, open, pasting, dropping;
    FILE *in, *out;
    SCREEN *screen;
    WINDOW *keys; /* read from, never drawn on: wgetch refreshes the window it reads */
    struct termios saved;
    struct fdwatch *watch;
    int saved_stderr;
    int rows, cols;
};

static struct term *the_term; /* for term_restore at fatal ends: curses has one screen */

int term_rows(const struct term *t) {
    return t->rows;
}

int term_cols(const struct term *t) {
    return t->cols;
}

int term_colors(const struct term *t) {
    (void)t;
    return has_colors() ? COLORS : 0;
}

static SCREEN *start_curses(struct term *t, const char *type) {
    SCREEN *s = newterm(type, t->out, t->in);
    if (!s) return NULL;
    set_term(s);
    set_escdelay(25);
    cbreak();
    noecho();
    nonl();
    /* ^C, ^Z, ^S and ^Q are keys: ^S must not stop us from drawing the way the operator expects; the tty's own ^S is
     * off */
    raw();
    curs_set(0);
    if (has_colors()) {
        start_color();
        use_default_colors();
    }
    t->keys = newpad(1, 1);
    define_key(PASTE_BEGIN, KEY_PASTE_BEGIN);
    define_key(PASTE_END, KEY_PASTE_END);
    nodelay(t->keys, TRUE);
    keypad(t->keys, TRUE);
    return s;
}

/* The tty twice: input may become non-blocking without the output knowing. */
static struct err *open_tty(struct term *t) {
    int in = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), out = -1;
    if (in >= 0) out = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (in < 0 || out < 0) {
        int saved = errno;
        if (in >= 0) close(in);
        (void)saved;
        return err_new(ERR_USAGE,
                       "the console needs a terminal; without one use ferryman status or "
                       "ferryman watch --headless --json");
    }
    tcgetattr(in, &t->saved);
    t->in = fdopen(in, "r");
    t->out = fdopen(out, "w");
    return NULL;
}

static void hide_stderr(struct term *t) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || !isatty(STDERR_FILENO)) {
        if (null >= 0) close(null);
        return;
    }
    t->saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(null, STDERR_FILENO);
    close(null);
}

static void read_size(struct term *t) {
    struct winsize ws;
    if (!t->headless && ioctl(fileno(t->out), TIOCGWINSZ, &ws) == 0 && ws.ws_row && ws.ws_col) {
        t->rows = ws.ws_row;
        t->cols = ws.ws_col;
    } else if (!t->headless) {
        t->rows = LINES;
        t->cols = COLS;
    }
}

struct err *term_open(const struct term_options *o, struct term **ret) {
    struct term *t = MEM_NEW(struct term);
    const char *type = getenv("TERM");
    t->options = *o;
    t->saved_stderr = -1;
    struct err *e = open_tty(t);
    if (e) {
        mem_free(t);
        return e;
    }
    e = term_type_check(fileno(t->out), type);
    if (!e) t->screen = start_curses(t, type);
    if (!e && !t->screen) e = err_new(ERR_USAGE, "curses cannot use the terminal type '%s'", type);
    if (e) {
        fclose(t->in);
        fclose(t->out);
        mem_free(t);
        return e;
    }
    t->open = true;
    read_size(t);
    resizeterm(t->rows, t->cols);
    hide_stderr(t);
    term_raw(t, PASTE_ON, sizeof PASTE_ON - 1);
    if (o->mouse) {
        mousemask(BUTTON1_CLICKED | BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
        mouseinterval(0);
    }
    term_fatal_arm(fileno(t->in), &t->saved, PASTE_OFF, t->saved_stderr);
    the_term = t;
    *ret = t;
    return NULL;
}

struct err *term_open_headless(int rows, int cols, struct term **ret) {
    static const char *const types[] = {"xterm-256color", "xterm", "vt100", "dumb"};
    struct term *t = MEM_NEW(struct term);
    *t = (struct term){.headless = true, .saved_stderr = -1, .rows = rows, .cols = cols};
    t->in = fopen("/dev/null", "r");
    t->out = fopen("/dev/null", "w");
    for (size_t i = 0; i < ARRAY_LEN(types) && !t->screen && t->in && t->out; i++)
        t->screen = start_curses(t, types[i]);
    if (!t->screen) {
        if (t->in) fclose(t->in);
        if (t->out) fclose(t->out);
        mem_free(t);
        return err_new(ERR_FAILED, "no terminal description is installed; install ncurses-base");
    }
    t->open = true;
    resizeterm(rows, cols);
    *ret = t;
    return NULL;
}

static struct key mouse_key(void) {
    MEVENT m;
    struct key k = {.code = KEY_CODE_MOUSE, .y = -1, .x = -1};
    if (getmouse(&m) != OK) return k;
    k.y = m.y;
    k.x = m.x;
    if (m.bstate & BUTTON4_PRESSED) k.code = KEY_CODE_WHEEL_UP;
    if (m.bstate & BUTTON5_PRESSED) k.code = KEY_CODE_WHEEL_DOWN;
    return k;
}

static bool function_key(wint_t ch, struct key *ret) {
    static const struct {
        wint_t curses;
        enum key_code code;
    } keys[] = {
        {KEY_ENTER, KEY_CODE_ENTER}, {KEY_UP, KEY_CODE_UP}, {KEY_DOWN, KEY_CODE_DOWN}, {KEY_LEFT, KEY_CODE_LEFT},
            {KEY_RIGHT, KEY_CODE_RIGHT},
        {KEY_HOME, KEY_CODE_HOME}, {KEY_END, KEY_CODE_END}, {KEY_PPAGE, KEY_CODE_PAGE_UP},
            {KEY_NPAGE, KEY_CODE_PAGE_DOWN},
        {KEY_BACKSPACE, KEY_CODE_BACKSPACE}, {KEY_DC, KEY_CODE_DELETE}, {KEY_BTAB, KEY_CODE_BACKTAB},
            {KEY_F(1), KEY_CODE_F1},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].curses == ch) {
            ret->code = keys[i].code;
            return true;
        }
    if (ch == KEY_MOUSE) {
        *ret = mouse_key();
        return true;
    }
    return false;
}

static bool plain_key(wint_t ch, struct key *ret) {
    switch (ch) {
    case '\r':
    case '\n': ret->code = KEY_CODE_ENTER; return true;
    case '\t': ret->code = KEY_CODE_TAB; return true;
    case 27: ret->code = KEY_CODE_ESC; return true;
    case 127:
    case '\b': ret->code = KEY_CODE_BACKSPACE; return true;
    default: break;
    }
    if (ch < 32) {
        ret->ch = (uint32_t)ch + 'a' - 1;
        ret->ctrl = true;
        return ch > 0 && ch <= 26;
    }
    ret->ch = (uint32_t)ch;
    return true;
}

/* Drains what curses has: it may hold keys while the descriptor has nothing left to read. */
static void read_keys(void *arg, unsigned events) {
    struct term *t = arg;
    (void)events;
    for (int got = 0; t->open; got++) {
        wint_t ch;
        errno = 0;
        int rc = wget_wch(t->keys, &ch);
        if (rc == ERR) {
            struct termios tio;
            if (got == 0 && tcgetattr(fileno(t->in), &tio) != 0 && t->options.on_lost)
                t->options.on_lost(t->options.arg);
            return;
        }
        struct key k = {0};
        bool known = rc == KEY_CODE_YES ? function_key(ch, &k) : plain_key(ch, &k);
        if (rc == KEY_CODE_YES && (ch == KEY_PASTE_BEGIN || ch == KEY_PASTE_END)) t->pasting = ch == KEY_PASTE_BEGIN;
        /* ^C always works, even if the end of a paste was lost */
        if (rc != KEY_CODE_YES && ch == 3) t->pasting = false;
        if (t->dropping && (rc == KEY_CODE_YES || ch != 3)) continue;
        if (known && !t->pasting && t->options.on_key) t->options.on_key(t->options.arg, k);
    }
}

/* Read as ever, so that a paste that has begun is known to have begun. */
void term_drop_input(struct term *t) {
    if (t->headless || !t->watch) return;
    t->dropping = true;
    read_keys(t, 0);
    t->dropping = false;
}

void term_start(struct term *t, struct loop *l) {
    if (t->headless) return;
    t->watch = fdwatch_new(l, fileno(t->in), read_keys, t);
    fdwatch_set(t->watch, FD_READABLE);
}

void term_restore(struct term *t) {
    if (!t) t = the_term;
    if (!t || !t->open) return;
    t->open = false;
    term_fatal_disarm();
    endwin();
    term_raw(t, PASTE_OFF, sizeof PASTE_OFF - 1);
    if (!t->headless) {
        int fd = fileno(t->in);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        tcsetattr(fd, TCSANOW, &t->saved);
    }
    if (t->saved_stderr >= 0) {
        dup2(t->saved_stderr, STDERR_FILENO);
        close(t->saved_stderr);
        t->saved_stderr = -1;
    }
}

void term_close(struct term *t) {
    if (!t) return;
    fdwatch_free(t->watch);
    term_restore(t);
    delwin(t->keys);
    delscreen(t->screen);
    fclose(t->in);
    fclose(t->out);
    if (the_term == t) the_term = NULL;
    mem_free(t);
}

void term_suspend(struct term *t) {
    if (t->headless) return;
    def_prog_mode();
    endwin();
    term_raw(t, PASTE_OFF, sizeof PASTE_OFF - 1);
    tcsetattr(fileno(t->in), TCSANOW, &t->saved);
    kill(0, SIGSTOP);
    reset_prog_mode();
    term_raw(t, PASTE_ON, sizeof PASTE_ON - 1);
    read_size(t);
    resizeterm(t->rows, t->cols);
    term_repaint(t);
}

void term_resize(struct term *t, int rows, int cols) {
    if (t->headless) {
        t->rows = rows;
        t->cols = cols;
    } else {
        read_size(t);
    }
    resizeterm(t->rows, t->cols);
    wint_t ch;
    /* the one it pushed itself */
    while (t->headless && wget_wch(t->keys, &ch) == KEY_CODE_YES && ch == KEY_RESIZE) continue;
    term_repaint(t);
}

void term_flush(struct term *t) {
    if (!t->open) return;
    wnoutrefresh(stdscr);
    doupdate();
}

void term_repaint(struct term *t) {
    if (t->open) clearok(stdscr, TRUE);
}

void term_raw(struct term *t, const char *p, size_t n) {
    if (t->headless) return;
    fwrite(p, 1, n, t->out);
    fflush(t->out);
}

void term_text(const struct term *t, struct buf *out) {
    for (int y = 0; y < t->rows; y++) {
        size_t start = out->len, used = 0;
        for (int x = 0; x < t->cols; x++) {
            cchar_t cell;
            wchar_t chars[CCHARW_MAX + 1] = {0};
            attr_t attrs;
            short pair;
            if (mvwin_wch(stdscr, y, x, &cell) != OK || getcchar(&cell, chars, &attrs, &pair, NULL) != OK) continue;
            for (size_t i = 0; chars[i]; i++) {
                char bytes[4];
                buf_add(out, bytes, utf8_encode((uint32_t)chars[i], bytes));
            }
            if (!chars[0]) buf_addc(out, ' ');
            if (utf8_width((uint32_t)chars[0]) == 2) x++; /* its second half holds the same character */
            if (chars[0] && chars[0] != L' ') used = out->len - start;
        }
        out->len = start + used;
        buf_addc(out, '\n');
    }
}
