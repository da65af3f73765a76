/* Between sandbox.c, control.c and main.c. */
#ifndef FERRYMAN_SANDBOX_SANDBOX_PRIVATE_H
#define FERRYMAN_SANDBOX_SANDBOX_PRIVATE_H

#include "sandbox/sandbox.h"

/* Starts every part and DIR/control; `ready` is printed from the loop. */
struct err *sandbox_start(struct sandbox *s) MUST_CHECK;
/* Begins the end: the parts stop, and the loop when nothing is held any more, or after 10 s. Idempotent. */
void sandbox_stop(struct sandbox *s);
int sandbox_exit_status(const struct sandbox *s);
/* After the loop has ended. */
void sandbox_clear(struct sandbox *s);

struct err *scenario_set(struct sandbox *s, const char *name, bool on) MUST_CHECK;
/* Calls add(list, name as a string) for each scenario that is on. */
void scenario_each_on(const struct sandbox *s, void (*add)(struct json_t *list, struct json_t *name), struct json_t *list);
void scenario_list(const struct sandbox *s, struct buf *out);
void sandbox_status(const struct sandbox *s, struct buf *out);
void sandbox_advance(struct sandbox *s, int64_t ms);

struct control;
/* Listens on DIR/control. */
struct err *control_new(struct sandbox *s, struct control **ret) MUST_CHECK;
void control_free(struct control *c);
/* `ferryman-sandbox --control DIR WORD…`: sends one line, prints the answer. Returns the exit status. */
int control_client(const char *dir, int argc, char **argv);

#endif
