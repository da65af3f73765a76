#include "migrate/intent.h"

#include <string.h>

#include "base/json_reader.h"
#include "base/mem.h"
#include "base/secret.h"

static char **member(struct intent *in, struct slice key) {
    const struct {
        const char *name;
        char **at;
    } members[] = {
        {"verb", &in->verb},     {"workload", &in->workload}, {"phase", &in->phase}, {"dialog", &in->dialog},
        {"typed", &in->typed},   {"reason", &in->reason},     {"text", &in->text},   {"gate", &in->gate},
        {"ns", &in->ns},         {"pod", &in->pod},           {"container", &in->container},
    };
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (slice_is(key, members[i].name)) return members[i].at;
    return NULL;
}

struct err *intent_parse(struct slice line, struct intent *ret) {
    struct intent in = {0};
    struct json_reader r;
    struct slice key;
    json_reader_init(&r, line.p, line.n);
    if (json_enter_object(&r)) {
        while (json_next_key(&r, &key)) {
            char **at = member(&in, key);
            if (!at) {
                json_skip(&r);
                continue;
            }
            mem_free(*at);
            *at = slice_dup(json_string(&r));
        }
    }
    struct err *e = json_finish(&r, "an intent");
    json_reader_free(&r);
    if (e) intent_clear(&in);
    else *ret = in;
    return e;
}

void intent_clear(struct intent *in) {
    if (in->typed) secret_wipe(in->typed, strlen(in->typed));
    mem_free(in->verb);
    mem_free(in->workload);
    mem_free(in->phase);
    mem_free(in->dialog);
    mem_free(in->typed);
    mem_free(in->reason);
    mem_free(in->text);
    mem_free(in->gate);
    mem_free(in->ns);
    mem_free(in->pod);
    mem_free(in->container);
    *in = (struct intent){0};
}
