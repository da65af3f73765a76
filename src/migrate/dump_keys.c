#include "migrate/dump_keys.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/secret.h"

#define PASSPHRASE_MAX 1000 /* openssl reads 1024 bytes of a line */

static struct err *check(const struct secret *s, const char *file) {
    const char *p = secret_bytes(s);
    size_t n = secret_len(s);
    if (n == 0) return err_new(ERR_DATA, "%s: the passphrase is empty", file);
    if (memchr(p, '\n', n) || memchr(p, '\0', n))
        return err_new(ERR_DATA, "%s: a passphrase is one line; openssl would read the first one only", file);
    if (n > PASSPHRASE_MAX) return err_new(ERR_DATA, "%s: the passphrase is longer than %d bytes, which openssl would cut", file, PASSPHRASE_MAX);
    return NULL;
}

struct err *dump_keys_check(const char *passphrase_file) {
    struct stat st;
    struct secret *s = NULL;
    if (stat(passphrase_file, &st)) {
        struct err *e = err_sys(errno, "the passphrase: %s", passphrase_file);
        err_set_kind(e, ERR_DATA);
        return e;
    }
    if (!S_ISREG(st.st_mode)) return err_new(ERR_DATA, "the passphrase: %s is not a file", passphrase_file);
    struct err *e = dump_keys_read(passphrase_file, &s);
    if (!e && (st.st_mode & (S_IRWXG | S_IRWXO)))
        e = err_new(ERR_DATA, "the passphrase: %s can be read by others than its owner: chmod 600", passphrase_file);
    secret_free(s);
    return e;
}

struct err *dump_keys_read(const char *passphrase_file, struct secret **ret) {
    struct secret *s = NULL;
    struct err *e = secret_from_file(passphrase_file, &s);
    if (!e) e = check(s, passphrase_file);
    if (e) secret_free(s);
    else *ret = s;
    return err_wrap(e, "the passphrase");
}

void dump_keys_make(const struct secret *passphrase, const unsigned char salt[CIPHER_SALT_SIZE], unsigned iterations, struct dump_keys *ret) {
    static const unsigned char mac_salt[CIPHER_SALT_SIZE] = {'f', 'e', 'r', 'r', 'y', 'm', 'a', 'n'};
    cipher_derive(passphrase, salt, iterations, ret->cipher, sizeof ret->cipher);
    cipher_derive(passphrase, mac_salt, iterations, ret->mac, sizeof ret->mac);
}

struct err *dump_keys_derive(const char *passphrase_file, const unsigned char salt[CIPHER_SALT_SIZE], unsigned iterations,
                             struct dump_keys *ret) {
    struct secret *s = NULL;
    struct err *e = dump_keys_read(passphrase_file, &s);
    if (!e) dump_keys_make(s, salt, iterations, ret);
    secret_free(s);
    return e;
}
