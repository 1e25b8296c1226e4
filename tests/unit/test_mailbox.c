/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mailbox.h"
#include "base/thread.h"
#include "kit/test.h"
#include "unit/topics_kit.h"
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static bool readable(const struct mailbox *m)
{
    struct pollfd p = { .fd = m->event_fd, .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

static void send_one(struct mailbox *m, struct mail *mail, uint32_t kind)
{
    struct outbox o = { 0 };
    mail->kind = kind;
    outbox_put(&o, mail);
    mailbox_hand_over(m, &o);
}

TEST(mail_arrives_in_the_order_it_was_put_whatever_the_batches)
{
    struct mailbox m;
    struct mail mail[6];
    struct outbox o = { 0 };
    CHECK_INT(ERR_OK, mailbox_open(&m));
    for (uint32_t i = 0; i < 6; i++) {
        mail[i].kind = i;
        CHECK_INT(i == 0 || i == 1 || i == 4, outbox_empty(&o));
        outbox_put(&o, &mail[i]);
        if (i == 0 || i == 3 || i == 5) mailbox_hand_over(&m, &o);
    }
    struct mail *at = mailbox_take(&m);
    for (uint32_t i = 0; i < 6; i++, at = at->next) CHECK_INT(i, at->kind);
    CHECK_TRUE(at == NULL);
    CHECK_TRUE(mailbox_take(&m) == NULL);
    mailbox_close(&m);
    mailbox_close(&m);
}

TEST(handing_over_nothing_wakes_nobody)
{
    struct mailbox m;
    struct outbox o = { 0 };
    CHECK_INT(ERR_OK, mailbox_open(&m));
    CHECK_TRUE(mailbox_sleep(&m));
    mailbox_hand_over(&m, &o);
    CHECK_TRUE(!readable(&m));
    CHECK_TRUE(mailbox_take(&m) == NULL);
    mailbox_close(&m);
}

TEST(who_is_awake_is_not_woken_and_may_not_sleep_over_waiting_mail)
{
    struct mailbox m;
    struct mail mail;
    CHECK_INT(ERR_OK, mailbox_open(&m));
    send_one(&m, &mail, 1);
    CHECK_TRUE(!readable(&m));
    CHECK_TRUE(!mailbox_sleep(&m));
    CHECK_TRUE(mailbox_take(&m) == &mail);
    CHECK_TRUE(mailbox_sleep(&m));
    mailbox_close(&m);
}

TEST(a_sleeper_is_woken_once_for_many_batches)
{
    struct mailbox m;
    struct mail mail[3];
    uint64_t wakes = 0;
    CHECK_INT(ERR_OK, mailbox_open(&m));
    CHECK_TRUE(mailbox_sleep(&m));
    for (uint32_t i = 0; i < 3; i++) send_one(&m, &mail[i], i);
    CHECK_INT(sizeof wakes, read(m.event_fd, &wakes, sizeof wakes));
    CHECK_INT(1, wakes);
    mailbox_awake(&m);
    CHECK_TRUE(mailbox_take(&m) == &mail[0]);
    mailbox_close(&m);
}

TEST(passing_mail_says_to_one_sender_that_the_receiver_sleeps_and_does_not_wake_it)
{
    struct mailbox m;
    struct mail mail[3];
    struct outbox o = { 0 };
    CHECK_INT(ERR_OK, mailbox_open(&m));
    CHECK_TRUE(mailbox_sleep(&m));
    CHECK_TRUE(!mailbox_pass(&m, &o)); /* nothing */
    outbox_put(&o, &mail[0]);
    CHECK_TRUE(mailbox_pass(&m, &o));
    CHECK_TRUE(outbox_empty(&o));
    outbox_put(&o, &mail[1]);
    CHECK_TRUE(!mailbox_pass(&m, &o)); /* it is the first sender's to do */
    CHECK_TRUE(!readable(&m));
    mailbox_wake(&m);
    CHECK_TRUE(readable(&m));
    mailbox_awake(&m);
    outbox_put(&o, &mail[2]);
    CHECK_TRUE(!mailbox_pass(&m, &o)); /* awake */
    CHECK_TRUE(mailbox_take(&m) == &mail[0]);
    mailbox_close(&m);
}

/* --- many senders */

enum { SENDERS = 4, MAILS = 20000 };

struct letter {
    struct mail mail;
    uint32_t no, check;
};

struct sender {
    struct thread thread;
    struct mailbox *to;
    uint32_t no;
    struct letter letters[MAILS];
};

static void sender_run(void *arg)
{
    struct sender *s = arg;
    struct kit_random random = { s->no };
    struct outbox o = { 0 };
    for (uint32_t i = 0; i < MAILS; i++) {
        s->letters[i].mail.kind = s->no;
        s->letters[i].no = i;
        s->letters[i].check = ~i;
        outbox_put(&o, &s->letters[i].mail);
        if (kit_below(&random, 3) == 0) mailbox_hand_over(s->to, &o);
    }
    mailbox_hand_over(s->to, &o);
}

TEST(mail_of_each_of_many_senders_arrives_complete_and_in_order)
{
    struct mailbox m;
    struct sender *senders = calloc(SENDERS, sizeof *senders);
    uint32_t expected[SENDERS] = { 0 };
    CHECK_INT(ERR_OK, mailbox_open(&m));
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i].to = &m;
        senders[i].no = i;
        CHECK_INT(ERR_OK, thread_start(&senders[i].thread, "sender", sender_run, &senders[i]));
    }
    for (unsigned received = 0; received < SENDERS * MAILS;) {
        for (struct mail *at = mailbox_wait(&m); at != NULL; at = at->next, received++) {
            const struct letter *l = (const struct letter *)at;
            CHECK_TRUE(at->kind < SENDERS);
            CHECK_INT(expected[at->kind]++, l->no);
            CHECK_TRUE(l->check == ~l->no);
        }
    }
    CHECK_TRUE(mailbox_take(&m) == NULL);
    for (unsigned i = 0; i < SENDERS; i++) thread_join(&senders[i].thread);
    mailbox_close(&m);
    free(senders);
}

/* --- wake-ups: two threads that each sleep until the other sends. One lost wake-up, and they sleep for ever.
 */

enum { PINGS = 20000 };

struct player {
    struct thread thread;
    struct mailbox inbox;
    struct mailbox *other;
};

static void answer(void *arg)
{
    struct player *p = arg;
    for (int i = 0; i < PINGS; i++) {
        struct mail *ball = mailbox_wait(&p->inbox);
        send_one(p->other, ball, ball->kind + 1);
    }
}

TEST(no_wake_up_is_lost_between_two_who_wait_for_each_other)
{
    struct player a = { 0 }, b = { 0 };
    struct mail ball;
    CHECK_INT(ERR_OK, mailbox_open(&a.inbox));
    CHECK_INT(ERR_OK, mailbox_open(&b.inbox));
    a.other = &b.inbox;
    b.other = &a.inbox;
    CHECK_INT(ERR_OK, thread_start(&b.thread, "answer", answer, &b));
    struct mail *at = &ball;
    at->kind = 0;
    for (int i = 0; i < PINGS; i++) {
        send_one(a.other, at, at->kind);
        at = mailbox_wait(&a.inbox);
        CHECK_TRUE(at == &ball && at->next == NULL);
    }
    CHECK_INT(PINGS, ball.kind);
    thread_join(&b.thread);
    mailbox_close(&a.inbox);
    mailbox_close(&b.inbox);
}
