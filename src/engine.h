/* The engine: the world, the sources that feed it, gates. One per process; main_engine.c serves it on a socket, `status` and
 * `watch --json` use it in their own process. */
#ifndef FERRYMAN_ENGINE_H
#define FERRYMAN_ENGINE_H

#include <stdbool.h>

#include "base/str.h"
#include "world/stream.h"

struct engine;
struct loop;
struct setup;
struct world;

/* Borrows loop and setup until engine_free. Starts every source at once; none waits for another. */
/* acts: it takes the plan's journal and may be armed; else it only looks. */
struct engine *engine_new(struct loop *l, const struct setup *setup, bool acts);
void engine_free(struct engine *e);
struct world *engine_world(struct engine *e);
/* What a hello says. Borrowed from setup. */
struct stream_hello engine_hello(const struct engine *e, unsigned peer);
/* Whether every source has given a first answer or failure. */
bool engine_settled(const struct engine *e);
/* Called once a second and at each end of a turn in which the world may have changed. */
void engine_on_tick(struct engine *e, void (*fn)(void *arg), void *arg);
void engine_on_turn(struct engine *e, void (*fn)(void *arg), void *arg);
/* A line from a console. Unknown verbs are ignored with a log line. peer: the reader's number. */
void engine_intent(struct engine *e, unsigned peer, struct slice line);
/* That reader has gone: what it had armed is disarmed. */
void engine_peer_gone(struct engine *e, unsigned peer);
/* A phase is under way: the engine must outlive its readers. */
bool engine_busy(const struct engine *e);
/* An act was sent and what became of it is not known yet. */
bool engine_in_flight(const struct engine *e);
/* Called when a phase has ended. */
void engine_on_idle(struct engine *e, void (*fn)(void *arg), void *arg);
/* Before the end: releases locks. True: fn follows; false: there is nothing to wait for. */
bool engine_end(struct engine *e, void (*fn)(void *arg), void *arg);

#endif
