#include "base/inflate.h"

#include <limits.h>
#include <stdint.h>
#include <zlib.h>

#include "base/mem.h"

enum { GZIP_WINDOW = 15 + 16, HEAD_SIZE = 10 }; /* the largest window, and a gzip head and nothing else */

struct inflate {
    z_stream z;
    bool ended;
    struct err *damaged;
    unsigned char out[INFLATE_PIECE];
};

static voidpf take(voidpf arg, uInt n, uInt size) {
    (void)arg;
    return mem_calloc(n, size);
}

static void give_back(voidpf arg, voidpf p) {
    (void)arg;
    mem_free(p);
}

struct inflate *inflate_new(void) {
    struct inflate *z = MEM_NEW(struct inflate);
    z->z.zalloc = take;
    z->z.zfree = give_back;
    if (inflateInit2(&z->z, GZIP_WINDOW) != Z_OK) z->damaged = err_new(ERR_SYSTEM, "zlib %s cannot be used, this program was built with " ZLIB_VERSION, zlibVersion());
    return z;
}

void inflate_free(struct inflate *z) {
    if (!z) return;
    inflateEnd(&z->z);
    err_free(z->damaged);
    mem_free(z);
}

static struct err *damage(struct inflate *z, struct err *e) {
    z->damaged = e;
    return err_copy(e);
}

/* What came out before a fault is given away, too: where a fault is found does not depend on the pieces that are fed. */
static struct err *step(struct inflate *z, bool (*sink)(void *arg, struct slice bytes), void *arg) {
    z->z.next_out = z->out;
    z->z.avail_out = sizeof z->out;
    int code = inflate(&z->z, Z_NO_FLUSH);
    size_t n = sizeof z->out - z->z.avail_out;
    if (n > 0 && !sink(arg, (struct slice){(const char *)z->out, n})) return damage(z, err_new(ERR_CANCELLED, "inflating was given up"));
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return damage(z, err_new(ERR_DATA, z->z.total_in < HEAD_SIZE ? "it is no gzip file: %s" : "the gzip member is damaged: %s",
                                 z->z.msg ? z->z.msg : "a dictionary is asked for"));
    z->ended = code == Z_STREAM_END;
    if (z->ended && z->z.avail_in > 0) return damage(z, err_new(ERR_DATA, "bytes follow the end of the gzip member"));
    return NULL;
}

struct err *inflate_feed(struct inflate *z, struct slice in, bool (*sink)(void *arg, struct slice bytes), void *arg) {
    if (z->damaged) return err_copy(z->damaged);
    if (in.n == 0) return NULL;
    if (z->ended) return damage(z, err_new(ERR_DATA, "bytes follow the end of the gzip member"));
    for (size_t at = 0; at < in.n;) {
        size_t n = in.n - at < UINT_MAX ? in.n - at : UINT_MAX;
        z->z.next_in = (Bytef *)(uintptr_t)(in.p + at); /* zlib does not write there */
        z->z.avail_in = (uInt)n;
        at += n;
        do {
            struct err *e = step(z, sink, arg);
            if (e) return e;
        } while (!z->ended && (z->z.avail_in > 0 || z->z.avail_out == 0));
        if (z->ended && at < in.n) return damage(z, err_new(ERR_DATA, "bytes follow the end of the gzip member"));
    }
    return NULL;
}

bool inflate_ended(const struct inflate *z) {
    return z->ended && !z->damaged;
}
