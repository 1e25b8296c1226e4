/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/passwd.h"
#include "access/access.h"
#include "accounts/accounts_db.h"
#include "accounts/secret.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* The file is written anew beside itself and then takes its own place: a broker that reloads meanwhile reads
 * the one or the other. */

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, ITERATIONS_USUAL = 20000, PASSWORD_BYTES_MAX = 4096 };

struct wish {
    const char *file, *user;
    char password[PASSWORD_BYTES_MAX];
    bool is_new, removes, hashes_all, is_batch, is_db;
    const char *kind;    /* of hash; NULL: the usual one */
    uint32_t iterations; /* 0: $6$ */
};

struct out {
    FILE *to;
    size_t users; /* that were met or made, and changed */
};

void passwd_help(void)
{
    printf("usage: longlink passwd [-c] [-H KIND] [-I N] FILE USER            asks for the password\n"
           "       longlink passwd [-c] [-H KIND] [-I N] -b FILE USER PASSWORD\n"
           "       longlink passwd -D FILE USER\n"
           "       longlink passwd [-H KIND] [-I N] -U FILE\n"
           "       longlink passwd --db ...                                   the same, but for -U\n\n"
           "Adds a user to the password file FILE of a broker, or gives him another password.\n\n"
           "  -c       make FILE anew, without those who are in it\n"
           "  -b       the password is on the command line, for everybody to see\n"
           "  -D       remove the user\n"
           "  -U       put hashes in the place of passwords in clear text\n"
           "  -H KIND  sha512-pbkdf2 (the default), sha512; with --db scram-sha-256, the default there\n"
           "  -I N     iterations, 1 to %d (scram-sha-256: %d or more); default %d\n"
           "  --db     FILE is a database of longlink_auth.so; -c makes it if it is not there\n\n"
           "Without -b the password is read from the terminal, or else is one line of the standard input.\n"
           "A broker reads a password file again on SIGHUP, and a database by itself.\n\n"
           "exit status: 0 it is done; 1 it failed, and FILE is as it was; 2 wrong usage\n",
           ACCESS_ITERATIONS_MAX, SCRAM_ITERATIONS_MIN, ITERATIONS_USUAL);
}

static int failed(const char *what, const char *why)
{
    fprintf(stderr, "longlink passwd: %s: %s\n", what, why);
    return EXIT_FAILED;
}

static int misused(const char *why)
{
    fprintf(stderr, "longlink passwd: %s; see 'longlink help passwd'\n", why);
    return EXIT_USAGE;
}

/* --- the command line */

static bool read_iterations(const char *text, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9') return false;
    *out = n >= 1 && n <= ACCESS_ITERATIONS_MAX ? (uint32_t)n : 0;
    return *out != 0;
}

enum { FLAG_DB = 256 };

/* NULL, or what is wrong. */
static const char *read_flag(struct wish *w, int flag)
{
    switch (flag) {
    case 'c': w->is_new = true; return NULL;
    case 'b': w->is_batch = true; return NULL;
    case 'D': w->removes = true; return NULL;
    case 'U': w->hashes_all = true; return NULL;
    case 'I': return read_iterations(optarg, &w->iterations) ? NULL : "a wrong number of iterations";
    case 'H': w->kind = optarg; return NULL;
    case FLAG_DB: w->is_db = true; return NULL;
    default: return "an unknown flag";
    }
}

static const char *read_words(struct wish *w, int count, char *const *words)
{
    bool takes_user = !w->hashes_all;
    if (w->is_new + w->removes + w->hashes_all > 1) return "-c, -D and -U do not go together";
    if (w->is_batch && (w->removes || w->hashes_all)) return "-b is for a password";
    if (count != 1 + takes_user + w->is_batch) return "a wrong number of words";
    w->file = words[0];
    if (!takes_user) return NULL;
    w->user = words[1];
    bool is_wrong = w->user[0] == '\0' || w->user[0] == '#' || strpbrk(w->user, ":\r\n") != NULL;
    if (is_wrong) return "a user name is not empty, does not begin with '#' and has no ':' in it";
    if (!w->is_batch) return NULL;
    if (strlen(words[2]) >= sizeof w->password) return "the password is too long";
    snprintf(w->password, sizeof w->password, "%s", words[2]);
    return NULL;
}

static bool is_kind(const struct wish *w, const char *kind)
{
    return w->kind != NULL && strcmp(w->kind, kind) == 0;
}

static bool is_scram(const struct wish *w)
{
    return w->is_db && (w->kind == NULL || is_kind(w, "scram-sha-256"));
}

static const char *check_kind(struct wish *w)
{
    bool is_known = w->kind == NULL || is_scram(w) || is_kind(w, "sha512") || is_kind(w, "sha512-pbkdf2");
    if (!is_known) return "an unknown kind of hash";
    if (is_scram(w) && w->iterations < SCRAM_ITERATIONS_MIN) return "too few iterations for scram-sha-256";
    if (w->is_db && w->hashes_all) return "--db and -U do not go together";
    if (is_kind(w, "sha512")) w->iterations = 0;
    return NULL;
}

/* argv is behind the name of the command, which getopt wants to see. */
static const char *read_command(struct wish *w, int argc, char *const *argv)
{
    static const struct option longs[] = { { "db", no_argument, NULL, FLAG_DB }, { 0 } };
    const char *why = NULL;
    w->iterations = ITERATIONS_USUAL;
    optind = 1;
    opterr = 0;
    for (int flag = getopt_long(argc + 1, argv - 1, "+cbDUH:I:", longs, NULL); flag != -1 && why == NULL;
         flag = getopt_long(argc + 1, argv - 1, "+cbDUH:I:", longs, NULL))
        why = read_flag(w, flag);
    if (why == NULL) why = check_kind(w);
    return why == NULL ? read_words(w, argc + 1 - optind, argv - 1 + optind) : why;
}

/* --- the password */

static bool read_line(char *to, size_t size)
{
    if (fgets(to, (int)size, stdin) == NULL) return false;
    size_t n = strcspn(to, "\n");
    bool is_whole = to[n] == '\n' || n + 1 < size;
    to[n] = '\0';
    return is_whole;
}

static bool ask(const char *prompt, char *to, size_t size)
{
    struct termios before, silent;
    fputs(prompt, stderr);
    if (tcgetattr(STDIN_FILENO, &before) != 0) return false;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    bool is_read = read_line(to, size);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputs("\n", stderr);
    return is_read;
}

/* NULL, or what is wrong. */
static const char *get_password(struct wish *w)
{
    if (w->removes || w->hashes_all) return NULL;
    if (!w->is_batch && !isatty(STDIN_FILENO)) {
        if (!read_line(w->password, sizeof w->password)) return "there is none, or it is too long";
    } else if (!w->is_batch) {
        char again[PASSWORD_BYTES_MAX];
        bool is_read = ask("Password: ", w->password, sizeof w->password) &&
                       ask("The same again: ", again, sizeof again);
        bool is_same = is_read && strcmp(w->password, again) == 0;
        explicit_bzero(again, sizeof again);
        if (!is_same) return "it was not the same twice";
    }
    return w->password[0] == '\0' ? "it is empty, which lets nobody in" : NULL;
}

/* --- the file */

static void write_user(struct out *o, const struct wish *w, const char *user, int user_bytes,
                       struct bytes password)
{
    char hash[ACCESS_HASH_BYTES];
    access_make_hash(password, w->iterations, hash);
    fprintf(o->to, "%.*s:%s\n", user_bytes, user, hash);
    o->users++;
}

static bool is_user(const char *line, size_t name_bytes, const char *user)
{
    return strlen(user) == name_bytes && memcmp(line, user, name_bytes) == 0;
}

/* What becomes of a line that is there. */
static void pass_line(struct out *o, const struct wish *w, const char *line)
{
    const char *colon = line[0] == '#' ? NULL : strchr(line, ':');
    size_t name_bytes = colon == NULL ? 0 : (size_t)(colon - line);
    if (colon != NULL && w->hashes_all && colon[1] != '$' && colon[1] != '\0') {
        write_user(o, w, line, (int)name_bytes, bytes_of_text(colon + 1));
    } else if (colon != NULL && w->user != NULL && is_user(line, name_bytes, w->user)) {
        if (w->removes)
            o->users++;
        else if (o->users == 0) /* a second line of his would have no effect */
            write_user(o, w, w->user, (int)name_bytes, bytes_of_text(w->password));
    } else {
        fprintf(o->to, "%s\n", line);
    }
}

static void pass_lines(struct out *o, const struct wish *w, FILE *from)
{
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n = getline(&line, &room, from); n >= 0; n = getline(&line, &room, from)) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = '\0';
        pass_line(o, w, line);
    }
    if (line != NULL) explicit_bzero(line, room);
    free(line);
}

/* The new file has the owner and the mode of the old one; or is the owner's alone. */
static bool take_after(int fd, FILE *from)
{
    struct stat st;
    if (from == NULL) return fchmod(fd, 0600) == 0;
    if (fstat(fileno(from), &st) != 0 || fchmod(fd, st.st_mode & 07777) != 0) return false;
    return fchown(fd, st.st_uid, st.st_gid) == 0 || geteuid() != 0;
}

static int finish(const struct wish *w, struct out *o, const char *new_path, bool is_good)
{
    bool is_written = is_good && !ferror(o->to) && fflush(o->to) == 0 && fsync(fileno(o->to)) == 0;
    int why = errno;
    fclose(o->to);
    bool is_there = w->hashes_all || o->users > 0;
    if (is_written && is_there && rename(new_path, w->file) == 0) return EXIT_GOOD;
    if (is_written && is_there) why = errno;
    unlink(new_path);
    return is_written && !is_there ? failed(w->user, "there is no such user")
                                   : failed(w->file, strerror(why));
}

static int rewrite(const struct wish *w, FILE *from)
{
    struct out o = { 0 };
    char new_path[4096];
    int n = snprintf(new_path, sizeof new_path, "%s.XXXXXX", w->file);
    if (n < 0 || (size_t)n >= sizeof new_path) return failed(w->file, "the name is too long");
    int fd = mkstemp(new_path);
    o.to = fd < 0 ? NULL : fdopen(fd, "w");
    if (o.to == NULL) return failed(new_path, strerror(errno));
    bool is_good = take_after(fd, from);
    if (from != NULL && !w->is_new) pass_lines(&o, w, from);
    if (w->user != NULL && !w->removes && o.users == 0)
        write_user(&o, w, w->user, (int)strlen(w->user), bytes_of_text(w->password));
    return finish(w, &o, new_path, is_good);
}

/* --- the database */

static enum err change_account(const struct wish *w, struct accounts_db *db)
{
    char secret[SECRET_TEXT_BYTES];
    struct bytes name = bytes_of_text(w->user), password = bytes_of_text(w->password);
    if (w->removes) return accounts_db_remove(db, name);
    if (is_scram(w))
        secret_make(password, w->iterations, secret);
    else
        access_make_hash(password, w->iterations, secret);
    enum err rc = accounts_db_put(db, name, bytes_of_text(secret));
    explicit_bzero(secret, sizeof secret);
    return rc;
}

static int change_db(const struct wish *w)
{
    struct accounts_db *db;
    enum err rc = accounts_db_open(&db, w->file, w->is_new ? ACCOUNTS_DB_CREATE : ACCOUNTS_DB_OPEN);
    if (rc == ERR_OK) rc = change_account(w, db);
    int status = rc == ERR_OK         ? EXIT_GOOD
                 : rc == ERR_NOTFOUND ? failed(w->user, "there is no such user")
                                      : failed(w->file, accounts_db_error(db));
    accounts_db_close(&db);
    return status;
}

static int change(const struct wish *w)
{
    if (w->is_db) return change_db(w);
    FILE *from = fopen(w->file, "r");
    if (from == NULL && !(w->is_new && errno == ENOENT))
        return failed(w->file, errno == ENOENT ? "it is not there; -c makes it" : strerror(errno));
    int status = rewrite(w, from);
    if (from != NULL) fclose(from);
    return status;
}

int passwd_main(int argc, char *const *argv)
{
    static struct wish w;
    if (argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)) {
        passwd_help();
        return EXIT_GOOD;
    }
    const char *why = read_command(&w, argc, argv);
    if (why != NULL) return misused(why);
    why = get_password(&w);
    int status = why == NULL ? change(&w) : failed("the password", why);
    explicit_bzero(&w, sizeof w);
    return status;
}
