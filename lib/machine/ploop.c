/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "machine/ploop.h"
#include "base/str.h"
#include "machine/hint.h"
#include "machine/model.h"
#include "machine/xml.h"
#include "machine/xmltext.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECTOR 512u
#define SECTORS_MAX (UINT64_C(1) << 53)
#define NODES_MAX 4096 /* images, and shots */
#define FILE_MAX 4095
#define NO_PARENT "{00000000-0000-0000-0000-000000000000}"
#define TOP "{5fbaabe3-6958-40ff-92a7-860e329aab41}" /* what is on top where nothing is said */

static int bad(const char *what, struct vmscm_error *err)
{
    return vmscm_error_set(err, VMSCM_EINPUT, "disk descriptor: %s", what);
}

/* Of the child of that name; fallback if there is none. */
static int get_number(uint64_t *out, const xmlNode *parent, const char *name, uint64_t fallback,
    struct vmscm_error *err)
{
    char *text = NULL;
    int rc = vmscm_xml_get(&text, vmscm_xml_child(parent, name), NULL, err);

    *out = fallback;
    if (!rc && text && !vmscm_str_uint(out, text, 0, SECTORS_MAX))
        rc = vmscm_error_set(
            err, VMSCM_EINPUT, "disk descriptor: %s: %.60s: out of range", name, text);
    free(text);
    return rc;
}

static int read_parameters(struct vmscm_ploop *p, const xmlNode *n, struct vmscm_error *err)
{
    uint64_t sectors, cylinders, heads, per_track, logical, padding;
    char *engine = NULL;
    bool encrypted;
    int rc;

    if ((rc = get_number(&sectors, n, "Disk_size", 0, err)) ||
        (rc = get_number(&cylinders, n, "Cylinders", 0, err)) ||
        (rc = get_number(&heads, n, "Heads", 0, err)) ||
        (rc = get_number(&per_track, n, "Sectors", 0, err)) ||
        (rc = get_number(&logical, n, "LogicSectorSize", SECTOR, err)) ||
        (rc = get_number(&padding, n, "Padding", 0, err)) ||
        (rc = vmscm_xml_get(
             &engine, vmscm_xml_child(vmscm_xml_child(n, "Encryption"), "Engine"), NULL, err)))
        return rc;
    encrypted = engine && strcmp(engine, NO_PARENT) != 0;
    free(engine);
    if (!sectors)
        return bad("a disk of no size", err);
    /* The last cylinder need not be a whole one. */
    if (cylinders && heads && per_track &&
        (heads > 65535 || per_track > 65535 || cylinders > SECTORS_MAX / (heads * per_track) ||
            cylinders * heads * per_track > sectors ||
            sectors - cylinders * heads * per_track >= heads * per_track))
        return bad("its geometry is not its size", err);
    if (padding || logical != SECTOR || encrypted)
        return vmscm_error_set(err, VMSCM_EUNSUPPORTED, "disk descriptor: %s not supported",
            padding     ? "padding is"
            : encrypted ? "encryption is"
                        : "sectors of other than 512 bytes are");
    p->size = sectors * SECTOR;
    return 0;
}

/* The element of that name among the parent's whose GUID is this; NULL: there is none. */
static const xmlNode *find(const xmlNode *parent, const char *name, const char *guid)
{
    unsigned seen = 0;

    for (const xmlNode *n = parent ? parent->children : NULL; n && seen < NODES_MAX; n = n->next) {
        char *text = NULL;
        bool same;
        if (!vmscm_xml_is(n, name))
            continue;
        seen++;
        same = !vmscm_xml_get(&text, vmscm_xml_child(n, "GUID"), NULL, NULL) && text &&
            strcasecmp(text, guid) == 0;
        free(text);
        if (same)
            return n;
    }
    return NULL;
}

static int add_image(struct vmscm_ploop *p, const xmlNode *image, struct vmscm_error *err)
{
    struct vmscm_ploop_image *grown = reallocarray(p->images, p->count + 1, sizeof *grown);
    char *type = NULL;
    int rc;

    if (!grown)
        return vmscm_error_nomem(err);
    p->images = grown;
    grown[p->count] = (struct vmscm_ploop_image){NULL, false};
    p->count++;
    if ((rc = vmscm_xml_get(&grown[p->count - 1].file, vmscm_xml_child(image, "File"), NULL, err)) ||
        (rc = vmscm_xml_get(&type, vmscm_xml_child(image, "Type"), NULL, err)))
        return rc;
    grown[p->count - 1].plain = type && strcmp(type, "Plain") == 0;
    if (!grown[p->count - 1].plain && (!type || strcmp(type, "Compressed") != 0))
        rc = bad("an image of an unknown type", err);
    else if (!grown[p->count - 1].file || strlen(grown[p->count - 1].file) > FILE_MAX)
        rc = bad("an image without a file", err);
    free(type);
    return rc;
}

/* From the top down to the one that has no parent. */
static int read_chain(struct vmscm_ploop *p, const xmlNode *storage, const xmlNode *snapshots,
    struct vmscm_error *err)
{
    char *guid = NULL;
    int rc = vmscm_xml_get(&guid, vmscm_xml_child(snapshots, "TopGUID"), NULL, err);

    if (!rc && !guid)
        rc = vmscm_str_dup(&guid, TOP, err);
    while (!rc && guid && strcmp(guid, NO_PARENT) != 0) {
        const xmlNode *image = find(storage, "Image", guid), *shot = find(snapshots, "Shot", guid);
        if (!image)
            rc = vmscm_error_set(
                err, VMSCM_EINPUT, "disk descriptor: there is no image %.60s", guid);
        else if (p->count == VMSCM_PLOOP_DEPTH_MAX)
            rc = bad("too many images on top of one another, or in a circle", err);
        else if (snapshots && !shot)
            rc = vmscm_error_set(
                err, VMSCM_EINPUT, "disk descriptor: there is no shot %.60s", guid);
        else
            rc = add_image(p, image, err);
        free(guid);
        guid = NULL;
        if (!rc && shot) {
            rc = vmscm_xml_get(&guid, vmscm_xml_child(shot, "ParentGUID"), NULL, err);
            if (!rc && !guid)
                rc = bad("a shot without a parent", err);
        }
    }
    free(guid);
    return rc;
}

static int read_storage(struct vmscm_ploop *p, const xmlNode *root, struct vmscm_error *err)
{
    const xmlNode *data = vmscm_xml_child(root, "StorageData");
    const xmlNode *storage = vmscm_xml_child(data, "Storage");
    unsigned parts = 0;
    uint64_t start, end;
    int rc;

    for (const xmlNode *n = data ? data->children : NULL; n; n = n->next)
        parts += vmscm_xml_is(n, "Storage");
    if (!parts)
        return bad("it has no storage", err);
    if (parts > 1)
        return vmscm_error_set(
            err, VMSCM_EUNSUPPORTED, "disk descriptor: a disk of several parts is not supported");
    if ((rc = get_number(&start, storage, "Start", 0, err)) ||
        (rc = get_number(&end, storage, "End", p->size / SECTOR, err)))
        return rc;
    if (start || end != p->size / SECTOR)
        return bad("its storage is not its size", err);
    return read_chain(p, storage, vmscm_xml_child(root, "Snapshots"), err);
}

static int read_all(struct vmscm_ploop *p, const xmlNode *root, struct vmscm_error *err)
{
    const xmlNode *ours;
    int rc;

    if (!root || !vmscm_xml_is(root, "Parallels_disk_image"))
        return bad("is none", err);
    if ((rc = read_parameters(p, vmscm_xml_child(root, "Disk_Parameters"), err)) ||
        (rc = read_storage(p, root, err)))
        return rc;
    ours = vmscm_xml_child(root, "vmscm");
    if ((rc = vmscm_xml_get(&p->as, ours, "as", err)))
        return rc;
    return vmscm_xml_get(&p->is, ours, "is", err);
}

void vmscm_ploop_release(struct vmscm_ploop *ploop)
{
    for (size_t i = 0; i < ploop->count; i++)
        free(ploop->images[i].file);
    free(ploop->images);
    free(ploop->as);
    free(ploop->is);
    *ploop = (struct vmscm_ploop){0};
}

int vmscm_ploop_parse(struct vmscm_ploop *out, const void *xml, size_t len, struct vmscm_error *err)
{
    struct vmscm_xml_watch watch;
    xmlDocPtr doc = NULL;
    int rc;

    *out = (struct vmscm_ploop){0};
    vmscm_xml_begin(&watch);
    rc = vmscm_xml_read(&doc, "disk descriptor", xml, len, VMSCM_PLOOP_MAX, err);
    if (!rc)
        rc = read_all(out, xmlDocGetRootElement(doc), err);
    xmlFreeDoc(doc);
    if (vmscm_xml_end(&watch))
        rc = vmscm_error_nomem(err);
    if (rc)
        vmscm_ploop_release(out);
    return rc;
}

int vmscm_ploop_machine(struct vmscm_machine **out, size_t disks, struct vmscm_error *err)
{
    struct vmscm_machine *m;
    int rc = vmscm_model_new(&m, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < disks && !rc; i++) {
        struct vmscm_machine_disk *disk;
        rc = vmscm_model_attach_disk(&disk, m, "scsi", err);
    }
    if (rc)
        vmscm_model_free(m);
    else
        *out = m;
    return rc;
}

int vmscm_ploop_encode(struct vmscm_buf *out, const char *file, uint64_t size, const char *revision,
    const char *as, const char *is, struct vmscm_error *err)
{
    struct vmscm_xmltext w = {out, err, 0};
    uint64_t sectors = size / SECTOR;
    /* Others want the product of these to be the size. */
    bool whole = sectors % (16 * 32) == 0;
    char n[24], cylinders[24];

    snprintf(n, sizeof n, "%" PRIu64, sectors);
    snprintf(cylinders, sizeof cylinders, "%" PRIu64, whole ? sectors / (16 * 32) : sectors);
    vmscm_xmltext_put(&w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- vmscm revision ", revision,
        " -->\n<Parallels_disk_image Version=\"1.0\">\n  <Disk_Parameters>\n    <Disk_size>", n,
        "</Disk_size>\n    <Cylinders>", cylinders, "</Cylinders>\n    <Heads>", whole ? "16" : "1",
        "</Heads>\n    <Sectors>", whole ? "32" : "1",
        "</Sectors>\n    <PhysicalSectorSize>4096</PhysicalSectorSize>\n"
        "    <LogicSectorSize>512</LogicSectorSize>\n    <Padding>0</Padding>\n"
        "  </Disk_Parameters>\n  <StorageData>\n    <Storage>\n      <Start>0</Start>\n      <End>",
        n, "</End>\n      <Blocksize>2048</Blocksize>\n      <Image>\n        <GUID>", TOP,
        "</GUID>\n        <Type>Compressed</Type>\n        <File>", file,
        "</File>\n      </Image>\n    </Storage>\n  </StorageData>\n  <Snapshots>\n    <TopGUID>", TOP,
        "</TopGUID>\n    <Shot>\n      <GUID>", TOP, "</GUID>\n      <ParentGUID>", NO_PARENT,
        "</ParentGUID>\n    </Shot>\n  </Snapshots>\n", NULL);
    if (as && is)
        vmscm_xmltext_put(&w, "  <vmscm as=\"", as, "\" is=\"", is, "\"/>\n", NULL);
    vmscm_xmltext_put(&w, "</Parallels_disk_image>\n", NULL);
    return w.rc;
}
