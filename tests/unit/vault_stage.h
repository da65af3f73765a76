/* Three Vault nodes on a stage, directly or behind a pod proxy: each plays its part, and the rows of the source that
 * asks them are looked at. */
#ifndef FERRYMAN_TESTS_VAULT_STAGE_H
#define FERRYMAN_TESTS_VAULT_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "client/kube_config.h"
#include "world/world.h"

struct loop;
struct secret;
struct tiny_http;
struct vault_source;

enum { NODES = 3, WAIT_MS = 20000, POLL_MS = 100 };

enum play {
    PLAY_RUNS,
    PLAY_SEALED,
    PLAY_HANGS,
    PLAY_WEDGED, /* OpenBao: health answers, the rest hangs */
    PLAY_REFUSES,
    PLAY_NOT_VAULT
};

struct stage {
    struct loop *loop;
    struct world *world;
    struct tiny_http *server[NODES];
    char *urls[NODES + 1];
    const char *names[NODES + 1];
    enum play play[NODES];
    int leader; /* -1: none */
    int64_t index, lag[NODES];
    bool openbao, heartbeat_lost;
    const char *token; /* what the nodes accept */
    bool forbids;      /* the token lacks the policy */
    int asked_with_token[NODES];
    struct vault_source *source;
    struct secret *secret;
    bool (*want)(struct stage *s);
    bool done;
    /* through the proxy */
    struct tiny_http *api;
    struct kube_config config;
    struct kube_client *kube;
    int refuse; /* the API server's own status for everything */
};

int vault_stage_setup(void **state);
int vault_stage_teardown(void **state);
void vault_stage_direct(struct stage *s, const char *token, const char *token_file);
void vault_stage_proxied(struct stage *s);
void vault_stage_pod(struct stage *s, int node, const char *uid, int64_t age_ms);
void vault_stage_claim(struct stage *s, const char *name, const char *class, const char *state, const char *backend);
void vault_stage_await(struct stage *s, bool (*want)(struct stage *s), const char *what);
struct slice stage_peer(struct stage *s, const char *name, int col);
struct cell stage_peer_cell(struct stage *s, const char *name, int col);
struct slice stage_cluster(struct stage *s, int col);
struct slice stage_source(struct stage *s, const char *key, int col);
bool stage_timeline_has(struct stage *s, const char *text);
void assert_is(struct slice got, const char *want);
void assert_has(struct slice got, const char *part);
bool is_ok(struct stage *s);
bool auth_is_polled(struct stage *s);
bool auth_is_denied(struct stage *s);
bool leader_is_silent(struct stage *s);
bool vault_0_is_unreachable(struct stage *s);

#define AWAIT(s, want) vault_stage_await(s, want, #want)
#define STAGED(name) cmocka_unit_test_setup_teardown(name, vault_stage_setup, vault_stage_teardown)

#endif
