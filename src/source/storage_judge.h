/* What a volume or a storage class is, judged from evidence: is it NFS, is it encrypted. Pure.
 *
 * The order of trust: what the volume's own spec says; what its class said when it was made; the annotation of a claim.
 * Encryption is three-valued. A stage secret says something only where the driver gives it that one meaning: Ceph's is
 * there for plain volumes too. What cannot be seen through the API (a directory that lies on NFS, an image file on a
 * shared store) is unknown, not fine. */
#ifndef FERRYMAN_SOURCE_STORAGE_JUDGE_H
#define FERRYMAN_SOURCE_STORAGE_JUDGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

struct kube_class;
struct kube_volume;

enum storage_backend { STORAGE_UNKNOWN, STORAGE_NFS, STORAGE_BLOCK };
enum storage_encryption { ENCRYPTION_UNKNOWN, ENCRYPTION_PLAIN, ENCRYPTION_DECLARED };

struct storage_verdict {
    enum storage_backend backend;
    enum storage_encryption encryption;
};

/* Evidence is appended in words, clean. */
struct storage_verdict storage_judge_volume(const struct kube_volume *v, struct buf *evidence);
struct storage_verdict storage_judge_class(const struct kube_class *c, struct buf *evidence);
/* By the name of the provisioner alone. */
struct storage_verdict storage_judge_provisioner(struct slice provisioner);

const char *storage_backend_name(enum storage_backend b);       /* "nfs", "block", "unknown" */
const char *storage_encryption_name(enum storage_encryption e); /* "declared", "plain", "unknown" */
/* The reverse of the names above; what they do not name is unknown. */
enum storage_backend storage_backend_by_name(struct slice s);
enum storage_encryption storage_encryption_by_name(struct slice s);
/* "NFS 10.0.0.5", "LUKS declared", "block plain", "block unknown", "unknown": driver says what kind of encryption it
 * would be; server may be absent. */
void storage_text(struct buf *out, struct storage_verdict v, struct slice driver, struct slice server);

#endif
