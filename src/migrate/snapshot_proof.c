/* gzip → tar → four members, each judged as its bytes come; what can only be judged with all of them at hand (hashes against the list, sizes
 * against meta.json, the gzip trailer) is judged at the end. Nothing but the three small members is kept.
 *
 * state.bin is walked, too: it is a sequence of protobuf messages with their lengths before them, StorageEntry{key = 1, value = 2}, whose
 * lengths must end where it ends, and one of whose keys is the keyring, without which no snapshot can be unsealed. */
#include "migrate/snapshot_proof.h"

#include <stdio.h>
#include <string.h>

#include "base/cipher.h"
#include "base/inflate.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "migrate/snapshot_tar.h"

#define SMALL_MAX 8192 /* the readers of Vault and OpenBao take no more of these members */
#define KEYRING "core/keyring"
#define NODES_MAX 1024

enum member { META, STATE, SUMS, SEALED, MEMBERS };

static const char *const names[MEMBERS] = {"meta.json", "state.bin", "SHA256SUMS", "SHA256SUMS.sealed"};

/* The walk through state.bin. */
struct walk {
    uint64_t length;       /* being read */
    unsigned shift;
    uint64_t left;         /* of the message */
    unsigned char head[2 + sizeof KEYRING - 1]; /* of the message: tag, length and bytes of its key */
    size_t have;
    int64_t entries;
    bool keyring, in_message;
};

struct snapshot_proof {
    struct inflate *inflate;
    struct snapshot_tar *tar;
    struct hash_stream *hash[MEMBERS];
    bool there[MEMBERS];
    int64_t size[MEMBERS], archive_bytes;
    struct buf small[MEMBERS];
    enum member now;
    struct walk walk;
    struct err *e;
};

void snapshot_said_clear(struct snapshot_said *s) {
    buf_free(&s->nodes);
    *s = (struct snapshot_said){0};
}

/* ---- state.bin ---- */

static struct err *walk_length(struct walk *w, unsigned char byte) {
    if (w->shift >= 63) return err_new(ERR_DATA, "state.bin: the length of its entry %lld is malformed", (long long)w->entries + 1);
    w->length |= (uint64_t)(byte & 0x7f) << w->shift;
    w->shift += 7;
    if (byte & 0x80) return NULL;
    *w = (struct walk){.left = w->length, .entries = w->entries + 1, .keyring = w->keyring, .in_message = w->length > 0};
    return NULL;
}

static void walk_message(struct walk *w, struct slice *in) {
    size_t n = in->n < w->left ? in->n : (size_t)w->left;
    size_t keep = sizeof w->head - w->have < n ? sizeof w->head - w->have : n;
    memcpy(w->head + w->have, in->p, keep);
    w->have += keep;
    w->left -= n;
    in->p += n;
    in->n -= n;
    w->in_message = w->left > 0;
    if (!w->in_message && w->have == sizeof w->head && memcmp(w->head, "\x0a\x0c" KEYRING, sizeof w->head) == 0) w->keyring = true;
}

static struct err *walk_feed(struct walk *w, struct slice in) {
    struct err *e = NULL;
    while (!e && in.n > 0) {
        if (w->in_message) {
            walk_message(w, &in);
        } else {
            e = walk_length(w, (unsigned char)*in.p++);
            in.n--;
        }
    }
    return e;
}

static struct err *walk_end(const struct walk *w) {
    if (w->in_message || w->shift > 0)
        return err_new(ERR_DATA, "state.bin: it ends within its entry %lld", (long long)w->entries + (w->in_message ? 0 : 1));
    return w->keyring ? NULL : err_new(ERR_DATA, "state.bin: none of its %lld entries is " KEYRING, (long long)w->entries);
}

/* ---- Members as they come ---- */

static struct err *on_member(void *arg, const char *name, int64_t size) {
    struct snapshot_proof *p = arg;
    int i = 0;
    while (i < MEMBERS && !str_eq(name, names[i])) i++;
    if (i == MEMBERS) return err_new(ERR_DATA, "%s: a member that no snapshot has", name);
    if (p->there[i]) return err_new(ERR_DATA, "%s: it is there twice", name);
    if (i != STATE && size >= SMALL_MAX) return err_new(ERR_DATA, "%s: %lld bytes, more than Vault reads of it", name, (long long)size);
    p->now = (enum member)i;
    p->there[i] = true;
    p->size[i] = size;
    p->hash[i] = hash_stream_new();
    return NULL;
}

static struct err *on_bytes(void *arg, struct slice bytes) {
    struct snapshot_proof *p = arg;
    hash_stream_add(p->hash[p->now], bytes.p, bytes.n);
    if (p->now == STATE) return walk_feed(&p->walk, bytes);
    buf_add_slice(&p->small[p->now], bytes);
    return NULL;
}

static struct err *on_member_end(void *arg) {
    struct snapshot_proof *p = arg;
    return p->now == STATE ? walk_end(&p->walk) : NULL;
}

struct snapshot_proof *snapshot_proof_new(void) {
    static const struct snapshot_tar_events events = {.on_member = on_member, .on_bytes = on_bytes, .on_member_end = on_member_end};
    struct snapshot_proof *p = MEM_NEW(struct snapshot_proof);
    p->inflate = inflate_new();
    p->tar = snapshot_tar_new(&events, p);
    return p;
}

void snapshot_proof_free(struct snapshot_proof *p) {
    if (!p) return;
    inflate_free(p->inflate);
    snapshot_tar_free(p->tar);
    for (int i = 0; i < MEMBERS; i++) {
        hash_stream_free(p->hash[i]);
        buf_free(&p->small[i]);
    }
    err_free(p->e);
    mem_free(p);
}

static bool on_inflated(void *arg, struct slice bytes) {
    struct snapshot_proof *p = arg;
    p->e = snapshot_tar_feed(p->tar, bytes);
    return !p->e;
}

bool snapshot_proof_feed(struct snapshot_proof *p, struct slice bytes) {
    if (p->e) return false;
    p->archive_bytes += (int64_t)bytes.n;
    struct err *e = inflate_feed(p->inflate, bytes, on_inflated, p);
    if (!p->e) p->e = e;
    else err_free(e);
    return !p->e;
}

/* ---- The end ---- */

static struct err *cut_off(const struct snapshot_proof *p) {
    char where[200];
    if (p->archive_bytes == 0) return err_new(ERR_DATA, "it is empty");
    if (snapshot_tar_ended(p->tar)) return err_new(ERR_DATA, "cut off: the gzip trailer is missing");
    snapshot_tar_where(p->tar, where, sizeof where);
    return err_new(ERR_DATA, "cut off %s", where);
}

static struct err *all_there(const struct snapshot_proof *p) {
    for (int i = 0; i < MEMBERS; i++)
        if (!p->there[i]) return err_new(ERR_DATA, "%s: it is missing", names[i]);
    if (p->size[SEALED] == 0) return err_new(ERR_DATA, "SHA256SUMS.sealed: it is empty, so the server could not seal the snapshot");
    return NULL;
}

/* One line of SHA256SUMS: "HEX  NAME". */
static struct err *check_sum(const struct snapshot_proof *p, struct slice line, bool seen[MEMBERS]) {
    char found[HASH_HEX_SIZE];
    size_t digits = HASH_HEX_SIZE - 1;
    struct slice name = {line.p + digits + 2, line.n > digits + 2 ? line.n - digits - 2 : 0};
    if (name.n == 0 || memcmp(line.p + digits, "  ", 2) != 0) return err_new(ERR_DATA, "SHA256SUMS: a line is malformed");
    int i = slice_is(name, names[META]) ? META : slice_is(name, names[STATE]) ? STATE : MEMBERS;
    if (i == MEMBERS) return err_new(ERR_DATA, "SHA256SUMS: it names %.*s, which is neither meta.json nor state.bin", (int)(name.n < 100 ? name.n : 100), name.p);
    if (seen[i]) return err_new(ERR_DATA, "SHA256SUMS: it names %s twice", names[i]);
    seen[i] = true;
    hash_stream_hex(p->hash[i], found);
    if (slice_is((struct slice){line.p, digits}, found)) return NULL;
    return err_new(ERR_DATA, "%s: its SHA-256 is %.16s…, SHA256SUMS says %.16s…", names[i], found, line.p);
}

static struct err *check_sums(const struct snapshot_proof *p) {
    struct slice rest = buf_slice(&p->small[SUMS]), line;
    bool seen[MEMBERS] = {false};
    struct err *e = NULL;
    if (!slice_ends(rest, "\n")) return err_new(ERR_DATA, "SHA256SUMS: its last line is cut off");
    rest.n--;
    while (!e && slice_cut(&rest, '\n', &line)) e = check_sum(p, line, seen);
    if (e) return e;
    for (int i = META; i <= STATE; i++)
        if (!seen[i]) return err_new(ERR_DATA, "SHA256SUMS: it does not name %s", names[i]);
    return NULL;
}

/* Suffrage 0 votes (hashicorp/raft configuration.go). */
static struct err *take_servers(const struct json_t *servers, struct snapshot_said *ret) {
    ret->servers = jd_len(servers);
    for (size_t i = 0; i < ret->servers; i++) {
        const struct json_t *s = jd_at(servers, i);
        const char *id = jd_str(s, "ID");
        if (!id) return err_new(ERR_DATA, "meta.json: a server of its configuration has no id");
        ret->voters += jd_num(s, "Suffrage", -1) == 0;
        if (ret->nodes.len > NODES_MAX) continue;
        if (i > 0) buf_adds(&ret->nodes, ", ");
        utf8_clean(&ret->nodes, slice_of(id));
    }
    return ret->voters ? NULL : err_new(ERR_DATA, "meta.json: no server of its configuration votes");
}

static struct err *take_meta(const struct snapshot_proof *p, const struct json_t *d, struct snapshot_said *ret) {
    int64_t version = jd_num(d, "Version", -1), size = jd_num(d, "Size", -1);
    ret->index = jd_num(d, "Index", -1);
    ret->term = jd_num(d, "Term", -1);
    ret->state_bytes = p->size[STATE];
    ret->archive_bytes = p->archive_bytes;
    if (version != 1) return err_new(ERR_DATA, "meta.json: version %lld, 1 is the only one that is known", (long long)version);
    if (size != ret->state_bytes)
        return err_new(ERR_DATA, "state.bin: %lld bytes, meta.json says %lld", (long long)ret->state_bytes, (long long)size);
    if (ret->index <= 0 || ret->term <= 0)
        return err_new(ERR_DATA, "meta.json: index %lld and term %lld: of no raft log", (long long)ret->index, (long long)ret->term);
    return take_servers(jd_get(d, "Configuration.Servers"), ret);
}

static struct err *check_meta(const struct snapshot_proof *p, struct snapshot_said *ret) {
    struct json_t *d = NULL;
    struct err *e = jd_parse(buf_str(&p->small[META]), p->small[META].len, "meta.json", &d);
    if (!e) e = take_meta(p, d, ret);
    if (e) err_set_kind(e, ERR_DATA);
    jd_free(d);
    return e;
}

struct err *snapshot_proof_end(struct snapshot_proof *p, struct snapshot_said *ret) {
    struct snapshot_said said = {0};
    if (!p->e && !inflate_ended(p->inflate)) p->e = cut_off(p);
    else if (!p->e && !snapshot_tar_ended(p->tar)) {
        char where[200];
        snapshot_tar_where(p->tar, where, sizeof where);
        p->e = err_new(ERR_DATA, "the tar ends %s without the two blocks that end one", where);
    }
    if (!p->e) p->e = all_there(p);
    if (!p->e) p->e = check_sums(p);
    if (!p->e) p->e = check_meta(p, &said);
    if (p->e) {
        snapshot_said_clear(&said);
        return err_copy(p->e);
    }
    *ret = said;
    return NULL;
}
