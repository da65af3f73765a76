#include "migrate/job_gate.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

struct job_gate {
    pthread_mutex_t lock; /* all of it */
    pthread_cond_t changed;
    bool stop, paused;
    struct job_seen seen;
};

struct job_gate *job_gate_new(void) {
    struct job_gate *g = MEM_NEW(struct job_gate);
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return g;
}

void job_gate_free(struct job_gate *g) {
    if (!g) return;
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

bool job_gate_pass(struct job_gate *g, int64_t done, int64_t total, int64_t rows, const char *text) {
    pthread_mutex_lock(&g->lock);
    g->seen.done = done;
    g->seen.total = total;
    g->seen.rows = rows;
    if (text) str_copy(g->seen.text, sizeof g->seen.text, text);
    while (g->paused && !g->stop) pthread_cond_wait(&g->changed, &g->lock);
    bool go_on = !g->stop;
    pthread_mutex_unlock(&g->lock);
    return go_on;
}

bool job_gate_watch(void *gate, int64_t done, int64_t total) {
    return job_gate_pass(gate, done, total, 0, NULL);
}

void job_gate_rest(struct job_gate *g, int64_t ns) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    ns += until.tv_nsec;
    until.tv_sec += (time_t)(ns / CLOCK_NS_PER_S);
    until.tv_nsec = (long)(ns % CLOCK_NS_PER_S);
    pthread_mutex_lock(&g->lock);
    while (!g->stop && pthread_cond_timedwait(&g->changed, &g->lock, &until) == 0) continue;
    pthread_mutex_unlock(&g->lock);
}

static void set(struct job_gate *g, bool *flag, bool value) {
    pthread_mutex_lock(&g->lock);
    *flag = value;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

void job_gate_stop(struct job_gate *g) {
    set(g, &g->stop, true);
}

void job_gate_pause(struct job_gate *g, bool paused) {
    set(g, &g->paused, paused);
}

void job_gate_look(struct job_gate *g, struct job_seen *ret) {
    pthread_mutex_lock(&g->lock);
    *ret = g->seen;
    pthread_mutex_unlock(&g->lock);
}
