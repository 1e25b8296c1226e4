/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/accounts_db.h"
#include "accounts/schema.h"
#include "accounts/secret.h"
#include "codec/rd.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 2000, HURRY_MS = 20, SHOWN_BYTES = 100 };

struct accounts_db {
    sqlite3 *handle;
    sqlite3_stmt *version;
    int64_t seen;
    char *path;
    struct stat file; /* that was there when it was opened */
    char error[ACCOUNTS_NOTE_BYTES];
};

const char *accounts_db_error(const struct accounts_db *db)
{
    return db == NULL ? "out of memory" : db->error;
}

static enum err fail(struct accounts_db *db, const char *doing)
{
    int why = sqlite3_errcode(db->handle) == SQLITE_CANTOPEN ? sqlite3_system_errno(db->handle) : 0;
    snprintf(db->error, sizeof db->error, "%s: %s%s%s", doing, sqlite3_errmsg(db->handle),
             why == 0 ? "" : ": ", why == 0 ? "" : strerror(why));
    switch (sqlite3_errcode(db->handle) & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: return ERR_SYNTAX;
    case SQLITE_NOMEM: return ERR_NOMEM;
    default: return ERR_SYS;
    }
}

static enum err execute(struct accounts_db *db, const char *sql)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : fail(db, "execute");
}

/* --- opening */

static enum err ask_number(struct accounts_db *db, const char *sql, int *out)
{
    sqlite3_stmt *s;
    *out = 0;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK) return fail(db, "open");
    enum err rc = sqlite3_step(s) == SQLITE_ROW ? ERR_OK : fail(db, "open");
    if (rc == ERR_OK) *out = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return rc;
}

static enum err user_version(struct accounts_db *db, int *version)
{
    return ask_number(db, "PRAGMA user_version", version);
}

/* A version of 0 is also what programs have that use none. */
static enum err check_empty(struct accounts_db *db)
{
    int tables;
    enum err rc = ask_number(db, "SELECT count(*) FROM sqlite_master", &tables);
    if (rc != ERR_OK || tables == 0) return rc;
    snprintf(db->error, sizeof db->error, "it is a database of something else");
    return ERR_SYNTAX;
}

/* The version is read again inside: another process may have been faster. */
static enum err step_up(struct accounts_db *db, int newest)
{
    char set[48];
    int from;
    enum err rc = execute(db, "BEGIN IMMEDIATE");
    if (rc != ERR_OK) return rc;
    rc = user_version(db, &from);
    snprintf(set, sizeof set, "PRAGMA user_version = %d", from + 1);
    if (rc == ERR_OK && from == 0) rc = check_empty(db);
    if (rc == ERR_OK && from >= 0 && from < newest) {
        rc = execute(db, schema_auth[from]);
        if (rc == ERR_OK) rc = execute(db, set);
    }
    if (rc == ERR_OK) rc = execute(db, "COMMIT");
    if (rc != ERR_OK) sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static enum err migrate(struct accounts_db *db)
{
    int version, newest = 0;
    while (schema_auth[newest] != NULL) newest++;
    enum err rc = user_version(db, &version);
    if (rc == ERR_OK && (version > newest || version < 0)) {
        snprintf(db->error, sizeof db->error, "its schema is version %d; this program knows up to %d",
                 version, newest);
        return ERR_UNKNOWN;
    }
    while (rc == ERR_OK && version < newest) {
        rc = step_up(db, newest);
        if (rc == ERR_OK) rc = user_version(db, &version);
    }
    return rc;
}

/* SQLite would make it for all to read. What cannot be made here is its business to say. */
static void make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

enum err accounts_db_open(struct accounts_db **out, const char *path, enum accounts_db_mode mode)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    struct accounts_db *db = calloc(1, sizeof *db);
    *out = db;
    if (db == NULL) return ERR_NOMEM;
    db->seen = -1;
    db->path = strdup(path);
    if (db->path == NULL) {
        accounts_db_close(out);
        return ERR_NOMEM;
    }
    if (mode == ACCOUNTS_DB_CREATE) make_file(path);
    if (stat(path, &db->file) != 0) db->file = (struct stat){ 0 }; /* SQLite says why */
    if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK) return fail(db, "open");
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    enum err rc = execute(db, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;");
    return rc == ERR_OK ? migrate(db) : rc;
}

void accounts_db_close(struct accounts_db **owner)
{
    struct accounts_db *db = *owner;
    *owner = NULL;
    if (db == NULL) return;
    sqlite3_finalize(db->version);
    sqlite3_close(db->handle);
    free(db->path);
    free(db);
}

void accounts_db_hurry(struct accounts_db *db)
{
    sqlite3_busy_timeout(db->handle, HURRY_MS);
}

bool accounts_db_is_replaced(const struct accounts_db *db)
{
    struct stat now;
    if (stat(db->path, &now) != 0) return false;
    return now.st_ino != db->file.st_ino || now.st_dev != db->file.st_dev;
}

bool accounts_db_changed(struct accounts_db *db)
{
    if (db->version == NULL &&
        sqlite3_prepare_v2(db->handle, "PRAGMA data_version", -1, &db->version, NULL) != SQLITE_OK)
        return true;
    int64_t now = sqlite3_step(db->version) == SQLITE_ROW ? sqlite3_column_int64(db->version, 0) : -1;
    sqlite3_reset(db->version);
    bool is_new = now != db->seen || now < 0;
    db->seen = now;
    return is_new;
}

/* --- reading */

struct load {
    struct accounts_db *db;
    struct accounts *to;
};

static struct bytes column(sqlite3_stmt *s, int i)
{
    const void *at = sqlite3_column_text(s, i);
    if (at == NULL) return (struct bytes){ 0 };
    return bytes_of(at, (size_t)sqlite3_column_bytes(s, i));
}

static enum err wrong(struct load *l, struct bytes what, const char *why)
{
    int shown = what.len > SHOWN_BYTES ? SHOWN_BYTES : (int)what.len;
    snprintf(l->db->error, sizeof l->db->error, "'%.*s': %s", shown, (const char *)what.at, why);
    return ERR_SYNTAX;
}

static enum err load_account(struct load *l, sqlite3_stmt *s)
{
    struct account_conf conf = { .id = sqlite3_column_int64(s, 0),
                                 .name = column(s, 1),
                                 .secret = column(s, 2),
                                 .is_enabled = sqlite3_column_int(s, 3) != 0 };
    const char *why = conf.secret.at == NULL ? NULL : secret_wrong(conf.secret);
    if (conf.name.len > UINT16_MAX) why = "the name is too long; allowed: 65535 bytes";
    return why == NULL ? accounts_add(l->to, &conf) : wrong(l, conf.name, why);
}

static enum err load_team(struct load *l, sqlite3_stmt *s)
{
    return accounts_add_team(l->to, sqlite3_column_int64(s, 0));
}

/* What is of an account or a team that is not there says nothing of anybody. */
static enum err of_nobody(enum err rc)
{
    return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

static enum err load_member(struct load *l, sqlite3_stmt *s)
{
    return of_nobody(accounts_add_member(l->to, sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)));
}

static enum rule_action action_of(struct bytes word)
{
    if (bytes_equal(word, bytes_of_text("publish"))) return RULE_PUBLISH;
    return bytes_equal(word, bytes_of_text("subscribe")) ? RULE_SUBSCRIBE : RULE_BOTH;
}

static enum err load_rule(struct load *l, sqlite3_stmt *s)
{
    struct rule_owner owner = { sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1) };
    struct rule_conf conf = { .priority = sqlite3_column_int(s, 2),
                              .denies = bytes_equal(column(s, 3), bytes_of_text("deny")),
                              .action = action_of(column(s, 4)),
                              .filter = column(s, 5) };
    enum err rc = of_nobody(accounts_add_rule(l->to, owner, &conf));
    if (rc != ERR_SYNTAX) return rc;
    return wrong(l, conf.filter,
                 "is no topic filter; allowed: levels, '+' alone in one, '#' alone as the last");
}

static enum err load_limit(struct load *l, sqlite3_stmt *s)
{
    struct account_limit limit = { .connections = (uint32_t)sqlite3_column_int(s, 2) };
    struct bytes class = column(s, 1);
    if (class.len >= sizeof limit.class) return wrong(l, class, "a class of devices has at most 63 bytes");
    if (class.len > 0) memcpy(limit.class, class.at, class.len);
    if (bytes_equal(column(s, 3), bytes_of_text("refuse-newer"))) limit.policy = LIMIT_REFUSE_NEWER;
    return of_nobody(accounts_add_limit(l->to, sqlite3_column_int64(s, 0), &limit));
}

static enum err load_seed(struct load *l, sqlite3_stmt *s)
{
    const void *seed = sqlite3_column_blob(s, 0);
    if (seed != NULL && sqlite3_column_bytes(s, 0) == ACCOUNTS_SEED_BYTES) accounts_set_seed(l->to, seed);
    return ERR_OK;
}

static const struct {
    const char *sql;
    enum err (*load)(struct load *l, sqlite3_stmt *s);
} tables[] = {
    { "SELECT account_id, name, secret, enabled FROM account", load_account },
    { "SELECT team_id FROM team", load_team },
    { "SELECT team_id, account_id FROM member", load_member },
    { "SELECT account_id, team_id, priority, verdict, action, filter FROM rule", load_rule },
    { "SELECT account_id, class, connections, policy FROM connection_limit", load_limit },
    { "SELECT seed FROM pretence", load_seed },
};

static enum err load_table(struct load *l, size_t which)
{
    sqlite3_stmt *s;
    enum err rc = ERR_OK;
    int step = SQLITE_DONE;
    if (sqlite3_prepare_v2(l->db->handle, tables[which].sql, -1, &s, NULL) != SQLITE_OK)
        return fail(l->db, "read");
    while (rc == ERR_OK && (step = sqlite3_step(s)) == SQLITE_ROW) rc = tables[which].load(l, s);
    if (rc == ERR_OK && step != SQLITE_DONE) rc = fail(l->db, "read");
    sqlite3_finalize(s);
    return rc;
}

enum err accounts_db_load(struct accounts_db *db, struct accounts **out)
{
    struct load l = { .db = db };
    db->error[0] = '\0';
    *out = NULL;
    enum err rc = execute(db, "BEGIN");
    if (rc == ERR_OK) rc = accounts_new(&l.to);
    for (size_t i = 0; rc == ERR_OK && i < sizeof tables / sizeof tables[0]; i++) rc = load_table(&l, i);
    sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
    if (rc != ERR_OK) {
        if (rc != ERR_SYNTAX) db->seen = -1; /* it may do better the next time */
        if (db->error[0] == '\0') snprintf(db->error, sizeof db->error, "%s", err_text(rc));
        accounts_unref(&l.to);
        return rc;
    }
    accounts_finish(l.to);
    *out = l.to;
    return ERR_OK;
}

/* --- changing */

static enum err missing(struct accounts_db *db, struct bytes what)
{
    int shown = what.len > SHOWN_BYTES ? SHOWN_BYTES : (int)what.len;
    snprintf(db->error, sizeof db->error, "there is no '%.*s'", shown, (const char *)what.at);
    return ERR_NOTFOUND;
}

/* Each text of args in its place; one that begins nowhere is NULL. When nothing is changed, what the last one
 * names is missing. */
static enum err change(struct accounts_db *db, const char *sql, const struct bytes *args, int count)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK) return fail(db, "change");
    for (int i = 0; i < count; i++)
        if (args[i].at != NULL)
            sqlite3_bind_text(s, i + 1, (const char *)args[i].at, (int)args[i].len, SQLITE_TRANSIENT);
    enum err rc = sqlite3_step(s) == SQLITE_DONE ? ERR_OK : fail(db, "change");
    sqlite3_finalize(s);
    if (rc != ERR_OK || sqlite3_changes(db->handle) > 0) return rc;
    return missing(db, args[count - 1]);
}

static enum err check_name(struct accounts_db *db, struct bytes name)
{
    bool is_good = name.len > 0 && name.len <= UINT16_MAX && (utf8_scan(name) & UTF8_ILL_FORMED) == 0;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] < 0x20 || name.at[i] == 0x7f) is_good = false;
    if (is_good) return ERR_OK;
    snprintf(db->error, sizeof db->error,
             "a name cannot be; allowed: UTF-8 without control characters, at most 65535 bytes");
    return ERR_SYNTAX;
}

enum err accounts_db_put(struct accounts_db *db, struct bytes name, struct bytes secret)
{
    enum err rc = check_name(db, name);
    if (rc != ERR_OK) return rc;
    const struct bytes args[] = { name, secret };
    return change(db,
                  "INSERT INTO account (name, secret) VALUES (?1, ?2) "
                  "ON CONFLICT (name) DO UPDATE SET secret = excluded.secret",
                  args, 2);
}

enum err accounts_db_add(struct accounts_db *db, struct bytes name)
{
    enum err rc = check_name(db, name);
    if (rc != ERR_OK) return rc;
    return change(
        db, "INSERT INTO account (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = excluded.name",
        &name, 1);
}

enum err accounts_db_remove(struct accounts_db *db, struct bytes name)
{
    return change(db, "DELETE FROM account WHERE name = ?1", &name, 1);
}

enum err accounts_db_enable(struct accounts_db *db, struct bytes name, bool is_enabled)
{
    return change(db,
                  is_enabled ? "UPDATE account SET enabled = 1 WHERE name = ?1"
                             : "UPDATE account SET enabled = 0 WHERE name = ?1",
                  &name, 1);
}

static enum err join(struct accounts_db *db, const struct bytes args[2])
{
    enum err rc = check_name(db, args[0]);
    if (rc != ERR_OK) return rc;
    rc =
        change(db, "INSERT INTO team (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = ?1", args, 1);
    if (rc != ERR_OK) return rc;
    return change(db,
                  "INSERT INTO member (team_id, account_id) SELECT team_id, account_id FROM team, account "
                  "WHERE team.name = ?1 AND account.name = ?2 "
                  "ON CONFLICT (team_id, account_id) DO UPDATE SET team_id = excluded.team_id",
                  args, 2);
}

enum err accounts_db_join(struct accounts_db *db, struct bytes team, struct bytes name)
{
    const struct bytes args[] = { team, name };
    enum err rc = execute(db, "BEGIN IMMEDIATE");
    if (rc != ERR_OK) return rc;
    rc = join(db, args);
    if (rc == ERR_OK) rc = execute(db, "COMMIT");
    if (rc != ERR_OK) sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

enum err accounts_db_leave(struct accounts_db *db, struct bytes team, struct bytes name)
{
    const struct bytes args[] = { team, name };
    return change(db,
                  "DELETE FROM member WHERE team_id = (SELECT team_id FROM team WHERE name = ?1) "
                  "AND account_id = (SELECT account_id FROM account WHERE name = ?2)",
                  args, 2);
}

enum err accounts_db_add_rule(struct accounts_db *db, const struct accounts_db_rule *rule)
{
    char priority[16];
    const struct rule_conf *c = &rule->conf;
    snprintf(priority, sizeof priority, "%d", (int)c->priority);
    const struct bytes args[] = { rule->account,
                                  rule->team,
                                  bytes_of_text(priority),
                                  bytes_of_text(c->denies ? "deny" : "allow"),
                                  bytes_of_text(c->action == RULE_PUBLISH     ? "publish"
                                                : c->action == RULE_SUBSCRIBE ? "subscribe"
                                                                              : "both"),
                                  c->filter };
    struct grants *probe;
    enum err rc = grants_new(&probe);
    if (rc == ERR_OK) rc = grants_add(probe, c);
    grants_free(&probe);
    if (rc != ERR_OK) {
        snprintf(db->error, sizeof db->error, "'%.*s' is no topic filter",
                 c->filter.len > SHOWN_BYTES ? SHOWN_BYTES : (int)c->filter.len, (const char *)c->filter.at);
        return rc;
    }
    rc = change(
        db,
        "INSERT INTO rule (account_id, team_id, priority, verdict, action, filter) SELECT "
        "(SELECT account_id FROM account WHERE name = ?1), (SELECT team_id FROM team WHERE name = ?2), "
        "CAST(?3 AS INTEGER), ?4, ?5, ?6 "
        "WHERE (?1 IS NULL OR EXISTS (SELECT 1 FROM account WHERE name = ?1)) "
        "AND (?2 IS NULL OR EXISTS (SELECT 1 FROM team WHERE name = ?2))",
        args, 6);
    return rc == ERR_NOTFOUND ? missing(db, rule->account.at != NULL ? rule->account : rule->team) : rc;
}

enum err accounts_db_remove_rule(struct accounts_db *db, int64_t id)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)id);
    struct bytes arg = bytes_of_text(text);
    return change(db, "DELETE FROM rule WHERE rule_id = CAST(?1 AS INTEGER)", &arg, 1);
}

enum err accounts_db_each(struct accounts_db *db, enum accounts_db_list which,
                          void (*each)(const char *line, void *arg), void *arg)
{
    static const char *const lists[] = {
        "SELECT name || iif(enabled, '', ' (disabled)') || iif(secret IS NULL, ' (no password)', '') || "
        "coalesce((SELECT ' in ' || group_concat(team.name, ', ') FROM member JOIN team USING (team_id) "
        "WHERE member.account_id = account.account_id), '') FROM account ORDER BY name",
        "SELECT rule_id || ' ' || verdict || ' ' || action || ' ' || filter || "
        "coalesce(' user ' || account.name, ' team ' || team.name, '') || "
        "iif(priority = 0, '', ' priority ' || priority) FROM rule LEFT JOIN account USING (account_id) "
        "LEFT JOIN team ON team.team_id = rule.team_id ORDER BY rule_id",
    };
    sqlite3_stmt *s;
    int step;
    if (sqlite3_prepare_v2(db->handle, lists[which], -1, &s, NULL) != SQLITE_OK) return fail(db, "read");
    while ((step = sqlite3_step(s)) == SQLITE_ROW) each((const char *)sqlite3_column_text(s, 0), arg);
    enum err rc = step == SQLITE_DONE ? ERR_OK : fail(db, "read");
    sqlite3_finalize(s);
    return rc;
}
