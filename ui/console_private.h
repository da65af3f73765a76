/* What the files of the console share. */
#ifndef FERRYMAN_UI_CONSOLE_PRIVATE_H
#define FERRYMAN_UI_CONSOLE_PRIVATE_H

#include "ui/act.h"
#include "ui/console.h"
#include "ui/dialog.h"
#include "ui/screen.h"
#include "ui/term.h"

#define STACK_MAX 16
#define MIN_ROWS 24
#define MIN_COLS 80
#define HISTORY_MAX 20

struct console;
struct timer;

enum prompt_kind { PROMPT_NONE, PROMPT_FILTER, PROMPT_PALETTE, PROMPT_ASK };

/* A question in the prompt's line. What was answered before is not offered again: names are typed, not recalled. */
struct ask {
    const char *label, *help; /* copied; "type the context's name: ", "Esc leaves" */
    void (*done)(struct console *c, const char *text); /* not called when it is left by Esc, ^C or ^G */
    char **(*complete)(struct console *c, const char *typed); /* what Tab offers, as palette_completions; may be NULL */
    bool one_key; /* the first key is the answer: its character, or "" */
};

struct history {
    char *lines[HISTORY_MAX];
    size_t n;
};

struct prompt {
    enum prompt_kind kind;
    struct buf text;
    char *before;        /* the filter that Esc brings back */
    char *typed;         /* what Tab completes, while it goes round */
    size_t completion;   /* which one Tab shows next */
    size_t recall;       /* lines back in the history; 0: none */
    struct history history[PROMPT_PALETTE + 1];
    struct ask ask;      /* of PROMPT_ASK; its texts are ours */
    char *label, *help;
};

struct opened {
    const struct screen_ops *ops;
    void *state;
};

struct console {
    struct ui ui; /* first: screens are given this and hand it back */
    struct console_options o;
    struct theme *theme;
    struct keymap *keys;
    struct timer *repaint;
    bool dirty;   /* something is waiting to be drawn */
    bool filling; /* connected, and the snapshot is not whole yet: nothing is drawn */
    bool cooling; /* the last frame is less than a repaint interval old */
    struct opened stack[STACK_MAX];
    int depth;
    bool connected, ever_connected;
    char *why; /* of being disconnected */
    char *plan, *context;
    struct world *frozen; /* the copy that is looked at; NULL: the view is live */
    uint64_t frozen_seq;
    char *message;
    enum style message_style;
    int64_t message_at;
    struct prompt prompt;
    struct dialog_box *dialog;
    enum armed armed;    /* as told last */
    bool awaiting;       /* an intent has not been answered */
    int64_t answered;    /* number of the answer before it */
    int64_t bell_at;     /* of the newest event that it rang for, or need not */
    int bell_windows;    /* how many windows are not as they should be */
    char *about_workload, *about_phase; /* what the question in the prompt is about (phase: or gate) */
};

struct console *console_of(struct ui *ui);
void console_changed(struct console *c); /* draw soon */
struct opened *console_top(struct console *c);
struct list *console_list(struct console *c); /* the one that has the focus; NULL */
const struct screen_ops *console_screen_for(enum command go); /* NULL: no screen opens by it */
bool console_has_command(enum command c);
void console_run(struct console *c, enum command command);
void console_back(struct console *c);
struct err *console_set_theme(struct console *c, const char *name) MUST_CHECK;

/* console_header.c: rows used, from row 0: identity, sources, a line, banners. */
int header_draw(struct console *c);
/* console_footer.c: the last two rows. */
void footer_draw(struct console *c);
/* console_freeze.c */
void freeze_toggle(struct console *c);
void freeze_end(struct console *c);

/* console_bell.c: --bell rings when something bad happens, not for what is so already when the console opens. */
void bell_commit(struct console *c);
void bell_ring(struct console *c);

/* messages.c */
void message_draw(struct console *c, int y);
void message_clear(struct console *c);
bool message_shown(const struct console *c);

/* prompt.c */
void prompt_open(struct console *c, enum prompt_kind kind);
void prompt_ask(struct console *c, const struct ask *ask);
void prompt_cancel(struct console *c); /* as Esc does; nothing if none is open */
void prompt_free(struct prompt *p);
void prompt_key(struct console *c, struct key key);
void prompt_draw(struct console *c, int y);

/* palette.c */
void palette_run(struct console *c, const char *line);
/* The lines that `typed` may become, NULL-terminated; freed with palette_completions_free. */
char **palette_completions(struct console *c, const char *typed);
void palette_completions_free(char **list);
void palette_draw(struct console *c, int bottom);

/* copy.c */
void copy_selection(struct console *c, bool whole_row);
void copy_save_screen(struct console *c);

#endif
