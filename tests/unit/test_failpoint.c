/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/failpoint.h"
#include "base/thread.h"
#include "kit/test.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAID_BYTES = 16384 };

/* Runs in a process of its own; its status, and what it says on stderr. */
static int run_apart(void (*run)(const char *variable), const char *variable, char said[SAID_BYTES])
{
    int ends[2], status = 0;
    size_t len = 0;
    ssize_t got;

    fflush(NULL);
    CHECK_INT(0, pipe(ends));
    pid_t child = fork();
    CHECK_TRUE(child >= 0);
    if (child == 0) {
        alarm(300);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        run(variable);
        fflush(NULL);
        _exit(0);
    }
    close(ends[1]);
    while (len < SAID_BYTES - 1 && (got = read(ends[0], said + len, SAID_BYTES - 1 - len)) > 0)
        len += (size_t)got;
    said[len] = '\0';
    close(ends[0]);
    CHECK_INT(child, waitpid(child, &status, 0));
    return status;
}

static void arm(const char *variable)
{
    if (failpoints_arm(variable) != ERR_OK) _exit(3);
}

static bool is_refused(const char *variable, char said[SAID_BYTES])
{
    int status = run_apart(arm, variable, said);
    return WIFEXITED(status) && WEXITSTATUS(status) == 3;
}

#ifdef LONGLINK_FAILPOINTS

static bool was_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Each passes its step so many times, and says it before each of them. */
static void pass(enum failpoint f, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        fprintf(stderr, "%u ", i);
        failpoint(f);
    }
}

static void pass_three_of_each(const char *variable)
{
    arm(variable);
    pass(FAIL_wal_batch_begun, 3);
    pass(FAIL_wal_batch_written, 3);
}

static void pass_in_threads(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 1000; i++) failpoint(FAIL_wal_batch_begun);
}

static void pass_four_thousand(const char *variable)
{
    struct thread threads[4];
    arm(variable);
    for (unsigned i = 0; i < 4; i++)
        CHECK(thread_start(&threads[i], "passes", pass_in_threads, NULL) == ERR_OK);
    for (unsigned i = 0; i < 4; i++) thread_join(&threads[i]);
}

TEST(a_failpoint_kills_the_process_and_says_so)
{
    char said[SAID_BYTES];
    CHECK_TRUE(was_killed(run_apart(pass_three_of_each, "wal_batch_written", said)));
    CHECK_TRUE(strstr(said, "0 1 2 0 failpoint wal_batch_written: ") == said);
}

TEST(a_failpoint_kills_at_the_time_it_is_armed_for)
{
    char said[SAID_BYTES];
    CHECK_TRUE(was_killed(run_apart(pass_three_of_each, "wal_batch_begun:3", said)));
    CHECK_TRUE(strstr(said, "0 1 2 failpoint wal_batch_begun: ") == said);
    CHECK_INT(0, run_apart(pass_three_of_each, "wal_batch_begun:4", said));
}

TEST(of_several_failpoints_the_first_that_is_due_kills)
{
    char said[SAID_BYTES];
    CHECK_TRUE(was_killed(run_apart(pass_three_of_each, "wal_batch_begun:4,wal_batch_written:2", said)));
    CHECK_TRUE(strstr(said, "0 1 2 0 1 failpoint wal_batch_written: ") == said);
}

TEST(a_failpoint_that_is_not_armed_does_nothing)
{
    char said[SAID_BYTES];
    CHECK_INT(0, run_apart(pass_three_of_each, NULL, said));
    CHECK_INT(0, run_apart(pass_three_of_each, "wal_batch_half", said));
}

TEST(threads_count_together)
{
    char said[SAID_BYTES];
    CHECK_TRUE(was_killed(run_apart(pass_four_thousand, "wal_batch_begun:4000", said)));
    CHECK_INT(0, run_apart(pass_four_thousand, "wal_batch_begun:4001", said));
}

TEST(a_step_that_has_to_be_made_asks_whether_it_is_armed)
{
    CHECK_TRUE(!failpoint_is_armed(FAIL_wal_batch_half));
    CHECK_INT(ERR_OK, failpoints_arm("wal_batch_half:1000000000"));
    CHECK_TRUE(failpoint_is_armed(FAIL_wal_batch_half));
    CHECK_TRUE(!failpoint_is_armed(FAIL_wal_batch_begun));
}

TEST(a_name_that_is_none_is_refused_with_a_list_of_all)
{
    static const char *const all[] = {
#define FAILPOINT(name, step) "\n  " #name " ",
#include "base/failpoint.def"
#undef FAILPOINT
    };
    char said[SAID_BYTES];
    CHECK_TRUE(is_refused("wal_batch_written,half_way:2", said));
    CHECK_TRUE(strstr(said, "'half_way:2': there is no such failpoint") != NULL);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK_TRUE(strstr(said, all[i]) != NULL);
    CHECK_TRUE(is_refused("", said));
    CHECK_TRUE(is_refused("wal_batch_written,", said));
    CHECK_TRUE(is_refused("wal_batch_writte", said));
}

TEST(a_count_that_is_none_is_refused)
{
    static const char *const wrong[] = { ":",   ":0",  ":-1",         ":1x",
                                         ": 1", ":1:", ":1000000001", ":18446744073709551617" };
    char said[SAID_BYTES], variable[64];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(variable, sizeof variable, "wal_batch_written%s", wrong[i]);
        CHECK_TRUE(is_refused(variable, said));
        CHECK_TRUE(strstr(said, "a count is a number") != NULL);
    }
}

#else

TEST(a_program_without_failpoints_refuses_the_variable)
{
    char said[SAID_BYTES];
    CHECK_TRUE(is_refused("wal_batch_written", said));
    CHECK_TRUE(strstr(said, "-DLONGLINK_FAILPOINTS=ON") != NULL);
    CHECK_TRUE(is_refused("", said));
    CHECK_TRUE(!is_refused(NULL, said));
}

#endif
