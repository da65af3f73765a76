/* Any bytes are judged the same whole and in pieces, and what is proved has an index and voters; a tar's members have clean names and as many
 * bytes as their headers say. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "migrate/snapshot_proof.h"
#include "migrate/snapshot_tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walked {
    int64_t left;
};

static struct err *on_member(void *arg, const char *name, int64_t size) {
    struct walked *w = arg;
    if (w->left != 0 || size < 0 || !utf8_is_clean(slice_of(name))) abort();
    w->left = size;
    return NULL;
}

static struct err *on_bytes(void *arg, struct slice bytes) {
    struct walked *w = arg;
    if (bytes.n == 0 || (int64_t)bytes.n > w->left) abort();
    w->left -= (int64_t)bytes.n;
    return NULL;
}

static struct err *on_member_end(void *arg) {
    const struct walked *w = arg;
    if (w->left != 0) abort();
    return NULL;
}

static void walk(struct slice bytes) {
    static const struct snapshot_tar_events events = {.on_member = on_member, .on_bytes = on_bytes, .on_member_end = on_member_end};
    struct walked w = {0};
    struct snapshot_tar *t = snapshot_tar_new(&events, &w);
    struct err *e = snapshot_tar_feed(t, bytes);
    if (e && err_kind(e) != ERR_DATA) abort();
    err_free(e);
    snapshot_tar_free(t);
}

static struct err *judge(struct slice bytes, size_t piece) {
    struct snapshot_proof *p = snapshot_proof_new();
    struct snapshot_said said = {0};
    for (size_t at = 0; at < bytes.n; at += piece)
        if (!snapshot_proof_feed(p, (struct slice){bytes.p + at, bytes.n - at < piece ? bytes.n - at : piece})) break;
    struct err *e = snapshot_proof_end(p, &said);
    if (e && err_kind(e) != ERR_DATA) abort();
    if (!e && (said.index <= 0 || said.voters == 0 || said.voters > said.servers || !utf8_is_clean(buf_slice(&said.nodes)))) abort();
    snapshot_said_clear(&said);
    snapshot_proof_free(p);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice bytes = {(const char *)data, size};
    struct err *whole = judge(bytes, size + 1), *pieces = judge(bytes, size / 7 + 1);
    if ((whole == NULL) != (pieces == NULL) || (whole && strcmp(err_text(whole), err_text(pieces)) != 0)) abort();
    err_free(whole);
    err_free(pieces);
    walk(bytes);
    return 0;
}
