#include "migrate/dump_fact.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "migrate/run.h"

struct name {
    char text[64];
};

static struct name full(const char *prefix, const char *name) {
    struct name n;
    snprintf(n.text, sizeof n.text, "%sdump.%s", dump_fact_rehearsal(prefix) ? "rehearse." : "", name);
    return n;
}

bool dump_fact_rehearsal(const char *prefix) {
    return prefix && str_starts(prefix, "rehears");
}

void dump_fact_set(struct run *r, const char *prefix, const char *name, const char *value) {
    struct name n = full(prefix, name);
    run_set(r, n.text, value ? value : "");
}

void dump_fact_set_int(struct run *r, const char *prefix, const char *name, int64_t value) {
    struct name n = full(prefix, name);
    run_set_int(r, n.text, value);
}

void dump_fact_set_json(struct run *r, const char *prefix, const char *name, const struct json_t *value) {
    struct name n = full(prefix, name);
    run_set_json(r, n.text, value);
}

const char *dump_fact(const struct run *r, const char *prefix, const char *name) {
    struct name n = full(prefix, name);
    return run_fact(r, n.text);
}

struct json_t *dump_fact_json(const struct run *r, const char *prefix, const char *name) {
    struct name n = full(prefix, name);
    return run_fact_json(r, n.text);
}

void dump_fact_clear(struct run *r, const char *prefix) {
    static const char *const names[] = {"file", "sha256", "bytes", "rows", "at", "strategy", "seconds", "server", "identifier", "proved_at"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (dump_fact(r, prefix, names[i])) dump_fact_set(r, prefix, names[i], "");
}
