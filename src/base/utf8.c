#include "base/utf8.h"

#include "base/mem.h"

enum { REPLACEMENT = 0xFFFD };

/* Code points that are not seen but change what is: Unicode's Default_Ignorable_Code_Point, bidirectional controls,
 * line separators, interlinear marks and the noncharacters. Variation selectors are among them, since terminals do not
 * agree on the width that they give. Sorted. */
static const struct {
    uint32_t first, last;
} unseen[] = {
    {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x061c, 0x061c}, {0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f},
    {0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f}, {0x3164, 0x3164}, {0xfdd0, 0xfdef}, {0xfe00, 0xfe0f},
    {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
    {0xe0000, 0xe0fff},
};

/* Length of the sequence that starts with `lead` (0: none does) with the first byte's payload in *ret. */
static size_t lead_length(unsigned char lead, uint32_t *ret)
{
    if (lead >= 0xC2 && lead <= 0xDF) {
        *ret = lead & 0x1F;
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        *ret = lead & 0x0F;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *ret = lead & 0x07;
        return 4;
    }
    return 0;
}

/* As utf8_decode, but tells malformed input (0) from an honest U+FFFD. */
static size_t decode_strict(const char *p, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)p[0];
    if (lead < 0x80) {
        *ret = lead;
        return 1;
    }
    uint32_t cp = 0;
    size_t len = lead_length(lead, &cp);
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c & 0xC0) != 0x80)
            return 0;
        cp = cp << 6 | (c & 0x3F);
    }
    if (cp < least[len] || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        return 0;
    *ret = cp;
    return len;
}

size_t utf8_decode(const char *p, size_t n, uint32_t *ret)
{
    size_t len = decode_strict(p, n, ret);
    if (len > 0)
        return len;
    *ret = REPLACEMENT;
    return 1;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        cp = REPLACEMENT;
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

bool utf8_valid(const char *p, size_t n)
{
    uint32_t cp;
    for (size_t i = 0, len; i < n; i += len) {
        len = decode_strict(p + i, n - i, &cp);
        if (len == 0)
            return false;
    }
    return true;
}

size_t utf8_columns(struct slice s)
{
    size_t cols;
    utf8_clip(s, SIZE_MAX, &cols);
    return cols;
}

struct slice utf8_clip(struct slice s, size_t cols, size_t *ret_cols)
{
    size_t used = 0, i = 0;
    while (i < s.n) {
        uint32_t cp;
        size_t len = utf8_decode(s.p + i, s.n - i, &cp);
        size_t width = (size_t)utf8_width(cp);
        if (width > cols - used)
            break;
        used += width;
        i += len;
    }
    if (ret_cols)
        *ret_cols = used;
    return (struct slice){s.p, i};
}

/* Whether a well-formed code point may stand in a row: neither a control nor unseen. */
static bool code_point_is_clean(uint32_t cp)
{
    if (cp < 0xA0)
        return cp >= 0x20 && cp < 0x7F;
    if ((cp & 0xFFFE) == 0xFFFE)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(unseen) && cp >= unseen[i].first; i++)
        if (cp <= unseen[i].last)
            return false;
    return true;
}

/* Length of the clean bytes at the start of s; most foreign text is printable ASCII and is passed over quickly. */
static size_t clean_prefix(struct slice s)
{
    size_t i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7F) {
            i++;
            continue;
        }
        uint32_t cp;
        size_t len = decode_strict(s.p + i, s.n - i, &cp);
        if (len == 0 || !code_point_is_clean(cp))
            break;
        i += len;
    }
    return i;
}

void utf8_clean(struct buf *out, struct slice foreign)
{
    size_t i = 0;
    for (;;) {
        struct slice rest = {foreign.p ? foreign.p + i : NULL, foreign.n - i};
        size_t clean = clean_prefix(rest);
        buf_add(out, rest.p, clean);
        i += clean;
        if (i == foreign.n)
            return;
        uint32_t cp;
        i += utf8_decode(foreign.p + i, foreign.n - i, &cp);
        buf_adds(out, cp == '\n' || cp == '\t' ? " " : "\xEF\xBF\xBD");
    }
}

bool utf8_is_clean(struct slice s)
{
    return clean_prefix(s) == s.n;
}

char *utf8_cleaned(struct slice foreign)
{
    struct buf b = {0};
    utf8_clean(&b, foreign);
    return buf_steal(&b);
}
