#include "tests/unit/vault_run_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/journal.h"
#include "migrate/plan.h"

#define PROXY "/api/v1/namespaces/vault/pods/http:vault-0:8200/proxy"

static void health(struct vault_run_stage *s, struct tiny_answer *ret) {
    s->healths++;
    *ret = s->health;
    if (s->health.status || s->health.fate) return;
    if (s->cluster_id)
        snprintf(s->text, sizeof s->text, "{\"initialized\":true,\"sealed\":false,\"standby\":false,\"version\":\"1.18.1\",\"cluster_id\":\"%s\"}", s->cluster_id);
    else snprintf(s->text, sizeof s->text, "{\"initialized\":false,\"sealed\":true,\"standby\":true,\"version\":\"1.18.1\"}");
    *ret = (struct tiny_answer){.status = s->cluster_id ? 200 : 501, .body = s->text};
}

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret) {
    struct vault_run_stage *s = arg;
    const char *path = rq->path;
    if (s->proxied) {
        if (!str_starts(path, PROXY)) return false;
        path += strlen(PROXY);
    }
    if (str_eq(path, "/v1/sys/health")) {
        assert_false(tiny_request_has(rq, "X-Vault-Token: " TOKEN)); /* whose node it is, is not known yet */
        health(s, ret);
        return true;
    }
    s->asked++;
    s->acts += !str_eq(rq->method, "GET");
    snprintf(s->last, sizeof s->last, "%s %s%s%s%s", rq->method, path, tiny_request_has(rq, "X-Vault-Token: " TOKEN) ? " token" : "",
             *rq->body ? " " : "", rq->body);
    int status = s->react ? s->react(s, rq) : 0;
    *ret = s->answer;
    if (status) *ret = (struct tiny_answer){.status = status, .body = status == 204 ? "" : s->text};
    return true;
}

static const char plan_text[] =
    "plan: test\ncontext: home\ncluster: 5f0c\nsource: { storageClasses: [nfs] }\n"
    "target: { storageClass: lvm, encrypted: required }\nworkloads:\n"
    "  - name: vault\n    kind: raft-rolling\n    namespace: vault\n    statefulset: vault\n"
    "    vault: { via: %s, urls: { vault-0: \"%s\" }, token: { file: \"%s/token\" }%s }\n"
    "    snapshot: { encrypt: { none: true, reason: test } }\n";

struct vault_run_stage *vault_run_stage_new(bool proxied, const char *more) {
    struct vault_run_stage *s = MEM_NEW(struct vault_run_stage);
    struct op_stage *w = s->w = op_stage_new(NULL, false);
    s->proxied = proxied;
    s->cluster_id = CLUSTER;
    s->node = proxied ? w->server : tiny_http_new(w->loop);
    tiny_http_handler(s->node, answer, s);
    char *token = str_printf("%s/token", w->dir), *text;
    assert_null(file_write_durable(token, TOKEN "\n", strlen(TOKEN) + 1, 0600));
    text = str_printf(plan_text, proxied ? "kube-proxy" : "direct", tiny_http_url(s->node), w->dir, more);
    struct err *e = plan_parse(text, strlen(text), "/tmp/plan.yaml", &s->plan);
    if (e) fail_msg("%s", err_text(e));
    run_free(w->run);
    w->run = run_new(&(struct run){.loop = w->loop, .plan = s->plan, .workload = &s->plan->workloads[0], .kube = w->client, .config = &w->config,
                                   .journal = w->journal, .dir = w->dir, .id = journal_id(w->journal), .operator_name = "ana"});
    mem_free(token);
    mem_free(text);
    return s;
}

void vault_run_stage_free(struct vault_run_stage *s) {
    struct tiny_http *node = s->proxied ? NULL : s->node;
    op_runner_free(s->w->runner);
    s->w->runner = NULL;
    run_free(s->w->run);
    s->w->run = NULL;
    if (node) tiny_http_free(node);
    op_stage_free(s->w);
    plan_free(s->plan);
    mem_free(s);
}
