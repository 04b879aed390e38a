/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether KVM is tried: what it did on this machine is remembered till it is booted again. */
#ifndef KVM_H
#define KVM_H

/* False where there is none, LIBGUESTFS_BACKEND_SETTINGS says force_tcg, or it was noted not to
 * work. */
int kvm_is_worth_it(void);
/* It does not work here. */
void kvm_note(void);

#endif
