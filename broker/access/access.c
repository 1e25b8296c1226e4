/* SPDX-License-Identifier: Apache-2.0 */
#include "access/access.h"
#include "access/access_int.h"
#include "base/rng.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The snapshot: made of its files, counted, and freed. */

static struct access *make(void)
{
    struct access *a = calloc(1, sizeof *a);
    if (a == NULL) return NULL;
    ref_init(&a->ref, 1);
    a->seed = rng_u64();
    map_init(&a->accounts);
    rules_init(a);
    return a;
}

enum err access_parse(struct access **out, const struct access_source *passwords,
                      const struct access_source *rules, struct access_notes *notes)
{
    struct access *a = make();
    enum err rc = a == NULL ? ERR_NOMEM : ERR_OK;
    *out = a;
    notes->error[0] = '\0';
    if (rc == ERR_OK && passwords->name != NULL) rc = accounts_parse(a, passwords, notes);
    if (rc == ERR_OK && rules->name != NULL) rc = rules_parse(a, rules, notes);
    if (rc == ERR_NOMEM) snprintf(notes->error, sizeof notes->error, "%s", err_text(rc));
    if (rc != ERR_OK) access_unref(out);
    return rc;
}

static enum err source_open(struct access_source *s, const char *path, struct access_notes *notes)
{
    *s = (struct access_source){ 0 };
    if (path == NULL || path[0] == '\0') return ERR_OK;
    s->name = path;
    return access_read_file(path, &s->bytes, notes);
}

static void source_close(struct access_source *s)
{
    void *at = (void *)(uintptr_t)s->bytes.at;
    if (at != NULL) OPENSSL_cleanse(at, s->bytes.len);
    free(at);
}

/* Hashes that everybody can read are soon somebody's. */
static void check_mode(const char *path, const struct access_notes *notes)
{
    struct stat st;
    char text[ACCESS_TEXT_BYTES];
    if (path == NULL || notes->warn == NULL || stat(path, &st) != 0 || (st.st_mode & S_IROTH) == 0) return;
    snprintf(text, sizeof text, "%.400s: every user of this machine can read the hashes; chmod 640 %.400s",
             path, path);
    notes->warn(notes->ctx, text);
}

enum err access_new(struct access **out, const struct access_conf *conf, struct access_notes *notes)
{
    struct access_source passwords, rules = { 0 };
    *out = NULL;
    notes->error[0] = '\0';
    enum err rc = source_open(&passwords, conf->password_file, notes);
    if (rc == ERR_OK) rc = source_open(&rules, conf->acl_file, notes);
    if (rc == ERR_OK) check_mode(passwords.name, notes);
    if (rc == ERR_OK) rc = access_parse(out, &passwords, &rules, notes);
    if (rc == ERR_NOMEM) snprintf(notes->error, sizeof notes->error, "%s", err_text(rc));
    source_close(&passwords);
    source_close(&rules);
    return rc;
}

struct access *access_ref(struct access *a)
{
    if (a != NULL) ref_add(&a->ref, 1);
    return a;
}

void access_unref(struct access **owner)
{
    struct access *a = *owner;
    *owner = NULL;
    if (a == NULL || !ref_drop(&a->ref)) return;
    accounts_free(a);
    rules_free(a);
    OPENSSL_cleanse(&a->usual, sizeof a->usual);
    free(a);
}
