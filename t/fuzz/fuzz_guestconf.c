/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz target of contrib/inspect's parsers: the first byte says as which file of a guest the rest
 * is read. */
#include "bootconf.h"
#include "netconf.h"
#include "productkey.h"
#include "rpmheader.h"
#include "utmp.h"

#include <stdlib.h>
#include <string.h>

static char **split(char *text)
{
    size_t count = 1;
    char **lines;

    for (const char *p = text; *p; p++)
        count += *p == '\n';
    if (!(lines = calloc(count + 1, sizeof *lines)))
        abort();
    for (size_t i = 0; i < count; i++)
        lines[i] = strsep(&text, "\n");
    return lines;
}

static void read_lines(json_t *object, uint8_t kind, char *text)
{
    static void (*const networks[])(json_t *, const char *, char **) = {
        netconf_interfaces, netconf_ifcfg, netconf_keyfile, netconf_networkd};
    static int (*const boots[])(json_t *, char **) = {
        bootconf_grub_legacy, bootconf_extlinux, bootconf_ini};
    char **lines = split(text);

    if (kind < 4)
        networks[kind](facts_list_of(object, "network"), "/etc/ifcfg-x", lines);
    else if (kind < 7)
        boots[kind - 4](object, lines);
    else if (kind == 7)
        bootconf_grub(object, lines, "a>b");
    else
        bootconf_entry(object, "x", lines);
    free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t kind = size ? data[0] % 13 : 0;
    char *text = malloc(size + 1), *out, part[PRODUCTKEY_PART], channel[65];
    json_t *object = facts_object();

    if (!text || !object)
        abort();
    if (size)
        memcpy(text, data + 1, size - 1);
    text[size ? size - 1 : 0] = '\0';
    if (kind < 9) {
        read_lines(object, kind, text);
    } else if (kind == 9) {
        netconf_netplan(facts_list_of(object, "network"), "x", text, size ? size - 1 : 0);
    } else if (kind == 10) {
        facts_add(facts_list_of(object, "users"), json_pack("{s:s}", "name", "ann"));
        utmp_read(object, text, size ? size - 1 : 0);
    } else if (kind == 12) {
        json_t *app = rpmheader_read((unsigned char *)text, size ? size - 1 : 0);
        if (app)
            facts_put(object, "application", app);
    } else {
        productkey_part(part, (unsigned char *)text, size ? size - 1 : 0);
        productkey_channel(channel, sizeof channel, (unsigned char *)text, size ? size - 1 : 0);
        facts_text(object, "part", part);
        facts_text(object, "channel", channel);
    }
    /* Whatever it was, it can be written. */
    if (!(out = json_dumps(object, JSON_COMPACT)))
        abort();
    free(out);
    json_decref(object);
    free(text);
    return 0;
}
