/* Strings are looked through eight bytes at a time for the four kinds of byte that matter: the closing quote, a
 * backslash, a control character (not allowed) and a byte over 127 (to be checked as UTF-8). A string without escapes
 * whose UTF-8 is right is a slice of the text; only others are copied. */
#include "base/json_scalar.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

enum { HAS_ESCAPE = 1, HAS_HIGH = 2 };

/* 0x80 in each byte of v that is plain no longer; bytes above the first such one may be wrong (borrows). */
static inline uint64_t special_bytes(uint64_t v)
{
    uint64_t quote = v ^ (ONES * '"');
    uint64_t backslash = v ^ (ONES * '\\');

    return (((quote - ONES) & ~quote) | ((backslash - ONES) & ~backslash) | ((v - ONES * 0x20) & ~v) | v) & HIGHS;
}

static inline bool is_special(unsigned char c)
{
    return c == '"' || c == '\\' || c < 0x20 || c >= 0x80;
}

/* The first byte from p on that is not plain, or end. */
static inline const char *plain_end(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t v, special;

        memcpy(&v, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        v = __builtin_bswap64(v);
#endif
        special = special_bytes(v);
        if (special)
            return p + (__builtin_ctzll(special) >> 3);
        p += 8;
    }
    while (p < end && !is_special((unsigned char)*p))
        p++;
    return p;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The length of the escape at p (its backslash), or 0 if it is none. */
static size_t escape_length(const char *p, const char *end)
{
    if (end - p < 2)
        return 0;
    if (p[1] != 'u')
        return p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
    if (end - p < 6)
        return 0;
    for (int i = 2; i < 6; i++)
        if (hex_digit(p[i]) < 0)
            return 0;
    return 6;
}

/* From behind the opening quote to the closing one, or NULL after an error; tells what was met on the way. */
static inline const char *string_end(struct json_reader *r, const char *p, unsigned *ret_met)
{
    unsigned met = 0;

    for (;;) {
        size_t n;

        p = plain_end(p, r->end);
        if (p == r->end) {
            json_fail(r, p, "a string without end");
            return NULL;
        }
        if (*p == '"') {
            *ret_met = met;
            return p;
        }
        if (*p == '\\') {
            n = escape_length(p, r->end);
            if (n == 0) {
                json_fail(r, p, "a bad escape in a string");
                return NULL;
            }
            met |= HAS_ESCAPE;
            p += n;
        } else if ((unsigned char)*p < 0x20) {
            json_fail(r, p, "a control character in a string");
            return NULL;
        } else {
            met |= HAS_HIGH;
            while (p < r->end && (unsigned char)*p >= 0x80)
                p++;
        }
    }
}

bool json_skip_string(struct json_reader *r)
{
    unsigned met;
    const char *close = string_end(r, r->p + 1, &met);

    if (!close)
        return false;
    r->p = close + 1;
    return true;
}

static unsigned hex4(const char *p)
{
    return (unsigned)(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]));
}

/* Appends what the (checked) escape at p stands for; returns the bytes used, 12 for a pair of surrogates. */
static size_t unescape(const char *p, const char *end, struct buf *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *at;
    char utf8[4];
    size_t used = 6;
    uint32_t cp;

    if (p[1] != 'u') {
        at = strchr(from, p[1]);
        buf_addc(out, at ? to[at - from] : p[1]);
        return 2;
    }
    cp = hex4(p + 2);
    if (cp >= 0xD800 && cp <= 0xDFFF) {
        unsigned low = cp <= 0xDBFF && end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : 0;

        if (low >= 0xDC00 && low <= 0xDFFF) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            used = 12;
        } else {
            cp = 0xFFFD;
        }
    }
    buf_add(out, utf8, utf8_encode(cp, utf8));
    return used;
}

static void decode_string(const char *p, const char *end, struct buf *out)
{
    buf_clear(out);
    buf_reserve(out, (size_t)(end - p));
    while (p < end) {
        const char *plain = plain_end(p, end);

        buf_add(out, p, (size_t)(plain - p));
        p = plain;
        if (p < end && *p == '\\') {
            p += unescape(p, end, out);
        } else if (p < end) {
            char utf8[4];
            uint32_t cp;

            p += utf8_decode(p, (size_t)(end - p), &cp);
            buf_add(out, utf8, utf8_encode(cp, utf8));
        }
    }
}

struct slice json_scan_string(struct json_reader *r, struct buf *scratch)
{
    const char *from = r->p + 1;
    unsigned met;
    const char *close = string_end(r, from, &met);

    if (!close)
        return (struct slice){0};
    r->p = close + 1;
    if (met == 0 || (met == HAS_HIGH && utf8_valid(from, (size_t)(close - from))))
        return (struct slice){from, (size_t)(close - from)};
    decode_string(from, close, scratch);
    return buf_slice(scratch);
}

/* Moves over digits; false if there is none. */
static bool digits(const char **p, const char *end)
{
    const char *from = *p;

    while (*p < end && **p >= '0' && **p <= '9')
        (*p)++;
    return *p > from;
}

bool json_skip_number(struct json_reader *r)
{
    const char *p = r->p, *end = r->end;
    bool good;

    if (p < end && *p == '-')
        p++;
    if (p == end || *p < '0' || *p > '9') {
        json_fail(r, r->p, "expected a value");
        return false;
    }
    if (*p == '0')
        p++;
    else
        (void)digits(&p, end);
    good = p == end || *p < '0' || *p > '9';
    if (good && p < end && *p == '.') {
        p++;
        good = digits(&p, end);
    }
    if (good && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        good = digits(&p, end);
    }
    if (!good) {
        json_fail(r, r->p, "a malformed number");
        return false;
    }
    r->p = p;
    return true;
}

bool json_number_int(struct slice text, int64_t *ret)
{
    bool negative = text.p[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t v = 0;
    size_t i = negative;
    double real;

    if (memchr(text.p, 'e', text.n) || memchr(text.p, 'E', text.n)) {
        if (!json_number_real(text, &real) || !(real >= -0x1p63 && real < 0x1p63))
            return false;
        *ret = (int64_t)real;
        return true;
    }
    for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(text.p[i] - '0');

        if (v > (limit - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* strtod obeys the locale's decimal point, and a console has set its locale: it is taken back for this one call. */
bool json_number_real(struct slice text, double *ret)
{
    char small[64], *copy = small;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0), old;
    double v;

    if (text.n < sizeof small) {
        memcpy(small, text.p, text.n);
        small[text.n] = '\0';
    } else {
        copy = mem_strndup(text.p, text.n);
    }
    old = uselocale(c_locale);
    v = strtod(copy, NULL);
    uselocale(old);
    if (c_locale)
        freelocale(c_locale);
    if (copy != small)
        mem_free(copy);
    if (!(v >= -1.7976931348623157e308 && v <= 1.7976931348623157e308))
        return false;
    *ret = v;
    return true;
}
