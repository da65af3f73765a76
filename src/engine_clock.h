/* The plan clock of a sandbox. A real cluster's plan clock is wall time, and nothing here touches it. */
#ifndef FERRYMAN_ENGINE_CLOCK_H
#define FERRYMAN_ENGINE_CLOCK_H

struct kube_config;

/* Takes the plan clock from the file `clock` beside the kubeconfig, if that is a sandbox's: its server is on 127.0.0.1, and the folder,
 * which is ours alone, has the sandbox's socket. Called once a second: the file is small, and changes when the sandbox is advanced. */
void engine_clock_follow(const struct kube_config *config);

#endif
