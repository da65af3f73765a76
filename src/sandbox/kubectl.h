/* A stand-in for kubectl's port-forward, for tests and for plans that say `via: port-forward`.
 *
 * DIR/bin/kubectl runs `ferryman-sandbox --as-kubectl DIR …`: `port-forward` of a pod (pod/NAME, deployment/NAME,
 * statefulset/NAME or a bare pod name) is done by connecting to the loopback port that stands for the pod's port; every
 * other verb is handed to the real kubectl. Unlike the real one it does not go through the API server. */
#ifndef FERRYMAN_SANDBOX_KUBECTL_H
#define FERRYMAN_SANDBOX_KUBECTL_H

struct sandbox;

/* The program of `ferryman-sandbox --as-kubectl DIR ARG…`; argv[0] is "--as-kubectl". Returns the exit status. */
int kubectl_main(int argc, char **argv);

/* DIR/forward says which loopback address and port stand for which port of which pod. */
void forward_set(struct sandbox *s, const char *ns, const char *pod, unsigned remote, const char *address,
                 unsigned local);
void forward_clear(struct sandbox *s, const char *ns, const char *pod);

extern const struct sandbox_part kubectl_part;

#endif
