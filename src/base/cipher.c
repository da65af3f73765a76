#include "base/cipher.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"

/* libcrypto's lengths are ints in places. */
#define PIECE ((size_t)1 << 30)

static void must(int ok, const char *what)
{
    if (ok == 1)
        return;
    fprintf(stderr, "ferryman: libcrypto cannot compute %s\n", what);
    abort();
}

static void to_hex(const unsigned char *digest, size_t len, char ret[HASH_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[digest[i] >> 4];
        ret[2 * i + 1] = digits[digest[i] & 15];
    }
    ret[2 * len] = '\0';
}

struct hash_stream {
    EVP_MD_CTX *ctx;
};

struct hash_stream *hash_stream_new(void)
{
    struct hash_stream *h = MEM_NEW(struct hash_stream);
    h->ctx = EVP_MD_CTX_new();
    must(h->ctx != NULL && EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1, "SHA-256");
    return h;
}

void hash_stream_add(struct hash_stream *h, const void *p, size_t n)
{
    must(EVP_DigestUpdate(h->ctx, p, n), "SHA-256");
}

void hash_stream_hex(const struct hash_stream *h, char ret[HASH_HEX_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    must(copy != NULL && EVP_MD_CTX_copy_ex(copy, h->ctx) == 1 && EVP_DigestFinal_ex(copy, digest, &len) == 1 &&
             2 * len + 1 == HASH_HEX_SIZE,
         "SHA-256");
    EVP_MD_CTX_free(copy);
    to_hex(digest, len, ret);
}

void hash_stream_free(struct hash_stream *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->ctx);
    mem_free(h);
}

struct hmac_stream {
    EVP_MAC_CTX *ctx;
};

struct hmac_stream *hmac_stream_new(const unsigned char key[CIPHER_KEY_SIZE])
{
    struct hmac_stream *h = MEM_NEW(struct hmac_stream);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    h->ctx = mac == NULL ? NULL : EVP_MAC_CTX_new(mac);
    must(h->ctx != NULL && EVP_MAC_init(h->ctx, key, CIPHER_KEY_SIZE, params) == 1, "HMAC-SHA-256");
    EVP_MAC_free(mac);
    return h;
}

void hmac_stream_add(struct hmac_stream *h, const void *p, size_t n)
{
    must(EVP_MAC_update(h->ctx, p, n), "HMAC-SHA-256");
}

void hmac_stream_hex(const struct hmac_stream *h, char ret[HASH_HEX_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    size_t len = 0;
    EVP_MAC_CTX *copy = EVP_MAC_CTX_dup(h->ctx);
    must(copy != NULL && EVP_MAC_final(copy, digest, &len, sizeof digest) == 1 && 2 * len + 1 == HASH_HEX_SIZE, "HMAC-SHA-256");
    EVP_MAC_CTX_free(copy);
    to_hex(digest, len, ret);
}

void hmac_stream_free(struct hmac_stream *h)
{
    if (h == NULL)
        return;
    EVP_MAC_CTX_free(h->ctx);
    mem_free(h);
}

bool hmac_hex_equal(const char *a, const char *b)
{
    size_t n = strlen(a);
    return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}

void cipher_derive(const struct secret *passphrase, const unsigned char salt[CIPHER_SALT_SIZE], unsigned iterations, unsigned char *ret,
                   size_t n)
{
    must(PKCS5_PBKDF2_HMAC(secret_bytes(passphrase), (int)secret_len(passphrase), salt, CIPHER_SALT_SIZE, (int)iterations,
                           EVP_sha256(), (int)n, ret),
         "PBKDF2");
}

void cipher_random(unsigned char *ret, size_t n)
{
    must(RAND_bytes(ret, (int)n), "random bytes");
}

struct cipher_stream {
    EVP_CIPHER_CTX *ctx;
};

struct cipher_stream *cipher_stream_new(const unsigned char key[CIPHER_KEY_SIZE], const unsigned char iv[CIPHER_IV_SIZE])
{
    struct cipher_stream *c = MEM_NEW(struct cipher_stream);
    c->ctx = EVP_CIPHER_CTX_new();
    must(c->ctx != NULL && EVP_EncryptInit_ex(c->ctx, EVP_aes_256_ctr(), NULL, key, iv) == 1, "AES-256-CTR");
    return c;
}

void cipher_stream_apply(struct cipher_stream *c, const void *in, void *out, size_t n)
{
    const unsigned char *from = in;
    unsigned char *to = out;
    while (n > 0) {
        size_t piece = n < PIECE ? n : PIECE;
        int len = 0;
        must(EVP_EncryptUpdate(c->ctx, to, &len, from, (int)piece) == 1 && (size_t)len == piece, "AES-256-CTR");
        from += piece;
        to += piece;
        n -= piece;
    }
}

void cipher_stream_free(struct cipher_stream *c)
{
    if (c == NULL)
        return;
    EVP_CIPHER_CTX_free(c->ctx); /* wipes the key */
    mem_free(c);
}
