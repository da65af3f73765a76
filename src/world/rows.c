/* How a row is packed: the columns in order, nulls left out (the header has a bit for each), numbers as zigzag varints,
 * text as twice its length and its bytes, or, if it is one of the words that most rows are full of, as twice the word's
 * number plus one. One content has one packing, so rows are compared as bytes. */
#include "world/world.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "world/world_internal.h"

struct cell cell_int(int64_t v)
{
    return (struct cell){CELL_INT, v, {NULL, 0}};
}

struct cell cell_text(const char *s)
{
    return cell_slice(slice_of(s));
}

struct cell cell_slice(struct slice s)
{
    return s.p ? (struct cell){CELL_TEXT, 0, s} : CELL_NONE;
}

struct cell cell_bool(bool v)
{
    return cell_int(v);
}

/* At most 64, so that one byte says which; in the order of their length, so that few are compared. */
static const char *const words[] = {
    "OK", "0/1", "1/1", "2/2", "3/3", "ROX", "RWO", "RWX", "nfs", "FINE", "LOST", "RWOP", "helm", "idle", "Bound",
    "MOVED", "READY", "block", "plain", "vault", "Delete", "FAILED", "NORMAL", "Normal", "Retain", "STABLE", "active",
    "immich", "CronJob", "HOSTILE", "PENDING", "Pending", "RETIRED", "RUNNING", "UNKNOWN", "WARNING", "default",
    "kubectl", "kubelet", "unknown", "ATTACHED", "COMPLETE", "Released", "declared", "Available", "Immediate",
    "SUCCEEDED", "terraform", "Deployment", "Filesystem", "monitoring", "StatefulSet", "kube-system",
    "kube-scheduler", "argocd-controller", "kube-controller-manager",
};
_Static_assert(ARRAY_LEN(words) <= 64, "a word's number no longer fits into a byte");

enum { WORD_MAX = 32 };
/* The words of length n are words[words_from[n] .. words_from[n + 1]). */
static unsigned char words_from[WORD_MAX + 2];

/* Runs before main, so that the table is as constant as it looks. */
__attribute__((constructor)) static void words_init(void)
{
    size_t i = 0;
    for (size_t n = 0; n < ARRAY_LEN(words_from); n++) {
        while (i < ARRAY_LEN(words) && strlen(words[i]) < n)
            i++;
        words_from[n] = (unsigned char)i;
    }
}

/* The number of a word, -1 if the text is none. */
static int word_number(struct slice s)
{
    if (s.n > WORD_MAX || s.n == 0)
        return -1;
    for (int i = words_from[s.n]; i < words_from[s.n + 1]; i++)
        if (!memcmp(words[i], s.p, s.n))
            return i;
    return -1;
}

static bool col_is_text(const struct world_col *col)
{
    return col->type == COL_TEXT || col->type == COL_STATE;
}

/* Seven bits at a time, the lowest first. */
static void put_number(struct buf *out, uint64_t v)
{
    char bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (char)(v | 0x80);
    bytes[n++] = (char)v;
    buf_add(out, bytes, n);
}

static uint64_t get_number(const char **p)
{
    uint64_t v = 0;
    if ((unsigned char)**p < 0x80) /* nearly always */
        return (unsigned char)*(*p)++;
    for (unsigned shift = 0;; shift += 7) {
        unsigned char byte = (unsigned char)*(*p)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
}

static uint64_t zigzag(int64_t v)
{
    return v < 0 ? ~((uint64_t)v << 1) : (uint64_t)v << 1;
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)((v >> 1) ^ (0 - (v & 1)));
}

/* The longest prefix of at most `max` bytes that ends between characters. */
static size_t clip_bytes(struct slice s, size_t max)
{
    if (s.n <= max)
        return s.n;
    while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
        max--;
    return max;
}

struct slice world_key_clip(struct slice key)
{
    return key.p ? (struct slice){key.p, clip_bytes(key, WORLD_KEY_MAX)} : SLICE_LIT("");
}

static void put_text(struct buf *out, struct slice s)
{
#ifdef __SANITIZE_ADDRESS__
    assert(utf8_is_clean(s)); /* a fault of whoever made the row; consoles clean what they read once more */
#endif
    static const char cut[] = "…";
    int word = word_number(s);
    if (word >= 0) {
        put_number(out, (uint64_t)word * 2 + 1);
        return;
    }
    if (s.n <= WORLD_TEXT_MAX) {
        put_number(out, s.n * 2);
        buf_add_slice(out, s);
        return;
    }
    size_t n = clip_bytes(s, WORLD_TEXT_MAX - (sizeof cut - 1));
    put_number(out, (n + sizeof cut - 1) * 2);
    buf_add(out, s.p, n);
    buf_adds(out, cut);
}

void row_pack(enum world_table t, const struct cell *cells, struct buf *out, uint32_t *ret_nulls)
{
    const struct world_table_info *info = world_table_info(t);
    uint32_t nulls = 0;
    for (size_t i = 0; i < info->ncols; i++) {
        if (cells[i].type != (col_is_text(&info->cols[i]) ? CELL_TEXT : CELL_INT))
            nulls |= UINT32_C(1) << i;
        else if (cells[i].type == CELL_TEXT)
            put_text(out, cells[i].s);
        else
            put_number(out, zigzag(cells[i].i));
    }
    *ret_nulls = nulls;
}

struct row *row_new(enum world_table t, struct slice key, struct slice packed, uint32_t nulls)
{
    struct row *r = mem_alloc(offsetof(struct row, data) + key.n + packed.n);
    memset(r, 0, offsetof(struct row, data)); /* not the whole struct: its padding behind data may not be there */
    r->nulls = nulls;
    r->cells_n = (uint32_t)packed.n;
    r->key_n = (uint16_t)key.n;
    r->table = (uint8_t)t;
    memcpy(r->data, key.p, key.n);
    memcpy(r->data + key.n, packed.p, packed.n);
    return r;
}

bool row_content_is(const struct row *r, struct slice packed, uint32_t nulls)
{
    return r->nulls == nulls && r->cells_n == packed.n && !memcmp(r->data + r->key_n, packed.p, packed.n);
}

enum world_table row_table(const struct row *r)
{
    return (enum world_table)r->table;
}

struct slice row_key(const struct row *r)
{
    return (struct slice){r->data, r->key_n};
}

uint64_t row_seq(const struct row *r)
{
    return r->seq;
}

int64_t row_changed(const struct row *r)
{
    return r->changed;
}

static struct cell get_cell(const struct world_col *col, const char **p)
{
    uint64_t v = get_number(p);
    if (!col_is_text(col))
        return cell_int(unzigzag(v));
    if (v & 1)
        return cell_text(words[v / 2]);
    struct cell c = cell_slice((struct slice){*p, (size_t)(v / 2)});
    *p += v / 2;
    return c;
}

static void skip_cell(const struct world_col *col, const char **p)
{
    uint64_t v = get_number(p);
    if (col_is_text(col) && !(v & 1))
        *p += v / 2;
}

void row_cells(const struct row *r, struct cell cells[WORLD_COLS_MAX])
{
    const struct world_table_info *info = world_table_info(row_table(r));
    const char *p = r->data + r->key_n;
    for (size_t i = 0; i < WORLD_COLS_MAX; i++) {
        bool null = r->removed || i >= info->ncols || (r->nulls >> i & 1);
        cells[i] = null ? CELL_NONE : get_cell(&info->cols[i], &p);
    }
}

struct cell row_cell(const struct row *r, int col)
{
    const struct world_table_info *info = world_table_info(row_table(r));
    if (r->removed || col < 0 || (size_t)col >= info->ncols || (r->nulls >> col & 1))
        return CELL_NONE;
    const char *p = r->data + r->key_n;
    for (int i = 0; i < col; i++)
        if (!(r->nulls >> i & 1))
            skip_cell(&info->cols[i], &p);
    return get_cell(&info->cols[col], &p);
}

struct slice row_text(const struct row *r, int col)
{
    return row_cell(r, col).s;
}

int64_t row_int(const struct row *r, int col, int64_t fallback)
{
    struct cell c = row_cell(r, col);
    return c.type == CELL_INT ? c.i : fallback;
}
