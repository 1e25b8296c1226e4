/* SPDX-License-Identifier: Apache-2.0 */
/* A start: what the disk has becomes a state machine and a core.
 *
 * The log is read twice: to learn which entries are part of the history and which snapshots belong to it, and
 * to restore the core. The core gets what is left when every TRUNC and INSTALL has been obeyed; so the log
 * may begin anywhere, as it does after a purge. A snapshot of which the history knows nothing came from a
 * leader and was never recorded as installed: it goes. */
#include "node/node_int.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAMAGED_NAME "damaged."

enum { PATH_BYTES = CONF_PATH_BYTES + 64 };

struct history {
    struct node *n;
    bool known[SNAPS_MAX];         /* of n->snaps */
    uint64_t first_lsn, reset_lsn; /* the last INSTALL */
    bool has_checkpoint;
    const char *wrong;
    uint64_t lsn; /* of the record that is looked at */
};

static enum err say(char text[NODE_TEXT_BYTES], enum err rc, const char *what, const char *why)
{
    snprintf(text, NODE_TEXT_BYTES, "%s: %s", what, why);
    return rc;
}

/* --- the first reading */

static void note_snapshots(struct history *h, const struct zab_record *r)
{
    for (uint32_t i = 0; i < h->n->snaps.count; i++) {
        uint64_t zxid = h->n->snaps.at[i];
        if (r->kind == ZAB_RECORD_ENTRY && (r->entry.last == zxid || r->entry.prev == zxid))
            h->known[i] = true;
        if (r->kind == ZAB_RECORD_TRUNC && zxid > r->zxid) h->known[i] = false;
        if (r->kind == ZAB_RECORD_INSTALL) h->known[i] = zxid == r->zxid;
        if (r->kind == ZAB_RECORD_CHECKPOINT && zxid == r->zxid) h->known[i] = true;
    }
}

static enum err decode(struct history *h, const struct wal_record *record, struct zab_record *r,
                       struct wire_scratch *scratch)
{
    enum wire_rc rc = wire_record_decode(record->payload, r, scratch);

    h->lsn = record->first;
    if (rc == WIRE_OK && r->kind == record->type) return ERR_OK;
    h->wrong = rc == WIRE_OK ? "its kind is not what its payload says" : wire_rc_text(rc);
    return ERR_SYNTAX;
}

static enum err learn(void *arg, const struct wal_record *record)
{
    struct history *h = arg;
    struct wire_scratch scratch;
    struct zab_record r;
    enum err rc = decode(h, record, &r, &scratch);

    if (rc != ERR_OK) return rc;
    if (h->first_lsn == 0) h->first_lsn = record->first;
    if (r.kind == ZAB_RECORD_INSTALL) h->reset_lsn = record->first;
    if (r.kind == ZAB_RECORD_CHECKPOINT) h->has_checkpoint = true;
    note_snapshots(h, &r);
    return index_note(&h->n->index, &r, record->first);
}

/* --- the second */

static bool is_history(const struct history *h, const struct zab_record *r, uint64_t lsn)
{
    if (r->kind == ZAB_RECORD_TRUNC) return false;
    if (r->kind == ZAB_RECORD_INSTALL) return lsn == h->reset_lsn;
    if (r->kind != ZAB_RECORD_ENTRY) return true;
    return lsn > h->reset_lsn && index_is_alive(&h->n->index.cuts, lsn, r->entry.last);
}

static enum err restore(void *arg, const struct wal_record *record)
{
    struct history *h = arg;
    struct wire_scratch scratch;
    struct zab_record r;
    enum err rc = decode(h, record, &r, &scratch);

    if (rc != ERR_OK || !is_history(h, &r, record->first)) return rc;
    /* A purge may have left it in front, without the entries that stood between its snapshot and it. */
    if (r.kind == ZAB_RECORD_CHECKPOINT) r.zxid = h->n->index.begin;
    rc = zab_restore(h->n->zab, &r);
    if (rc == ERR_SYNTAX) h->wrong = "it does not follow those before it";
    return rc;
}

static enum err read_log(struct history *h, enum err (*each)(void *arg, const struct wal_record *record),
                         char text[NODE_TEXT_BYTES])
{
    enum err rc = wal_read(h->n->wal_reader, 0, 0, each, h);

    if (rc == ERR_OK) return rc;
    const char *why = h->wrong != NULL ? h->wrong : wal_reader_error(h->n->wal_reader);
    snprintf(text, NODE_TEXT_BYTES, "record %" PRIu64 " of the log in %s cannot be used: %s", h->lsn,
             h->n->conf.data_dir, why[0] != '\0' ? why : err_text(rc));
    return rc;
}

/* --- the snapshot to begin from */

static enum err load_snapshot(struct node *n, uint64_t zxid, bool *is_loaded)
{
    char text[SNAP_TEXT_BYTES];
    struct snap_reader from;

    if (snap_open(&from, n->dir_fd, zxid, text) != ERR_OK) {
        node_line(n, "%s: an older one is taken", text);
        return ERR_OK;
    }
    enum err rc = n->machine.load(n->machine.arg, &from);
    snap_close(&from);
    n->applied = n->told_applied = zxid;
    n->applied_members = from.head.members;
    *is_loaded = rc == ERR_OK;
    return rc;
}

static enum err choose_snapshot(struct history *h, char text[NODE_TEXT_BYTES])
{
    struct node *n = h->n;
    bool is_loaded = false;
    enum err rc = ERR_OK;

    for (uint32_t i = 0; rc == ERR_OK && !is_loaded && i < n->snaps.count; i++) {
        if (h->known[i] && n->snaps.at[i] >= n->index.begin) {
            rc = load_snapshot(n, n->snaps.at[i], &is_loaded);
        } else if (!h->known[i] && n->snaps.at[i] > n->index.begin) {
            node_line(n, "snap.%016" PRIx64 " is not part of this node's history: removed", n->snaps.at[i]);
            snap_remove(n->dir_fd, n->snaps.at[i]);
        }
    }
    if (rc != ERR_OK) return say(text, rc, "a snapshot cannot be loaded", err_text(rc));
    if (!is_loaded && n->index.begin > 0)
        return say(
            text, ERR_NOTFOUND, n->conf.data_dir,
            "the log begins behind every snapshot that can be read: restore this directory, or empty it "
            "and let the node learn all from the others with damagedLog=relearn");
    return snap_list(n->dir_fd, &n->snaps);
}

/* Snapshots without a log, or a log without its beginning, are a directory of which something was removed:
 * its promises may be gone. */
static enum err check_whole(const struct history *h, char text[NODE_TEXT_BYTES])
{
    const struct node *n = h->n;
    bool is_cut = h->first_lsn > 1 && !h->has_checkpoint;
    bool is_gone = h->first_lsn == 0 && n->snaps.count > 0;

    if (!is_cut && !is_gone) return ERR_OK;
    return say(text, ERR_NOTFOUND, n->conf.data_dir,
               "the log, or its beginning, is missing: restore it, or choose damagedLog=relearn");
}

static enum err new_core(struct node *n)
{
    const struct zab_conf conf = { .id = n->conf.id,
                                   .seed = (uint64_t)n->conf.id * 7919 + n->now_ms,
                                   .members = n->applied_members,
                                   .tick_ms = n->conf.tick_ms,
                                   .init_ticks = n->conf.init_ticks,
                                   .sync_ticks = n->conf.sync_ticks,
                                   .lease_ms = n->conf.lease_ms,
                                   .window_entries = n->conf.window_entries,
                                   .applied = n->applied,
                                   .is_damaged = n->is_damaged };
    return zab_new(&n->zab, &conf);
}

/* The first record of the log that took the other's place says that it lost something; until that is durable
 * the folder does. */
static bool was_moved_aside(const struct node *n)
{
    return faccessat(n->dir_fd, DAMAGED_NAME "1", F_OK, 0) == 0;
}

static enum err restore_all(struct node *n, char text[NODE_TEXT_BYTES])
{
    struct history h = { .n = n };

    n->applied_members = n->conf.members;
    enum err rc = wal_reader_open(&n->wal_reader, n->wal);
    if (rc == ERR_OK) rc = snap_list(n->dir_fd, &n->snaps);
    if (rc != ERR_OK) return say(text, rc, n->conf.data_dir, err_text(rc));
    rc = read_log(&h, learn, text);
    if (rc == ERR_OK) rc = check_whole(&h, text);
    n->is_damaged = n->is_damaged || (h.first_lsn == 0 && was_moved_aside(n));
    if (rc == ERR_OK) rc = choose_snapshot(&h, text);
    if (rc != ERR_OK) return rc;
    rc = new_core(n);
    if (rc != ERR_OK) return say(text, rc, "this configuration makes no sense to the core", err_text(rc));
    rc = read_log(&h, restore, text);
    n->lsn = n->durable_lsn = wal_last(n->wal, 0);
    return rc;
}

/* --- the directory */

static void wal_path(const struct node *n, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/wal", n->conf.data_dir);
}

static enum err open_log(struct node *n, struct wal_report *report)
{
    char path[PATH_BYTES];

    wal_path(n, path);
    if (mkdirat(n->dir_fd, "wal", 0700) != 0 && errno != EEXIST) {
        snprintf(report->text, sizeof report->text, "cannot make %.300s", path);
        return ERR_SYS;
    }
    const struct wal_conf conf = { .dir = path,
                                   .segment_bytes = n->conf.segment_kib * 1024,
                                   .node_id = n->conf.id,
                                   .cluster_id = n->conf.cluster,
                                   .durability = WAL_DISK };
    return fsync(n->dir_fd) == 0 ? wal_open(&n->wal, &conf, report) : ERR_SYS;
}

/* All of it: snapshots without their log say nothing about what this node has promised. */
static enum err move_aside(struct node *n)
{
    char name[64], path[128];
    struct snap_list snaps;

    for (unsigned i = 1;; i++) {
        snprintf(name, sizeof name, DAMAGED_NAME "%u", i);
        if (mkdirat(n->dir_fd, name, 0700) == 0) break;
        if (errno != EEXIST) return ERR_SYS;
    }
    if (fsync(n->dir_fd) != 0) return ERR_SYS; /* before the log goes: see was_moved_aside */
    snprintf(path, sizeof path, "%s/wal", name);
    if (renameat(n->dir_fd, "wal", n->dir_fd, path) != 0) return ERR_SYS;
    if (snap_list(n->dir_fd, &snaps) != ERR_OK) return ERR_SYS;
    for (uint32_t i = 0; i < snaps.count; i++) {
        char from[32];
        snprintf(from, sizeof from, "snap.%016" PRIx64, snaps.at[i]);
        snprintf(path, sizeof path, "%s/%s", name, from);
        if (renameat(n->dir_fd, from, n->dir_fd, path) != 0) return ERR_SYS;
    }
    if (fsync(n->dir_fd) != 0) return ERR_SYS;
    node_line(n, "the log was moved to %s/%s; this node counts for nothing until a leader has taught it all",
              n->conf.data_dir, name);
    n->is_damaged = true;
    return ERR_OK;
}

static void forget(struct node *n)
{
    wal_reader_close(&n->wal_reader);
    wal_close(&n->wal);
    zab_free(&n->zab);
    index_fini(&n->index);
    n->applied = n->told_applied = 0;
}

static enum err try_restore(struct node *n, bool *is_damaged, char text[NODE_TEXT_BYTES])
{
    struct wal_report report = { 0 };
    enum err rc = open_log(n, &report);

    *is_damaged = report.verdict == WAL_DAMAGED;
    if (rc != ERR_OK) {
        snprintf(text, NODE_TEXT_BYTES, "%.500s%s", report.text,
                 *is_damaged ? ". Or choose damagedLog=relearn: it is moved aside" : "");
        return rc;
    }
    if (report.verdict == WAL_TORN) node_line(n, "%s", report.text);
    rc = restore_all(n, text);
    *is_damaged = rc == ERR_SYNTAX || rc == ERR_NOTFOUND;
    return rc;
}

enum err node_restore(struct node *n, char text[NODE_TEXT_BYTES])
{
    bool is_damaged;
    enum err rc = try_restore(n, &is_damaged, text);

    if (rc == ERR_OK || !is_damaged || !n->conf.relearns) return rc;
    node_line(n, "%s", text);
    forget(n);
    rc = move_aside(n);
    if (rc != ERR_OK) return say(text, rc, n->conf.data_dir, "the damaged log cannot be moved aside");
    return try_restore(n, &is_damaged, text);
}
