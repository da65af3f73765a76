/* Who the server says we are: SelfSubjectReview (authentication.k8s.io/v1, since 1.28). A server without it, or one
 * that does not let us ask, leaves what we know ourselves: the client certificate's subject. */
#include <string.h>

#include "base/buf.h"
#include "base/json_reader.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/x509.h"
#include "client/kube_client_private.h"
#include "client/kube_config.h"
#include "client/kube_credentials.h"
#include "net/http.h"

static const char review_path[] = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
static const char review_body[] = "{\"kind\":\"SelfSubjectReview\",\"apiVersion\":\"authentication.k8s.io/v1\"}";

struct kube_identity {
    struct kube_client *client;
    struct kube_request *request;
    bool known;
    unsigned generation; /* of the credentials that `known` or the request is about */
};

struct kube_identity *kube_identity_new(struct kube_client *c)
{
    struct kube_identity *id = MEM_NEW(struct kube_identity);
    id->client = c;
    return id;
}

void kube_identity_free(struct kube_identity *id)
{
    if (!id)
        return;
    kube_request_free(id->request);
    mem_free(id);
}

static void tell(struct kube_identity *id, const char *user, const char *groups)
{
    struct kube_auth auth;
    const struct err *e;
    struct kube_client *c = id->client;
    bool ready = kube_credentials_get(c->credentials, &auth, &e) == KUBE_AUTH_READY;
    id->known = true;
    c->ev.on_identity(c->arg, user, groups, ready ? auth.method : "", ready ? auth.expires_ms : 0);
}

/* "a, b", cleaned. */
static void read_groups(struct json_reader *j, struct buf *groups)
{
    if (!json_enter_array(j))
        return;
    while (json_next_item(j)) {
        if (groups->len > 0)
            buf_adds(groups, ", ");
        struct slice group = json_string(j);
        if (group.p)
            utf8_clean(groups, group);
    }
}

static void read_user(struct json_reader *j, struct buf *user, struct buf *groups)
{
    struct slice key;
    if (!json_enter_object(j))
        return;
    while (json_next_key(j, &key)) {
        if (slice_is(key, "username")) {
            struct slice name = json_string(j);
            if (name.p)
                utf8_clean(user, name);
        } else if (slice_is(key, "groups")) {
            read_groups(j, groups);
        } else {
            json_skip(j);
        }
    }
}

/* status.userInfo of a SelfSubjectReview. */
static void read_review(struct slice body, struct buf *user, struct buf *groups)
{
    struct json_reader j;
    struct slice key;
    json_reader_init(&j, body.p ? body.p : "", body.n);
    if (json_enter_object(&j))
        while (json_next_key(&j, &key)) {
            if (!slice_is(key, "status")) {
                json_skip(&j);
                continue;
            }
            if (json_enter_object(&j))
                while (json_next_key(&j, &key)) {
                    if (slice_is(key, "userInfo"))
                        read_user(&j, user, groups);
                    else
                        json_skip(&j);
                }
        }
    json_reader_free(&j);
}

/* The certificate's subject is what the server takes for user and groups. Else the user is unknown: "". */
static void tell_ourselves(struct kube_identity *id)
{
    struct kube_auth auth;
    const struct err *e;
    struct x509_info info;
    bool ready = kube_credentials_get(id->client->credentials, &auth, &e) == KUBE_AUTH_READY;
    if (ready && !auth.bearer && auth.cert_pem && x509_read(auth.cert_pem, strlen(auth.cert_pem), &info)) {
        tell(id, info.common_name, info.organizations);
        x509_info_free(&info);
    } else {
        tell(id, "", "");
    }
}

static void review_done(void *arg, const struct http_result *r, const struct err *e)
{
    struct kube_identity *id = arg;
    struct buf user = {0}, groups = {0};
    kube_request_free(id->request);
    id->request = NULL;
    if (!e)
        read_review(buf_slice(r->body), &user, &groups);
    if (user.len > 0)
        tell(id, buf_str(&user), buf_str(&groups));
    else if (!e || r->status == 403 || r->status == 404 || r->status == 405)
        tell_ourselves(id);
    buf_free(&user);
    buf_free(&groups);
}

void kube_identity_check(struct kube_identity *id)
{
    struct kube_auth auth;
    const struct err *e;
    struct kube_client *c = id->client;
    if (!c->ev.on_identity || id->request || kube_credentials_get(c->credentials, &auth, &e) != KUBE_AUTH_READY ||
        (id->known && id->generation == auth.generation))
        return;
    id->generation = auth.generation;
    id->known = false;
    struct kube_call call = {
        .method = "POST",
        .path = review_path,
        .body = review_body,
        .max_body = 256 * 1024,
        .on_done = review_done,
        .arg = id,
    };
    id->request = kube_start(c, &call);
}
