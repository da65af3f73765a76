#include "tests/unit/snapshot_archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/hash.h"
#include "base/mem.h"

static const char *const names[ARCHIVE_MEMBERS] = {"meta.json", "state.bin", "SHA256SUMS", "SHA256SUMS.sealed"};

static void add_varint(struct buf *out, size_t v) {
    for (; v >= 0x80; v >>= 7) buf_addc(out, (char)(v | 0x80));
    buf_addc(out, (char)v);
}

void archive_entry(struct buf *state, const char *key, size_t value_size) {
    struct buf entry = {0};
    buf_addc(&entry, 0x0a);
    add_varint(&entry, strlen(key));
    buf_adds(&entry, key);
    buf_addc(&entry, 0x12);
    add_varint(&entry, value_size);
    for (size_t i = 0; i < value_size; i++) buf_addc(&entry, (char)(i * i * 31 + i / 7));
    add_varint(state, entry.len);
    buf_add(state, entry.p, entry.len);
    buf_free(&entry);
}

void archive_sums(struct archive *a, bool turned) {
    char hex[HASH_HEX_SIZE];
    buf_clear(&a->member[ARCHIVE_SUMS]);
    for (int i = 0; i < 2; i++) {
        int m = turned ? ARCHIVE_STATE - i : ARCHIVE_META + i;
        hash_hex(buf_str(&a->member[m]), a->member[m].len, hex);
        buf_printf(&a->member[ARCHIVE_SUMS], "%s  %s\n", hex, names[m]);
    }
}

void archive_members(struct archive *a) {
    struct buf *state = &a->member[ARCHIVE_STATE];
    archive_entry(state, "core/auth", 200);
    archive_entry(state, "core/keyring", 300);
    for (int i = 0; i < 60; i++) archive_entry(state, "logical/6b1f/versions/a", (size_t)(i * 17 % 900));
    buf_printf(&a->member[ARCHIVE_META],
               "{\"Version\":1,\"ID\":\"bolt-snapshot\",\"Index\":2730012,\"Term\":33,\"Peers\":null,\"Configuration\":{\"Servers\":["
               "{\"Suffrage\":0,\"ID\":\"vault-0\",\"Address\":\"vault-0.vault-internal:8201\"},"
               "{\"Suffrage\":0,\"ID\":\"vault-1\",\"Address\":\"vault-1.vault-internal:8201\"},"
               "{\"Suffrage\":1,\"ID\":\"vault-2\",\"Address\":\"vault-2.vault-internal:8201\"}]},\"ConfigurationIndex\":2729000,\"Size\":%zu}\n",
               state->len);
    archive_sums(a, true);
    buf_adds(&a->member[ARCHIVE_SEALED], "\x0a\x20sealed by the server, opaque to all others");
}

void archive_tar_add(struct buf *tar, const char *name, struct slice bytes, char type) {
    static const char zeros[512];
    char h[512] = {0};
    unsigned sum = 0;
    snprintf(h, 100, "%s", name);
    snprintf(h + 100, 8, "%07o", 0600U);
    snprintf(h + 108, 8, "%07o", 0U);
    snprintf(h + 116, 8, "%07o", 0U);
    snprintf(h + 124, 12, "%011zo", bytes.n);
    snprintf(h + 136, 12, "%011o", 1763809435U);
    memset(h + 148, ' ', 8);
    h[156] = type;
    memcpy(h + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof h; i++) sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    h[155] = ' ';
    buf_add(tar, h, sizeof h);
    buf_add_slice(tar, bytes);
    buf_add(tar, zeros, (512 - bytes.n % 512) % 512);
}

void archive_tar_end(struct buf *tar) {
    static const char zeros[1024];
    buf_add(tar, zeros, sizeof zeros);
}

void archive_gzip(struct buf *gz, struct slice bytes, int level) {
    static const char go_head[] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, (char)0xff};
    z_stream z = {0};
    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
    size_t at = gz->len;
    buf_reserve(gz, deflateBound(&z, bytes.n) + 64);
    z.next_in = (Bytef *)(uintptr_t)bytes.p;
    z.avail_in = (uInt)bytes.n;
    z.next_out = (Bytef *)gz->p + at;
    z.avail_out = (uInt)(gz->cap - at);
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) abort();
    gz->len = at + z.total_out;
    deflateEnd(&z);
    memcpy(gz->p + at, go_head, sizeof go_head);
}

void archive_pack(struct archive *a) {
    for (int i = 0; i < ARCHIVE_MEMBERS; i++) {
        a->tar_at[i] = a->tar.len;
        archive_tar_add(&a->tar, names[i], buf_slice(&a->member[i]), '0');
    }
    a->tar_at[ARCHIVE_MEMBERS] = a->tar.len;
    archive_tar_end(&a->tar);
    archive_gzip(&a->gz, buf_slice(&a->tar), Z_DEFAULT_COMPRESSION);
}

void archive_free(struct archive *a) {
    for (int i = 0; i < ARCHIVE_MEMBERS; i++) buf_free(&a->member[i]);
    buf_free(&a->tar);
    buf_free(&a->gz);
}
