/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/crc32c.h"
#include <pthread.h>
#include <string.h>

enum { SLICES = 8 };

static uint32_t table[SLICES][256];
static uint32_t (*chosen)(uint32_t crc, const uint8_t *at, size_t n);
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* table[k][b] is what byte b does to the checksum when k more bytes follow it. */
static void make_table(void)
{
    const uint32_t polynomial = 0x82f63b78u; /* Castagnoli's, bits reversed */

    for (uint32_t b = 0; b < 256; b++) {
        uint32_t v = b;
        for (int i = 0; i < 8; i++) v = (v >> 1) ^ ((v & 1) != 0 ? polynomial : 0);
        table[0][b] = v;
    }
    for (unsigned k = 1; k < SLICES; k++)
        for (unsigned b = 0; b < 256; b++)
            table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
}

static uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t run_table(uint32_t crc, const uint8_t *at, size_t n)
{
    for (; n >= SLICES; at += SLICES, n -= SLICES) {
        uint32_t a = load_u32(at) ^ crc, b = load_u32(at + 4);
        crc = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^ table[5][a >> 16 & 0xff] ^ table[4][a >> 24] ^
              table[3][b & 0xff] ^ table[2][b >> 8 & 0xff] ^ table[1][b >> 16 & 0xff] ^ table[0][b >> 24];
    }
    for (; n > 0; at++, n--) crc = (crc >> 8) ^ table[0][(crc ^ *at) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t run_instruction(uint32_t crc, const uint8_t *at, size_t n)
{
    uint64_t wide = crc;
    for (; n >= 8; at += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, at, sizeof v);
        wide = _mm_crc32_u64(wide, v);
    }
    crc = (uint32_t)wide;
    for (; n > 0; at++, n--) crc = _mm_crc32_u8(crc, *at);
    return crc;
}

static void choose(void)
{
    make_table();
    __builtin_cpu_init();
    chosen = __builtin_cpu_supports("sse4.2") ? run_instruction : run_table;
}
#else
static void choose(void)
{
    make_table();
    chosen = run_table;
}
#endif

uint32_t crc32c(uint32_t crc, const void *at, size_t n)
{
    pthread_once(&once, choose);
    return ~chosen(~crc, at, n);
}

uint32_t crc32c_by_table(uint32_t crc, const void *at, size_t n)
{
    pthread_once(&once, choose);
    return ~run_table(~crc, at, n);
}
