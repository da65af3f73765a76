/* Starts the sources that the plan asks for: the one place where plan and sources meet. */
#ifndef FERRYMAN_ENGINE_SOURCES_H
#define FERRYMAN_ENGINE_SOURCES_H

struct engine_sources;
struct kube_client;
struct loop;
struct setup;
struct world;

struct engine_sources *engine_sources_new(struct loop *l, struct world *w, const struct setup *setup);
void engine_sources_free(struct engine_sources *s);
struct kube_client *engine_sources_kube(struct engine_sources *s);
void engine_sources_poke(struct engine_sources *s); /* ask everything again now */
/* Fetches the end of a pod's log into T_LOGS; container NULL: the only or first one. */
void engine_sources_log(struct engine_sources *s, const char *ns, const char *pod, const char *container);

#endif
