/* A run of kind raft-rolling on a stage: one node, vault-0, that answers as the test says, directly or behind the API server's pod proxy. */
#ifndef FERRYMAN_TESTS_VAULT_RUN_STAGE_H
#define FERRYMAN_TESTS_VAULT_RUN_STAGE_H

#include "tests/unit/op_stage.h"

#define CLUSTER "a54c42b3-c2e7-dedc-8747-3d29bea69241"
#define TOKEN "hvs.of-the-test"

struct vault_run_stage {
    struct op_stage *w;
    struct tiny_http *node; /* w->server when proxied */
    struct plan *plan;
    bool proxied;
    /* sys/health */
    const char *cluster_id; /* NULL: none, sealed */
    int healths;
    struct tiny_answer health; /* used instead if its status or fate is set */
    /* everything else */
    struct tiny_answer answer;
    int (*react)(struct vault_run_stage *s, const struct tiny_request *rq); /* a status, or 0 for `answer` */
    int asked, acts;
    char last[256]; /* "GET /v1/sys/leader token {body}" */
    char text[256];
};

/* more: further keys of the plan's vault, "" or ", cluster_id: x" */
struct vault_run_stage *vault_run_stage_new(bool proxied, const char *more);
void vault_run_stage_free(struct vault_run_stage *s);

#endif
