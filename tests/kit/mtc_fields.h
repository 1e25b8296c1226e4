/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtc_fields - a list of name=value: the words of a scenario line, and a packet taken apart. And the bytes
 * that packets are put together in.
 *
 * Thread:  one owner; no locks.
 * Memory:  owns copies of what is added, until *_clear. Values are followed by a NUL that len does not count.
 * Limits:  a name has at most MTC_NAME_MAX - 1 characters, longer ones are cut.
 * Errors:  no memory aborts: this is a test tool.
 * Tests:   tests/conformance/test_mtc_packet.c
 */
#ifndef KIT_MTC_FIELDS_H
#define KIT_MTC_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MTC_NAME_MAX = 32 };

struct out {
    uint8_t *at;
    size_t len;
    size_t room;
};

struct field {
    char name[MTC_NAME_MAX];
    char *at;
    size_t len;
    bool is_number; /* of a decoded packet: at is its decimal text */
    bool is_used;   /* someone asked for it: what nobody asks for is a mistake in the scenario */
};

struct fields {
    struct field *all;
    size_t count;
};

void out_add(struct out *o, const void *at, size_t len);
void out_u8(struct out *o, unsigned long n);
void out_u16(struct out *o, unsigned long n);
void out_clear(struct out *o);

void fields_add(struct fields *f, const char *name, const void *at, size_t len);
void fields_add_number(struct fields *f, const char *name, unsigned long n);

/* The nth field of that name, counted from 0, or NULL. */
struct field *fields_find(const struct fields *f, const char *name, size_t nth);
void fields_print(const struct fields *f, FILE *to);
void field_print(const struct field *f, FILE *to); /* the value alone; long ones are cut */
void fields_clear(struct fields *f);

/* Reads the whole value as a number, as C writes them. */
bool field_number(const struct field *f, unsigned long *out);

#endif
