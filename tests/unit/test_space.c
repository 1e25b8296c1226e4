/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "store_sqlite/space.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((uint64_t)1024 * 1024)

TEST(the_reserve_is_twice_what_the_log_may_hold_on_any_disk)
{
    for (uint64_t disk = 16 * MIB; disk < (uint64_t)1 << 50; disk *= 2) {
        struct space s = space_plan(disk);
        CHECK_TRUE(s.ballast_bytes >= 2 * (s.unfolded_bytes_max + 2 * (uint64_t)s.segment_bytes));
        CHECK_TRUE(s.unfolded_bytes_max >= MIB);
    }
}

TEST(a_small_disk_is_not_eaten_by_its_reserve)
{
    struct space s = space_plan(64 * MIB);
    CHECK_TRUE(s.ballast_bytes + s.watermark_bytes <= 16 * MIB);
    CHECK_INT(MIB, s.segment_bytes);
}

TEST(a_large_disk_has_segments_of_64_mib)
{
    struct space s = space_plan(UINT64_MAX);
    CHECK_INT(64 * MIB, s.segment_bytes);
    CHECK_TRUE(s.ballast_bytes <= 512 * MIB);
}

TEST(the_ballast_is_made_once_and_goes_when_asked)
{
    char dir[] = "/tmp/test_space.XXXXXX";
    struct stat st;
    CHECK_TRUE(mkdtemp(dir) != NULL);
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    struct space s = { .dir_fd = fd, .ballast_bytes = MIB, .watermark_bytes = 1 };
    CHECK_TRUE(!space_release(&s));
    space_tend(&s);
    CHECK_INT(0, fstatat(fd, SPACE_BALLAST_NAME, &st, 0));
    CHECK_TRUE((uint64_t)st.st_blocks * 512 >= MIB);
    space_tend(&s);
    CHECK_TRUE(space_release(&s));
    CHECK_TRUE(!space_release(&s));

    s.watermark_bytes = (uint64_t)1 << 60; /* no disk has as much */
    space_tend(&s);
    CHECK_TRUE(fstatat(fd, SPACE_BALLAST_NAME, &st, 0) != 0);
    CHECK_TRUE(space_is_low(&s, 0, false));
    s.watermark_bytes = 0;
    CHECK_TRUE(!space_is_low(&s, 0, true));
    close(fd);
    CHECK_INT(0, rmdir(dir));
}
