#include "base/json_writer.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void jw_init(struct json_writer *w, struct buf *out)
{
    w->out = out;
    w->comma = false;
}

/* In front of every value and key. */
static void separate(struct json_writer *w)
{
    if (w->comma)
        buf_addc(w->out, ',');
    w->comma = true;
}

static void begin(struct json_writer *w, char bracket)
{
    separate(w);
    buf_addc(w->out, bracket);
    w->comma = false;
}

static void end(struct json_writer *w, char bracket)
{
    buf_addc(w->out, bracket);
    w->comma = true;
}

void jw_object(struct json_writer *w)
{
    begin(w, '{');
}

void jw_end_object(struct json_writer *w)
{
    end(w, '}');
}

void jw_array(struct json_writer *w)
{
    begin(w, '[');
}

void jw_end_array(struct json_writer *w)
{
    end(w, ']');
}

/* A control character, quote or backslash. */
static void add_escape(struct buf *out, unsigned char c)
{
    static const char from[] = "\b\f\n\r\t\"\\", to[] = "bfnrt\"\\";
    static const char hex[] = "0123456789abcdef";
    const char *at = c ? strchr(from, c) : NULL;

    if (at) {
        buf_addc(out, '\\');
        buf_addc(out, to[at - from]);
    } else {
        buf_adds(out, "\\u00");
        buf_addc(out, hex[c >> 4]);
        buf_addc(out, hex[c & 15]);
    }
}

static void add_string(struct buf *out, struct slice s)
{
    size_t i = 0, plain = 0;

    buf_reserve(out, s.n + 2);
    buf_addc(out, '"');
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        buf_add(out, s.p + plain, i - plain);
        if (c < 0x80) {
            add_escape(out, c);
            i++;
        } else {
            char utf8[4];
            uint32_t cp;

            i += utf8_decode(s.p + i, s.n - i, &cp);
            buf_add(out, utf8, utf8_encode(cp, utf8));
        }
        plain = i;
    }
    if (i > plain)
        buf_add(out, s.p + plain, i - plain);
    buf_addc(out, '"');
}

void jw_key(struct json_writer *w, const char *key)
{
    jw_key_slice(w, slice_of(key));
}

void jw_key_slice(struct json_writer *w, struct slice key)
{
    separate(w);
    add_string(w->out, key);
    buf_addc(w->out, ':');
    w->comma = false;
}

void jw_str(struct json_writer *w, const char *s)
{
    jw_slice(w, slice_of(s));
}

void jw_slice(struct json_writer *w, struct slice s)
{
    if (!s.p) {
        jw_null(w);
        return;
    }
    separate(w);
    add_string(w->out, s);
}

void jw_int(struct json_writer *w, int64_t v)
{
    separate(w);
    buf_printf(w->out, "%lld", (long long)v);
}

/* The shortest of 15 to 17 digits that reads back as the same number; with a point whatever the locale says. */
void jw_real(struct json_writer *w, double v)
{
    char text[40];
    locale_t c_locale, old;

    if (!isfinite(v)) {
        jw_null(w);
        return;
    }
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    old = uselocale(c_locale);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    uselocale(old);
    if (c_locale)
        freelocale(c_locale);
    separate(w);
    buf_adds(w->out, text);
}

void jw_bool(struct json_writer *w, bool v)
{
    separate(w);
    buf_adds(w->out, v ? "true" : "false");
}

void jw_null(struct json_writer *w)
{
    separate(w);
    buf_adds(w->out, "null");
}

void jw_raw(struct json_writer *w, struct slice json)
{
    if (!json.p || json.n == 0) {
        jw_null(w);
        return;
    }
    separate(w);
    buf_add_slice(w->out, json);
}
