/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All packs of a repository together: where is a record, and what are its bytes.
 *
 * Packs never change, and their names are never used again. What another process adds after the
 * store was opened is found by looking again when something is missing.
 *
 * Threading: finding, locating and pread may be done from several threads at once.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/midxfile.h"
#include "store/packfile.h"
#include "store/packsource.h"

struct vmscm_store;

/* repo_dir: the repository. Only packs that no multi-pack index lists are looked at; others when
 * something in them is asked for. A damaged pack does not stop it from opening: what is in it is
 * missing, and vmscm_store_damage tells. */
int vmscm_store_open(struct vmscm_store **out, const char *repo_dir, struct vmscm_error *err);
void vmscm_store_close(struct vmscm_store *store); /* NULL is fine */

/* From now on, records are read from there and not from the packs' files; before anything is read. source
 * outlives the store. */
void vmscm_store_read_from(struct vmscm_store *store, const struct vmscm_packsource *source);

/* Look at every pack, so that all damage is known; damaged packs are listed no longer. */
int vmscm_store_examine(struct vmscm_store *store, struct vmscm_error *err);

/* each(data, file, why) for every pack or index that could not be opened, as far as is known. */
void vmscm_store_damage(struct vmscm_store *store,
    void (*each)(void *data, const char *file, const struct vmscm_error *why), void *data);

/* Whether a record is there, and what its pack's index says, whose checksum was compared. Marks the
 * pack as relied on. */
bool vmscm_store_find(struct vmscm_store *store, struct vmscm_pack_entry *entry,
    const struct vmscm_id *id);

/* Look at the directory again; *changed: packs came or went. */
int vmscm_store_reload(struct vmscm_store *store, bool *changed, struct vmscm_error *err);

/* Add a pack just written by this process, by its file name. Once there are many without one, a
 * multi-pack index is written. */
int vmscm_store_add(struct vmscm_store *store, const char *file, struct vmscm_error *err);

/* VMSCM_EBUSY if a pack that was relied on is no longer there: what was found in it must be
 * looked for anew. Ends with the directory of packs fsynced. */
int vmscm_store_confirm(struct vmscm_store *store, struct vmscm_error *err);

/* Write a multi-pack index if enough packs are without one. Skipped quietly if another process is at
 * it. */
int vmscm_store_reindex(struct vmscm_store *store, struct vmscm_error *err);

/* Remove multi-pack indexes that were never finished. Skipped quietly if another process is at
 * them. */
int vmscm_store_sweep(struct vmscm_store *store, struct vmscm_error *err);

/* The nth place (from 0) where a record is said to be, best first; NULL when there are no more. A
 * place may come twice. */
struct vmscm_packfile *vmscm_store_locate(struct vmscm_store *store,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, size_t nth);

/* The same in trash/, where a pack may be whose reader was overtaken by garbage collection. Only for
 * reading: nothing new may rely on what is there. */
struct vmscm_packfile *vmscm_store_locate_trash(struct vmscm_store *store,
    struct vmscm_pack_entry *entry, const struct vmscm_id *id, size_t nth);

/* Pin a pack: its index stays mapped. VMSCM_ENOTFOUND: it is gone. */
int vmscm_store_pin(struct vmscm_store *store, struct vmscm_packfile *pack,
    struct vmscm_error *err);
void vmscm_store_unpin(struct vmscm_store *store, struct vmscm_packfile *pack);

/* What is had elsewhere: elsewhere.h, whose own this is, and which is freed with the store. */
struct vmscm_partial;
struct vmscm_partial *vmscm_store_partial(const struct vmscm_store *store);
void vmscm_store_set_partial(struct vmscm_store *store, struct vmscm_partial *partial);
const char *vmscm_store_dir(const struct vmscm_store *store); /* the repository's */

/* The packs, in an array for the caller to free; they themselves live as long as the store. */
int vmscm_store_list(struct vmscm_store *store, struct vmscm_packfile ***out, size_t *count,
    struct vmscm_error *err);

/* The same one by one, while nobody else uses the store. */
size_t vmscm_store_pack_count(const struct vmscm_store *store);
struct vmscm_packfile *vmscm_store_pack(const struct vmscm_store *store, size_t n);
size_t vmscm_store_midx_count(const struct vmscm_store *store);
struct vmscm_midxfile *vmscm_store_midx(const struct vmscm_store *store, size_t n);

/* Keep no file open that was seen to be gone: until then its space is not free. For who removes packs;
 * a reader may be using one. */
void vmscm_store_close_gone(struct vmscm_store *store);

/* The size of a pack's file. VMSCM_ENOTFOUND: it is gone. */
int vmscm_store_bytes(struct vmscm_store *store, const struct vmscm_packfile *pack,
    uint64_t *bytes, struct vmscm_error *err);

/* Bytes of a pack file at offset, through the store's bounded pool of descriptors. */
int vmscm_store_pread(struct vmscm_store *store, struct vmscm_packfile *pack, void *data,
    size_t len, uint64_t offset, struct vmscm_error *err);

/* The same, for what is read once and large: see vmscm_direct_pread_once. */
int vmscm_store_pread_once(struct vmscm_store *store, struct vmscm_packfile *pack,
    const uint8_t **data, uint8_t *memory, size_t len, uint64_t offset, struct vmscm_error *err);

#endif
