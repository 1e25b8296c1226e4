/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ref.h"
#include "shard/on_login.h"
#include "shard/shard_int.h"
#include "shard/shares.h"
#include <stdlib.h>

/* A group gives a message only to a member that may read it, and so that it need not ask another shard it
 * knows who that is: what an ACL file is asked with, shared by the connection's memberships. What holds is
 * what the door has when the message is given. */

struct share_reader {
    struct ref ref;
    uint16_t door;
    bool has_username;
    uint64_t door_no; /* the door is this one still: another may have its place when the client is away */
    uint32_t id_bytes, name_bytes;
    uint8_t text[]; /* client id, user name */
};

static struct share_reader *reader_new(const struct shard *sh, const struct conn *c, const struct session *s)
{
    struct bytes id = session_client_id(s), name = bytes_of_text(c->username != NULL ? c->username : "");
    struct share_reader *r = malloc(sizeof *r + id.len + name.len);
    if (r == NULL) return NULL;
    ref_init(&r->ref, 1);
    r->door = c->listener->door;
    r->door_no = sh->view->doors[r->door].number;
    r->has_username = c->username != NULL;
    r->id_bytes = (uint32_t)id.len;
    r->name_bytes = (uint32_t)name.len;
    memcpy(r->text, id.at, id.len);
    memcpy(r->text + id.len, name.at, name.len);
    return r;
}

struct share_reader *share_reader_of(const struct shard *sh, struct conn *c, const struct session *s)
{
    struct conn_seldom *seldom = conn_seldom(c);
    if (seldom == NULL) return NULL;
    if (seldom->reader == NULL) seldom->reader = reader_new(sh, c, s);
    if (seldom->reader != NULL) ref_add(&seldom->reader->ref, 1);
    return seldom->reader;
}

void share_reader_unref(struct share_reader **owner)
{
    struct share_reader *r = *owner;
    *owner = NULL;
    if (r != NULL && ref_drop(&r->ref)) free(r);
}

void share_member_set_reader(struct share_member *m, struct share_reader **reader)
{
    struct share_reader *before = m->reader;
    m->reader = *reader;
    *reader = NULL;
    share_reader_unref(&before);
}

bool share_reader_may(const struct share_member *m, const struct msg *msg)
{
    const struct share_group *g = CONTAINER(m->share, struct share_group, share);
    const struct shards_view *view = g->shard->view;
    const struct share_reader *r = m->reader;
    /* Not known: from before a restart, or its listener is gone. It is asked when it comes back. */
    if (r == NULL || r->door >= view->doors_count || view->doors[r->door].number != r->door_no) return true;
    const struct access *a = view->doors[r->door].access;
    if (!access_has_rules(a)) return true;
    struct access_who who = { .client_id = bytes_of(r->text, r->id_bytes) };
    if (r->has_username) who.username = bytes_of(r->text + r->id_bytes, r->name_bytes);
    return access_may(a, &who, msg_topic(msg), ACCESS_READ);
}
