/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/accounts.h"
#include "accounts/accounts_db.h"
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, PRIORITY_MAX = 1000000 };

void accounts_help(void)
{
    puts("usage: longlink accounts FILE list\n"
         "       longlink accounts FILE add NAME                 an account without a password\n"
         "       longlink accounts FILE enable|disable NAME\n"
         "       longlink accounts FILE join|leave TEAM NAME     join makes the team\n"
         "       longlink accounts FILE rules\n"
         "       longlink accounts FILE allow|deny publish|subscribe|both FILTER [user NAME|team NAME] "
         "[priority N]\n"
         "       longlink accounts FILE forget RULE              the number that 'rules' shows\n\n"
         "FILE is a database of longlink_auth.so, which 'longlink passwd --db -c FILE NAME' makes. A broker "
         "reads it\n"
         "again by itself, and disconnects who is no longer allowed.\n\n"
         "In FILTER %c is the client id and %u the user name. A rule without user and team is for everybody. "
         "The\n"
         "highest priority counts (default 0), and of one priority a denial.\n\n"
         "exit status: 0 it is done; 1 it failed, and nothing has changed; 2 wrong usage");
}

static int misused(const char *why)
{
    fprintf(stderr, "longlink accounts: %s; see 'longlink help accounts'\n", why);
    return EXIT_USAGE;
}

static struct bytes text(const char *word)
{
    return bytes_of_text(word);
}

static void print(const char *line, void *arg)
{
    (void)arg;
    puts(line);
}

static enum err run_list(struct accounts_db *db, int argc, char *const *argv)
{
    (void)argc;
    (void)argv;
    return accounts_db_each(db, ACCOUNTS_DB_LIST_ACCOUNTS, print, NULL);
}

static enum err run_rules(struct accounts_db *db, int argc, char *const *argv)
{
    (void)argc;
    (void)argv;
    return accounts_db_each(db, ACCOUNTS_DB_LIST_RULES, print, NULL);
}

static enum err run_add(struct accounts_db *db, int argc, char *const *argv)
{
    (void)argc;
    return accounts_db_add(db, text(argv[1]));
}

static enum err run_enable(struct accounts_db *db, int argc, char *const *argv)
{
    (void)argc;
    return accounts_db_enable(db, text(argv[1]), argv[0][0] == 'e');
}

static enum err run_team(struct accounts_db *db, int argc, char *const *argv)
{
    (void)argc;
    return argv[0][0] == 'j' ? accounts_db_join(db, text(argv[1]), text(argv[2]))
                             : accounts_db_leave(db, text(argv[1]), text(argv[2]));
}

static bool read_number(const char *word, long least, long *out)
{
    char *end;
    *out = strtol(word, &end, 10);
    return end != word && *end == '\0' && *out >= least && *out <= PRIORITY_MAX;
}

static bool read_action(const char *word, enum rule_action *out)
{
    static const struct {
        const char *word;
        enum rule_action is;
    } words[] = { { "publish", RULE_PUBLISH }, { "subscribe", RULE_SUBSCRIBE }, { "both", RULE_BOTH } };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, word) != 0) continue;
        *out = words[i].is;
        return true;
    }
    return false;
}

/* allow|deny ACTION FILTER, and pairs of words. ERR_RANGE: it cannot be. */
static enum err run_rule(struct accounts_db *db, int argc, char *const *argv)
{
    struct accounts_db_rule r = { .conf = { .denies = argv[0][0] == 'd', .filter = text(argv[2]) } };
    long priority = 0;
    if (!read_action(argv[1], &r.conf.action) || argc % 2 == 0) return ERR_RANGE;
    for (int i = 3; i < argc; i += 2) {
        if (strcmp(argv[i], "user") == 0)
            r.account = text(argv[i + 1]);
        else if (strcmp(argv[i], "team") == 0)
            r.team = text(argv[i + 1]);
        else if (strcmp(argv[i], "priority") != 0 || !read_number(argv[i + 1], -PRIORITY_MAX, &priority))
            return ERR_RANGE;
    }
    if (r.account.at != NULL && r.team.at != NULL) return ERR_RANGE;
    r.conf.priority = (int32_t)priority;
    return accounts_db_add_rule(db, &r);
}

static enum err run_forget(struct accounts_db *db, int argc, char *const *argv)
{
    long id;
    (void)argc;
    return read_number(argv[1], 1, &id) ? accounts_db_remove_rule(db, id) : ERR_RANGE;
}

static const struct {
    const char *name;
    int least, most; /* words, with its own */
    enum err (*run)(struct accounts_db *db, int argc, char *const *argv);
} commands[] = {
    { "list", 1, 1, run_list },      { "add", 2, 2, run_add },    { "enable", 2, 2, run_enable },
    { "disable", 2, 2, run_enable }, { "join", 3, 3, run_team },  { "leave", 3, 3, run_team },
    { "rules", 1, 1, run_rules },    { "allow", 3, 7, run_rule }, { "deny", 3, 7, run_rule },
    { "forget", 2, 2, run_forget },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

int accounts_main(int argc, char *const *argv)
{
    struct accounts_db *db;
    int at = 0;
    if (argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        accounts_help();
        return EXIT_GOOD;
    }
    if (argc < 2) return misused("a file and a command are missing");
    while (at < COMMANDS && strcmp(commands[at].name, argv[1]) != 0) at++;
    if (at == COMMANDS) return misused("an unknown command");
    if (argc - 1 < commands[at].least || argc - 1 > commands[at].most)
        return misused("a wrong number of words");
    enum err rc = accounts_db_open(&db, argv[0], ACCOUNTS_DB_OPEN);
    if (rc == ERR_OK) rc = commands[at].run(db, argc - 1, argv + 1);
    if (rc != ERR_OK && rc != ERR_RANGE)
        fprintf(stderr, "longlink accounts: %s: %s\n", argv[0], accounts_db_error(db));
    accounts_db_close(&db);
    if (rc == ERR_RANGE) return misused("a word that cannot be");
    return rc == ERR_OK ? EXIT_GOOD : EXIT_FAILED;
}
