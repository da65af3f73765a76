/* Three Vault (or OpenBao) nodes as a state machine: no I/O, no clock of its own. Time is given (`now`, milliseconds of
 * any one clock, never going back).
 *
 * What it is true to: a node takes part only while its pod runs, it has joined and it is unsealed;
 * nothing is decided without a majority of the configured voters; a wiped node with the same id is a voter at once but
 * holds nothing until it has caught up, and cannot join without a leader, so a majority that is wiped is lost for good;
 * a hung leader goes on being leader (its heartbeats do not hang), nobody else is elected and nothing can be written; a
 * leader that steps down hands over to the most current follower and keeps out of the next election for 10 s; standbys
 * go on naming a leader that is gone until there is a new one.
 *
 * A peer is known by its address, one per node here, and has an id. Where ids lie on the volume (not stable), a wiped
 * node comes with another one: the old peer is removed, the new one begins as a non-voter. A node whose volume is of
 * another id than the configuration names takes what it is sent, but is never elected. A node that cannot open its
 * audit device cannot become active: elected, it gives up again. */
#ifndef FERRYMAN_SANDBOX_VAULT_CLUSTER_H
#define FERRYMAN_SANDBOX_VAULT_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_NODES 3
#define VAULT_NONE (-1)

#define VAULT_JOIN_MS 700           /* until a new node has fetched the challenge */
#define VAULT_UNSEAL_MS 1000        /* until the auto-unsealer has come by */
#define VAULT_INSTALL_MS 1500       /* until the snapshot is installed */
#define VAULT_CATCH_UP_PER_S 20000  /* entries */
#define VAULT_ELECTION_MS 6000      /* after heartbeats stopped */
#define VAULT_TRANSFER_MS 800       /* hand-over of a leader that steps down */
#define VAULT_STEP_DOWN_BAN_MS 10000
#define VAULT_LEASE_MS 2500         /* a leader without a majority gives up */
#define VAULT_WRITE_EVERY_MS 45000  /* entries of its own accord, one each */
#define VAULT_ECHO_MS 5000
#define VAULT_STABILIZE_MS 10000    /* non-voter to voter */
#define VAULT_GIVE_UP_MS 3000      /* a node that could not become active keeps out so long */
#define VAULT_ID_SIZE 40
#define VAULT_MAX_TRAILING 1000     /* autopilot: a follower further behind is not healthy */

enum vault_stage {
    VAULT_DOWN,    /* no pod */
    VAULT_NEW,     /* empty storage, looks for a leader: not initialised (501) */
    VAULT_SEALED,  /* initialised, waits for the unsealer (503) */
    VAULT_INSTALL, /* unsealed, receives the snapshot */
    VAULT_RUNS,    /* takes part */
    VAULT_REMOVED, /* Vault >= 1.19: has seen itself removed; for good until wiped (530) */
};

struct vault_node {
    enum vault_stage stage;
    int64_t stage_since;    /* when the stage began */
    int64_t started;        /* when the pod did */
    bool hung;              /* accepts connections and answers nothing */
    bool hold_sealed;       /* the unsealer does not come */
    bool lagging;           /* applies nothing more */
    bool data;              /* its storage holds something */
    bool in_config, voter;
    bool was_removed;       /* by remove-peer, since it last joined */
    bool removed_data;      /* its storage says that it was removed */
    bool audit_broken;      /* cannot open its audit device */
    char id[VAULT_ID_SIZE]; /* in the configuration */
    char own_id[VAULT_ID_SIZE]; /* on its storage */
    int64_t applied;
    int64_t banned_until;   /* from being elected */
    int64_t stable_since;   /* healthy, as autopilot counts */
    int64_t last_echo;      /* when the leader last heard of it */
    int64_t last_echo_index;
    int64_t catch_up_at;    /* when it was last moved on */
    int known_leader;       /* whom it would name; VAULT_NONE */
};

struct vault_cluster {
    struct vault_node node[VAULT_NODES];
    bool removed_checker;   /* Vault >= 1.19 */
    bool remove_next;       /* the next node that joins meets its own removal in the log */
    bool never_active;      /* whoever is elected does not become active, and does not give up */
    bool stalled;           /* the active node's storage: nothing is written, all else goes on */
    int leader;             /* who is active; VAULT_NONE: nobody */
    int raft_leader;        /* elected, but not active; VAULT_NONE: nobody */
    int gave_up;            /* who was elected last and could not become active; VAULT_NONE: nobody */
    int64_t active_since;   /* unit of `now` */
    int64_t term, index;    /* of the last committed entry */
    int64_t election_at;    /* 0: none is due */
    int64_t minority_since; /* the leader has had no majority since; 0: it has */
    int64_t next_write;
    int64_t now;
};

/* All three run, `leader` leads since `active_since`, at that index. */
void vault_cluster_init(struct vault_cluster *c, int64_t now, int leader, int64_t active_since, int64_t index);
/* Moves time on; everything that is due happens. */
void vault_cluster_tick(struct vault_cluster *c, int64_t now);

/* All its times are later by that much: it goes on from a saved one. */
void vault_cluster_shift(struct vault_cluster *c, int64_t ms);

/* Which id its storage has: before vault_cluster_start. A fresh one has what it would make up. */
void vault_cluster_own_id(struct vault_cluster *c, int node, const char *id);
/* Its peer's id, and its storage's, are these from now on. */
void vault_cluster_rename(struct vault_cluster *c, int node, const char *id);
/* The pod's process starts, with empty storage or with what it held (applied index `applied`). */
void vault_cluster_start(struct vault_cluster *c, int node, bool fresh, int64_t applied);
/* The process ends. A leader that ends gracefully hands over. */
void vault_cluster_stop(struct vault_cluster *c, int node, bool graceful);
void vault_cluster_hang(struct vault_cluster *c, int node, bool hung);
/* Sealed by hand, and the unsealer kept away; or let in again. */
void vault_cluster_seal(struct vault_cluster *c, int node, bool sealed);
void vault_cluster_lag(struct vault_cluster *c, int node, bool lagging);
/* The leader gives up for the sake of `to` (VAULT_NONE: the most current). Nothing happens if that one is not level. */
void vault_cluster_step_down(struct vault_cluster *c, int to);
void vault_cluster_remove_peer(struct vault_cluster *c, int node);
/* One more entry. False: there is no leader with a majority, or it hangs. */
bool vault_cluster_write(struct vault_cluster *c);

/* Whether it takes part: runs, joined, unsealed. */
bool vault_node_takes_part(const struct vault_cluster *c, int node);
/* Voters in the configuration, and how many of them take part. */
int vault_cluster_voters(const struct vault_cluster *c);
int vault_cluster_present(const struct vault_cluster *c);
bool vault_cluster_has_quorum(const struct vault_cluster *c);
/* So few voters hold data that there can never be a majority again, unless volumes of before come back. */
bool vault_cluster_is_lost(const struct vault_cluster *c);
/* Autopilot's judgement, as the leader sees it. */
bool vault_node_healthy(const struct vault_cluster *c, int node);
int vault_cluster_tolerance(const struct vault_cluster *c);

#endif
