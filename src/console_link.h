/* The console's line to its engine: finds the socket or starts an engine, feeds the replica of the world, and when the line breaks
 * tries again for ever. */
#ifndef FERRYMAN_CONSOLE_LINK_H
#define FERRYMAN_CONSOLE_LINK_H

#include <stdbool.h>

#include "world/stream.h"

struct cli;
struct console_link;
struct loop;
struct world;

struct console_link_events {
    struct stream_reader_events stream;
    void (*on_link)(void *arg, bool connected, const char *why); /* why: "" while connecting for the first time */
};

/* may_spawn: start an engine when none listens (attach does not). The spawning itself happened before curses: see
 * console_link_spawn. */
struct console_link *console_link_new(struct loop *l, const struct cli *cli, const char *path, struct world *w, bool may_spawn,
                                      const struct console_link_events *ev, void *arg);
void console_link_free(struct console_link *k);
void console_link_send(struct console_link *k, const char *line);

/* Whether an engine listens at path now. */
bool console_link_listening(const char *path);
/* Starts `ferryman engine` for the same plan, kubeconfig and context in a session of its own, detached from us; it inherits nothing
 * but /dev/null. Its credentials come from the same environment. What it writes to stderr goes to PATH.err, so that
 * a console can say why no engine comes up. */
struct err *console_link_spawn(const struct cli *cli, const char *path) MUST_CHECK;

#endif
