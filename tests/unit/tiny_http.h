/* A small HTTP/1.1 server on the tests' own loop, with canned answers and every way an answer can go wrong.
 *
 * Answers wait in a queue for each path (without the query; "*" is for every path that has no queue); the last answer
 * of a queue stays for ever. A path without an answer gets 404. Requests are recorded. */
#ifndef FERRYMAN_TESTS_TINY_HTTP_H
#define FERRYMAN_TESTS_TINY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct tiny_http;

enum tiny_framing {
    TINY_LENGTH,  /* Content-Length */
    TINY_CHUNKED, /* chunks of up to 1000 bytes */
    TINY_CLOSE,   /* the end of the connection ends the body */
};

enum tiny_fate {
    TINY_COMPLETE,
    TINY_SILENCE,   /* accepts, reads, never answers */
    TINY_STALLED,   /* head and half of the body, then nothing */
    TINY_TRUNCATED, /* head and half of the body, then end of file */
    TINY_RESET,     /* a TCP reset instead of an answer */
    TINY_RESET_MIDDLE, /* head and half of the body, then a TCP reset */
    TINY_OPEN,      /* a chunked body that stays open: tiny_http_push, tiny_http_end */
    TINY_HANG_UP,   /* end of file instead of an answer */
};

/* Copied when queued. Zero-initialised is "200, no body". */
struct tiny_answer {
    int status;            /* 0: 200 */
    const char *headers;   /* further lines, each with \r\n; Content-Type: application/json unless one is given */
    const char *body;
    size_t body_len;       /* 0: strlen(body) */
    enum tiny_framing framing;
    enum tiny_fate fate;
    int64_t delay_ms;      /* before the first byte */
    size_t fragment;       /* bytes a write, each in a turn of its own; 0: all at once */
    int64_t fragment_ms;   /* between two fragments */
    const char *raw;       /* these bytes instead of head and body */
};

struct tiny_request {
    char *method;
    char *target; /* with the query */
    char *path;   /* without */
    char *head;   /* all header lines */
    char *body;
};

struct tiny_http *tiny_http_new(struct loop *l);
void tiny_http_free(struct tiny_http *t);
unsigned tiny_http_port(const struct tiny_http *t);
/* "http://127.0.0.1:PORT" */
const char *tiny_http_url(const struct tiny_http *t);

void tiny_http_answer(struct tiny_http *t, const char *path, const struct tiny_answer *a);
/* "200 application/json" with this body. */
void tiny_http_json(struct tiny_http *t, const char *path, const char *json);
/* Asked before the queues; returns false to leave the request to them. The answer's texts are used before
 * the next request. */
void tiny_http_handler(struct tiny_http *t,
                       bool (*fn)(void *arg, const struct tiny_request *rq, struct tiny_answer *ret), void *arg);

/* Bytes that every new connection is greeted with, whatever it asks. */
void tiny_http_greet(struct tiny_http *t, const char *bytes);

/* One more chunk for every open stream of the path; returns how many there are. */
int tiny_http_push(struct tiny_http *t, const char *path, const char *text);
/* Ends the open streams of the path cleanly; their connections go on. */
void tiny_http_end(struct tiny_http *t, const char *path);
/* Resets every connection. */
void tiny_http_drop(struct tiny_http *t);

int tiny_http_count(const struct tiny_http *t);                               /* requests so far */
const struct tiny_request *tiny_http_request(const struct tiny_http *t, int i); /* i < 0 counts from the end */
/* Whether the head has this line ("Name: value"), the name in any case. */
bool tiny_request_has(const struct tiny_request *rq, const char *line);
int tiny_http_accepted(const struct tiny_http *t);    /* connections so far */
int tiny_http_connections(const struct tiny_http *t); /* open now */

#endif
