/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "catalog/query.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    enum vmscm_query_field field;
    bool compares;
} fields[] = {{"os", VMSCM_QUERY_OS, false}, {"distro", VMSCM_QUERY_DISTRO, false},
    {"product", VMSCM_QUERY_PRODUCT, false}, {"version", VMSCM_QUERY_VERSION, true},
    {"sp", VMSCM_QUERY_SP, true}, {"build", VMSCM_QUERY_BUILD, true},
    {"edition", VMSCM_QUERY_EDITION, false}, {"arch", VMSCM_QUERY_ARCH, false},
    {"hostname", VMSCM_QUERY_HOSTNAME, false}, {"app", VMSCM_QUERY_APP, false},
    {"user", VMSCM_QUERY_USER, false}, {"group", VMSCM_QUERY_GROUP, false},
    {"service", VMSCM_QUERY_SERVICE, false}, {"kernel", VMSCM_QUERY_KERNEL, true},
    {"agent", VMSCM_QUERY_AGENT, false}, {"address", VMSCM_QUERY_ADDRESS, false},
    {"patch", VMSCM_QUERY_PATCH, false},
    {"fs", VMSCM_QUERY_FS, false}, {"status", VMSCM_QUERY_STATUS, false},
    {"owner", VMSCM_QUERY_OWNER, false}, {"tag", VMSCM_QUERY_TAG, false},
    {"machine", VMSCM_QUERY_MACHINE, false}, {"comment", VMSCM_QUERY_COMMENT, false},
    {"message", VMSCM_QUERY_MESSAGE, false}, {"changed", VMSCM_QUERY_CHANGED, true}};

struct parser {
    const char *text, *at;
    unsigned depth, terms;
    struct vmscm_error *err;
};

static int complain(const struct parser *p, const char *at, const char *what)
{
    size_t column = (size_t)(at - p->text);

    vmscm_error_set(p->err, VMSCM_EUSAGE, "query: column %zu: %s", column + 1, what);
    return vmscm_error_hint(p->err, "%s%.*s <-- here", column > 200 ? "..." : "",
        (int)(column > 200 ? 200 : column), column > 200 ? at - 200 : p->text);
}

static void skip_space(struct parser *p)
{
    p->at += strspn(p->at, " \t\r\n");
}

/* Whether the keyword comes next; passes it. */
static bool keyword(struct parser *p, const char *word)
{
    size_t len = strlen(word);

    skip_space(p);
    if (strncasecmp(p->at, word, len) != 0 || (p->at[len] && !strchr(" \t\r\n()\"", p->at[len])))
        return false;
    p->at += len;
    return true;
}

static int new_node(struct vmscm_query **out, struct parser *p, enum vmscm_query_kind kind,
    struct vmscm_query *left, struct vmscm_query *right)
{
    if (!(*out = calloc(1, sizeof **out)))
        return vmscm_error_nomem(p->err);
    (*out)->kind = kind;
    (*out)->left = left;
    (*out)->right = right;
    return 0;
}

static bool read_compare(struct parser *p, enum vmscm_query_compare *out)
{
    static const struct {
        const char *sign;
        enum vmscm_query_compare compare;
    } signs[] = {{"<=", VMSCM_QUERY_LE}, {">=", VMSCM_QUERY_GE}, {"<", VMSCM_QUERY_LT},
        {">", VMSCM_QUERY_GT}, {"=", VMSCM_QUERY_EQ}};

    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (strncmp(p->at, signs[i].sign, strlen(signs[i].sign)) == 0) {
            p->at += strlen(signs[i].sign);
            *out = signs[i].compare;
            return true;
        }
    return false;
}

/* A word, which ends before any of `ends`, or something in quotes; *out is the caller's. */
static int read_value(char **out, bool *quoted, struct parser *p, const char *ends,
    const char *lacking)
{
    const char *from = p->at;
    size_t len;

    *quoted = *from == '"';
    if (*quoted) {
        len = strcspn(++from, "\"");
        if (!from[len])
            return complain(p, p->at, "the quotes that begin here do not end");
        p->at = from + len + 1;
    } else {
        len = strcspn(from, ends);
        p->at += len;
    }
    if (len == 0)
        return complain(p, *quoted ? from : p->at, lacking);
    return (*out = strndup(from, len)) ? 0 : vmscm_error_nomem(p->err);
}

/* The field before ":" or a comparison; false, and nothing passed, if there is none. */
static bool read_field(struct parser *p, size_t *field, size_t *len)
{
    *len = strspn(p->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (*len == 0 || !p->at[*len] || !strchr(":<>=", p->at[*len]))
        return false;
    for (*field = 0; *field < sizeof fields / sizeof fields[0]; ++*field)
        if (strlen(fields[*field].name) == *len && strncasecmp(fields[*field].name, p->at, *len) == 0)
            break;
    return true;
}

static int parse_condition(struct vmscm_query *term, struct parser *p, size_t field, size_t len)
{
    static const char ends[] = " \t\r\n()\"";
    const char *begin = p->at;
    int rc;

    if (field == sizeof fields / sizeof fields[0]) {
        complain(p, begin, "there is no such field");
        return vmscm_error_hint(p->err,
            "fields are os distro product version sp build edition arch hostname app user group service "
            "agent address patch kernel fs status owner tag machine comment message changed; quotes make it"
            " a word");
    }
    term->field = fields[field].field;
    p->at += len;
    if (*p->at == ':')
        p->at++;
    const char *sign = p->at;
    if (read_compare(p, &term->compare) && !fields[field].compares)
        return complain(p, sign, "this field is not compared; use ':'");
    if (term->field != VMSCM_QUERY_APP)
        return read_value(&term->value, &term->quoted, p, ends, "a value has to come here");
    if ((rc = read_value(&term->value, &term->quoted, p, " \t\r\n()\"<>=", "a name has to come here")))
        return rc;
    if (!read_compare(p, &term->compare))
        return 0;
    bool quoted;
    return read_value(&term->version, &quoted, p, ends, "a version has to come here");
}

static int parse_term(struct vmscm_query **out, struct parser *p)
{
    struct vmscm_query *term = NULL;
    size_t field, len;
    int rc;

    if (++p->terms > VMSCM_QUERY_TERMS)
        return complain(p, p->at, "too many words and conditions");
    if ((rc = new_node(&term, p, VMSCM_QUERY_TERM, NULL, NULL)))
        return rc;
    term->number = p->terms;
    if (read_field(p, &field, &len))
        rc = parse_condition(term, p, field, len);
    else
        rc = read_value(
            &term->value, &term->quoted, p, " \t\r\n()\"", "a word or a condition has to come here");
    if (rc)
        vmscm_query_free(term);
    else
        *out = term;
    return rc;
}

static int parse_or(struct vmscm_query **out, struct parser *p);

static int parse_not(struct vmscm_query **out, struct parser *p)
{
    struct vmscm_query *inner = NULL;
    const char *begin;
    int rc;

    *out = NULL;
    skip_space(p);
    begin = p->at;
    if (++p->depth > VMSCM_QUERY_DEPTH)
        return complain(p, begin, "nested too deeply");
    if (keyword(p, "not")) {
        if (!(rc = parse_not(&inner, p)))
            rc = new_node(out, p, VMSCM_QUERY_NOT, inner, NULL);
        if (rc)
            vmscm_query_free(inner);
    } else if (*p->at == '(') {
        p->at++;
        if (!(rc = parse_or(&inner, p))) {
            skip_space(p);
            if (*p->at == ')')
                p->at++;
            else
                rc = complain(p, begin, "the parenthesis that begins here does not end");
        }
        if (rc)
            vmscm_query_free(inner);
        else
            *out = inner;
    } else if (!*p->at || *p->at == ')' || keyword(p, "and") || keyword(p, "or")) {
        rc = complain(p, begin, "a word or a condition has to come here");
    } else {
        rc = parse_term(out, p);
    }
    p->depth--;
    return rc;
}

static int parse_and(struct vmscm_query **out, struct parser *p)
{
    struct vmscm_query *right, *node;
    int rc = parse_not(out, p);

    while (!rc) {
        bool said = keyword(p, "and");
        const char *before = p->at;
        if (!said && (!*p->at || *p->at == ')'))
            break;
        if (!said && keyword(p, "or")) {
            p->at = before;
            break;
        }
        if ((rc = parse_not(&right, p)) || (rc = new_node(&node, p, VMSCM_QUERY_AND, *out, right)))
            vmscm_query_free(right);
        else
            *out = node;
    }
    if (rc) {
        vmscm_query_free(*out);
        *out = NULL;
    }
    return rc;
}

static int parse_or(struct vmscm_query **out, struct parser *p)
{
    struct vmscm_query *right, *node;
    int rc = parse_and(out, p);

    while (!rc && keyword(p, "or")) {
        if ((rc = parse_and(&right, p)) || (rc = new_node(&node, p, VMSCM_QUERY_OR, *out, right)))
            vmscm_query_free(right);
        else
            *out = node;
    }
    if (rc) {
        vmscm_query_free(*out);
        *out = NULL;
    }
    return rc;
}

int vmscm_query_parse(struct vmscm_query **out, const char *text, struct vmscm_error *err)
{
    struct parser p = {text, text, 0, 0, err};
    struct vmscm_query *query = NULL;
    int rc;

    *out = NULL;
    if (strlen(text) > VMSCM_QUERY_MAX)
        return vmscm_error_set(err, VMSCM_EUSAGE, "query: over %d bytes", VMSCM_QUERY_MAX);
    if ((rc = parse_or(&query, &p)))
        return rc;
    if (*p.at) {
        rc = complain(&p, p.at, "no parenthesis was begun that this ends");
        vmscm_query_free(query);
        return rc;
    }
    *out = query;
    return 0;
}

void vmscm_query_free(struct vmscm_query *query)
{
    if (!query)
        return;
    vmscm_query_free(query->left);
    vmscm_query_free(query->right);
    free(query->value);
    free(query->version);
    free(query);
}
