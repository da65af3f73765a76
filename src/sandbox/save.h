/* Saved sandboxes: `control save NAME` writes a folder from which `--dir NEW --from FOLDER` goes on.
 *
 * The folder holds `state` (JSON, a member for each part), `objects` (every object of the API as stored, with the
 * resource version), and copies of PostgreSQL's volumes, of DIR/dumps and DIR/pki. Servers are shut down in order and
 * started again for it, inside their pods: after a crash PostgreSQL would have forgotten its statistics, with the sums of
 * writes that a migration compares. With `crash` they only stand still while their files are copied. Pods keep uid,
 * address, restarts and log; ports and tokens are the saved ones where they are free. Watches from before must list
 * anew. */
#ifndef FERRYMAN_SANDBOX_SAVE_H
#define FERRYMAN_SANDBOX_SAVE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct json_t;
struct sandbox;

/* NAME: an absolute path, or a folder below DIR/saved. One that is there is replaced if it is a saved sandbox. Blocks. */
struct err *sandbox_save(struct sandbox *s, const char *name, bool crash, struct buf *out) MUST_CHECK;
/* Before sandbox_start: reads FOLDER/state into s->saved and sets what the options of that sandbox were. */
struct err *sandbox_load(struct sandbox *s, const char *folder) MUST_CHECK;
/* What a part saved; NULL if the sandbox does not come from a saved one. */
const struct json_t *sandbox_saved(const struct sandbox *s, const char *part);
/* The saved port of that name if it is free, else 0. */
unsigned sandbox_saved_port(const struct sandbox *s, const char *name);
/* Copies a folder with all that is in it, keeping owners; TO must not be there. Nothing is done if FROM is not. Blocks. */
struct err *sandbox_copy(const char *from, const char *to) MUST_CHECK;

#endif
