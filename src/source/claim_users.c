#include "source/claim_users.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"

struct held {
    struct claim_user user;
    size_t n;
    char *keys[];
};

struct list {
    const struct claim_user **v;
    size_t n, cap;
};

struct claim_users {
    struct map *by_uid; /* struct held */
    struct map *by_key; /* struct list */
    claim_users_fn changed;
    void *arg;
};

struct claim_users *claim_users_new(claim_users_fn changed, void *arg) {
    struct claim_users *u = MEM_NEW(struct claim_users);
    u->by_uid = map_new();
    u->by_key = map_new();
    u->changed = changed;
    u->arg = arg;
    return u;
}

static void free_held(void *value) {
    struct held *h = value;
    if (!h) return;
    for (size_t i = 0; i < h->n; i++) mem_free(h->keys[i]);
    char *text = (char *)(uintptr_t)h->user.text,
         *database = (char *)(uintptr_t)h->user.database; /* ours: copied in hold */
    mem_free(text);
    mem_free(database);
    mem_free(h);
}

static void free_list(void *value) {
    struct list *l = value;
    mem_free(l->v);
    mem_free(l);
}

void claim_users_free(struct claim_users *u) {
    if (!u) return;
    map_free(u->by_key, free_list);
    map_free(u->by_uid, free_held);
    mem_free(u);
}

static struct held *hold(const struct claim_user *user, const struct slice *keys, size_t n) {
    struct held *h = mem_zalloc(sizeof *h + n * sizeof *h->keys);
    h->user = *user;
    h->user.text = mem_strdup(user->text);
    h->user.database = mem_strdup(user->database);
    h->n = n;
    for (size_t i = 0; i < n; i++) h->keys[i] = slice_dup(keys[i]);
    return h;
}

static bool same(const struct held *h, const struct claim_user *user, const struct slice *keys, size_t n) {
    if (h->n != n || h->user.flags != user->flags || h->user.replicas != user->replicas ||
        !str_eq(h->user.text, user->text) || !str_eq(h->user.database, user->database))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!slice_is(keys[i], h->keys[i])) return false;
    return true;
}

static int compare(const struct claim_user *a, const struct claim_user *b) {
    int by_kind = (int)(a->flags & CLAIM_USER_TEMPLATE) - (int)(b->flags & CLAIM_USER_TEMPLATE);
    return by_kind ? by_kind : strcmp(a->text, b->text);
}

static void list_add(struct claim_users *u, const char *key, const struct claim_user *user) {
    struct list *l = map_gets(u->by_key, key);
    if (!l) {
        l = MEM_NEW(struct list);
        map_puts(u->by_key, key, l);
    }
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 1;
        l->v = mem_reallocarray(l->v, l->cap, sizeof *l->v);
    }
    size_t i = l->n++;
    for (; i > 0 && compare(user, l->v[i - 1]) < 0; i--) l->v[i] = l->v[i - 1];
    l->v[i] = user;
}

static void list_del(struct claim_users *u, const char *key, const struct claim_user *user) {
    struct list *l = map_gets(u->by_key, key);
    size_t kept = 0;
    if (!l) return;
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i] != user) l->v[kept++] = l->v[i];
    l->n = kept;
    if (kept == 0) free_list(map_del(u->by_key, slice_of(key)));
}

/* The lists are right before anybody is told. */
static void replace(struct claim_users *u, struct slice uid, struct held *now) {
    struct held *old = now ? map_put(u->by_uid, uid, now) : map_del(u->by_uid, uid);
    for (size_t i = 0; old && i < old->n; i++) list_del(u, old->keys[i], &old->user);
    for (size_t i = 0; now && i < now->n; i++) list_add(u, now->keys[i], &now->user);
    for (size_t i = 0; old && i < old->n; i++) u->changed(u->arg, slice_of(old->keys[i]));
    for (size_t i = 0; now && i < now->n; i++) u->changed(u->arg, slice_of(now->keys[i]));
    free_held(old);
}

void claim_users_set(struct claim_users *u, struct slice uid, const struct claim_user *user, const struct slice *keys,
                     size_t n) {
    const struct held *old = map_get(u->by_uid, uid);
    if (n == 0) {
        if (old) replace(u, uid, NULL);
        return;
    }
    if (!old || !same(old, user, keys, n)) replace(u, uid, hold(user, keys, n));
}

void claim_users_drop(struct claim_users *u, struct slice uid) {
    if (map_get(u->by_uid, uid)) replace(u, uid, NULL);
}

const struct claim_user *const *claim_users_of(const struct claim_users *u, struct slice key, size_t *ret_n) {
    const struct list *l = map_get(u->by_key, key);
    *ret_n = l ? l->n : 0;
    return l ? l->v : NULL;
}
