/* Any bytes give an answer or a protocol error; texts in an answer are clean and end inside their fields. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "client/vault_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t size)
{
    size_t n = strnlen(text, size);
    if (n == size || !utf8_is_clean((struct slice){text, n}))
        abort();
}
#define TEXT(field) check_text(field, sizeof(field))

/* Whether it was read; an error is one of the protocol. */
static bool is_read(struct err *e)
{
    if (e && err_kind(e) != ERR_PROTOCOL)
        abort();
    bool ok = !e;
    err_free(e);
    return ok;
}

static void check_servers(const struct vault_servers *s)
{
    if (s->count > VAULT_SERVERS_MAX)
        abort();
    for (size_t i = 0; i < s->count; i++) {
        TEXT(s->list[i].id);
        TEXT(s->list[i].address);
        TEXT(s->list[i].node_status);
        if (s->list[i].contact_ms < -1)
            abort();
    }
}

static void read_unauthenticated(struct slice json)
{
    struct vault_health health;
    struct vault_seal seal;
    struct vault_leader leader;
    if (is_read(vault_parse_health(json, &health))) {
        TEXT(health.version);
        TEXT(health.cluster_name);
    }
    if (is_read(vault_parse_seal(json, &seal)))
        TEXT(seal.type);
    if (is_read(vault_parse_leader(json, &leader))) {
        TEXT(leader.address);
        (void)vault_address_host(slice_of(leader.cluster_address));
    }
}

static void read_authenticated(struct slice json)
{
    struct vault_members *members = MEM_NEW(struct vault_members);
    struct vault_servers *servers = MEM_NEW(struct vault_servers);
    struct vault_autopilot *autopilot = MEM_NEW(struct vault_autopilot);
    struct vault_autopilot_config config;
    struct vault_token token;
    if (is_read(vault_parse_members(json, members)) && members->count > VAULT_SERVERS_MAX)
        abort();
    if (is_read(vault_parse_servers(json, servers)))
        check_servers(servers);
    if (is_read(vault_parse_autopilot(json, autopilot)))
        check_servers(&autopilot->servers);
    if (is_read(vault_parse_autopilot_config(json, &config)) && config.dead_ms < -1)
        abort();
    if (is_read(vault_parse_token(json, &token)))
        TEXT(token.policies);
    mem_free(members);
    mem_free(servers);
    mem_free(autopilot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice json = {(const char *)data, size};
    struct buf errors = {0};
    read_unauthenticated(json);
    read_authenticated(json);
    if (vault_parse_errors(json, &errors) && !utf8_is_clean(buf_slice(&errors)))
        abort();
    (void)vault_body_is_own(json);
    (void)vault_duration_ms(json);
    (void)vault_address_host(json);
    buf_free(&errors);
    return 0;
}
