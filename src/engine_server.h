/* Serves an engine's stream on a unix socket: any number of readers, each with its own place in the world. */
#ifndef FERRYMAN_ENGINE_SERVER_H
#define FERRYMAN_ENGINE_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct engine;
struct engine_server;
struct loop;

/* Listens at `path`; peers of another uid are turned away. on_readers is called when the number of readers changes. */
struct err *engine_server_new(struct loop *l, struct engine *e, const char *path, void (*on_readers)(void *arg, size_t readers), void *arg,
                              struct engine_server **ret) MUST_CHECK;
/* Writes a bye to every reader that can take it. */
void engine_server_free(struct engine_server *s, const char *reason);

#endif
