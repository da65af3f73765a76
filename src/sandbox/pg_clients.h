/* The database's clients: pods that hold real connections to it, each from its own address, so that pg_stat_activity
 * tells owners. The application's pods keep sessions (and come back when these are ended, as a pool does); a backup
 * job's pod has one while it works; the scenario pg-superuser-writer brings a pod of its own, which makes itself
 * read-write. */
#ifndef FERRYMAN_SANDBOX_PG_CLIENTS_H
#define FERRYMAN_SANDBOX_PG_CLIENTS_H

struct http_request;
struct sandbox;

extern const struct sandbox_part pg_clients_part;

/* Asks the database by way of a ready pod of the application and answers: ok(r) when a row has come, failed(r) when none
 * came within 3 s. Takes the request over. */
void pg_clients_ask(struct sandbox *s, struct http_request *r, void (*ok)(struct http_request *r),
                    void (*failed)(struct http_request *r));

#endif
