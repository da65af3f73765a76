#include "base/hash.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void hash_hex(const void *p, size_t n, char ret[HASH_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(p, n, digest, &len, EVP_sha256(), NULL) != 1 || len * 2 + 1 != HASH_HEX_SIZE) {
        fprintf(stderr, "ferryman: libcrypto cannot compute SHA-256\n");
        abort();
    }
    for (unsigned i = 0; i < len; i++) {
        ret[2 * i] = digits[digest[i] >> 4];
        ret[2 * i + 1] = digits[digest[i] & 15];
    }
    ret[2 * len] = '\0';
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits of a digit, or -1. */
static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Decodes into out without undoing what it added before it met a wrong byte. */
static bool decode(struct slice text, struct buf *out)
{
    uint32_t bits = 0;
    unsigned digits = 0, pads = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (is_space(text.p[i]))
            continue;
        if (text.p[i] == '=') {
            pads++;
            continue;
        }
        int value = digit_value(text.p[i]);
        if (value < 0 || pads > 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (++digits % 4 != 0)
            continue;
        buf_addc(out, (char)(bits >> 16));
        buf_addc(out, (char)(bits >> 8));
        buf_addc(out, (char)bits);
    }
    unsigned left = digits % 4;
    if (left == 1 || pads != (4 - left) % 4)
        return false;
    if (left == 2)
        buf_addc(out, (char)(bits >> 4));
    if (left == 3) {
        buf_addc(out, (char)(bits >> 10));
        buf_addc(out, (char)(bits >> 2));
    }
    return true;
}

bool hash_base64_decode(struct slice text, struct buf *out)
{
    size_t before = out->len;
    buf_reserve(out, text.n / 4 * 3 + 3);
    if (decode(text, out))
        return true;
    out->len = before;
    out->p[before] = '\0';
    return false;
}

void hash_base64_encode(const void *p, size_t n, struct buf *out)
{
    const unsigned char *bytes = p;
    buf_reserve(out, n / 3 * 4 + 4);
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        if (left > 1)
            bits |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            bits |= bytes[i + 2];
        buf_addc(out, alphabet[bits >> 18]);
        buf_addc(out, alphabet[bits >> 12 & 63]);
        buf_addc(out, left > 1 ? alphabet[bits >> 6 & 63] : '=');
        buf_addc(out, left > 2 ? alphabet[bits & 63] : '=');
    }
}
