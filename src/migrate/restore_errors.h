/* What psql says on stderr while it restores (VERBOSITY=verbose, messages in English), judged line by line: notices and warnings are
 * counted, expected errors are ticked off, the first other one is kept. Of that, row data is left behind: SQLSTATE, line and table
 * always, the server's words only where they are about objects, not about values. Pure. */
#ifndef FERRYMAN_MIGRATE_RESTORE_ERRORS_H
#define FERRYMAN_MIGRATE_RESTORE_ERRORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct restore_errors;

/* expected_json: [["42710","immich"],…], each expected once; NULL or "": none. ERR_DATA if it is malformed. */
struct err *restore_errors_new(const char *expected_json, struct restore_errors **ret) MUST_CHECK;
void restore_errors_free(struct restore_errors *x);
void restore_errors_add(struct restore_errors *x, const char *p, size_t n);

bool restore_errors_failed(const struct restore_errors *x); /* an error that was not expected */
bool restore_errors_whole(const struct restore_errors *x);  /* and its last line has come */
int64_t restore_errors_line(const struct restore_errors *x); /* of what was fed; 0 unknown */
int64_t restore_errors_notices(const struct restore_errors *x); /* with warnings */
int64_t restore_errors_expected(const struct restore_errors *x); /* that came */
/* Appends "23505 (a row violates a constraint), row 17". */
void restore_errors_text(const struct restore_errors *x, struct buf *out);

#endif
