/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "kit/test.h"
#include "unit/cluster_peer_rig.h"
#include "unit/tls_kit.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static struct kit_dir dir;
static struct kit_ca ca, other_ca;
static char paths[RIG_NODES][3][TLS_KIT_PATH_BYTES]; /* CA, certificate, key */

static void path_set(char *out, const char *name, const char *end)
{
    char file[64];

    snprintf(file, sizeof file, "%s%s", name, end);
    snprintf(out, TLS_KIT_PATH_BYTES, "%s", kit_file(&dir, file));
}

/* The node's certificate has that name, and is of that CA; the secret goes. */
static void give(int i, struct kit_ca *of, const char *name)
{
    char file[32];

    snprintf(file, sizeof file, "node%d", i);
    kit_issue_cn(of, &dir, file, name);
    path_set(paths[i][0], "ca", ".crt");
    path_set(paths[i][1], file, ".crt");
    path_set(paths[i][2], file, ".key");
    rig.conf[i].cafile = paths[i][0];
    rig.conf[i].certfile = paths[i][1];
    rig.conf[i].keyfile = paths[i][2];
    rig.conf[i].secret = bytes_of(NULL, 0);
}

static void begin(void)
{
    rig_init(&rig);
    kit_dir_init(&dir);
    kit_ca_init(&ca, "the cluster");
    kit_ca_init(&other_ca, "another one");
    kit_write_ca(&ca, kit_file(&dir, "ca.crt"));
    give(0, &ca, "server.1");
    give(1, &ca, "server.2");
    give(2, &ca, "server.3");
}

static void end(void)
{
    rig_fini(&rig);
    kit_ca_fini(&ca);
    kit_ca_fini(&other_ca);
    kit_dir_fini(&dir);
}

static void meet(int nodes)
{
    for (int i = 0; i < nodes; i++) rig_open(&rig, i);
    rig_meet(&rig);
}

static bool has_large(struct rig *r)
{
    return r->node[0].large == ZAB_PAYLOAD_BYTES_MAX && r->node[0].next_zxid == 3;
}

TEST(nodes_with_certificates_link_and_frames_of_all_sizes_come)
{
    begin();
    meet(3);
    rig_until(&rig, rig_all_up);
    rig_send(&rig, 1, 1, 1);
    for (int i = 0; i < 9; i++) rig_send_large(&rig, 1, 1, ZAB_PAYLOAD_BYTES_MAX);
    rig_send(&rig, 1, 1, 2);
    rig_send_large(&rig, 1, 1, 17000);
    rig_send_large(&rig, 1, 1, ZAB_PAYLOAD_BYTES_MAX);
    rig_send(&rig, 1, 1, 3);
    rig_until(&rig, has_large);
    CHECK_INT(14, rig.node[0].frames);
    end();
}

TEST(certificates_and_a_secret_together_both_count)
{
    begin();
    for (int i = 0; i < 2; i++) rig.conf[i].secret = bytes_of_text(RIG_SECRET);
    meet(2);
    rig_until(&rig, rig_all_up);
    rig_fini(&rig);
    memset(rig.node, 0, sizeof rig.node);
    rig.conf[1].secret = bytes_of_text("another secret of as many bytes");
    meet(2);
    rig_until_line(&rig, 1, "its cluster secret is another one");
    CHECK_INT(0, rig.node[0].ups + rig.node[1].ups);
    end();
}

static void check_strange(const char *words_0, const char *words_1)
{
    meet(2);
    if (words_0 != NULL) rig_until_line(&rig, 0, words_0);
    if (words_1 != NULL) rig_until_line(&rig, 1, words_1);
    rig_run(&rig, 200);
    CHECK_INT(0, rig.node[0].ups + rig.node[1].ups);
    end();
}

TEST(who_dials_with_a_certificate_of_another_node_is_refused_by_name)
{
    begin();
    give(1, &ca, "server.3");
    check_strange("the certificate is of another node", "refuses us: the certificate is of another node");
}

TEST(who_is_dialled_and_has_a_certificate_of_another_node_is_left)
{
    begin();
    give(0, &ca, "server.11");
    check_strange(NULL, "the certificate is of another node");
}

TEST(a_certificate_of_another_authority_is_refused)
{
    begin();
    give(1, &other_ca, "server.2");
    check_strange("TLS: ", NULL);
    begin();
    give(0, &other_ca, "server.1");
    check_strange(NULL, "TLS: ");
}

TEST(a_certificate_may_have_the_host_of_the_members_address_for_a_name)
{
    begin();
    give(0, &ca, "localhost");
    give(1, &ca, "server.2");
    meet(2);
    snprintf(rig.members.at[0].address, ZAB_ADDRESS_BYTES, "localhost:%u:%u",
             peer_listens(rig.node[0].p)->peer_port, peer_listens(rig.node[0].p)->election_port);
    for (int i = 0; i < 2; i++) peer_members(rig.node[i].p, &rig.members);
    rig_until(&rig, rig_all_up);
    end();
}

TEST(who_speaks_no_tls_is_refused)
{
    struct wire_hello h;
    uint8_t at[WIRE_HELLO_BYTES];

    begin();
    meet(1);
    h = rig_hello(&rig, 0, WIRE_PEER, 9);
    wire_hello_encode(at, &h);
    int fd = rig_dial(&rig, 0, WIRE_PEER);
    rig_say(fd, at, sizeof at);
    CHECK_TRUE(rig_is_closed(&rig, fd));
    rig_until_line(&rig, 0, "TLS: ");
    CHECK_INT(0, rig.node[0].ups);
    close(fd);
    end();
}

TEST(with_tls_a_node_may_listen_to_all_addresses)
{
    begin();
    rig.conf[0].listen.host[0] = '\0';
    meet(2);
    rig_until(&rig, rig_all_up);
    end();
}

TEST(a_key_that_does_not_fit_is_told)
{
    char text[PEER_TEXT_BYTES];
    struct peers *p;

    begin();
    rig.conf[0].keyfile = paths[1][2];
    CHECK_INT(ERR_RANGE, peer_open(&p, &rig.conf[0], text));
    CHECK_TRUE(strstr(text, "keyfile") != NULL && strstr(text, paths[1][2]) != NULL);
    rig.conf[0].keyfile = paths[0][2];
    rig.conf[0].certfile = paths[0][2];
    CHECK_INT(ERR_RANGE, peer_open(&p, &rig.conf[0], text));
    CHECK_TRUE(strstr(text, "certfile") != NULL);
    end();
}
