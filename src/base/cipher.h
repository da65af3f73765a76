/* Streaming SHA-256, HMAC-SHA-256 and AES-256-CTR over libcrypto, and keys made of passphrases, as the program openssl
 * does them: what is written here opens with `openssl enc -d -aes-256-ctr -pbkdf2 -iter N`, and what that wrote, here.
 * None of it can fail but for lack of memory or a libcrypto without these algorithms; both end the process.
 * Not for use by two threads at once. */
#ifndef FERRYMAN_BASE_CIPHER_H
#define FERRYMAN_BASE_CIPHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct secret;

enum { CIPHER_KEY_SIZE = 32, CIPHER_IV_SIZE = 16, CIPHER_SALT_SIZE = 8 };

struct hash_stream;

struct hash_stream *hash_stream_new(void) MUST_CHECK; /* SHA-256 */
void hash_stream_add(struct hash_stream *h, const void *p, size_t n);
/* Digits of what was added so far; more may follow. */
void hash_stream_hex(const struct hash_stream *h, char ret[HASH_HEX_SIZE]);
void hash_stream_free(struct hash_stream *h);

struct hmac_stream;

struct hmac_stream *hmac_stream_new(const unsigned char key[CIPHER_KEY_SIZE]) MUST_CHECK; /* HMAC-SHA-256 */
void hmac_stream_add(struct hmac_stream *h, const void *p, size_t n);
void hmac_stream_hex(const struct hmac_stream *h, char ret[HASH_HEX_SIZE]);
void hmac_stream_free(struct hmac_stream *h);
/* Compares two results in constant time. */
bool hmac_hex_equal(const char *a, const char *b);

/* PBKDF2-HMAC-SHA-256 of the passphrase into n bytes. Slow on purpose (0.1 s and more): not on the loop. */
void cipher_derive(const struct secret *passphrase, const unsigned char salt[CIPHER_SALT_SIZE], unsigned iterations, unsigned char *ret,
                   size_t n);
void cipher_random(unsigned char *ret, size_t n);

struct cipher_stream;

/* AES-256-CTR: enciphering and deciphering are the same. */
struct cipher_stream *cipher_stream_new(const unsigned char key[CIPHER_KEY_SIZE], const unsigned char iv[CIPHER_IV_SIZE]) MUST_CHECK;
/* in and out may be the same bytes. */
void cipher_stream_apply(struct cipher_stream *c, const void *in, void *out, size_t n);
void cipher_stream_free(struct cipher_stream *c);

#endif
