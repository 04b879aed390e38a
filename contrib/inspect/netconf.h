/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files in which Unix systems say how their network interfaces are configured, each form read into
 * a list of facts' "network". Keys and passwords that stand beside are not taken. Pure: only what
 * it is given is read.
 */
#ifndef NETCONF_H
#define NETCONF_H

#include "facts.h"

/* lines: of a file, NULL-ended, changed in place. source: its path. */
void netconf_interfaces(
    json_t *list, const char *source, char **lines); /* interfaces(5) of ifupdown */
void netconf_ifcfg(
    json_t *list, const char *source, char **lines); /* ifcfg-NAME of Red Hat and SUSE */
void netconf_keyfile(
    json_t *list, const char *source, char **lines); /* NetworkManager's nm-settings-keyfile(5) */
void netconf_networkd(json_t *list, const char *source, char **lines); /* systemd.network(5) */
void netconf_netplan(
    json_t *list, const char *source, const char *text, size_t size); /* netplan(5) */

/* "10.0.0.2" and "255.255.0.0" as "10.0.0.2/16" into a list; mask may be NULL, and a number of
 * bits. */
void netconf_address(json_t *list, const char *address, const char *mask);
/* Each of several, between what is in separators. */
void netconf_add_all(json_t *list, const char *several, const char *separators);

#endif
