/* Whether a terminal of a type can show the console. */
#ifndef FERRYMAN_UI_TERM_TYPE_H
#define FERRYMAN_UI_TERM_TYPE_H

#include "base/err.h"

/* type: TERM's value, may be NULL. ERR_USAGE with the remedy if it is unset, unknown here, or cannot place its cursor.
 */
struct err *term_type_check(int fd, const char *type) MUST_CHECK;

#endif
