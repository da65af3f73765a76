/* TLS, client certificates, server names and HTTP/2 against servers that nobody here wrote: `openssl s_server`, and
 * `nghttpx` in front of the tests' own server. Skipped where the programs are missing. */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "net/http.h"
#include "tests/unit/tiny_http.h"

static const char make_keys[] =
    "set -e\n"
    "openssl ecparam -name prime256v1 -genkey -noout -out ca.key\n"
    "openssl req -x509 -new -key ca.key -subj /CN=test-ca -days 2 -out ca.pem\n"
    "for n in server client; do\n"
    "openssl ecparam -name prime256v1 -genkey -noout -out $n.key\n"
    "openssl req -new -key $n.key -subj /CN=$n -out $n.csr\n"
    "echo subjectAltName=DNS:vault.example > $n.ext\n"
    "openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $n.ext -out $n.pem\n"
    "done\n";

struct world {
    struct loop *loop;
    char dir[64];
    struct buf ca, cert;
    struct secret *key;
    bool ready;
};

static void wait_for(struct world *w, const bool *flag) {
    assert_true(loop_run_until(w->loop, flag, 30000));
}

struct run {
    int status;
    bool done;
    struct buf out;
};

static void run_exit(void *arg, const struct child_exit *x) {
    struct run *r = arg;
    r->status = x->status;
    r->done = true;
}

static bool run_shell(struct world *w, const char *script) {
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct run r = {0};
    struct child *c = NULL;
    assert_null(child_spawn(w->loop, &(struct child_options){.argv = argv, .cwd = w->dir, .on_exit = run_exit,
        .arg = &r}, &c));
    wait_for(w, &r.done);
    child_free(c);
    return r.status == 0;
}

static void read_into(const struct world *w, const char *name, struct buf *ret) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    assert_null(file_read(path, 65536, ret));
}

static int setup(void **state) {
    struct world *w = MEM_NEW(struct world);
    struct buf key = {0};
    snprintf(w->dir, sizeof w->dir, "/tmp/test_http_tls.XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->loop = loop_new();
    *state = w;
    w->ready = run_shell(w, make_keys);
    if (!w->ready)
        return 0;
    read_into(w, "ca.pem", &w->ca);
    read_into(w, "client.pem", &w->cert);
    read_into(w, "client.key", &key);
    w->key = secret_new(key.p, key.len);
    buf_free(&key);
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    run_shell(w, "rm -rf \"$PWD\"");
    buf_free(&w->ca);
    buf_free(&w->cert);
    secret_free(w->key);
    loop_free(w->loop);
    mem_free(w);
    return 0;
}

static unsigned free_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static bool accepts(unsigned port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool yes = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return yes;
}

/* Starts a server with this command line (one %u: its port) and waits until it accepts. */
static struct child *serve(struct world *w, const char *script, unsigned port, struct run *r) {
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct child *c = NULL;
    bool never = false;
    assert_null(child_spawn(w->loop, &(struct child_options){.argv = argv, .cwd = w->dir, .keep_stdin = true,
                                                             .max_output = 1 << 24, .on_exit = run_exit, .arg = r},
                                                                 &c));
    for (int i = 0; i < 500 && !r->done && !accepts(port); i++)
        loop_run_until(w->loop, &never, 20);
    return c;
}

struct seen {
    int status;
    int64_t connect_us;
    bool done, http2, connected;
    char error[400];
};

static void seen_done(void *arg, const struct http_result *r) {
    struct seen *s = arg;
    s->status = r->status;
    s->http2 = r->head.http2;
    s->connect_us = r->connect_us;
    s->connected = r->connected;
    snprintf(s->error, sizeof s->error, "%s", r->error != NULL ? err_text(r->error) : "");
    s->done = true;
}

static struct seen get(struct world *w, struct http_options o) {
    struct seen s = {0};
    o.name = "x";
    struct http *h = http_new(w->loop, &o);
    struct http_request *r = http_start(h, &(struct http_call){.path = "/", .timeout_ms = 10000, .on_done = seen_done,
        .arg = &s});
    wait_for(w, &s.done);
    http_request_free(r);
    http_free(h);
    return s;
}

static void says(const struct seen *s, const char *text) {
    if (strstr(s->error, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", s->error, text);
}

static void test_verification(void **state) {
    struct world *w = *state;
    if (!w->ready)
        skip();
    unsigned port = free_port();
    char script[256], url[64], plain[64];
    struct run r = {0};
    snprintf(script, sizeof script,
        "exec openssl s_server -accept 127.0.0.1:%u -cert server.pem -key server.key -www", port);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", port);
    snprintf(plain, sizeof plain, "http://127.0.0.1:%u", port);
    struct child *server = serve(w, script, port, &r);
    struct seen s = get(w, (struct http_options){.base_url = url, .ca_pem = w->ca.p, .server_name = "vault.example"});
    assert_string_equal(s.error, "");
    assert_int_equal(s.status, 200);
    assert_true(s.connected && s.connect_us > 0);
    s = get(w, (struct http_options){.base_url = url, .ca_pem = w->ca.p});
    says(&s, "set tls-server-name to a name that its certificate has");
    assert_false(s.connected);
    s = get(w, (struct http_options){.base_url = url, .ca_pem = w->ca.p, .server_name = "other.example"});
    says(&s, "set tls-server-name");
    s = get(w, (struct http_options){.base_url = url, .server_name = "vault.example"});
    says(&s, "the server's certificate is not trusted");
    says(&s, "give the CA that signed it as certificate-authority");
    s = get(w, (struct http_options){.base_url = url, .insecure = true});
    assert_string_equal(s.error, "");
    child_free(server);
}

static void test_client_certificate(void **state) {
    struct world *w = *state;
    if (!w->ready)
        skip();
    unsigned port = free_port();
    char script[256], url[64];
    struct run r = {0};
    snprintf(script, sizeof script,
             "exec openssl s_server -accept 127.0.0.1:%u -cert server.pem -key server.key -CAfile ca.pem "
             "-Verify 1 -verify_return_error -www", port);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", port);
    struct child *server = serve(w, script, port, &r);
    struct http_options o = {.base_url = url, .ca_pem = w->ca.p, .server_name = "vault.example"};
    struct seen s = get(w, o);
    says(&s, "certificate required");
    o.client_cert_pem = w->cert.p;
    o.client_key_pem = w->key;
    s = get(w, o);
    assert_string_equal(s.error, "");
    assert_int_equal(s.status, 200);
    struct secret *other = secret_new("rubbish", 7);
    o.client_key_pem = other;
    s = get(w, o);
    says(&s, "client certificate or key unusable");
    secret_free(other);
    child_free(server);
}

static void test_plain_server(void **state) {
    struct world *w = *state;
    struct tiny_http *t = tiny_http_new(w->loop);
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u", tiny_http_port(t));
    tiny_http_greet(t, "HTTP/1.1 400 Bad Request\r\n\r\n");
    struct seen s = get(w, (struct http_options){.base_url = url});
    says(&s, "does not speak TLS: is its scheme http?");
    tiny_http_free(t);
}

/* Many requests started at once share one HTTP/2 connection; after a reset there is a new one. */
static void test_http2_shares_a_connection(void **state) {
    struct world *w = *state;
    if (!w->ready || access("/usr/sbin/nghttpx", X_OK) != 0)
        skip();
    enum { N = 40 };
    struct tiny_http *t = tiny_http_new(w->loop);
    unsigned port = free_port();
    char script[300], url[64];
    struct run run = {0};
    tiny_http_answer(t, "/n", &(struct tiny_answer){.body = "{}", .delay_ms = 20});
    tiny_http_answer(t, "/quiet", &(struct tiny_answer){.fate = TINY_SILENCE});
    snprintf(script, sizeof script,
             "exec /usr/sbin/nghttpx --conf=/dev/null --no-ocsp -f127.0.0.1,%u -b127.0.0.1,%u "
             "--workers=1 server.key server.pem",
             port, tiny_http_port(t));
    snprintf(url, sizeof url, "https://127.0.0.1:%u", port);
    struct child *server = serve(w, script, port, &run);
    struct http *h = http_new(w->loop, &(struct http_options){.base_url = url, .ca_pem = w->ca.p, .name = "x",
                                                             .server_name = "vault.example"});
    struct seen s[N] = {{0}}, quiet = {0}, after = {0};
    struct http_request *r[N];
    int connects = 0;
    for (int i = 0; i < N; i++)
        r[i] = http_start(h, &(struct http_call){.path = "/n", .timeout_ms = 10000, .on_done = seen_done,
            .arg = &s[i]});
    for (int i = 0; i < N; i++) {
        wait_for(w, &s[i].done);
        assert_string_equal(s[i].error, "");
        assert_true(s[i].http2);
        connects += s[i].connect_us > 0;
        http_request_free(r[i]);
    }
    assert_int_equal(connects, 1);
    r[0] = http_start(h, &(struct http_call){.path = "/quiet", .timeout_ms = 200, .on_done = seen_done, .arg = &quiet});
    wait_for(w, &quiet.done);
    says(&quiet, "no answer within 200 ms (TCP accepted by 127.0.0.1:");
    http_reset(h, "no answer");
    r[1] = http_start(h, &(struct http_call){.path = "/n", .timeout_ms = 10000, .on_done = seen_done, .arg = &after});
    wait_for(w, &after.done);
    assert_string_equal(after.error, "");
    assert_true(after.connect_us > 0);
    http_request_free(r[0]);
    http_request_free(r[1]);
    http_free(h);
    child_free(server);
    tiny_http_free(t);
}

#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TLS_TEST(test_verification),
        TLS_TEST(test_client_certificate),
        TLS_TEST(test_plain_server),
        TLS_TEST(test_http2_shares_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
