/* The hypervisor's volumes as `lvs --reportformat json` reports them: DIR/bin/lvs-report prints DIR/lvs.json, which the
 * sandbox writes anew when volumes change. Thin volumes of the Proxmox CSI driver's persistent volumes, the pool they
 * lie in, and snapshots made every night at 03:00 (plan time, UTC) of what existed then. */
#ifndef FERRYMAN_SANDBOX_LVM_H
#define FERRYMAN_SANDBOX_LVM_H

struct sandbox_part;
extern const struct sandbox_part lvm_part;

#endif
