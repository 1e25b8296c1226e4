/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "node/snap.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char path[32];
    int fd;
};

static void place_init(struct place *p)
{
    snprintf(p->path, sizeof p->path, "/tmp/longlink-snap.XXXXXX");
    CHECK_TRUE(mkdtemp(p->path) != NULL);
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY);
    CHECK_TRUE(p->fd >= 0);
}

static void place_fini(struct place *p)
{
    struct snap_list all;

    CHECK_INT(ERR_OK, snap_list(p->fd, &all));
    for (uint32_t i = 0; i < all.count; i++) snap_remove(p->fd, all.at[i]);
    close(p->fd);
    CHECK_INT(0, rmdir(p->path)); /* nothing else is left behind */
}

static struct snap_head head_of(uint64_t zxid)
{
    struct snap_head h = { .zxid = zxid, .epoch = 7 };

    h.members.count = 1;
    h.members.at[0] = (struct zab_member){ .id = 3, .role = ZAB_VOTER, .address = "127.0.0.1:1:2" };
    return h;
}

static void write_one(struct place *p, uint64_t zxid, const char *text)
{
    struct snap_writer w;
    struct snap_head h = head_of(zxid);

    snap_begin(&w, p->fd, SNAP_SAVE_NAME);
    for (size_t i = 0; i < strlen(text); i++) snap_write(&w, bytes_of(text + i, 1));
    CHECK_INT(ERR_OK, snap_end(&w, &h));
}

TEST(what_was_written_comes_back_with_its_head)
{
    struct place p;
    struct snap_reader r;
    char text[SNAP_TEXT_BYTES], got[32] = "";

    place_init(&p);
    write_one(&p, 0xabc, "the whole state");
    CHECK_INT(ERR_OK, snap_open(&r, p.fd, 0xabc, text));
    CHECK_INT(0xabc, r.head.zxid);
    CHECK_INT(7, r.head.epoch);
    CHECK_INT(3, r.head.members.at[0].id);
    CHECK_INT(9, snap_read(&r, got, 9));
    CHECK_INT(6, snap_read(&r, got + 9, sizeof got - 9));
    CHECK_TRUE(strcmp(got, "the whole state") == 0);
    CHECK_INT(0, snap_read(&r, got, 1));
    snap_close(&r);
    place_fini(&p);
}

TEST(a_state_without_bytes_is_a_snapshot_too)
{
    struct place p;
    struct snap_reader r;
    char text[SNAP_TEXT_BYTES], got;

    place_init(&p);
    write_one(&p, 5, "");
    CHECK_INT(ERR_OK, snap_open(&r, p.fd, 5, text));
    CHECK_INT(0, snap_read(&r, &got, 1));
    snap_close(&r);
    place_fini(&p);
}

TEST(snapshots_are_listed_from_the_newest_and_nothing_half_done_is_among_them)
{
    struct place p;
    struct snap_list all;
    struct snap_writer w;

    place_init(&p);
    write_one(&p, 20, "b");
    write_one(&p, 300, "c");
    write_one(&p, 1, "a");
    snap_begin(&w, p.fd, SNAP_INSTALL_NAME);
    snap_write(&w, bytes_of("half", 4));
    CHECK_INT(ERR_OK, snap_list(p.fd, &all));
    CHECK_INT(3, all.count);
    CHECK_INT(300, all.at[0]);
    CHECK_INT(20, all.at[1]);
    CHECK_INT(1, all.at[2]);
    snap_drop(&w);
    place_fini(&p);
}

/* Cut, or with a byte changed, anywhere that counts. */
TEST(a_file_that_is_not_what_was_written_is_refused)
{
    static const off_t places[] = {
        0, 9, 13, 20, 30, 33, 37, 41, 300, SNAP_HEAD_BYTES - 1, SNAP_HEAD_BYTES + 2
    };
    struct place p;
    struct snap_reader r;
    char text[SNAP_TEXT_BYTES];
    uint8_t byte;

    place_init(&p);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        write_one(&p, 0x11, "state");
        int fd = openat(p.fd, "snap.0000000000000011", O_RDWR);
        CHECK_INT(1, pread(fd, &byte, 1, places[i]));
        byte ^= 0x10;
        CHECK_INT(1, pwrite(fd, &byte, 1, places[i]));
        close(fd);
        CHECK_INT(ERR_SYNTAX, snap_open(&r, p.fd, 0x11, text));
        CHECK_TRUE(strstr(text, "snap.0000000000000011") != NULL);
    }
    for (off_t size = 0; size < SNAP_HEAD_BYTES + 5; size += 1637) {
        write_one(&p, 0x11, "state");
        int fd = openat(p.fd, "snap.0000000000000011", O_RDWR);
        CHECK_INT(0, ftruncate(fd, size));
        close(fd);
        CHECK_INT(ERR_SYNTAX, snap_open(&r, p.fd, 0x11, text));
    }
    place_fini(&p);
}

TEST(one_that_was_renamed_is_refused)
{
    struct place p;
    struct snap_reader r;
    char text[SNAP_TEXT_BYTES];

    place_init(&p);
    write_one(&p, 1, "state");
    CHECK_INT(0, renameat(p.fd, "snap.0000000000000001", p.fd, "snap.0000000000000002"));
    CHECK_INT(ERR_SYNTAX, snap_open(&r, p.fd, 2, text));
    place_fini(&p);
}

TEST(a_writer_that_failed_says_so_at_the_end_and_leaves_nothing)
{
    struct place p;
    struct snap_writer w;
    struct snap_head h = head_of(9);

    place_init(&p);
    snap_begin(&w, p.fd, "no-such-folder/x");
    snap_write(&w, bytes_of("x", 1));
    CHECK_INT(ERR_SYS, snap_end(&w, &h));
    CHECK_TRUE(w.text[0] != '\0');
    place_fini(&p);
}
