/* Watching as lines: `ferryman watch --headless`, and --plain of console, attach and watch. A reader of an engine like any console:
 * it starts one where none runs, and when the line breaks tries again for ever. */
#ifndef FERRYMAN_WATCH_TEXT_H
#define FERRYMAN_WATCH_TEXT_H

#include <stdbool.h>

struct cli;

struct watch_text_options {
    bool may_spawn;
    bool judges;    /* ends with the window, or with --for, with a summary and its exit status; else only when it is told to */
    bool timeline;  /* everything that happens, not only what is judged */
};

int watch_text(struct cli *cli, const struct watch_text_options *o);

#endif
