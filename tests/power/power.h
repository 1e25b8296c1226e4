/* SPDX-License-Identifier: Apache-2.0 */
/*
 * power - between a program and one directory: writes down what happens there, and makes it go wrong.
 *
 * The library is preloaded. LONGLINK_POWER_DIR is the directory, LONGLINK_POWER_TRACE the file that the trace
 * is added to, LONGLINK_POWER_CONTROL a file of struct power_control; without them it does nothing. A record
 * of the trace is struct power_record and its data, written when the call is over; a sync says which records
 * it covers: those written before it began. README.md says what layer.py makes of it.
 *
 * A file whose name ends in -shm is no part of the disk: it is mapped, and made anew by each process.
 *
 * Thread:  any; one lock. Names change under it, so that the trace has their order.
 * Memory:  static.
 * Limits:  POWER_*; files directly in the directory; a path begins with LONGLINK_POWER_DIR, or is relative to
 *          a descriptor of it.
 * Errors:  like the system's calls; those that are asked for.
 * Tests:   tests/power/test_layer.py
 */
#ifndef POWER_POWER_H
#define POWER_POWER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define POWER_MAGIC UINT64_C(0x32305245574f50)

enum { POWER_RULES = 8, POWER_FDS_MAX = 65536, POWER_PLACES_MAX = 32 };

enum power_place {
#define PLACE(name, what) PLACE_##name,
#include "power/places.def"
#undef PLACE
    PLACES_COUNT
};

enum power_flag {
    POWER_FOR_GOOD = 1, /* again with every call from the first time on */
    POWER_AFTER = 2,    /* when the call is over */
};

struct power_rule {
    uint32_t places;
    uint32_t countdown; /* the how manieth call from now; 0: none */
    int32_t error;      /* an errno; 0: SIGKILL to this process */
    uint32_t flags;
    uint32_t then; /* it comes true so many calls later, wherever they are; 0: at once */
    uint32_t anew; /* places: a call there begins the countdown anew */
    uint32_t nth;  /* from here */
};

/* Shared with the test. */
struct power_control {
    uint64_t magic;
    int64_t clock_ns;     /* added to CLOCK_REALTIME */
    uint64_t quota_bytes; /* of all files of the directory; 0: no bound */
    uint32_t ignored;     /* syncs of these places do nothing, and say that they did */
    uint32_t fired;       /* rules that came true */
    uint64_t sync_ns;     /* how long a sync takes; the system's disk is left alone */
    struct power_rule rules[POWER_RULES];
    uint64_t calls[POWER_PLACES_MAX];
    uint64_t swallowed[POWER_PLACES_MAX];
};

enum power_kind {
    RECORD_BEGIN,  /* a process */
    RECORD_OPEN,   /* data: name; offset 1: it was made. Its number is the file's in what follows */
    RECORD_WRITE,  /* data at offset; size: how many */
    RECORD_ZEROS,  /* size zeros at offset */
    RECORD_SIZE,   /* size: the file's now */
    RECORD_SYNC,   /* size: covers the records up to this one */
    RECORD_LOST,   /* the same, but the sync failed */
    RECORD_RENAME, /* data: from, a zero, to */
    RECORD_UNLINK, /* data: name */
};

struct power_record {
    uint32_t kind, file;
    uint64_t number, offset, size;
    uint32_t data_bytes, place;
};

enum power_type {
    TYPE_NONE, /* not in the directory */
    TYPE_DIR,
    TYPE_SEGMENT,
    TYPE_COPY,
    TYPE_TABLES,
    TYPE_TABLES_WAL,
    TYPE_TABLES_JOURNAL,
    TYPE_SHM,
    TYPE_OTHER,
};

/* trace.c */
/* TYPE_NONE: not ours. */
enum power_type power_type(int fd);
/* Is it in the directory? Its name there, "." for the directory itself. */
bool power_name(int dir, const char *path, char name[NAME_MAX + 1]);
enum power_type power_type_of(const char *name);
void power_opened(int fd, enum power_type type, uint32_t file);
void power_closed(int fd);
bool power_all_zero(const void *at, size_t n);
void power_lock(void);
void power_unlock(void);
/* Under the lock. Gives the record's number. */
uint64_t power_trace_locked(struct power_record r, const void *data);
/* Of the bytes that a write of fd has changed. */
void power_trace_write(int fd, const struct iovec *v, int count, off_t at, size_t done);
void power_trace_size(int fd);
uint64_t power_last_number(void);
uint32_t power_file_number(int fd);
_Noreturn void power_die(const char *what);

/* control.c */
void power_control_open(void);
/* Counts a call. 0, or the errno with which it must fail; or this process ends. */
int power_before(enum power_place place);
void power_after(enum power_place place);
bool power_is_ignored(enum power_place place);
/* How many of n bytes at an offset the quota permits. */
size_t power_room(int fd, off_t at, size_t n);
int64_t power_clock_ns(void);
/* What takes the place of fsync: nothing here needs the system's disk. */
void power_wait_for_disk(void);
/* False: there is no quota. */
bool power_quota(uint64_t *all_bytes, uint64_t *free_bytes);

#endif
