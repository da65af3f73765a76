#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"

struct slice slice_of(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

bool slice_eq(struct slice a, struct slice b)
{
    if (!a.p || !b.p)
        return !a.p && !b.p;
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

bool slice_is(struct slice a, const char *s)
{
    return slice_eq(a, slice_of(s));
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool slice_starts(struct slice a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.p && a.n >= n && memcmp(a.p, prefix, n) == 0;
}

bool slice_ends(struct slice a, const char *suffix)
{
    size_t n = strlen(suffix);
    return a.p && a.n >= n && memcmp(a.p + a.n - n, suffix, n) == 0;
}

bool slice_contains(struct slice a, const char *needle)
{
    size_t n = strlen(needle);
    if (!a.p || a.n < n)
        return false;
    for (size_t i = 0; i + n <= a.n; i++)
        if (memcmp(a.p + i, needle, n) == 0)
            return true;
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice slice_trim(struct slice a)
{
    while (a.n > 0 && is_space(a.p[a.n - 1]))
        a.n--;
    while (a.n > 0 && is_space(*a.p)) {
        a.p++;
        a.n--;
    }
    return a;
}

char *slice_dup(struct slice a)
{
    if (!a.p)
        return NULL;
    char *copy = mem_alloc(a.n + 1);
    memcpy(copy, a.p, a.n);
    copy[a.n] = '\0';
    return copy;
}

bool slice_to_i64(struct slice a, int64_t *ret)
{
    size_t i = 0;
    int64_t v = 0;
    bool negative = a.n > 0 && *a.p == '-';
    if (a.n > 0 && (*a.p == '-' || *a.p == '+'))
        i = 1;
    if (i == a.n)
        return false;
    for (; i < a.n; i++) {
        int digit = a.p[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(negative ? -digit : digit), &v))
            return false;
    }
    *ret = v;
    return true;
}

bool slice_cut(struct slice *rest, char sep, struct slice *ret)
{
    if (!rest->p)
        return false;
    const char *end = rest->n > 0 ? memchr(rest->p, sep, rest->n) : NULL;
    if (!end) {
        *ret = *rest;
        *rest = (struct slice){0};
        return true;
    }
    size_t n = (size_t)(end - rest->p);
    *ret = (struct slice){rest->p, n};
    *rest = (struct slice){end + 1, rest->n - n - 1};
    return true;
}

bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* ASCII only: the locale must not make two names one. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_ieq(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    for (; *a && lower(*a) == lower(*b); a++)
        b++;
    return lower(*a) == lower(*b);
}

bool str_starts(const char *s, const char *prefix)
{
    return slice_starts(slice_of(s), prefix);
}

bool str_ends(const char *s, const char *suffix)
{
    return slice_ends(slice_of(s), suffix);
}

char *str_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = str_vprintf(fmt, ap);
    va_end(ap);
    return s;
}

char *str_vprintf(const char *fmt, va_list ap)
{
    struct buf b = {0};
    buf_vprintf(&b, fmt, ap);
    return buf_steal(&b);
}

void str_set(char **dst, const char *src)
{
    char *copy = mem_strdup(src); /* first: src may lie inside *dst */
    mem_free(*dst);
    *dst = copy;
}

bool str_copy(char *dst, size_t size, const char *src)
{
    if (size == 0)
        return false;
    size_t n = strnlen(src, size);
    bool whole = n < size;
    if (!whole)
        n = size - 1;
    memcpy(dst, src, n);
    dst[n] = '\0';
    return whole;
}

enum { DISTANCE_MAX = 64 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Three rows of the matrix are enough: the neighbours and the one that a swap reaches back to. */
unsigned str_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > DISTANCE_MAX || nb > DISTANCE_MAX)
        return UINT32_MAX;
    unsigned rows[3][DISTANCE_MAX + 1] = {{0}};
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        const unsigned *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        unsigned *row = rows[i % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[na % 3][nb];
}

const char *str_nearest(const char *word, const char *const *names)
{
    size_t n = strlen(word);
    unsigned worth = n < 3 ? 1 : n < 9 ? 2 : 3, best = worth + 1;
    const char *nearest = NULL;
    for (; *names; names++) {
        unsigned distance = str_distance(word, *names);
        if (distance < best && distance < n) {
            best = distance;
            nearest = *names;
        }
    }
    return nearest;
}
