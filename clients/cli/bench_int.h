/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_int - the parts of a run. Private to bench_*.c.
 *
 * The conductor (bench_run.c, the program's first thread) takes all workers through a list of phases: it
 * posts a phase, and goes on when every worker is ready with it, or when its time is over. A worker
 * (bench_worker.c) is one thread with one epoll; clients are dealt out to the workers round robin, publishers
 * and subscribers apart.
 *
 *   live:     SUBSCRIBE  CONNECT  [WARM]  RUN  DRAIN  END
 *   hold:     SUBSCRIBE  HOLD  END               (clients are subscribers that do not subscribe, but with
 *   storm:    (SUBSCRIBE  LEAVE) ... END          --subscribe)
 *   retained: SUBSCRIBE  CONNECT  RUN  DRAIN  ASK  LEAVE  CLEAR  END    (they subscribe in ASK)
 *   fleet:    SUBSCRIBE  CONNECT  [WARM]  RUN  DRAIN  LEAVE  RETURN  END    (some leave and return in RUN)
 *   offline:  SUBSCRIBE  LEAVE  CONNECT  RUN  DRAIN  RETURN  END    (--part ends before RETURN, or begins
 * there)
 *
 * Before its END, a run whose sessions were persistent has FORGET.
 *
 * Thread:  a worker's fields are its own, but for its door. What one worker writes for another or for the
 *          conductor (stream_sent, trackers, marks) is read in a later phase, after the lock was passed.
 * Memory:  all of it lives as long as the run.
 * Limits:  bench_options.def.
 * Errors:  a worker's first failure is kept in its door and ends the run.
 * Tests:   tests/bench/smoke.py
 */
#ifndef CLI_BENCH_INT_H
#define CLI_BENCH_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/bench_conf.h"
#include "cli/bench_hist.h"
#include "cli/bench_parts.h"
#include "codec/codec.h"

enum {
    BENCH_PROBLEM_MAX = 320,
    BENCH_CLIENT_ID_BYTES = 23,
    BENCH_HEADER_BYTES = 24, /* of the payload: run, stream, number, time; each in our own byte order */
    BENCH_SESSION_EXPIRY_S = 3600,
};

#define BENCH_NS_PER_S UINT64_C(1000000000)

enum bench_phase {
    PHASE_NONE,
    PHASE_SUBSCRIBE, /* subscribers connect and subscribe */
    PHASE_CONNECT,   /* publishers connect */
    PHASE_WARM,
    PHASE_RUN,
    PHASE_DRAIN, /* nothing new; what is outstanding comes in */
    PHASE_HOLD,
    PHASE_LEAVE,  /* subscribers disconnect, their sessions stay */
    PHASE_RETURN, /* they come back and get what waits for them */
    PHASE_ASK,    /* retained: all subscribe, and get what is there */
    PHASE_CLEAR,  /* retained: publishers take back what they published */
    PHASE_FORGET, /* they connect once more, cleanly, so that nothing stays in the broker */
    PHASE_END,
};

/* Where threads meet. lock guards all of it. */
struct door {
    pthread_mutex_t lock;
    enum bench_phase phase;
    bool ready, failed;     /* with phase */
    uint64_t progress_ns;   /* when something last arrived */
    uint32_t clients_ready; /* of the phase's kind */
    uint64_t sent, delivered;
    struct credits credits;
    char problem[BENCH_PROBLEM_MAX];
};

struct worker {
    struct bench *bench;
    uint32_t index;
    bool started, failed, publishing;
    bool entered; /* a phase, in this turn */
    pthread_t thread;
    int epoll_fd, wake_fd;
    enum bench_phase phase;
    uint8_t *scratch;
    size_t scratch_bytes;
    uint64_t now_ns, progress_ns, last_ping_ns;

    uint32_t next_client; /* connecting: the next one to open */
    uint32_t connecting, clients_ready;
    uint64_t last_ready_ns;
    uint64_t schedule_next; /* open loop: number of the next scheduled message, over all publishers */
    uint64_t expected;      /* deliveries that PHASE_RETURN or PHASE_ASK waits for */

    struct away *away; /* a ring, oldest first */
    uint32_t away_first, away_count;
    struct retry *retry; /* the same */
    uint32_t retry_first, retry_count;
    uint64_t churn_from_ns, churned; /* fleet: since when, and how many of all have left since */

    struct conn **flush; /* connections with new output */
    uint32_t flush_count;
    struct publisher **fill; /* publishers that may be able to send */
    uint32_t fill_count;
    struct credits *outbox; /* for each worker */

    struct counts counts, counts_kept; /* counts_kept: before CLEAR */
    struct mark begin, end, return_begin, return_end;
    uint64_t measure_from_ns, measure_to_ns;
    struct hist hist, pubacks,
        connects; /* of deliveries, or of who asked and has all; of PUBACKs; of CONNACKs */
    struct door door;
    char problem[BENCH_PROBLEM_MAX];
};

struct bench {
    struct bench_conf conf;
    struct bench_plan plan;
    struct bench_target target;
    uint8_t version; /* enum mqtt_version */
    uint32_t run;    /* names this run's topics and clients */
    struct publisher *publishers;
    struct subscriber *subscribers;
    struct worker *workers;
    uint32_t worker_count;
    uint64_t *stream_sent;
    struct track *group_tracks; /* group: of each stream what came to anybody; its publisher's worker's */
    uint64_t schedule_start_ns;
    int conductor_fd; /* eventfd: a worker's state changed */
};

uint64_t bench_now_ns(void);

/* bench_client.c: what a client says. */
enum err client_open(struct worker *w, struct conn *c);
void client_greet(struct worker *w, struct conn *c);
void client_subscribe(struct worker *w, struct conn *c);
void client_ping(struct worker *w, struct conn *c);
void client_leave(struct worker *w, struct conn *c);
void client_name(const struct bench *b, const struct conn *c, char name[BENCH_CLIENT_ID_BYTES + 1]);
void publisher_prepare(struct bench *b, struct publisher *p, size_t payload_bytes);

/* bench_input.c: what arrives. */
void input_event(struct worker *w, struct conn *c, uint32_t events);

/* bench_send.c: publishing, and the window. */
void send_list(struct worker *w, struct publisher *p);
void send_list_all(struct worker *w);
void send_flush_later(struct worker *w, struct conn *c);
bool send_flush(struct worker *w, struct conn *c); /* false: the connection is gone */
void send_credit(struct worker *w, uint32_t stream, uint64_t seq, uint64_t count);
void send_turn(struct worker *w);
uint64_t send_due_ns(const struct bench *b, uint64_t number);

/* bench_worker.c */
void *worker_main(void *arg);
__attribute__((format(printf, 3, 4))) void worker_fail(struct worker *w, struct conn *c, const char *format,
                                                       ...);

/* bench_fleet.c: who comes and goes. */
void fleet_step(struct worker *w);
void retry_step(struct worker *w);
/* The broker wants this client later: false when that is a failure. */
bool retry_later(struct worker *w, struct conn *c);
bool fleet_is_calm(const struct worker *w); /* nobody is on the way back */

/* bench_phase.c: what a worker does in a phase. */
void phase_enter(struct worker *w, enum bench_phase phase);
void phase_step(struct worker *w);
bool phase_ready(const struct worker *w);

#endif
