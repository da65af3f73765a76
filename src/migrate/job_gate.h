/* Between the loop and a thread that does a job's work: how far it is, and whether it is to go on, to wait or to stop. */
#ifndef FERRYMAN_MIGRATE_JOB_GATE_H
#define FERRYMAN_MIGRATE_JOB_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct job_gate;

struct job_seen {
    int64_t done, total, rows;
    char text[200];
};

struct job_gate *job_gate_new(void);
void job_gate_free(struct job_gate *g); /* when no thread uses it any more */

/* From the thread: says how far it is, waits while paused; false: stop. text NULL: as before. */
bool job_gate_pass(struct job_gate *g, int64_t done, int64_t total, int64_t rows, const char *text);
/* The same as a cipher_watch. */
bool job_gate_watch(void *gate, int64_t done, int64_t total);

/* From the thread: lets that much time pass, unless it is to stop. */
void job_gate_rest(struct job_gate *g, int64_t ns);

/* From the loop. */
void job_gate_stop(struct job_gate *g);
void job_gate_pause(struct job_gate *g, bool paused);
void job_gate_look(struct job_gate *g, struct job_seen *ret);

#endif
