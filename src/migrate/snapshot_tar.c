#include "migrate/snapshot_tar.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { BLOCK = 512, NAME_AT = 0, NAME_SIZE = 100, SIZE_AT = 124, SIZE_SIZE = 12, SUM_AT = 148, SUM_SIZE = 8, TYPE_AT = 156, MAGIC_AT = 257, PREFIX_AT = 345 };
#define PAX_MAX 4096

struct snapshot_tar {
    struct snapshot_tar_events ev;
    void *arg;
    unsigned char block[BLOCK];
    size_t have;           /* bytes of a header */
    char name[NAME_SIZE + 1];
    int64_t size, left;    /* of the member */
    size_t padding;        /* bytes that follow it */
    bool pax;              /* this member is a PAX header, */
    struct buf records;    /* these are its records, */
    int64_t pax_size;      /* and this is what it says of the next; -1: nothing */
    int zeros;             /* blocks of zeros */
    bool any;
};

struct snapshot_tar *snapshot_tar_new(const struct snapshot_tar_events *ev, void *arg) {
    struct snapshot_tar *t = MEM_NEW(struct snapshot_tar);
    t->ev = *ev;
    t->arg = arg;
    t->pax_size = -1;
    return t;
}

void snapshot_tar_free(struct snapshot_tar *t) {
    if (!t) return;
    buf_free(&t->records);
    mem_free(t);
}

/* Octal digits that end with a NUL or a blank. */
static bool octal(const unsigned char *p, size_t n, int64_t *ret) {
    int64_t v = 0;
    size_t i = 0;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) v = v * 8 + (p[i] - '0');
    if (i == 0 || (i < n && p[i] != '\0' && p[i] != ' ')) return false;
    *ret = v;
    return true;
}

static bool sum_is_right(const unsigned char *h) {
    int64_t said, sum = 0;
    for (size_t i = 0; i < BLOCK; i++) sum += i >= SUM_AT && i < SUM_AT + SUM_SIZE ? ' ' : h[i];
    return octal(h + SUM_AT, SUM_SIZE, &said) && said == sum;
}

static bool is_zero(const unsigned char *p) {
    for (size_t i = 0; i < BLOCK; i++)
        if (p[i]) return false;
    return true;
}

static void take_name(struct snapshot_tar *t) {
    struct buf clean = {0};
    const char *p = (const char *)t->block + NAME_AT;
    utf8_clean(&clean, (struct slice){p, strnlen(p, NAME_SIZE)});
    str_copy(t->name, sizeof t->name, buf_str(&clean));
    buf_free(&clean);
}

static struct err *end_member(struct snapshot_tar *t);

static struct err *begin_member(struct snapshot_tar *t) {
    const unsigned char *h = t->block;
    char type = (char)h[TYPE_AT];
    int64_t size;
    if (!sum_is_right(h)) return err_new(ERR_DATA, "after %s: the checksum of a tar header is wrong", t->any ? t->name : "the beginning");
    if (memcmp(h + MAGIC_AT, "ustar", 5) != 0) return err_new(ERR_DATA, "after %s: a tar header is not of the format ustar", t->any ? t->name : "the beginning");
    take_name(t);
    t->any = true;
    if (h[PREFIX_AT] && type != 'x') return err_new(ERR_DATA, "%s: a member in a folder, which no snapshot has", t->name);
    if (!octal(h + SIZE_AT, SIZE_SIZE, &size)) return err_new(ERR_DATA, "%s: its size in the tar header is no number", t->name);
    if (type != '0' && type != '\0' && type != 'x') return err_new(ERR_DATA, "%s: a tar member of another kind than a file", t->name);
    t->pax = type == 'x';
    if (t->pax && (size > PAX_MAX || t->pax_size >= 0)) return err_new(ERR_DATA, "%s: a PAX header that no snapshot has", t->name);
    if (!t->pax && t->pax_size >= 0) size = t->pax_size;
    if (!t->pax) t->pax_size = -1;
    t->size = t->left = size;
    t->padding = (size_t)((BLOCK - size % BLOCK) % BLOCK);
    struct err *e = t->pax ? NULL : t->ev.on_member(t->arg, t->name, size);
    return e || size > 0 ? e : end_member(t);
}

/* One "LEN KEY=VALUE\n" of the PAX records. */
static struct err *take_record(struct snapshot_tar *t, struct slice record) {
    struct slice key;
    if (!slice_cut(&record, '=', &key) || !record.p) return err_new(ERR_DATA, "%s: its records are malformed", t->name);
    if (slice_is(key, "size")) {
        if (!slice_to_i64(record, &t->pax_size) || t->pax_size < 0) return err_new(ERR_DATA, "%s: the size that it says is no number", t->name);
    } else if (slice_is(key, "path") || slice_is(key, "linkpath") || slice_starts(key, "GNU.")) {
        return err_new(ERR_DATA, "%s: a PAX header that no snapshot has", t->name);
    }
    return NULL;
}

static struct err *take_records(struct snapshot_tar *t) {
    struct slice rest = buf_slice(&t->records), number;
    struct err *e = NULL;
    while (!e && rest.n > 0) {
        struct slice from = rest;
        int64_t n;
        if (!slice_cut(&rest, ' ', &number) || !slice_to_i64(number, &n) || n <= (int64_t)number.n + 1 || n > (int64_t)from.n || from.p[n - 1] != '\n')
            return err_new(ERR_DATA, "%s: its records are malformed", t->name);
        e = take_record(t, (struct slice){from.p + number.n + 1, (size_t)n - number.n - 2});
        rest = (struct slice){from.p + n, from.n - (size_t)n};
    }
    buf_free(&t->records);
    return e;
}

static struct err *end_member(struct snapshot_tar *t) {
    return t->pax ? take_records(t) : t->ev.on_member_end(t->arg);
}

static struct err *take_bytes(struct snapshot_tar *t, struct slice *in) {
    struct slice piece = {in->p, (int64_t)in->n < t->left ? in->n : (size_t)t->left};
    in->p += piece.n;
    in->n -= piece.n;
    t->left -= (int64_t)piece.n;
    struct err *e = NULL;
    if (t->pax) buf_add_slice(&t->records, piece);
    else e = t->ev.on_bytes(t->arg, piece);
    return e || t->left > 0 ? e : end_member(t);
}

static struct err *take_padding(struct snapshot_tar *t, struct slice *in) {
    for (; in->n > 0 && t->padding > 0; in->p++, in->n--, t->padding--)
        if (*in->p) return err_new(ERR_DATA, "%s: the padding after it is not zero", t->name);
    return NULL;
}

static struct err *take_header(struct snapshot_tar *t, struct slice *in) {
    size_t n = BLOCK - t->have < in->n ? BLOCK - t->have : in->n;
    memcpy(t->block + t->have, in->p, n);
    in->p += n;
    in->n -= n;
    t->have += n;
    if (t->have < BLOCK) return NULL;
    t->have = 0;
    if (is_zero(t->block)) {
        t->zeros++;
        return t->pax_size >= 0 ? err_new(ERR_DATA, "%s: no member follows it", t->name) : NULL;
    }
    return t->zeros ? err_new(ERR_DATA, "a member follows the end of the tar") : begin_member(t);
}

struct err *snapshot_tar_feed(struct snapshot_tar *t, struct slice in) {
    struct err *e = NULL;
    while (!e && in.n > 0) {
        if (t->zeros == 2) e = err_new(ERR_DATA, "bytes follow the end of the tar");
        else if (t->left > 0) e = take_bytes(t, &in);
        else if (t->padding > 0) e = take_padding(t, &in);
        else e = take_header(t, &in);
    }
    return e;
}

bool snapshot_tar_ended(const struct snapshot_tar *t) {
    return t->zeros == 2;
}

void snapshot_tar_where(const struct snapshot_tar *t, char *ret, size_t size) {
    if (t->left > 0) snprintf(ret, size, "in %s, after %lld of %lld bytes", t->name, (long long)(t->size - t->left), (long long)t->size);
    else if (t->any) snprintf(ret, size, "after %s", t->name);
    else snprintf(ret, size, "at its beginning");
}
