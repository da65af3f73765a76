/* Strings and slices. A slice borrows its bytes and is not NUL-terminated. */
#ifndef FERRYMAN_BASE_STR_H
#define FERRYMAN_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct slice {
    const char *p; /* NULL: absent, as different from empty */
    size_t n;
};

#define SLICE_LIT(lit) ((struct slice){(lit), sizeof(lit) - 1})
#define SLICE_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

struct slice slice_of(const char *s); /* NULL gives the absent slice */
bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *s);
int slice_cmp(struct slice a, struct slice b); /* bytewise */
bool slice_starts(struct slice a, const char *prefix);
bool slice_ends(struct slice a, const char *suffix);
bool slice_contains(struct slice a, const char *needle);
struct slice slice_trim(struct slice a);             /* white space at both ends */
char *slice_dup(struct slice a) MUST_CHECK;          /* NUL-terminated copy; absent gives NULL */
/* Whole slice as a decimal integer; false on anything else or overflow. */
bool slice_to_i64(struct slice a, int64_t *ret);
/* Cuts the next field up to `sep` from *rest into *ret; false when *rest was absent (all fields taken). */
bool slice_cut(struct slice *rest, char sep, struct slice *ret);

bool str_eq(const char *a, const char *b); /* NULL equals NULL only */
bool str_ieq(const char *a, const char *b);  /* ASCII case-insensitive */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
char *str_printf(const char *fmt, ...) PRINTF_LIKE(1, 2) MUST_CHECK;
char *str_vprintf(const char *fmt, va_list ap) PRINTF_LIKE(1, 0) MUST_CHECK;
/* Replaces *dst (freed) by a copy of src (may be NULL). */
void str_set(char **dst, const char *src);
/* Bounded copy that always terminates; returns false if it had to cut. */
bool str_copy(char *dst, size_t size, const char *src);
/* Damerau-Levenshtein distance (swapped neighbours count 1), for "did you mean"; strings over 64 bytes give a large
 * number. */
unsigned str_distance(const char *a, const char *b);
/* The nearest of `names` (NULL-terminated array) within a distance worth suggesting, else NULL. */
const char *str_nearest(const char *word, const char *const *names);

/* Kubernetes quantities ("10Gi", "1500m", "2e3", "0.5Ti") in whole units rounded up; false if malformed or too large.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */
bool str_quantity(struct slice text, int64_t *ret);
/* Durations as in plans and Go's time.Duration: "24h", "7d", "1h30m", "516.49595ms", "10s", "2.5s"; in nanoseconds. */
bool str_duration_ns(struct slice text, int64_t *ret);

#endif
