/* Kubernetes quantities and durations: decimal numbers with a unit, read exactly.
 *
 * A number is kept as `mantissa` / 10^`scale`. 128 bits hold 18 fraction digits next to any 64-bit whole part; further
 * fraction digits only say that something is left over, which rounding up must know. */
#include "base/str.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

__extension__ typedef unsigned __int128 u128;

enum { FRACTION_MAX = 18, POWER_MAX = 38 /* 10^38 is the largest power of ten in 128 bits */ };

struct decimal {
    u128 mantissa;
    int scale;
    bool leftover;
};

static bool u128_mul(u128 *v, uint64_t factor)
{
    return !__builtin_mul_overflow(*v, (u128)factor, v);
}

static bool is_digit(struct slice s)
{
    return s.n > 0 && *s.p >= '0' && *s.p <= '9';
}

/* Takes the first byte off. */
static int take(struct slice *s)
{
    char c = *s->p;
    s->p++;
    s->n--;
    return c;
}

/* '+' or '-' at the front, if any; whether it was '-'. */
static bool take_sign(struct slice *s)
{
    return s->n > 0 && (*s->p == '-' || *s->p == '+') && take(s) == '-';
}

/* Takes "12", "12.", "12.5" or ".5" off the front. */
static bool take_decimal(struct slice *s, struct decimal *ret)
{
    struct decimal d = {0};
    bool digits = false;
    for (; is_digit(*s); digits = true) {
        uint64_t digit = (uint64_t)(take(s) - '0');
        if (!u128_mul(&d.mantissa, 10))
            return false;
        d.mantissa += digit;
        if (d.mantissa > INT64_MAX)
            return false;
    }
    if (s->n > 0 && *s->p == '.') {
        take(s);
        for (; is_digit(*s); digits = true) {
            uint64_t digit = (uint64_t)(take(s) - '0');
            if (d.scale == FRACTION_MAX) {
                d.leftover |= digit > 0;
                continue;
            }
            d.mantissa = d.mantissa * 10 + digit;
            d.scale++;
        }
    }
    *ret = d;
    return digits;
}

/* The value in whole units, rounded up or cut; false if 63 bits do not hold it. */
static bool decimal_whole(struct decimal d, bool up, int64_t *ret)
{
    u128 divisor = 1, whole = 0;
    bool rest = d.leftover || d.mantissa > 0;
    if (d.scale <= POWER_MAX) {
        for (int i = 0; i < d.scale; i++)
            divisor *= 10;
        whole = d.mantissa / divisor;
        rest = d.leftover || d.mantissa % divisor > 0;
    }
    whole += up && rest;
    if (whole > INT64_MAX)
        return false;
    *ret = (int64_t)whole;
    return true;
}

/* Multiplies by 10^power; false if it becomes too large. */
static bool decimal_shift(struct decimal *d, int power)
{
    for (; power > 0 && d->scale > 0; power--)
        d->scale--;
    if (power < 0)
        d->scale -= power;
    for (; power > 0 && d->mantissa > 0; power--)
        if (!u128_mul(&d->mantissa, 10))
            return false;
    return true;
}

static const struct {
    const char *text;
    int power10;
    unsigned power2;
} quantity_suffixes[] = {
    {"", 0, 0},   {"n", -9, 0}, {"u", -6, 0},  {"m", -3, 0},  {"k", 3, 0},   {"M", 6, 0},   {"G", 9, 0},
    {"T", 12, 0}, {"P", 15, 0}, {"E", 18, 0},  {"Ki", 0, 10}, {"Mi", 0, 20}, {"Gi", 0, 30}, {"Ti", 0, 40},
    {"Pi", 0, 50}, {"Ei", 0, 60},
};

/* "e3", "E-3": a decimal exponent ("E" alone is exa). */
static bool exponent_power(struct slice suffix, int *ret)
{
    int64_t power;
    if (suffix.n < 2 || (*suffix.p != 'e' && *suffix.p != 'E'))
        return false;
    struct slice digits = {suffix.p + 1, suffix.n - 1};
    if (!slice_to_i64(digits, &power) || power > 1000 || power < -1000)
        return false;
    *ret = (int)power;
    return true;
}

/* Applies a suffix; false if there is no such suffix or the value becomes too large. */
static bool apply_suffix(struct decimal *d, struct slice suffix)
{
    int power;
    if (exponent_power(suffix, &power))
        return decimal_shift(d, power);
    for (size_t i = 0; i < ARRAY_LEN(quantity_suffixes); i++) {
        size_t n = strlen(quantity_suffixes[i].text);
        if (n != suffix.n || (n > 0 && memcmp(suffix.p, quantity_suffixes[i].text, n) != 0))
            continue;
        return decimal_shift(d, quantity_suffixes[i].power10) &&
               u128_mul(&d->mantissa, UINT64_C(1) << quantity_suffixes[i].power2);
    }
    return false;
}

/* "Rounded up" is away from zero, as apimachinery's Quantity.Value does it. */
bool str_quantity(struct slice text, int64_t *ret)
{
    struct decimal d;
    int64_t v;
    bool negative = take_sign(&text);
    if (!take_decimal(&text, &d) || !apply_suffix(&d, text) || !decimal_whole(d, true, &v))
        return false;
    *ret = negative ? -v : v;
    return true;
}

static const struct {
    const char *text;
    int64_t ns;
} duration_units[] = {
    /* longer names before their prefixes */
    {"ns", 1},
    {"us", 1000},
    {"\xC2\xB5s", 1000}, /* micro sign */
    {"\xCE\xBCs", 1000}, /* Greek mu */
    {"ms", CLOCK_NS_PER_MS},
    {"s", CLOCK_NS_PER_S},
    {"m", 60 * CLOCK_NS_PER_S},
    {"h", 3600 * CLOCK_NS_PER_S},
    {"d", 86400 * CLOCK_NS_PER_S},
};

/* Takes one "2.5h" off the front. */
static bool take_duration(struct slice *s, int64_t *ret_ns)
{
    struct decimal d;
    if (!take_decimal(s, &d))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(duration_units); i++) {
        if (!slice_starts(*s, duration_units[i].text))
            continue;
        size_t n = strlen(duration_units[i].text);
        s->p += n;
        s->n -= n;
        return u128_mul(&d.mantissa, (uint64_t)duration_units[i].ns) && decimal_whole(d, false, ret_ns);
    }
    return false;
}

bool str_duration_ns(struct slice text, int64_t *ret)
{
    int64_t sum = 0, part;
    bool negative = take_sign(&text);
    if (slice_is(text, "0")) {
        *ret = 0;
        return true;
    }
    if (text.n == 0)
        return false;
    while (text.n > 0)
        if (!take_duration(&text, &part) || __builtin_add_overflow(sum, part, &sum))
            return false;
    *ret = negative ? -sum : sum;
    return true;
}
