/* The file that this process runs from. */
#ifndef FERRYMAN_BASE_PROGRAM_H
#define FERRYMAN_BASE_PROGRAM_H

#include "base/err.h"

/* Where it lies, to find what lies beside it; NULL if the system does not say. After an upgrade in its place that is the
 * new file. malloc'd. */
char *program_path(void) MUST_CHECK;
/* What to execute to run this very program again, even when another lies in its place by now; `otherwise` (argv[0]) if
 * the system does not say. malloc'd. */
char *program_again(const char *otherwise) MUST_CHECK;

#endif
