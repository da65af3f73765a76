#include "base/json_scan.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK 64

/* One bit for each byte of a block. */
struct masks {
    uint64_t quote, backslash, open, close;
};

#ifdef __SSE2__

static inline uint64_t mask_at(__m128i bytes, char c, int shift)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c))) << shift;
}

static inline struct masks classify(const char *p)
{
    struct masks m = {0};

    for (int i = 0; i < BLOCK; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i lower = _mm_or_si128(v, _mm_set1_epi8(0x20)); /* [ and ] become { and } */

        m.quote |= mask_at(v, '"', i);
        m.backslash |= mask_at(v, '\\', i);
        m.open |= mask_at(lower, '{', i);
        m.close |= mask_at(lower, '}', i);
    }
    return m;
}

#else

#define ONES 0x0101010101010101u
#define LOWS 0x7f7f7f7f7f7f7f7fu

/* Eight bits, one for each byte of v that equals c: zero bytes of the difference get their high bit, which a
 * multiplication gathers in the top byte. */
static inline uint64_t mask_at(uint64_t v, char c, int shift)
{
    uint64_t x = v ^ (ONES * (unsigned char)c);
    uint64_t zero = ~(((x & LOWS) + LOWS) | x | LOWS);

    return ((zero >> 7) * 0x0102040810204080u >> 56) << shift;
}

static inline struct masks classify(const char *p)
{
    struct masks m = {0};

    for (int i = 0; i < BLOCK; i += 8) {
        uint64_t v, lower;

        memcpy(&v, p + i, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        v = __builtin_bswap64(v);
#endif
        lower = v | ONES * 0x20;
        m.quote |= mask_at(v, '"', i);
        m.backslash |= mask_at(v, '\\', i);
        m.open |= mask_at(lower, '{', i);
        m.close |= mask_at(lower, '}', i);
    }
    return m;
}

#endif

static inline unsigned count_bits(uint64_t v)
{
    v -= (v >> 1) & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + ((v >> 2) & 0x3333333333333333u);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (unsigned)(v * 0x0101010101010101u >> 56);
}

/* The bytes that follow a backslash which is not escaped itself; `n` is how many bytes of the block count. */
static inline uint64_t escaped_bytes(struct json_scan *s, uint64_t backslash, size_t n)
{
    uint64_t escaped = s->escaped;

    s->escaped = false;
    backslash &= ~escaped;
    while (backslash) {
        uint64_t next = (backslash & (0 - backslash)) << 1;

        s->escaped = next == 0;
        escaped |= next;
        backslash &= (backslash - 1) & ~next;
    }
    if (n < BLOCK)
        s->escaped = escaped >> n & 1;
    return escaped;
}

/* The bytes from an opening quote up to before its closing one: bit n is the parity of the quotes up to n. */
static inline uint64_t string_bytes(struct json_scan *s, uint64_t quote)
{
    uint64_t in = quote;

    for (int shift = 1; shift < BLOCK; shift *= 2)
        in ^= in << shift;
    if (s->in_string)
        in = ~in;
    s->in_string = in >> (BLOCK - 1);
    return in;
}

/* Counts the brackets of one block; the place behind the one that ends the value, or 0. */
static inline unsigned scan_block(struct json_scan *s, struct masks m, size_t n)
{
    uint64_t in, brackets;

    if (m.backslash || s->escaped)
        m.quote &= ~escaped_bytes(s, m.backslash, n);
    in = string_bytes(s, m.quote);
    m.open &= ~in;
    m.close &= ~in;
    if (s->depth > count_bits(m.close)) {
        s->depth += count_bits(m.open);
        s->depth -= count_bits(m.close);
        return 0;
    }
    for (brackets = m.open | m.close; brackets; brackets &= brackets - 1) {
        if (m.open & brackets & (0 - brackets)) {
            s->depth++;
        } else if (s->depth <= 1) {
            s->depth = 0;
            return (unsigned)__builtin_ctzll(brackets) + 1;
        } else {
            s->depth--;
        }
    }
    return 0;
}

const char *json_scan_end(struct json_scan *s, const char *p, const char *end)
{
    char last[BLOCK];
    size_t rest;
    unsigned at;

    for (; (size_t)(end - p) >= BLOCK; p += BLOCK) {
        at = scan_block(s, classify(p), BLOCK);
        if (at > 0)
            return p + at;
    }
    rest = (size_t)(end - p);
    if (rest == 0)
        return NULL;
    memcpy(last, p, rest);
    memset(last + rest, ' ', BLOCK - rest);
    at = scan_block(s, classify(last), rest);
    return at > 0 ? p + at : NULL;
}
