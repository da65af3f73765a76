#include "base/x509.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

/* All values of one attribute of the subject, cleaned and separated by ", ". */
static char *subject_values(X509_NAME *name, int nid)
{
    struct buf out = {0};
    for (int i = X509_NAME_get_index_by_NID(name, nid, -1); i >= 0; i = X509_NAME_get_index_by_NID(name, nid, i)) {
        unsigned char *text = NULL;
        int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
        if (n < 0)
            continue;
        if (out.len > 0)
            buf_adds(&out, ", ");
        utf8_clean(&out, (struct slice){(const char *)text, (size_t)n});
        OPENSSL_free(text);
    }
    return buf_steal(&out);
}

static int64_t time_ms(const ASN1_TIME *at)
{
    struct tm tm = {0};
    if (!at || ASN1_TIME_to_tm(at, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm) * CLOCK_MS_PER_S;
}

bool x509_read(const char *pem, size_t n, struct x509_info *ret)
{
    if (n > INT_MAX)
        return false;
    BIO *bio = BIO_new_mem_buf(pem, (int)n);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (!cert)
        return false;
    X509_NAME *name = X509_get_subject_name(cert);
    *ret = (struct x509_info){
        .not_after_ms = time_ms(X509_get0_notAfter(cert)),
        .common_name = subject_values(name, NID_commonName),
        .organizations = subject_values(name, NID_organizationName),
    };
    X509_free(cert);
    return true;
}

void x509_info_free(struct x509_info *info)
{
    mem_free(info->common_name);
    mem_free(info->organizations);
    *info = (struct x509_info){0};
}
