/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf - the configuration of a node, with ZooKeeper's keys: a file of key=value lines, and myid.
 *
 *   tickTime=100
 *   dataDir=/var/lib/longlink/zab
 *   server.1=10.0.0.1:2888:3888
 *   server.4=10.0.0.4:2888:3888:observer
 *
 * keys.def has the others. dataDir/myid has this node's number.
 *
 * Thread:  any.
 * Memory:  a value.
 * Limits:  CONF_LINE_BYTES a line, ZAB_NODES_MAX servers.
 * Errors:  ERR_SYNTAX, ERR_RANGE, ERR_SYS: with a text of file, line, key, value, and what is allowed.
 * Tests:   tests/unit/test_cluster_conf.c
 */
#ifndef NODE_CONF_H
#define NODE_CONF_H

#include "base/err.h"
#include "zab/types.h"

enum { CONF_LINE_BYTES = 1024, CONF_PATH_BYTES = 512, CONF_TEXT_BYTES = 1600 };

struct conf {
    uint16_t id; /* myid */
    struct zab_members members;
    char data_dir[CONF_PATH_BYTES];
#define KEY(word, name, def, min, max, doc) uint32_t name;
#define PATH(word, name, doc)               char name[CONF_PATH_BYTES];
#define WORD(word, name, no, yes, doc)      bool name;
#include "node/keys.def"
#undef KEY
#undef PATH
#undef WORD
};

/* Reads the file, and myid. */
enum err conf_read(struct conf *out, const char *file, char text[CONF_TEXT_BYTES]);

#endif
