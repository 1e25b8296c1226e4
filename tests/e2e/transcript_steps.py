# SPDX-License-Identifier: Apache-2.0
"""What test_plugin_transcript.py does with each broker: steps, each a function of a Stage."""
import struct

import kit
from kit import V311, V5, packet, text, var_int

KINDS = {2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 9: "SUBACK",
         11: "UNSUBACK", 13: "PINGRESP", 14: "DISCONNECT", 15: "AUTH"}
REASON_STRING, AUTH_METHOD, AUTH_DATA, USER_PROPERTY = 0x1f, 0x15, 0x16, 0x26
ASSIGNED = 0x12
SIZES = {0x11: 4, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x13: 2, 0x28: 1, 0x29: 1, 0x2a: 1, 0x01: 1, 0x02: 4, 0x23: 2}


def props_of(body):
    """Those that a plugin can have to do with: (text, rest of the body)."""
    size, at = body[0] & 127, 1
    while body[at - 1] > 127:
        size |= (body[at] & 127) << 7 * at
        at += 1
    end = at + size
    seen = []
    while at < end:
        kind = body[at]
        at += 1
        if kind in SIZES:
            at += SIZES[kind]
            continue
        values = []
        for _ in range(2 if kind == USER_PROPERTY else 1):
            n = struct.unpack_from(">H", body, at)[0]
            values.append(body[at + 2:at + 2 + n].decode(errors="replace"))
            at += 2 + n
        if kind != ASSIGNED:
            seen.append(f"{kind:#x}={':'.join(values)}")
    return " ".join(seen), body[end:]


def described(p, version):
    name, body = KINDS[p.kind], p.body
    if p.kind == kit.PUBLISH:
        m = kit.Message(p, version)
        more = " " + props_of(var_int(len(m.props)) + m.props)[0] if version == V5 and m.props else ""
        return f"PUBLISH {m.topic} {m.payload.decode(errors='replace')!r} qos={m.qos} retain={int(m.retain)}{more}"
    if p.kind == kit.CONNACK:
        return f"CONNACK {body[1]:#x} {props_of(body[2:])[0] if version == V5 else ''}".strip()
    if p.kind in (kit.SUBACK, kit.UNSUBACK):
        return f"{name} {(props_of(body[2:])[1] if version == V5 else body[2:]).hex()}"
    if p.kind == 14 or p.kind == 15:
        return f"{name} {body[0] if body else 0:#x} {props_of(body[1:])[0] if len(body) > 1 else ''}".strip()
    if 4 <= p.kind <= 7:
        return f"{name} {body[2] if len(body) > 2 else 0:#x} {props_of(body[3:])[0] if len(body) > 3 else ''}".strip()
    return name


class Actor:
    """A client whose every packet from the broker is said."""

    def __init__(self, stage, client_id, version=V5):
        self.stage, self.id, self.version = stage, client_id, version
        self.c = kit.Client(stage.port)
        self.c.version = version
        stage.actors.append(self)

    def say(self, what):
        self.stage.said.append(f"{self.id}: {what}")

    def see(self, count=1):
        for _ in range(count):
            try:
                p = self.c.receive()
            except kit.Closed:
                self.say("closed")
                return self
            self.say(described(p, self.version))
            if p.kind == kit.PUBLISH:
                self.answer(kit.Message(p, self.version))
            if p.kind == 5 and (len(p.body) < 3 or p.body[2] < 0x80):
                self.c.send(packet(6, 2, p.body[:2]))
        return self

    def answer(self, m):
        if m.qos == 1:
            self.c.send(packet(kit.PUBACK, 0, struct.pack(">H", m.id)))
        if m.qos == 2:
            self.c.send(packet(5, 0, struct.pack(">H", m.id)))

    def see_all_of_publish(self):
        """A PUBACK and what the client itself gets of it, in no order. Who asked one plugin about a delivery hears of it
        behind the mark, and asks the other one before the second pong."""
        packets = []
        self.collect(packets, kit.PUBACK)
        for _ in "ab":
            self.stage.mark()
            for _ in range(2):
                self.c.send(packet(kit.PINGREQ, 0, b""))
                self.collect(packets, kit.PINGRESP)
                packets.pop()
        self.stage.said += sorted(f"{self.id}: {p}" for p in packets)
        return self

    def collect(self, packets, last):
        """All up to one of this type, and with it."""
        while True:
            p = self.c.receive()
            packets.append(described(p, self.version))
            if p.kind == last:
                return

    def see_end(self):
        """What comes up to the close."""
        for p in self.c.expect_closed():
            self.say(described(p, self.version))
        self.say("closed")
        return self

    def join(self, count=1, props=b"", keepalive=30, clean=True, will=None, user=None, password=None):
        flags = (2 if clean else 0) | (4 if will else 0)
        flags |= (0 if user is None else 0x80) | (0 if password is None else 0x40)
        body = text("MQIsdp" if self.version == 3 else "MQTT") + bytes([self.version, flags])
        body += struct.pack(">H", keepalive)
        body += var_int(len(props)) + props if self.version == V5 else b""
        body += text(self.id)
        if will:
            body += (b"\0" if self.version == V5 else b"") + text(will[0]) + text(will[1])
        body += b"".join(text(s) for s in (user, password) if s is not None)
        self.c.send(packet(kit.CONNECT, 0, body))
        return self.see(count)

    def publish(self, topic, payload, qos=0, retain=False, props=b"", count=None):
        body = text(topic) + (struct.pack(">H", self.c._id()) if qos else b"")
        body += (var_int(len(props)) + props if self.version == V5 else b"") + payload.encode()
        self.c.send(packet(kit.PUBLISH, qos << 1 | retain, body))
        return self.see(qos if count is None else count)

    def subscribe(self, *filters, qos=0, count=1, props=b""):
        body = struct.pack(">H", self.c._id()) + (var_int(len(props)) + props if self.version == V5 else b"")
        body += b"".join(text(f) + bytes([qos]) for f in filters)
        self.c.send(packet(kit.SUBSCRIBE, 2, body))
        return self.see(count)

    def unsubscribe(self, *filters):
        body = struct.pack(">H", self.c._id()) + (b"\0" if self.version == V5 else b"")
        self.c.send(packet(kit.UNSUBSCRIBE, 2, body + b"".join(text(f) for f in filters)))
        return self.see()

    def leave(self, code=None):
        self.c.send(packet(kit.DISCONNECT, 0, b"" if code is None else bytes([code])))
        return self.see_end()

    def drop(self):
        self.c.close()
        return self


def pair(kind, name, value):
    return bytes([kind]) + text(name) + text(value)


# --- steps


def step_start(s):
    """What was before."""


def step_who_a_client_is(s):
    for version, clean, props in ((4, True, b""), (4, False, b""), (5, True, b""), (5, False, b""),
                                  (5, True, b"\x11\0\0\0\x3c")):
        a = Actor(s, f"v{version}{int(clean)}{len(props)}", version).join(user="show", clean=clean, props=props,
                                                                      keepalive=17)
        a.subscribe("one", "two")
        a.subscribe("two", "three/+")
        a.publish("$CONTROL/a/v1", "client", 1)
        a.leave()


def step_version_3_1(s):
    Actor(s, "v31", 3).join(user="show")
    s.mark()


def step_no_client_id(s):
    Actor(s, "").join(user="show").c.close()


def step_logins(s):
    for version in (4, 5):
        for user in (None, "", "rca=0", "rca=11"):
            Actor(s, f"c{version}{user}", version).join(user=user, password=user and "secret").drop()
            s.mark()
    Actor(s, "password is wrong").join(user="rca=0", password="wrong").drop()
    s.mark()
    Actor(s, "empty password").join(user="rca=0", password="").drop()


def step_login_errors(s):
    """Codes that are neither yes nor no."""
    for version in (4, 5):
        for code in (1, 3, 12, 13, 99, -4):
            Actor(s, f"c{version}{code}", version).join(user=f"rca={code}", password="secret").drop()
            s.mark()


def step_deferred_logins(s):
    for version in (4, 5):
        for name in ("rca=17 rcb=17", "rca=17 rcb=0", "rca=17 rcb=11"):
            Actor(s, f"d{version}{name}", version).join(user=name, password="secret").drop()
            s.mark()
        Actor(s, f"no password {version}", version).join(user="rca=17 rcb=17").drop()
        s.mark()


def step_rename(s):
    a = Actor(s, "renamed at login").join(user="rename", password="x")
    a.publish("t", "x", 1)
    a.publish("$CONTROL/a/v1", "client", 1)
    a.publish("$CONTROL/a/v1", "name other", 1)
    a.publish("$CONTROL/a/v1", "client", 1)
    a.publish("$CONTROL/a/v1", "name -", 1)
    a.publish("$CONTROL/a/v1", "client", 1)
    a.leave()


def step_publish(s):
    for version in (4, 5):
        r = Actor(s, f"reader{version}", version).join().subscribe("p/#", qos=2)
        w = Actor(s, f"writer{version}", version).join()
        w.publish("p/0", "zero").publish("p/1", "one", 1).publish("p/2", "two", 2)
        if version == 5:
            w.publish("p/props", "x", 1, props=pair(0x26, "k", "v") + b"\x02\0\0\0\x3c" + b"\x01\1")
            w.publish("p/alias", "x", 1, props=b"\x23\0\1")
            w.publish("", "y", 1, props=b"\x23\0\1")
        w.publish("p/empty", "", 1)
        r.see(3 + 1 + (3 if version == 5 else 0) + 1)  # and PUBREL
        w.leave()
        r.leave()


def step_denied_publish(s):
    r = Actor(s, "reader").join().subscribe("@aw=12/#", "@aw=17/#", "@ar=12/#", "@aw=1/#")
    for version in (4, 5):
        for qos in (0, 1, 2):
            w = Actor(s, f"w{version}{qos}", version).join()
            w.publish(f"@aw=12/{qos}", "x", qos, count=1 if qos == 2 and version == V5 else None)
            w.publish("still", "x", 1)
            w.drop()
    s.mark()
    r.leave()


def step_write_errors(s):
    """Codes of an ACL check that are neither yes nor no."""
    for version in (4, 5):
        for code in (1, 2, 5, 9, 10, 19, 21, 31, 99, -1, -4):
            w = Actor(s, f"w{version}{code}", version).join()
            w.publish(f"@aw={code}/x", "x", 1)
            w.drop()
            s.mark()


def step_deferred_write(s):
    w = Actor(s, "w").join()
    w.publish("@aw=17/@bw=0", "x", 1)
    w.publish("@aw=17/@bw=12", "x", 1)
    w.publish("@aw=17/@bw=17", "x", 1)
    w.subscribe("@as=17/@bs=17")
    w.unsubscribe("@au=17/@bu=17")
    w.leave()


def step_subscribe(s):
    for version in (4, 5):
        a = Actor(s, f"s{version}", version).join()
        a.subscribe("ok", "@as=12/no", "$share/g/shared", "ok/#", qos=1)
        a.subscribe("ok", qos=2)
        a.publish("$CONTROL/a/v1", "client", 1)
        a.unsubscribe("ok", "@au=12/no", "never", "$share/g/shared")
        a.leave()


def step_count(s):
    a = Actor(s, "counts").join().subscribe("one", "two").unsubscribe("one")
    a.publish("$CONTROL/a/v1", "client", 1)
    a.leave()


def step_subscribe_errors(s):
    """Codes of an ACL check that are neither yes nor no."""
    for version in (4, 5):
        for code in (1, 3, 11, 13, 99, -1):
            Actor(s, f"s{version}{code}", version).join().subscribe(f"@as={code}/x").drop()
            s.mark()
            Actor(s, f"u{version}{code}", version).join().unsubscribe(f"@au={code}/x").drop()
            s.mark()


def step_read(s):
    r = Actor(s, "reads").join(props=b"\x11\0\0\0\x3c").subscribe("r/#", "@ar=12/#", qos=1)
    w = Actor(s, "writer").join()
    w.publish("r/1", "yes", 1, props=pair(0x26, "k", "v"))
    r.see()
    w.publish("@ar=12/x", "no", 1)
    w.publish("r/@ar=17/@br=12", "no", 1)
    w.publish("r/@ar=17/@br=17", "no", 1)
    w.publish("r/end", "yes", 1)
    r.see()
    r.leave()


def step_read_own(s):
    a = Actor(s, "own").join().subscribe("own", qos=1)
    a.publish("own", "x", 1, count=2)
    a.leave()


def step_retained(s):
    w = Actor(s, "writer").join()
    w.publish("ret/yes", "kept", 1, retain=True)
    w.publish("ret/@ar=12", "not to be read", 1, retain=True)
    r = Actor(s, "reader").join().subscribe("ret/#", qos=1, count=2)
    s.wait_plugin("not to be read len=14 qos=1 retain=1 props=none -> ACL_DENIED")
    w.publish("ret/yes", "", 1, retain=True)
    r.see()
    w.publish("ret/@ar=12", "", 1, retain=True)
    w.publish("ret/end", "yes", 1)
    r.see()  # so what came before was asked about before the reader goes
    r.leave()


def step_wills(s):
    for version in (4, 5):
        r = Actor(s, f"reader{version}", version).join().subscribe("will/#", qos=1)
        Actor(s, f"w{version}", version).join(will=("will/yes", "gone")).drop()
        r.see()
        Actor(s, f"n{version}", version).join(will=("will/@aw=12", "gone")).drop()
        s.mark()
        Actor(s, f"m{version}", version).join(will=("will/@am=12", "gone")).drop()
        r.see()
        Actor(s, f"c{version}", version).join(will=("$CONTROL/a/v1", "client")).drop()
        s.mark()
        r.leave()


def step_change(s):
    for version in (4, 5):
        r = Actor(s, f"reader{version}", version).join().subscribe("m/#", "new/#", qos=2)
        w = Actor(s, f"writer{version}", version).join()
        for what in ("set a topic new/topic", "set a payload other", "set a empty", "set b payload from b",
                     "set a retain", "set a reason 16", "set a qos"):
            w.publish("m/1", what, 1)
            r.see()
        w.publish("m/2", "set a topic new/two", 2)
        r.see(2)
        w.publish("new/two", "", 1, retain=True)
        w.publish("new/two", "", 1, retain=True)
        r.see(2)
        if version == 5:
            for what in ("set a props",):
                w.publish("m/p", what, 1, props=pair(0x26, "k", "v") + b"\x03" + text("type"))
                r.see()
        w.publish("m/1", "", 1, retain=True)
        r.see()
        w.leave()
        r.leave()


def step_message_denied(s):
    for version in (4, 5):
        w = Actor(s, f"w{version}", version).join()
        for qos in (0, 1, 2):
            w.publish("@am=12/x", "x", qos, count=1 if qos == 2 and version == V5 else None)
            w.publish("still", "x", 1)
        w.drop()
        s.mark()


def step_message_errors(s):
    """Anything but yes and no ends the connection."""
    for version in (4, 5):
        for qos in (0, 1, 2):
            for code in (17, 13, 3, 11, 99, -1):
                w = Actor(s, f"w{version}{qos}{code}", version).join()
                w.publish(f"@am={code}/x", "x", qos, count=0)
                w.see_end()


def step_message_reason(s):
    r = Actor(s, "r").join().subscribe("@am=12/#", "m/#")
    w = Actor(s, "w").join()
    w.publish("@am=12/x", "set a reason 151", 1)
    w.publish("@am=12/x", "set a reason 151", 2, count=1)
    w.publish("m/x", "set a reason 151", 1)
    r.see()
    w.leave()
    r.leave()


def step_message_invalid(s):
    """Topics that are none."""
    for what in ("set a topic bad/+", "set a topic "):
        w = Actor(s, "w" + what).join()
        w.publish("m/1", what, 1)
        w.drop()
        s.mark()


def step_second_message(s):
    w = Actor(s, "w").join()
    w.publish("@am=0/@bm=12", "x", 1)
    w.publish("@am=12/@bm=0", "x", 1)
    w.publish("m", "set a payload set b topic new", 1)
    w.leave()


def step_two_callbacks(s):
    s.do("register message twice")
    s.do("register message twice")
    w = Actor(s, "w").join()
    w.publish("m", "x", 1)
    w.publish("@am=12/x", "x", 1)
    s.do("register message off")
    w.publish("m", "x", 1)
    s.do("register message off")
    s.do("register message on")
    w.publish("m", "x", 1)
    s.do("register message once")
    s.do("register message once")
    w.publish("m", "x", 1)
    w.leave()


def step_control(s):
    for version in (4, 5):
        a = Actor(s, f"control{version}", version).join()
        r = Actor(s, f"reader{version}", version).join().subscribe("$CONTROL/#", "#")
        for qos in (0, 1, 2):
            a.publish("$CONTROL/a/v1", "x", qos)
            a.publish("$CONTROL/a/v1", "x", qos, retain=True)
            a.publish("$CONTROL/b/v1", "x", qos)
            a.publish("$CONTROL/none/v1", "x", qos)
            a.publish("$CONTROL/a/v1/sub", "x", qos)
        a.publish("$CONTROL/@aw=12", "x", 1)
        a.leave()
        for code in (1, 3, 12, 17, 99, -1):
            Actor(s, f"c{version}{code}", version).join().publish("$CONTROL/a/v1", f"rc={code}", 1, count=0).see_end()
        r.leave()


def step_control_reason(s):
    a = Actor(s, "control").join()
    a.publish("$CONTROL/a/v1", "reason 151", 1)
    a.leave()


def step_functions(s):
    for what in ("registering", "publishing", "memory", "helpers"):
        s.do(what)
    Actor(s, "asks").join(user="x").publish("$CONTROL/a/v1", "clients", 1).leave()


def step_broker_publish(s):
    r = Actor(s, "reader").join().subscribe("b/#", qos=2)
    r4 = Actor(s, "reader4", 4).join().subscribe("b/#", qos=1)
    other = Actor(s, "other").join()
    s.do("publish - nowhere 1 0 bad payload")
    for way in ("give", "copy", "props", "alias"):
        for qos in (0, 1):
            s.do(f"publish - b/{way} {qos} 0 {way} payload")
            r.see()
            r4.see()
    s.do("publish - b/two 2 0 copy payload")
    r.see(2)
    r4.see()
    s.do("publish - b/empty 1 0 give")
    r.see()
    r4.see()
    s.do("publish other elsewhere 1 0 copy payload")
    other.see()
    s.do("publish other kept 1 1 copy payload")
    other.see()
    s.do("publish reader b/x 0 0 give payload")
    r.see()
    s.do("publish - b/kept 1 1 copy payload")
    r.see()
    r4.see()
    late = Actor(s, "late").join().subscribe("b/kept", "kept", qos=1, count=2)
    s.do("publish - b/kept 1 1 give")
    r.see()
    r4.see()
    late.see()
    s.do("publish - b/@ar=12 1 0 copy payload")
    s.do("publish - $CONTROL/a/v1 1 0 copy payload")
    s.do("publish - $share/x/y 1 0 copy payload")
    for a in (r, r4, other, late):
        a.leave()


def step_kick(s):
    for version in (4, 5):
        r = Actor(s, f"reader{version}", version).join(user="reader").subscribe("will/#")
        for by in ("id", "user"):
            for will in (0, 1):
                name = f"k{version}{by}{will}"
                k = Actor(s, name, version).join(user="u" + name, will=("will/" + name, "gone"))
                s.do(f"kick {by} {name if by == 'id' else 'u' + name} {will}")
                k.see_end()
                if will:
                    r.see()
        two = [Actor(s, f"two{version}{i}", version).join(user="same") for i in range(2)]
        s.do("kick user same 0")
        for a in two:
            a.see_end()
        self_ = Actor(s, f"self{version}", version).join(user="self")
        self_.publish("$CONTROL/a/v1", f"kick id self{version} 0", 1, count=0)
        self_.see_end()
        r.leave()


def step_kick_nameless(s):
    r = Actor(s, "named").join(user="named")
    k = Actor(s, "nameless").join()
    s.do("kick user - 0")
    k.see_end()
    r.leave()


def step_ends(s):
    """Reasons of DISCONNECT, and whose."""
    for version in (4, 5):
        Actor(s, f"leaves{version}", version).join().leave()
        Actor(s, f"drops{version}", version).join().drop()
        s.mark()
        a = Actor(s, f"taken{version}", version).join()
        b = Actor(s, f"taken{version}", version).join()
        a.see_end()
        b.leave()
        a = Actor(s, f"malformed{version}", version).join()
        a.c.send(b"\xf0\x00" if version == 4 else b"\x3f\x00")
        a.see_end()
        a = Actor(s, f"protocol{version}", version).join()
        a.join(0)
        a.see_end()
        Actor(s, f"denied{version}", version).join(user="rca=11").see_end()
    Actor(s, "with will").join().leave(4)
    Actor(s, "reason 0x80").join().leave(0x80)
    Actor(s, "never in").drop()
    s.mark()


def step_session_kept(s):
    a = Actor(s, "kept", 4).join(clean=False).subscribe("kept/#", qos=1)
    a.leave()
    w = Actor(s, "w").join()
    w.publish("kept/1", "while away", 1)
    w.publish("kept/@ar=12", "while away", 1)
    b = Actor(s, "kept", 4).join(clean=False)
    b.see()
    b.publish("$CONTROL/a/v1", "client", 1)
    b.leave()
    w.leave()


def auth_props(method, data):
    return (bytes([AUTH_METHOD]) + text(method) if method is not None else b"") + \
        (bytes([AUTH_DATA]) + text(data) if data is not None else b"")


def auth_packet(code, method, data):
    p = auth_props(method, data)
    return packet(15, 0, bytes([code]) + var_int(len(p)) + p)


def step_extended(s):
    for data in ("ok", "silent", "name", None, "", "rc=11", "rc=17", "rc=10"):
        a = Actor(s, f"x{data}").join(props=auth_props("METHOD", data))
        a.drop()
        s.mark()
    a = Actor(s, "x with name").join(user="u", password="p", props=auth_props("METHOD", "ok")).leave()
    for last in ("ok", "rc=11", "rc=17", "more"):
        a = Actor(s, f"more {last}").join(props=auth_props("METHOD", "more"))
        a.c.send(auth_packet(0x18, "METHOD", "more"))
        a.see()
        a.c.send(auth_packet(0x18, "METHOD", last))
        a.see()
        a.drop()
        s.mark()
    for first, last in (("ok", None), ("rc=11", None), ("more", "ok"), ("more", "rc=11")):
        a = Actor(s, f"again {first} {last}").join(props=auth_props("METHOD", "ok"))
        a.c.send(auth_packet(0x19, "METHOD", first))
        a.see()
        if last:
            a.c.send(auth_packet(0x18, "METHOD", last))
            a.see()
        a.drop()
        s.mark()


def step_extended_errors(s):
    """Codes that are neither yes nor no."""
    for code in (1, 3, 12, 13, 99, -1):
        Actor(s, f"x{code}").join(props=auth_props("METHOD", f"rc={code}")).drop()
        s.mark()


def step_extended_other_method(s):
    a = Actor(s, "other method").join(props=auth_props("METHOD", "more"))
    a.c.send(auth_packet(0x18, "OTHER", "ok"))
    a.see_end()


def step_reload(s):
    s.reload()


def step_tick(s):
    s.do("register tick")
    s.wait_plugin("tick now_s")


def step_fallback(s):
    """All plugins defer."""
    for version in (4, 5):
        for user, password in ((None, None), ("known", "right"), ("known", "wrong"), ("unknown", "x"), ("known", None)):
            Actor(s, f"f{version}{user}{password}", version).join(user=user, password=password).drop()
            s.mark()
    for user in ("rca=0 stranger", "known"):
        a = Actor(s, "does " + user).join(user=user, password="right")
        if "CONNACK 0x0" not in s.said[-1]:
            continue
        a.subscribe("readable/1", "writable/1", "own/1", "other")
        for topic in ("readable/1", "writable/1", "own/1", "other"):
            a.publish(topic, "x", 1, count=0).see_all_of_publish()
        a.leave()
