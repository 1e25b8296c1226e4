/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners on a path; those on a port are in test_net.c. */
#include "kit/test.h"
#include "net/address.h"
#include "net/listener.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct place {
    char dir[64];
    char path[96];
};

static void place_make(struct place *p)
{
    snprintf(p->dir, sizeof p->dir, "/tmp/longlink-listener.XXXXXX");
    CHECK_TRUE(mkdtemp(p->dir) != NULL);
    snprintf(p->path, sizeof p->path, "%s/broker.sock", p->dir);
}

static void place_remove(struct place *p)
{
    unlink(p->path);
    CHECK_INT(0, rmdir(p->dir)); /* nothing else is left in it */
}

static bool is_there(const struct place *p)
{
    struct stat file;
    return lstat(p->path, &file) == 0;
}

static int dial(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_TRUE(fd >= 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0) return fd;
    close(fd);
    return -1;
}

/* A socket file without a process behind it. */
static void leave_stale(const struct place *p)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s", p->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(0, bind(fd, (struct sockaddr *)&at, sizeof at));
    CHECK_INT(0, listen(fd, 1));
    close(fd);
}

TEST(a_path_is_served_with_mode_0770_whatever_the_umask_and_gone_at_the_end)
{
    struct place p;
    struct listener l;
    struct stat file;
    place_make(&p);
    mode_t before = umask(0077);
    CHECK_INT(ERR_OK, listener_open_path(&l, p.path));
    umask(before);
    CHECK_INT(0, lstat(p.path, &file));
    CHECK_INT(S_IFSOCK | 0770, file.st_mode);
    int there = dial(p.path);
    CHECK_TRUE(there >= 0);
    CHECK_INT(ERR_OK, listener_close(&l));
    CHECK_INT(0, l.fds_count);
    CHECK_TRUE(!is_there(&p));
    close(there);
    place_remove(&p);
}

TEST(a_peer_of_this_machine_is_known_by_its_process)
{
    struct place p;
    struct listener l;
    struct transport t = { .ops = &transport_tcp, .fd = -1 };
    char text[ADDRESS_TEXT_BYTES], want[ADDRESS_TEXT_BYTES];
    place_make(&p);
    CHECK_INT(ERR_OK, listener_open_path(&l, p.path));
    CHECK_INT(ERR_AGAIN, listener_accept(l.fds[0], &t.fd));
    int there = dial(p.path);
    CHECK_INT(ERR_OK, listener_accept(l.fds[0], &t.fd));
    transport_peer(&t, text);
    snprintf(want, sizeof want, "local:%ld", (long)getpid());
    CHECK_TRUE(strcmp(want, text) == 0);
    t.ops->close(&t);
    close(there);
    listener_close(&l);
    place_remove(&p);
}

static int dial_port(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_TRUE(connect(fd, (const struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

static void expect_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    CHECK_INT(1, poll(&p, 1, -1));
}

TEST(how_many_wait_to_be_accepted_is_known_over_tcp)
{
    struct listener l;
    struct listener_conf conf = { .address = "127.0.0.1", .family = AF_INET };
    CHECK_INT(ERR_OK, listener_open(&l, &conf));
    CHECK_INT(0, listener_waiting(l.fds[0]));
    int there = dial_port(l.port), here = -1;
    expect_readable(l.fds[0]);
    CHECK_INT(1, listener_waiting(l.fds[0]));
    CHECK_INT(ERR_OK, listener_accept(l.fds[0], &here));
    CHECK_INT(0, listener_waiting(l.fds[0]));
    close(here);
    close(there);
    listener_close(&l);
}

TEST(how_many_wait_at_a_path_is_not_known)
{
    struct place p;
    struct listener l;
    place_make(&p);
    CHECK_INT(ERR_OK, listener_open_path(&l, p.path));
    CHECK_TRUE(listener_waiting(l.fds[0]) == UINT32_MAX);
    listener_close(&l);
    place_remove(&p);
}

TEST(what_a_dead_process_has_left_is_replaced)
{
    struct place p;
    struct listener l;
    place_make(&p);
    leave_stale(&p);
    CHECK_INT(-1, dial(p.path));
    CHECK_INT(ERR_OK, listener_open_path(&l, p.path));
    int there = dial(p.path);
    CHECK_TRUE(there >= 0);
    close(there);
    listener_close(&l);
    place_remove(&p);
}

TEST(a_live_listener_keeps_its_path)
{
    struct place p;
    struct listener first, second;
    place_make(&p);
    CHECK_INT(ERR_OK, listener_open_path(&first, p.path));
    CHECK_INT(ERR_SYS, listener_open_path(&second, p.path));
    CHECK_INT(EADDRINUSE, errno);
    CHECK_INT(0, second.fds_count);
    int there = dial(p.path);
    CHECK_TRUE(there >= 0);
    close(there);
    listener_close(&first);
    CHECK_INT(ERR_OK, listener_open_path(&second, p.path)); /* free again at once */
    listener_close(&second);
    place_remove(&p);
}

TEST(what_is_no_socket_is_never_removed)
{
    struct place p;
    struct listener l;
    struct stat file;
    place_make(&p);
    int fd = open(p.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK_INT(4, write(fd, "dear", 4));
    close(fd);
    CHECK_INT(ERR_SYS, listener_open_path(&l, p.path));
    CHECK_INT(EEXIST, errno);
    CHECK_TRUE(strstr(listener_why(ERR_SYS), "no socket") != NULL);
    CHECK_INT(0, lstat(p.path, &file));
    CHECK_INT(4, file.st_size);
    CHECK_INT(0, unlink(p.path));
    CHECK_INT(0, symlink("/dev/null", p.path));
    CHECK_INT(ERR_SYS, listener_open_path(&l, p.path));
    CHECK_TRUE(is_there(&p));
    place_remove(&p);
}

TEST(a_path_in_a_folder_that_is_not_there_is_a_system_error)
{
    struct listener l;
    CHECK_INT(ERR_SYS, listener_open_path(&l, "/tmp/longlink-no-such-folder/broker.sock"));
    CHECK_INT(ENOENT, errno);
    CHECK_INT(0, l.fds_count);
}

TEST(a_path_has_as_many_bytes_as_the_system_takes)
{
    struct place p;
    struct listener l;
    char path[LISTENER_PATH_BYTES + 1];
    place_make(&p);
    size_t n = strlen(p.dir);
    memset(path, 'x', sizeof path);
    memcpy(path, p.dir, n);
    path[n] = '/';
    path[LISTENER_PATH_BYTES] = '\0';
    CHECK_INT(ERR_RANGE, listener_open_path(&l, path));
    path[LISTENER_PATH_BYTES - 1] = '\0';
    CHECK_INT(ERR_OK, listener_open_path(&l, path));
    CHECK_INT(ERR_OK, listener_close(&l));
    CHECK_INT(ERR_RANGE, listener_open_path(&l, ""));
    place_remove(&p);
}

TEST(a_file_that_another_one_has_put_there_is_left_at_the_end)
{
    struct place p;
    struct listener l;
    place_make(&p);
    CHECK_INT(ERR_OK, listener_open_path(&l, p.path));
    char aside[128];
    snprintf(aside, sizeof aside, "%s.aside", p.path);
    CHECK_INT(0, rename(p.path, aside)); /* keeps its inode in use */
    leave_stale(&p);
    CHECK_INT(ERR_OK, listener_close(&l));
    CHECK_TRUE(is_there(&p));
    CHECK_INT(0, unlink(aside));
    place_remove(&p);
}

TEST(a_file_that_is_gone_already_is_no_error)
{
    struct place p;
    struct listener l;
    place_make(&p);
    CHECK_INT(ERR_OK, listener_open_path(&l, p.path));
    CHECK_INT(0, unlink(p.path));
    CHECK_INT(ERR_OK, listener_close(&l));
    place_remove(&p);
}
