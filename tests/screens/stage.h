/* A console without a terminal for tests: a stream goes in, keys go in, the screen comes out as text and is compared
 * with tests/screens/golden/NAME.txt. GENERATE=1 writes the goldens anew. */
#ifndef FERRYMAN_TESTS_STAGE_H
#define FERRYMAN_TESTS_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "ui/console.h"

struct stage;

struct stage_options {
    const char *ns, *theme, *color, *state_dir, *config_dir;
    bool ascii, attach;
};

/* fixture: a file of tests/screens, or NULL: nothing has come yet. Fails the test when anything goes wrong. o may be
 * NULL. */
struct stage *stage_open(int rows, int cols, const char *fixture, const struct stage_options *o);
void stage_close(struct stage *s);
void stage_feed(struct stage *s, const char *fixture);
void stage_feed_line(struct stage *s, const char *json);
/* Key names separated by blanks: "2 j j Enter ^L". */
void stage_keys(struct stage *s, const char *keys);
/* Single characters, as typed into a prompt. */
void stage_type(struct stage *s, const char *text);
/* Draws, and lets the loop run until keys count that are pressed in what was drawn (a dialog's guard is over). */
void stage_seen(struct stage *s);
void stage_pass(struct stage *s, int64_t ms); /* the loop's time */
void stage_resize(struct stage *s, int rows, int cols);
/* The screen now; valid until the next call. */
const char *stage_text(struct stage *s);
/* Line y of it, without trailing blanks; valid until the next call. */
const char *stage_line(struct stage *s, int y);
void stage_shows(struct stage *s, const char *text);
void stage_hides(struct stage *s, const char *text);
void stage_golden(struct stage *s, const char *name);
struct console *stage_console(struct stage *s);
const char *stage_sent(const struct stage *s); /* intents, one a line */
void stage_forget_sent(struct stage *s);
bool stage_quit(const struct stage *s);

#endif
