#include "base/failpoint.h"

#ifdef FERRYMAN_FAILPOINTS

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* Every point of the program. */
static const char *const points[] = {
    "journal.before", /* an act or outcome is about to be written; number: its seq */
    "journal.after",  /* it is durable, nobody knows yet */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool ready;
static char wanted[64];
static int64_t count, number_wanted, passes; /* count 0: number_wanted counts */

static bool point_exists(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        if (str_eq(points[i], name)) return true;
    return false;
}

/* Reads the variable; what cannot be understood is told, and then no point ends the program. */
static void read_wish(void) {
    const char *wish = getenv("FERRYMAN_FAILPOINT");
    ready = true;
    if (!wish || !*wish) return;
    size_t n = strcspn(wish, ":@");
    struct slice rest = slice_of(wish[n] ? wish + n + 1 : "1");
    int64_t value = 0;
    snprintf(wanted, sizeof wanted, "%.*s", (int)n, wish);
    if (!point_exists(wanted) || !slice_to_i64(rest, &value) || value < 1) {
        fprintf(stderr, "ferryman: FERRYMAN_FAILPOINT=%s: no such point, or no number; it ends nothing\n", wish);
        wanted[0] = '\0';
    } else if (wish[n] == '@') number_wanted = value;
    else count = value;
}

void failpoint_at(const char *name, int64_t number) {
    pthread_mutex_lock(&lock);
    if (!ready) read_wish();
    bool hit = wanted[0] && str_eq(name, wanted);
    if (hit) {
        passes++;
        hit = count ? passes == count : number == number_wanted;
    }
    if (hit) {
        kill(getpid(), SIGKILL);
        for (;;) pause(); /* nothing more is done, and the lock stays taken, until the signal has come */
    }
    pthread_mutex_unlock(&lock);
}

#else

typedef int failpoint_without_points; /* a translation unit may not be empty */

#endif
