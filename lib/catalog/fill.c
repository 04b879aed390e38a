/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "catalog/fill.h"
#include "base/buf.h"
#include "base/str.h"
#include "inspect/summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <vmscm/inspect.h>
#include <vmscm/repo.h>

/* A statement with text parameters; "" becomes NULL. */
static int put(struct vmscm_db *db, sqlite3_int64 *id, const char *sql, const char *const *texts,
    size_t count, struct vmscm_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = vmscm_db_prepare(&statement, db, sql, err);

    for (size_t i = 0; i < count && !rc; i++)
        if (*texts[i] && sqlite3_bind_text(statement, (int)i + 1, texts[i], -1, SQLITE_TRANSIENT))
            rc = vmscm_db_error(db, err);
    if (!rc)
        rc = vmscm_db_run(db, statement, err);
    sqlite3_finalize(statement);
    if (id)
        *id = sqlite3_last_insert_rowid(db->sqlite);
    return rc;
}

static int forget(struct vmscm_db *db, const char *key, struct vmscm_error *err)
{
    static const char *const statements[] = {
        "DELETE FROM system_words WHERE rowid IN (SELECT id FROM system WHERE content = ?1)",
        "DELETE FROM holding WHERE system IN (SELECT id FROM system WHERE content = ?1)",
        "DELETE FROM item WHERE system IN (SELECT id FROM system WHERE content = ?1)",
        "DELETE FROM system WHERE content = ?1", "DELETE FROM filesystem WHERE content = ?1",
        "DELETE FROM content WHERE key = ?1"};
    int rc = 0;

    for (size_t i = 0; i < sizeof statements / sizeof statements[0] && !rc; i++)
        rc = put(db, NULL, statements[i], &key, 1, err);
    return rc;
}

/* Names that people use and programs do not give themselves: Oracle 10g, of version 10.2.0. */
static int put_other_names(struct vmscm_buf *buf, const char *name, const char *version,
    struct vmscm_error *err)
{
    static const char *const letters[] = {"8i", "9i", "10g", "11g", "12c", "18c", "19c", "21c"};

    if (!strcasestr(name, "oracle"))
        return 0;
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        size_t digits = strspn(letters[i], "0123456789");
        if (strncmp(version, letters[i], digits) == 0 &&
            !(version[digits] >= '0' && version[digits] <= '9'))
            return vmscm_buf_printf(buf, err, " %s", letters[i]);
    }
    return 0;
}

/* Its number in the dictionary, to which it is added if it is new. */
static int find_application(sqlite3_int64 *id, struct vmscm_db *db, const char *const *texts,
    struct vmscm_error *err)
{
    struct vmscm_buf words = VMSCM_BUF_INIT;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    int rc = vmscm_db_prepare(&statement, db,
        "SELECT id FROM application WHERE name = ?1 AND version = ?2 AND publisher = ?3 AND path = ?4",
        err);

    for (int i = 0; i < 4 && !rc; i++)
        if (sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_TRANSIENT))
            rc = vmscm_db_error(db, err);
    if (!rc && !(rc = vmscm_db_step(&row, db, statement, err)) && row)
        *id = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    statement = NULL;
    if (rc || row)
        return rc;
    rc = vmscm_db_prepare(&statement, db,
        "INSERT INTO application(name, version, publisher, path) VALUES(?1, ?2, ?3, ?4)", err);
    for (int i = 0; i < 4 && !rc; i++)
        if (sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_TRANSIENT))
            rc = vmscm_db_error(db, err);
    if (!rc)
        rc = vmscm_db_run(db, statement, err);
    sqlite3_finalize(statement);
    statement = NULL;
    *id = sqlite3_last_insert_rowid(db->sqlite);
    if (rc || (rc = vmscm_buf_printf(&words, err, "%s %s %s", texts[0], texts[1], texts[2])) ||
        (rc = put_other_names(&words, texts[0], texts[1], err)) ||
        (rc = vmscm_db_prepare(&statement, db,
             "INSERT INTO application_words(rowid, text) VALUES(?1, ?2)", err)))
        goto out;
    if (sqlite3_bind_int64(statement, 1, *id) ||
        sqlite3_bind_text(statement, 2, vmscm_buf_str(&words), -1, SQLITE_TRANSIENT))
        rc = vmscm_db_error(db, err);
    else
        rc = vmscm_db_run(db, statement, err);
out:
    sqlite3_finalize(statement);
    vmscm_buf_release(&words);
    return rc;
}

/* As dpkg and rpm write it: EPOCH:VERSION-RELEASE. */
static int full_version(char **out, const json_t *app, struct vmscm_error *err)
{
    const char *version = vmscm_facts_text(app, "version"), *release = vmscm_facts_text(app, "release");
    long long epoch = json_integer_value(json_object_get(app, "epoch"));
    char prefix[32] = "";

    if (epoch > 0)
        snprintf(prefix, sizeof prefix, "%lld:", epoch);
    return vmscm_str_printf(out, err, "%s%s%s%s", prefix, version, *version && *release ? "-" : "", release);
}

static int put_applications(struct vmscm_db *db, sqlite3_int64 system, const json_t *list,
    struct vmscm_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = vmscm_db_prepare(
        &statement, db, "INSERT OR IGNORE INTO holding(application, system) VALUES(?1, ?2)", err);

    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        const json_t *app = json_array_get(list, i);
        char *version = NULL;
        sqlite3_int64 id = 0;
        if ((rc = full_version(&version, app, err)))
            break;
        const char *texts[] = {vmscm_facts_text(app, "name"), version,
            vmscm_facts_text(app, "publisher"), vmscm_facts_text(app, "path")};
        rc = find_application(&id, db, texts, err);
        free(version);
        if (!rc && (sqlite3_bind_int64(statement, 1, id) || sqlite3_bind_int64(statement, 2, system)))
            rc = vmscm_db_error(db, err);
        if (!rc)
            rc = vmscm_db_run(db, statement, err);
    }
    sqlite3_finalize(statement);
    return rc;
}

/* Strings, or objects of which `key` names one. */
static int put_items(struct vmscm_db *db, sqlite3_int64 system, const char *kind,
    const json_t *list, const char *key, struct vmscm_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = vmscm_db_prepare(&statement, db,
        "INSERT OR IGNORE INTO item(kind, value, system) VALUES(?1, lower(?2), ?3)", err);

    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        const json_t *item = json_array_get(list, i);
        const char *value = key ? vmscm_facts_text(item, key) : json_string_value(item);
        if (sqlite3_bind_text(statement, 1, kind, -1, SQLITE_STATIC) ||
            sqlite3_bind_text(statement, 2, value, -1, SQLITE_TRANSIENT) ||
            sqlite3_bind_int64(statement, 3, system))
            rc = vmscm_db_error(db, err);
        else
            rc = vmscm_db_run(db, statement, err);
    }
    sqlite3_finalize(statement);
    return rc;
}

/* Of interfaces, as people know them: without the number of bits that are the network's. */
static int put_addresses(struct vmscm_db *db, sqlite3_int64 system, const json_t *network,
    struct vmscm_error *err)
{
    json_t *all = json_array();
    int rc = all ? 0 : vmscm_error_nomem(err);

    for (size_t i = 0; i < json_array_size(network) && !rc; i++) {
        const json_t *list = json_object_get(json_array_get(network, i), "addresses");
        for (size_t k = 0; k < json_array_size(list) && !rc; k++) {
            const char *text = json_string_value(json_array_get(list, k));
            if (json_array_append_new(all, json_stringn(text, strcspn(text, "/"))))
                rc = vmscm_error_nomem(err);
        }
    }
    if (!rc)
        rc = put_items(db, system, "address", all, NULL, err);
    json_decref(all);
    return rc;
}

static int put_system(struct vmscm_db *db, const char *key, const json_t *system,
    struct vmscm_error *err)
{
    static const struct {
        const char *kind, *list, *key;
    } items[] = {{"user", "users", "name"}, {"group", "groups", "name"},
        {"service", "services", NULL}, {"kernel", "kernels", NULL},
        {"agent", "agents", NULL}, {"patch", "patches", "name"}};
    const json_t *sp = json_object_get(system, "service_pack");
    struct vmscm_buf words = VMSCM_BUF_INIT;
    char pack[32] = "", number[32];
    sqlite3_int64 id;
    int rc = 0;

    if (sp)
        snprintf(pack, sizeof pack, "%lld", (long long)json_integer_value(sp));
    const char *const texts[] = {key, vmscm_facts_text(system, "type"),
        vmscm_facts_text(system, "distro"), vmscm_facts_text(system, "product"),
        vmscm_facts_text(system, "version"), vmscm_facts_text(system, "arch"),
        vmscm_facts_text(system, "hostname"), pack, vmscm_facts_text(system, "build"),
        vmscm_facts_text(system, "edition")};
    if ((rc = put(db, &id,
             "INSERT INTO system(content, type, distro, product, version, arch, hostname, sp, build,"
             " edition) VALUES(?1, lower(?2), lower(?3), ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
             texts, sizeof texts / sizeof texts[0], err)))
        return rc;
    snprintf(number, sizeof number, "%lld", (long long)id);
    if ((rc = vmscm_buf_printf(&words, err, "%s %s %s %s %s %s", texts[1], texts[2], texts[3],
             texts[6], texts[9], vmscm_facts_text(system, "osinfo"))))
        goto out;
    const char *const row[] = {number, vmscm_buf_str(&words)};
    rc = put(db, NULL, "INSERT INTO system_words(rowid, text) VALUES(?1, ?2)", row, 2, err);
    for (size_t i = 0; i < sizeof items / sizeof items[0] && !rc; i++)
        rc = put_items(db, id, items[i].kind, json_object_get(system, items[i].list), items[i].key, err);
    if (!rc && !(rc = put_addresses(db, id, json_object_get(system, "network"), err)))
        rc = put_applications(db, id, json_object_get(system, "applications"), err);
out:
    vmscm_buf_release(&words);
    return rc;
}

int vmscm_fill_content(struct vmscm_db *db, const char *key, const struct vmscm_facts *facts,
    struct vmscm_error *err)
{
    char *summary = NULL;
    const json_t *list;
    int rc = forget(db, key, err);

    if (rc || !facts)
        return rc;
    if ((rc = vmscm_summary_make(&summary, facts, err)))
        return rc;
    const char *const texts[] = {key, facts->failed ? "failed" : "ok", summary};
    rc = put(db, NULL, "INSERT INTO content(key, status, summary) VALUES(?1, ?2, ?3)", texts, 3, err);
    list = json_object_get(facts->root, "systems");
    for (size_t i = 0; i < json_array_size(list) && !rc; i++)
        rc = put_system(db, key, json_array_get(list, i), err);
    list = json_object_get(facts->root, "filesystems");
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        const json_t *fs = json_array_get(list, i);
        const char *const row[] = {key, vmscm_facts_text(fs, "type"), vmscm_facts_text(fs, "label")};
        rc = put(db, NULL, "INSERT INTO filesystem(content, type, label) VALUES(?1, lower(?2), ?3)",
            row, 3, err);
    }
    free(summary);
    return rc;
}
