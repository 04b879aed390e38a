/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "netconf.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

void netconf_address(json_t *list, const char *address, const char *mask)
{
    char text[128];
    struct in_addr bits;
    int count = 0;

    if (!address || !*address)
        return;
    if (!mask || !*mask || strchr(address, '/')) {
        facts_add_text(list, address);
        return;
    }
    if (strchr(mask, '.') && inet_pton(AF_INET, mask, &bits) == 1)
        for (uint32_t n = ntohl(bits.s_addr); n & 0x80000000; n <<= 1)
            count++;
    else
        count = (int)strtol(mask, NULL, 10);
    snprintf(text, sizeof text, "%.100s/%d", address, count);
    facts_add_text(list, text);
}

void netconf_add_all(json_t *list, const char *several, const char *separators)
{
    while (several && *several) {
        size_t len = strcspn(several, separators);
        char one[128];
        if (len && len < sizeof one) {
            memcpy(one, several, len);
            one[len] = '\0';
            facts_add_text(list, one);
        }
        several += len;
        several += strspn(several, separators);
    }
}

static json_t *begin(json_t *list, const char *name, const char *source)
{
    json_t *entry = facts_object();

    facts_text(entry, "interface", name);
    facts_text(entry, "source", source);
    return facts_add(list, entry) ? entry : NULL;
}

/* What all call by other names. */
static void put_method(json_t *entry, const char *word)
{
    static const char *const automatic[] = {
        "dhcp", "auto", "yes", "true", "ipv4", "dhcp4", "both", "dhcp6", "ipv6"};

    if (!*word)
        return;
    for (size_t i = 0; i < sizeof automatic / sizeof automatic[0]; i++)
        if (strcasecmp(word, automatic[i]) == 0)
            word = "dhcp";
    if (strcasecmp(word, "dhcp") == 0 || !*facts_get(entry, "method"))
        facts_text(entry, "method", word);
}

/* Removes space around, and quotes. */
static char *trim(char *s)
{
    size_t len;

    s += strspn(s, " \t\r");
    len = strlen(s);
    while (len && strchr(" \t\r", s[len - 1]))
        s[--len] = '\0';
    if (len > 1 && strchr("\"'", *s) && s[len - 1] == *s) {
        s[len - 1] = '\0';
        s++;
    }
    return s;
}

/* "KEY=VALUE": the value, and the key ends where the sign was; NULL: it is no such line. */
static char *split(char *line, char **key)
{
    char *sign;

    *key = line + strspn(line, " \t");
    sign = strchr(*key, '=');
    if (!sign || strchr("#;", **key))
        return NULL;
    *sign = '\0';
    *key = trim(*key);
    return trim(sign + 1);
}

void netconf_interfaces(json_t *list, const char *source, char **lines)
{
    json_t *entry = NULL;
    char *address = NULL;

    for (size_t i = 0; lines[i]; i++) {
        char *rest = lines[i], *word = facts_word(&rest);
        char *value = word ? facts_word(&rest) : NULL;
        if (!word || *word == '#')
            continue;
        if (strcmp(word, "iface") == 0) {
            char *family = facts_word(&rest);
            char *method = family ? facts_word(&rest) : NULL;
            address = NULL;
            entry = value && strcmp(value, "lo") != 0 ? begin(list, value, source) : NULL;
            if (entry)
                put_method(entry, method ? method : "");
        } else if (!entry || !value) {
            continue;
        } else if (strcmp(word, "address") == 0) {
            address = value;
            netconf_address(facts_list_of(entry, "addresses"), value, NULL);
        } else if (strcmp(word, "netmask") == 0 && address) {
            json_t *all = facts_list_of(entry, "addresses");
            json_array_remove(all, json_array_size(all) - 1);
            netconf_address(all, address, value);
        } else if (strcmp(word, "gateway") == 0) {
            facts_add_text(facts_list_of(entry, "gateways"), value);
        } else if (strcmp(word, "hwaddress") == 0) {
            char *more = facts_word(&rest);
            facts_text(entry, "mac", more ? more : value);
        } else if (strncmp(word, "dns-nameserver", strlen("dns-nameserver")) == 0) {
            for (; value; value = facts_word(&rest))
                facts_add_text(facts_list_of(entry, "dns"), value);
        }
    }
}

/* Whether key is name, or name and a number, as of several. */
static int is_one_of(const char *key, const char *name)
{
    size_t len = strlen(name);

    return strncmp(key, name, len) == 0 && key[len + strspn(key + len, "0123456789")] == '\0';
}

static const char *value_of(
    char **keys, char **values, size_t count, const char *name, const char *behind)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(keys[i], name, strlen(name)) == 0 &&
            strcmp(keys[i] + strlen(name), behind) == 0)
            return values[i];
    return NULL;
}

void netconf_ifcfg(json_t *list, const char *source, char **lines)
{
    enum { KEYS_MAX = 128 };
    char *keys[KEYS_MAX], *values[KEYS_MAX];
    const char *name = strstr(source, "ifcfg-");
    size_t count = 0;

    name = name ? name + strlen("ifcfg-") : source;
    for (size_t i = 0; lines[i] && count < KEYS_MAX; i++)
        if ((values[count] = split(lines[i], &keys[count])))
            count++;
    const char *device = value_of(keys, values, count, "DEVICE", "");
    if (device && *device)
        name = device;
    json_t *entry = strcmp(name, "lo") != 0 ? begin(list, name, source) : NULL;
    for (size_t i = 0; entry && i < count; i++) {
        const char *key = keys[i], *value = values[i], *mask;
        if (strcmp(key, "BOOTPROTO") == 0) {
            put_method(entry, value);
        } else if (is_one_of(key, "IPADDR")) {
            const char *number = key + strlen("IPADDR");
            mask = value_of(keys, values, count, "PREFIX", number);
            if (!mask)
                mask = value_of(keys, values, count, "NETMASK", number);
            netconf_address(facts_list_of(entry, "addresses"), value, mask);
        } else if (strcmp(key, "IPV6ADDR") == 0 || strcmp(key, "IPV6ADDR_SECONDARIES") == 0) {
            netconf_add_all(facts_list_of(entry, "addresses"), value, " ,");
        } else if (is_one_of(key, "GATEWAY") || strcmp(key, "IPV6_DEFAULTGW") == 0) {
            netconf_add_all(facts_list_of(entry, "gateways"), value, " ");
        } else if (is_one_of(key, "DNS")) {
            netconf_add_all(facts_list_of(entry, "dns"), value, " ");
        } else if (strcmp(key, "HWADDR") == 0 || strcmp(key, "MACADDR") == 0) {
            facts_text(entry, "mac", value);
        }
    }
}

/* "[SECTION]": its name, else NULL. */
static char *section_of(char *line)
{
    size_t len;

    line = trim(line);
    len = strlen(line);
    if (len < 2 || *line != '[' || line[len - 1] != ']')
        return NULL;
    line[len - 1] = '\0';
    return line + 1;
}

void netconf_keyfile(json_t *list, const char *source, char **lines)
{
    json_t *entry = begin(list, NULL, source);
    const char *section = "";
    char *key, *value;

    for (size_t i = 0; entry && lines[i]; i++) {
        char *next = section_of(lines[i]);
        if (next)
            section = next;
        if (next || !(value = split(lines[i], &key)))
            continue;
        int is_ip = strcmp(section, "ipv4") == 0 || strcmp(section, "ipv6") == 0;
        if (strcmp(section, "connection") == 0 && strcmp(key, "interface-name") == 0) {
            facts_text(entry, "interface", value);
        } else if (strcmp(section, "connection") == 0 && strcmp(key, "id") == 0) {
            if (!*facts_get(entry, "interface"))
                facts_text(entry, "interface", value);
        } else if (strcmp(section, "ipv4") == 0 && strcmp(key, "method") == 0) {
            put_method(entry, strcmp(value, "manual") == 0 ? "static" : value);
        } else if (is_ip && is_one_of(key, "address")) {
            size_t len = strcspn(value, ",");
            char *gateway = value[len] ? value + len + 1 : NULL;
            value[len] = '\0';
            facts_add_text(facts_list_of(entry, "addresses"), value);
            if (gateway && *gateway)
                facts_add_text(facts_list_of(entry, "gateways"), gateway);
        } else if (is_ip && strcmp(key, "gateway") == 0) {
            facts_add_text(facts_list_of(entry, "gateways"), value);
        } else if (is_ip && strcmp(key, "dns") == 0) {
            netconf_add_all(facts_list_of(entry, "dns"), value, ";, ");
        } else if (strcmp(key, "mac-address") == 0) {
            facts_text(entry, "mac", value);
        }
    }
}

void netconf_networkd(json_t *list, const char *source, char **lines)
{
    json_t *entry = begin(list, NULL, source);
    const char *section = "";
    char *key, *value;

    for (size_t i = 0; entry && lines[i]; i++) {
        char *next = section_of(lines[i]);
        if (next)
            section = next;
        if (next || !(value = split(lines[i], &key)))
            continue;
        if (strcmp(section, "Match") == 0 && strcmp(key, "Name") == 0)
            facts_text(entry, "interface", value);
        else if (strcmp(section, "Match") == 0 && strcmp(key, "MACAddress") == 0)
            facts_text(entry, "mac", value);
        else if (strcmp(section, "Network") == 0 && strcmp(key, "DHCP") == 0)
            put_method(entry, strcmp(value, "no") == 0 ? "static" : value);
        else if (strcmp(key, "Address") == 0)
            facts_add_text(facts_list_of(entry, "addresses"), value);
        else if (strcmp(key, "Gateway") == 0)
            facts_add_text(facts_list_of(entry, "gateways"), value);
        else if (strcmp(section, "Network") == 0 && strcmp(key, "DNS") == 0)
            netconf_add_all(facts_list_of(entry, "dns"), value, " ");
    }
}

/* What a YAML mapping has under a key; NULL: nothing. */
static yaml_node_t *under(yaml_document_t *doc, yaml_node_t *node, const char *key)
{
    if (!node || node->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        yaml_node_t *name = yaml_document_get_node(doc, p->key);
        if (name && name->type == YAML_SCALAR_NODE &&
            strcmp((const char *)name->data.scalar.value, key) == 0)
            return yaml_document_get_node(doc, p->value);
    }
    return NULL;
}

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

/* The strings of a sequence, or the keys of mappings in it: an address may have options. */
static void add_sequence(json_t *entry, const char *key, yaml_document_t *doc, yaml_node_t *node)
{
    if (!node || node->type != YAML_SEQUENCE_NODE)
        return;
    for (yaml_node_item_t *p = node->data.sequence.items.start; p < node->data.sequence.items.top;
         p++) {
        yaml_node_t *item = yaml_document_get_node(doc, *p);
        if (item && item->type == YAML_MAPPING_NODE &&
            item->data.mapping.pairs.start < item->data.mapping.pairs.top)
            item = yaml_document_get_node(doc, item->data.mapping.pairs.start->key);
        if (*scalar(item))
            facts_add_text(facts_list_of(entry, key), scalar(item));
    }
}

static void add_default_routes(json_t *entry, yaml_document_t *doc, yaml_node_t *routes)
{
    if (!routes || routes->type != YAML_SEQUENCE_NODE)
        return;
    for (yaml_node_item_t *p = routes->data.sequence.items.start;
         p < routes->data.sequence.items.top; p++) {
        yaml_node_t *route = yaml_document_get_node(doc, *p);
        const char *to = scalar(under(doc, route, "to")), *via = scalar(under(doc, route, "via"));
        if (*via &&
            (strcmp(to, "default") == 0 || strcmp(to, "0.0.0.0/0") == 0 || strcmp(to, "::/0") == 0))
            facts_add_text(facts_list_of(entry, "gateways"), via);
    }
}

static void read_netplan(json_t *entry, yaml_document_t *doc, yaml_node_t *node)
{
    static const char *const keys[] = {"dhcp4", "dhcp6"}, *const gateways[] = {
                                                              "gateway4", "gateway6"};
    yaml_node_t *match = under(doc, node, "match");
    const char *mac = scalar(under(doc, match, "macaddress"));

    for (size_t i = 0; i < 2; i++) {
        const char *said = scalar(under(doc, node, keys[i])),
                   *via = scalar(under(doc, node, gateways[i]));
        if (strcasecmp(said, "true") == 0 || strcasecmp(said, "yes") == 0)
            put_method(entry, "dhcp");
        if (*via)
            facts_add_text(facts_list_of(entry, "gateways"), via);
    }
    add_sequence(entry, "addresses", doc, under(doc, node, "addresses"));
    add_default_routes(entry, doc, under(doc, node, "routes"));
    add_sequence(entry, "dns", doc, under(doc, under(doc, node, "nameservers"), "addresses"));
    facts_text(entry, "mac", *mac ? mac : scalar(under(doc, node, "macaddress")));
    if (json_object_get(entry, "addresses"))
        put_method(entry, "static");
}

void netconf_netplan(json_t *list, const char *source, const char *text, size_t size)
{
    static const char *const kinds[] = {"ethernets", "wifis", "bonds", "bridges", "vlans"};
    yaml_parser_t parser;
    yaml_document_t doc;

    if (!yaml_parser_initialize(&parser))
        return;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (yaml_parser_load(&parser, &doc)) {
        yaml_node_t *network = under(&doc, yaml_document_get_root_node(&doc), "network");
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            yaml_node_t *all = under(&doc, network, kinds[i]);
            if (!all || all->type != YAML_MAPPING_NODE)
                continue;
            for (yaml_node_pair_t *p = all->data.mapping.pairs.start;
                 p < all->data.mapping.pairs.top; p++) {
                const char *name = scalar(yaml_document_get_node(&doc, p->key));
                json_t *entry = *name ? begin(list, name, source) : NULL;
                if (entry)
                    read_netplan(entry, &doc, yaml_document_get_node(&doc, p->value));
            }
        }
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
}
