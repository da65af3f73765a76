/* What we need to know of a client certificate, over libcrypto: whose it is and until when. */
#ifndef FERRYMAN_BASE_X509_H
#define FERRYMAN_BASE_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct x509_info {
    int64_t not_after_ms; /* Unix time; 0 if it cannot be told */
    char *common_name;    /* cleaned; "" if there is none */
    char *organizations;  /* cleaned, separated by ", "; "" if there are none */
};

/* Reads the first certificate of a PEM text; false (and nothing to free) if there is none. */
bool x509_read(const char *pem, size_t n, struct x509_info *ret);
void x509_info_free(struct x509_info *info);

#endif
