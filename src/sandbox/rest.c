/* See rest.h. */
#include "sandbox/rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/http_server.h"
#include "sandbox/sandbox.h"
#include "sandbox/save.h"

struct rest *rest_of(struct sandbox *s)
{
    if (!s->rest) {
        s->rest = MEM_NEW(struct rest);
        const struct json_t *saved = sandbox_saved(s, "postgres");
        s->rest->pg_password = saved ? mem_strdup(jd_str(saved, "password")) : rest_random_hex(12);
        char *secret = rest_random_hex(12);
        s->rest->vault_token = saved ? mem_strdup(jd_str(saved, "vault_token")) : str_printf("hvs.%s", secret);
        mem_free(secret);
    }
    return s->rest;
}

void rest_free(struct sandbox *s)
{
    struct rest *r = s->rest;
    if (!r || r->pg || r->pg_clients || r->vault || r->alerts || r->apps || r->lvm || r->forward)
        return;
    mem_free(r->pg_password);
    mem_free(r->vault_token);
    mem_free(r);
    s->rest = NULL;
}

const char *rest_pg_password(struct sandbox *s)
{
    return rest_of(s)->pg_password;
}

const char *rest_vault_token(struct sandbox *s)
{
    return rest_of(s)->vault_token;
}

void rest_new_vault_token(struct sandbox *s)
{
    char *secret = rest_random_hex(12);
    mem_free(s->rest->vault_token);
    s->rest->vault_token = str_printf("hvs.%s", secret);
    mem_free(secret);
}

char *rest_random_hex(size_t n)
{
    struct buf out = {0};
    FILE *f = fopen("/dev/urandom", "rb");
    for (size_t i = 0; i < n; i++)
        buf_printf(&out, "%02x", (unsigned)(f ? fgetc(f) : 0) & 0xffU);
    if (f)
        fclose(f);
    return buf_steal(&out);
}

struct err *rest_write(struct sandbox *s, const char *name, const char *text, unsigned mode)
{
    char *path = str_printf("%s/%s", s->dir, name);
    struct err *e = file_write_durable(path, text, strlen(text), mode);
    mem_free(path);
    return e;
}

void rest_reply(struct http_request *r, unsigned status, struct json_t *doc)
{
    struct buf out = {0};
    jd_dump(doc, &out);
    buf_addc(&out, '\n');
    http_reply(r, status, "application/json", out.p, out.len);
    buf_free(&out);
    jd_free(doc);
}

struct json_t *rest_time(int64_t unix_ms, int digits)
{
    char whole[32];
    clock_format_utc(unix_ms, whole, sizeof whole);
    whole[strcspn(whole, "Z")] = '\0';
    char text[64];
    if (digits <= 0)
        snprintf(text, sizeof text, "%sZ", whole);
    else
        snprintf(text, sizeof text, "%s.%03d%.*sZ", whole, (int)(((unix_ms % 1000) + 1000) % 1000),
                 digits > 3 ? digits - 3 : 0, "000000");
    return jd_string(text);
}
