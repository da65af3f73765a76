/* GET sys/storage/raft/snapshot: an archive as hashicorp/raft-snapshot writes it, gzip around a tar of meta.json,
 * state.bin, SHA256SUMS and SHA256SUMS.sealed, sent chunked and without a length. The gzip member holds stored blocks,
 * as OpenBao's newer ones do. The scenario vault-snapshot-cut ends the body early with status 200, as a failing server
 * does. */
#include "sandbox/vault_private.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/http_server.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"

#define SNAPSHOT_ENTRIES 900
#define SNAPSHOT_SEALED_BYTES 316
#define TAR_BLOCK 512
#define STORED_MAX 65535

/* ---- gzip, stored ---- */

static uint32_t crc32_of(const char *p, size_t n)
{
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320U : crc >> 1;
    }
    return ~crc;
}

static void add_le(struct buf *out, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_addc(out, (char)(value >> (8 * i) & 0xff));
}

/* RFC 1952 around RFC 1951 stored blocks. */
static void gzip_stored(struct buf *out, const char *p, size_t n)
{
    static const char head[] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, (char)0xff};
    buf_add(out, head, sizeof head);
    for (size_t at = 0; at < n;) {
        size_t len = n - at < STORED_MAX ? n - at : STORED_MAX;
        buf_addc(out, at + len == n ? 1 : 0);
        add_le(out, (uint32_t)len, 2);
        add_le(out, (uint32_t)~len & 0xffffU, 2);
        buf_add(out, p + at, len);
        at += len;
    }
    add_le(out, crc32_of(p, n), 4);
    add_le(out, (uint32_t)n, 4);
}

/* ---- tar ---- */

/* One ustar member of mode 0600. */
static void tar_add(struct buf *tar, const char *name, struct slice bytes, int64_t now_ms)
{
    char h[TAR_BLOCK] = {0};
    snprintf(h, 100, "%s", name);
    snprintf(h + 100, 8, "%07o", 0600U);
    snprintf(h + 108, 8, "%07o", 0U);
    snprintf(h + 116, 8, "%07o", 0U);
    snprintf(h + 124, 12, "%011llo", (unsigned long long)bytes.n);
    snprintf(h + 136, 12, "%011llo", (unsigned long long)(now_ms / 1000));
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof h; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    h[155] = ' ';
    buf_add(tar, h, sizeof h);
    buf_add_slice(tar, bytes);
    static const char zeros[TAR_BLOCK];
    buf_add(tar, zeros, (TAR_BLOCK - bytes.n % TAR_BLOCK) % TAR_BLOCK);
}

/* ---- The members ---- */

static void add_varint(struct buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_addc(out, (char)(v | 0x80));
    buf_addc(out, (char)v);
}

/* A length-delimited StorageEntry{key = 1, value = 2}, the value as opaque as the barrier makes it. */
static void state_add(struct buf *state, const char *key, uint64_t *random, size_t value_len)
{
    struct buf entry = {0};
    buf_addc(&entry, 0x0a);
    add_varint(&entry, strlen(key));
    buf_adds(&entry, key);
    buf_addc(&entry, 0x12);
    add_varint(&entry, value_len);
    for (size_t i = 0; i < value_len; i++) {
        *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        buf_addc(&entry, (char)(*random >> 56));
    }
    add_varint(state, entry.len);
    buf_add(state, entry.p, entry.len);
    buf_free(&entry);
}

/* Keys in the order of bolt: bytewise. */
static void state_make(const struct vault *v, struct buf *state)
{
    static const char *const core[] = {
        "core/auth", "core/cluster/local/info", "core/hsm/barrier-unseal-keys", "core/keyring", "core/leader/9d8f2a41",
        "core/lock", "core/mounts",             "core/raft/tls",                "core/seal-config",
    };
    uint64_t random = (uint64_t)v->c.index;
    for (size_t i = 0; i < ARRAY_LEN(core); i++)
        state_add(state, core[i], &random, 300);
    for (int i = 0; i < SNAPSHOT_ENTRIES; i++) {
        char *key = str_printf("logical/6b1f0c2e-3d0a-4a59-8f57-2f1c9b7de001/versions/%03x", (unsigned)i);
        state_add(state, key, &random, 200 + random % 1500);
        mem_free(key);
    }
    state_add(state, "sys/policy/default", &random, 1800);
    state_add(state, "sys/policy/ferryman", &random, 700);
    state_add(state, "sys/token/accessor/1d8c", &random, 120);
}

static char *meta_make(const struct vault *v, size_t state_size)
{
    struct json_t *o = jd_object(), *servers = jd_array();
    jd_set(o, "Version", jd_int(1));
    jd_set(o, "ID", jd_string("bolt-snapshot"));
    jd_set(o, "Index", jd_int(v->c.index));
    jd_set(o, "Term", jd_int(v->c.term));
    jd_set(o, "Peers", jd_null());
    for (int i = 0; i < VAULT_NODES; i++) {
        if (!v->c.node[i].in_config)
            continue;
        struct json_t *server = jd_object();
        char *address = str_printf("vault-%d.vault-internal:8201", i);
        jd_set(server, "Suffrage", jd_int(v->c.node[i].voter ? 0 : 1));
        jd_set(server, "ID", jd_string(v->c.node[i].id));
        jd_set(server, "Address", jd_string(address));
        mem_free(address);
        jd_append(servers, server);
    }
    jd_put(o, "Configuration.Servers", servers);
    jd_set(o, "ConfigurationIndex", jd_int(v->c.index - 1013));
    jd_set(o, "Size", jd_int((int64_t)state_size));
    struct buf text = {0};
    jd_dump(o, &text);
    buf_addc(&text, '\n');
    jd_free(o);
    return buf_steal(&text);
}

static void snapshot_make(const struct vault *v, struct buf *out)
{
    struct buf state = {0}, tar = {0}, sums = {0}, sealed = {0};
    state_make(v, &state);
    char *meta = meta_make(v, state.len), hex[HASH_HEX_SIZE];
    hash_hex(state.p, state.len, hex);
    buf_printf(&sums, "%s  state.bin\n", hex);
    hash_hex(meta, strlen(meta), hex);
    buf_printf(&sums, "%s  meta.json\n", hex);
    uint64_t random = 7;
    state_add(&sealed, "", &random, SNAPSHOT_SEALED_BYTES);
    int64_t now = sandbox_now_ms(v->s);
    tar_add(&tar, "meta.json", slice_of(meta), now);
    tar_add(&tar, "state.bin", buf_slice(&state), now);
    tar_add(&tar, "SHA256SUMS", buf_slice(&sums), now);
    tar_add(&tar, "SHA256SUMS.sealed", buf_slice(&sealed), now);
    static const char end[2 * TAR_BLOCK];
    buf_add(&tar, end, sizeof end);
    gzip_stored(out, tar.p, tar.len);
    mem_free(meta);
    buf_free(&state);
    buf_free(&tar);
    buf_free(&sums);
    buf_free(&sealed);
}

/* ---- The answer ---- */

struct sending {
    struct buf bytes;
    size_t sent;
};

static size_t sending_fill(void *arg, char *p, size_t max)
{
    struct sending *s = arg;
    size_t left = s->bytes.len - s->sent, n = left < max ? left : max;
    if (!n)
        return HTTP_FILL_END;
    memcpy(p, s->bytes.p + s->sent, n);
    s->sent += n;
    return n;
}

static void sending_closed(void *arg)
{
    struct sending *s = arg;
    buf_free(&s->bytes);
    mem_free(s);
}

void vault_snapshot_send(const struct vault *v, struct http_request *r)
{
    static const struct http_stream_events events = {.fill = sending_fill, .closed = sending_closed};
    struct sending *s = MEM_NEW(struct sending);
    snapshot_make(v, &s->bytes);
    if (v->snapshot_cut)
        s->bytes.len = s->bytes.len * 3 / 5;
    http_reply_header(r, "Content-Disposition", "attachment");
    http_stream_wake(http_reply_stream(r, 200, "application/gzip", &events, s));
}
