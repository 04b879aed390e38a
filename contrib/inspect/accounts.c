/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Local accounts of a Windows guest, of the hive SAM: their names and when they last came. What it
 * has of passwords is in values that are not read.
 */
#include "registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_LAST_LOGIN 8 /* in an account's value F */
#define AT_FLAGS 0x38
#define DISABLED 1

struct reading {
    json_t *list;
    int64_t top; /* of accounts by their numbers; 0: of none */
    const char *sid; /* that they begin with; "": not known */
};

/* "S-1-5-21-A-B-C-": the last 12 bytes of the domain's value V. */
static void read_sid(char *sid, size_t size, guestfs_h *g, int64_t account)
{
    size_t len, at;
    unsigned char *bytes = registry_bytes(g, account, "V", &len);
    uint32_t part[3];

    *sid = '\0';
    if (bytes && len >= 12) {
        for (size_t i = 0; i < 3; i++) {
            at = len - 12 + i * 4;
            part[i] = bytes[at] | (uint32_t)bytes[at + 1] << 8 | (uint32_t)bytes[at + 2] << 16 |
                      (uint32_t)bytes[at + 3] << 24;
        }
        snprintf(sid, size, "S-1-5-21-%u-%u-%u-", part[0], part[1], part[2]);
    }
    free(bytes);
}

/* The default value's type is the account's number. */
static int64_t number_of(guestfs_h *g, int64_t node)
{
    int64_t value = guestfs_hivex_node_get_value(g, node, "");

    return value > 0 ? guestfs_hivex_value_type(g, value) : -1;
}

static void put_user(guestfs_h *g, json_t *user, int64_t node)
{
    size_t size;
    unsigned char *bytes = registry_bytes(g, node, "F", &size);

    if (bytes && size >= AT_LAST_LOGIN + 8)
        facts_date(user, "last_login", registry_filetime(bytes + AT_LAST_LOGIN));
    if (bytes && size > AT_FLAGS && (bytes[AT_FLAGS] & DISABLED))
        facts_put(user, "disabled", json_true());
    free(bytes);
}

static void add_account(guestfs_h *g, int64_t node, const char *name, void *data)
{
    const struct reading *r = data;
    int64_t number = number_of(g, node);
    char id[64] = "", key[16];
    json_t *account = NULL;

    if (number >= 0 && *r->sid)
        snprintf(id, sizeof id, "%s%u", r->sid, (unsigned)number);
    /* Who has a profile is there already, by the name of its directory. */
    account = *id ? facts_find(r->list, "id", id) : NULL;
    if (!account) {
        account = facts_object();
        facts_text(account, "id", id);
        if (!facts_add(r->list, account))
            return;
    }
    facts_text(account, "name", name);
    snprintf(key, sizeof key, "%08X", (unsigned)number);
    if (r->top && number >= 0)
        put_user(g, account, registry_path(g, r->top, key));
}

void accounts_read(guestfs_h *g, int64_t top, json_t *system)
{
    int64_t account = registry_path(g, top, "SAM\\Domains\\Account"),
            users = registry_path(g, account, "Users");
    int64_t builtin = registry_path(g, top, "SAM\\Domains\\Builtin");
    char sid[64];
    struct reading reading = {facts_list_of(system, "users"), users, sid};

    read_sid(sid, sizeof sid, g, account);
    registry_each(g, registry_path(g, users, "Names"), add_account, &reading);
    reading = (struct reading){facts_list_of(system, "groups"), 0, "S-1-5-32-"};
    registry_each(g, registry_path(g, builtin, "Aliases\\Names"), add_account, &reading);
    reading.sid = sid;
    registry_each(g, registry_path(g, account, "Aliases\\Names"), add_account, &reading);
}
