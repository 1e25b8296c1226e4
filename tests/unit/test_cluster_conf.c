/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "node/conf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/longlink-conf.XXXXXX", file[64], myid[64], text[CONF_TEXT_BYTES];

static void put(const char *path, const char *what)
{
    FILE *f = fopen(path, "w");
    CHECK_TRUE(f != NULL);
    fputs(what, f);
    fclose(f);
}

/* A file with these lines, and what reading it gives. */
static enum err read_conf(struct conf *c, const char *lines, const char *id)
{
    char all[4096];

    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    CHECK_TRUE(mkdtemp(dir) != NULL);
    snprintf(file, sizeof file, "%s/zoo.cfg", dir);
    snprintf(myid, sizeof myid, "%s/myid", dir);
    snprintf(all, sizeof all, "dataDir=%s\n%s", dir, lines);
    put(file, all);
    if (id != NULL) put(myid, id);
    enum err rc = conf_read(c, file, text);
    unlink(file);
    unlink(myid);
    rmdir(dir);
    return rc;
}

#define SERVERS "server.1=127.0.0.1:1:2\nserver.2=[::1]:3:4:observer\nserver.3=c.example:5:6:participant\n"

TEST(zookeepers_keys_mean_what_they_mean_there)
{
    struct conf c;

    CHECK_INT(ERR_OK, read_conf(&c, "# mine\n\ntickTime = 200\ninitLimit=10\nsyncLimit=4\n" SERVERS, "3\n"));
    CHECK_INT(3, c.id);
    CHECK_INT(200, c.tick_ms);
    CHECK_INT(10, c.init_ticks);
    CHECK_INT(4, c.sync_ticks);
    CHECK_INT(3, c.members.count);
    CHECK_INT(2, c.members.at[1].id);
    CHECK_INT(ZAB_OBSERVER, c.members.at[1].role);
    CHECK_INT(ZAB_VOTER, c.members.at[2].role);
    CHECK_TRUE(strcmp(c.members.at[1].address, "[::1]:3:4") == 0);
    CHECK_TRUE(!c.relearns);
    CHECK_INT(3, c.retain);
}

TEST(servers_stand_in_order_of_their_numbers)
{
    struct conf c;

    CHECK_INT(ERR_OK, read_conf(&c, "server.9=a:1:2\nserver.4=b:1:2\nserver.7=c:1:2\n", "4"));
    CHECK_INT(4, c.members.at[0].id);
    CHECK_INT(7, c.members.at[1].id);
    CHECK_INT(9, c.members.at[2].id);
}

TEST(what_is_wrong_is_told_with_file_line_key_value_and_what_is_allowed)
{
    static const struct {
        const char *lines, *id, *tells[3];
    } wrong[] = {
        { "tickTim=5\n" SERVERS, "1", { "zoo.cfg:2", "tickTim=5", "no such key" } },
        { SERVERS "tickTime=5\n", "1", { "zoo.cfg:5", "tickTime=5", "from 10 to 60000" } },
        { SERVERS "tickTime=ten\n", "1", { "zoo.cfg:5", "tickTime=ten", "from 10 to 60000" } },
        { SERVERS "tickTime=\n", "1", { "zoo.cfg:5", "tickTime=", "from 10" } },
        { SERVERS "initLimit=5\ninitLimit=6\n", "1", { "zoo.cfg:6", "initLimit=6", "already" } },
        { SERVERS "damagedLog=maybe\n", "1", { "zoo.cfg:5", "damagedLog=maybe", "refuse or relearn" } },
        { SERVERS "clusterSecretFile=\n", "1", { "zoo.cfg:5", "clusterSecretFile=", "a path" } },
        { SERVERS "nonsense\n", "1", { "zoo.cfg:5", "nonsense", "key=value" } },
        { "server.1=a:1\n", "1", { "zoo.cfg:2", "server.1=a:1", "host:peerPort:electionPort" } },
        { "server.1=a:1:99999\n", "1", { "zoo.cfg:2", "server.1=a:1:99999", "host:peerPort" } },
        { "server.1=a:1:2:boss\n", "1", { "zoo.cfg:2", "boss", "[:observer]" } },
        { "server.0=a:1:2\n", "1", { "zoo.cfg:2", "server.0", "server.1 to server.255" } },
        { SERVERS "server.3=a:1:2\n", "1", { "zoo.cfg:5", "server.3=", "already" } },
        { SERVERS "logWindow=1000\n", "1", { "zoo.cfg", "logWindow", "power of two" } },
        { "server.1=a:1:2:observer\n", "1", { "zoo.cfg", "no observer", "at least one" } },
        { SERVERS, "x", { "myid", "1 to 255", "server.N" } },
        { SERVERS, NULL, { "myid", "1 to 255", "server.N" } },
        { "", "1", { "zoo.cfg", "server.N", "host:peerPort" } },
    };
    struct conf c;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_TRUE(read_conf(&c, wrong[i].lines, wrong[i].id) != ERR_OK);
        for (int k = 0; k < 3; k++)
            if (strstr(text, wrong[i].tells[k]) == NULL)
                print_error("%s\nlacks %s\n", text, wrong[i].tells[k]);
        for (int k = 0; k < 3; k++) CHECK_TRUE(strstr(text, wrong[i].tells[k]) != NULL);
    }
}

TEST(a_file_that_is_not_there_is_named)
{
    struct conf c;

    CHECK_INT(ERR_SYS, conf_read(&c, "/no/such/zoo.cfg", text));
    CHECK_TRUE(strstr(text, "/no/such/zoo.cfg") != NULL);
}
