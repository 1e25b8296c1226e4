/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How two nodes find out that they may talk.
 *
 *   dialler                               who was dialled
 *   TLS, if there is TLS, both with certificates
 *   hello: plane, cluster, ids, nonce  ->  looks whether that is right
 *          looks whether it is right  <-  hello: the same of its own, or why not
 *   proof: HMAC of both hellos         ->  compares
 *                            compares  <-  proof, or why not; it is up
 *                            it is up
 *
 * A proof is HMAC-SHA256 with the cluster's secret over who proves, both hellos and 32 bytes that TLS gives
 * to the two ends of this connection alone (zeros without TLS). So it is good for one connection, one
 * direction and one pair of nodes. Without a secret it is zeros.
 */
#include "base/rng.h"
#include "peer/peer_int.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

static const char label[] = "longlink cluster 1";

/* --- what we say */

static void hello_make(struct peers *p, struct peer_conn *c, enum wire_answer answer)
{
    struct wire_hello h = { .version = WIRE_VERSION,
                            .plane = c->plane,
                            .answer = (uint8_t)answer,
                            .has_secret = p->secret_bytes > 0,
                            .from = p->conf.id,
                            .to = c->peer,
                            .cluster = p->conf.cluster };

    rng_fill(h.nonce, sizeof h.nonce);
    wire_hello_encode(c->ours, &h);
    peer_conn_put(p, c, bytes_of(c->ours, sizeof c->ours));
}

static bool mac_make(struct peers *p, struct peer_conn *c, bool of_dialler, uint8_t out[WIRE_MAC_BYTES])
{
    uint8_t data[sizeof label + 1 + 2 * WIRE_HELLO_BYTES + PEER_EXPORT_BYTES] = { 0 }, *at = data;
    unsigned len = 0;

    memset(out, 0, WIRE_MAC_BYTES);
    if (p->secret_bytes == 0) return true;
    memcpy(at, label, sizeof label);
    at += sizeof label;
    *at++ = of_dialler ? 'D' : 'A';
    memcpy(at, c->is_dialler ? c->ours : c->theirs, WIRE_HELLO_BYTES);
    at += WIRE_HELLO_BYTES;
    memcpy(at, c->is_dialler ? c->theirs : c->ours, WIRE_HELLO_BYTES);
    at += WIRE_HELLO_BYTES;
    if (c->ssl != NULL &&
        SSL_export_keying_material(c->ssl, at, PEER_EXPORT_BYTES, label, sizeof label - 1, NULL, 0, 0) != 1)
        return false;
    return HMAC(EVP_sha256(), p->secret, (int)p->secret_bytes, data, sizeof data, out, &len) != NULL &&
           len == WIRE_MAC_BYTES;
}

static void proof_make(struct peers *p, struct peer_conn *c, enum wire_answer answer)
{
    struct wire_proof proof = { .answer = (uint8_t)answer };
    uint8_t at[WIRE_PROOF_BYTES];

    if (answer == WIRE_WELCOME && !mac_make(p, c, c->is_dialler, proof.mac)) {
        peer_conn_kill(p, c, "the proof cannot be computed");
        return;
    }
    wire_proof_encode(at, &proof);
    peer_conn_put(p, c, bytes_of(at, sizeof at));
}

/* --- no */

/* We say why, and leave the other side some time to read it. */
static void part(struct peers *p, struct peer_conn *c)
{
    peer_conn_flush(p, c);
    if (c->state == PEER_DEAD) return;
    if (c->ssl != NULL) SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
    c->state = PEER_PARTING;
    c->end_ms = p->now_ms + PEER_PARTING_MS;
}

static void refuse(struct peers *p, struct peer_conn *c, enum wire_answer answer)
{
    p->stat.refused++;
    if (c->peer == 0)
        peer_say(p, NULL, c->plane, "a node that dials from %s is refused: %s", c->where,
                 wire_answer_text(answer));
    else /* so it says, and whoever it is may say it as often as he likes */
        peer_say(p, NULL, c->plane, "server.%u, which dials from %s, is refused: %s", c->peer, c->where,
                 wire_answer_text(answer));
    if (c->state == PEER_HELLO)
        hello_make(p, c, answer);
    else
        proof_make(p, c, answer);
    if (c->state != PEER_DEAD) part(p, c);
}

/* The dialler's no needs no answer: it is gone. */
static void turn_away(struct peers *p, struct peer_conn *c, enum wire_answer answer)
{
    p->stat.refused++;
    peer_conn_kill(p, c, wire_answer_text(answer));
}

static void is_refused(struct peers *p, struct peer_conn *c, uint8_t answer)
{
    char why[128];

    p->stat.refused++;
    snprintf(why, sizeof why, "refuses us: %s", wire_answer_text((enum wire_answer)answer));
    peer_conn_kill(p, c, why);
}

/* --- what they say */

static enum wire_answer judge(struct peers *p, const struct peer_conn *c, const struct wire_hello *h)
{
    if (h->cluster != p->conf.cluster) return WIRE_OTHER_CLUSTER;
    if (h->to != p->conf.id) return WIRE_OTHER_NODE;
    if (h->plane != c->plane) return WIRE_OTHER_PLANE;
    if (c->is_dialler && h->from != c->peer) return WIRE_OTHER_NODE;
    if (!c->is_dialler && h->from <= p->conf.id) return WIRE_SMALLER_ID;
    return h->has_secret == (p->secret_bytes > 0) ? WIRE_WELCOME : WIRE_WRONG_PROOF;
}

/* To whom was dialled: is there room for it, and is it who it says? */
static enum wire_answer judge_guest(struct peers *p, const struct peer_conn *c)
{
    struct peer_remote *r = peer_remote_find(p, c->peer);
    const struct peer_address *at = r != NULL && r->is_member && r->is_good ? &r->at : NULL;
    int strangers = 0;

    if (c->ssl != NULL && !peer_tls_is(c->ssl, c->peer, at)) return WIRE_WRONG_NAME;
    for (int i = 0; i < PEER_REMOTES_MAX; i++) strangers += p->remotes[i].id != 0 && !p->remotes[i].is_member;
    return r != NULL || strangers < ZAB_NODES_MAX ? WIRE_WELCOME : WIRE_TOO_MANY;
}

static void hello_come(struct peers *p, struct peer_conn *c)
{
    struct wire_hello h;
    enum wire_rc rc = wire_hello_decode(bytes_of(c->shake, c->in_end), &h);

    if (rc == WIRE_MORE) return;
    if (rc == WIRE_ALIEN && !c->is_dialler) {
        refuse(p, c, WIRE_OTHER_VERSION);
        return;
    }
    if (rc != WIRE_OK) {
        p->stat.refused++;
        peer_conn_kill(p, c, wire_rc_text(rc));
        return;
    }
    memcpy(c->theirs, c->shake, sizeof c->theirs);
    c->in_end = 0;
    if (c->is_dialler && h.answer != WIRE_WELCOME) {
        is_refused(p, c, h.answer);
        return;
    }
    enum wire_answer answer = judge(p, c, &h);
    if (!c->is_dialler) c->peer = h.from;
    if (answer == WIRE_WELCOME && !c->is_dialler) answer = judge_guest(p, c);
    if (answer != WIRE_WELCOME) {
        if (c->is_dialler)
            turn_away(p, c, answer);
        else
            refuse(p, c, answer);
        return;
    }
    if (c->is_dialler)
        proof_make(p, c, WIRE_WELCOME);
    else
        hello_make(p, c, WIRE_WELCOME);
    if (c->state != PEER_DEAD) c->state = PEER_PROOF;
}

static void proof_come(struct peers *p, struct peer_conn *c)
{
    struct wire_proof proof;
    uint8_t want[WIRE_MAC_BYTES];
    enum wire_rc rc = wire_proof_decode(bytes_of(c->shake, c->in_end), &proof);

    if (rc == WIRE_MORE) return;
    c->in_end = 0;
    if (rc == WIRE_OK && c->is_dialler && proof.answer != WIRE_WELCOME) {
        is_refused(p, c, proof.answer);
        return;
    }
    if (rc != WIRE_OK || !mac_make(p, c, !c->is_dialler, want) ||
        CRYPTO_memcmp(want, proof.mac, sizeof want) != 0) {
        if (c->is_dialler)
            turn_away(p, c, WIRE_WRONG_PROOF);
        else
            refuse(p, c, WIRE_WRONG_PROOF);
        return;
    }
    if (!c->is_dialler) proof_make(p, c, WIRE_WELCOME);
    if (c->state != PEER_DEAD) peer_conn_up(p, c);
}

/* --- in turn */

static void hello_begin(struct peers *p, struct peer_conn *c)
{
    struct peer_remote *r = peer_remote_find(p, c->peer);

    if (c->is_dialler && c->ssl != NULL && !peer_tls_is(c->ssl, c->peer, r != NULL ? &r->at : NULL)) {
        turn_away(p, c, WIRE_WRONG_NAME);
        return;
    }
    c->state = PEER_HELLO;
    if (c->is_dialler) hello_make(p, c, WIRE_WELCOME);
}

static void tls_fails(struct peers *p, struct peer_conn *c)
{
    long rc = SSL_get_verify_result(c->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    char why[256];

    p->stat.refused++;
    if (rc != X509_V_OK) reason = X509_verify_cert_error_string(rc);
    snprintf(why, sizeof why, "TLS: %s", reason != NULL ? reason : "closed by the other side");
    ERR_clear_error();
    peer_conn_kill(p, c, why);
}

static void tls_shake(struct peers *p, struct peer_conn *c)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(c->ssl);
    if (rc == 1) {
        hello_begin(p, c);
        return;
    }
    int e = SSL_get_error(c->ssl, rc);
    c->is_full = e == SSL_ERROR_WANT_WRITE;
    if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) tls_fails(p, c);
}

void peer_shake_begin(struct peers *p, struct peer_conn *c)
{
    if (p->tls == NULL) {
        hello_begin(p, c);
        return;
    }
    c->ssl = peer_tls_open(p, c->fd, c->is_dialler);
    if (c->ssl == NULL) {
        peer_conn_kill(p, c, "out of memory");
        return;
    }
    c->state = PEER_SHAKING;
}

/* Reads no more than the message that comes next: what follows is for a session. */
void peer_shake_run(struct peers *p, struct peer_conn *c)
{
    if (c->state == PEER_SHAKING) tls_shake(p, c);
    while (c->state == PEER_HELLO || c->state == PEER_PROOF) {
        uint32_t whole = c->state == PEER_HELLO ? WIRE_HELLO_BYTES : WIRE_PROOF_BYTES;
        long n = peer_io_read(c, c->shake + c->in_end, whole - c->in_end);
        if (n < 0) {
            p->stat.refused++;
            peer_conn_kill(p, c, "closed by the other side before it had proven anything");
            return;
        }
        if (n == 0) return;
        c->in_end += (uint32_t)n;
        if (c->state == PEER_HELLO)
            hello_come(p, c);
        else
            proof_come(p, c);
    }
}
