/* Keys of one file, made of its passphrase. Shared by cipher_writer.c and cipher_reader.c. */
#ifndef FERRYMAN_MIGRATE_DUMP_KEYS_H
#define FERRYMAN_MIGRATE_DUMP_KEYS_H

#include "base/cipher.h"

#define DUMP_MAGIC "Salted__" /* openssl enc's */
enum { DUMP_MAGIC_SIZE = 8, DUMP_HEAD_SIZE = DUMP_MAGIC_SIZE + CIPHER_SALT_SIZE };

struct dump_keys {
    unsigned char cipher[CIPHER_KEY_SIZE + CIPHER_IV_SIZE]; /* key and initial counter block */
    unsigned char mac[CIPHER_KEY_SIZE];
};

struct secret;

/* One line, as openssl's -pass file: takes it. */
struct err *dump_keys_read(const char *passphrase_file, struct secret **ret) MUST_CHECK;
/* Takes half a second. To be wiped with secret_wipe. */
void dump_keys_make(const struct secret *passphrase, const unsigned char salt[CIPHER_SALT_SIZE], unsigned iterations, struct dump_keys *ret);
/* Both of them. */
struct err *dump_keys_derive(const char *passphrase_file, const unsigned char salt[CIPHER_SALT_SIZE], unsigned iterations,
                             struct dump_keys *ret) MUST_CHECK;

/* Whether the passphrase is there and would do: to be known before it is needed. Not of a pipe, which can be read but once: ERR_DATA. */
struct err *dump_keys_check(const char *passphrase_file) MUST_CHECK;

#endif
