/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passwd - longlink passwd: the users of a password file, with the flags of mosquitto_passwd; or of a
 * database of longlink_auth.so.
 *
 * Thread:  one.
 * Memory:  the file; passwords are wiped.
 * Limits:  those of access/access.h.
 * Errors:  the exit status: 0 good, 1 failed and the file is as it was, 2 wrong usage; stderr says why.
 * Tests:   tests/e2e/test_passwd.py, tests/e2e/test_accounts.py
 */
#ifndef CLI_PASSWD_H
#define CLI_PASSWD_H

int passwd_main(int argc, char *const *argv);
void passwd_help(void);

#endif
