#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Connections that begin with a PROXY header."""
import os
import socket
import struct
import tempfile

import kit

TRUSTED = "proxy_trusted 127.0.0.0/8"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source="192.0.2.7", port=4711):
    return f"PROXY TCP4 {source} 198.51.100.1 {port} 1883\r\n".encode()


def v2(source="192.0.2.7", port=4711, command=0x21, more=b""):
    body = socket.inet_aton(source) + socket.inet_aton("198.51.100.1") + struct.pack(">HH", port, 1883) + more
    return SIGNATURE + bytes([command, 0x11]) + struct.pack(">H", len(body)) + body


class Proxy(kit.Test):
    def dial(self, to, header):
        c = kit.Client(to if isinstance(to, str) else to.port)
        self.addCleanup(c.close)
        if header:
            c.send(header)
        return c

    def passes(self, to, header):
        c = self.dial(to, header)
        c.join("c")
        c.ping()
        return c

    def refused(self, to, header):
        c = self.dial(to, header)
        try:
            c.join("c", answer=False)
        except OSError:
            return
        self.assertEqual(c.expect_closed(), [])

    def test_the_address_that_is_told_is_the_clients(self):  # option: enable_proxy_protocol
        b = self.broker(f"enable_proxy_protocol any\n{TRUSTED}")
        for header in (v1(), v2()):
            self.passes(b, header)
        for header, port in ((v1(port=4711), 4711), (v2(port=4712), 4712)):
            quick = self.broker(f"connect_timeout_s 1\nenable_proxy_protocol any\n{TRUSTED}")
            self.assertEqual(self.dial(quick, header).expect_closed(), [])  # silent: the log has who it was
            kit.wait_file(quick.log, rf' connect-timeout .*peer="192.0.2.7:{port}"')

    def test_a_listener_takes_the_versions_that_it_is_told(self):  # option: enable_proxy_protocol
        for word, good, bad in (("1", v1(), v2()), ("2", v2(), v1()), ("any", v1(), b""), ("any", v2(), b"GET /"),
                                ("off", b"", v2())):
            with self.subTest(word, bad=bad):
                b = self.broker(f"enable_proxy_protocol {word}\n{TRUSTED}")
                self.passes(b, good)
                self.refused(b, bad)
                if word != "off":
                    kit.wait_file(b.log, ' peer-transport .*transport="proxy"')

    def test_without_an_address_that_is_told_it_is_the_proxys_own(self):
        b = self.broker(f"enable_proxy_protocol any\n{TRUSTED}")
        for header in (b"PROXY UNKNOWN\r\n", v2(command=0x20), v2(more=b"\x04\x01\0" + bytes(256))):
            self.passes(b, header)

    def test_who_is_not_trusted_is_closed_before_it_says_anything(self):  # option: proxy_trusted
        b = self.broker("enable_proxy_protocol any\nproxy_trusted 10.0.0.0/8 ::1\nproxy_trusted 192.0.2.0/24")
        self.assertEqual(self.dial(b, b"").expect_closed(), [])
        kit.wait_file(b.log, r' proxy-untrusted .*peer="127.0.0.1:\d+"')
        b.wait_metric("connections_refused_total", lambda n: n == 1)
        b.wait_metric("connections_open", lambda n: n == 0)

    def test_peers_of_a_unix_socket_are_trusted_by_the_word_local(self):  # option: proxy_trusted
        with tempfile.TemporaryDirectory(prefix="longlink-proxy.") as d:
            path = os.path.join(d, "s")
            b = self.broker("enable_proxy_protocol 1\nproxy_trusted local", listener=f"listener 0 {path}")
            self.passes(path, v1())
            self.stop_well(b)
            b.is_over = True
            self.broker("enable_proxy_protocol 1\nproxy_trusted 0.0.0.0/0 ::/0", listener=f"listener 0 {path}")
            self.assertEqual(self.dial(path, b"").expect_closed(), [])

    def test_the_name_in_a_certificate_that_the_proxy_has_verified_is_the_user(self):
        acl = tempfile.NamedTemporaryFile("w", prefix="longlink-acl.")
        self.addCleanup(acl.close)
        acl.write("user device\ntopic readwrite mine/#\n")
        acl.flush()
        b = self.broker(f"enable_proxy_protocol 2\n{TRUSTED}\nuse_identity_as_username true\nacl_file {acl.name}",
                        allow="allow_anonymous false")

        def named(name, verify=0):
            sub = bytes([0x22]) + struct.pack(">H", len(name)) + name
            ssl = bytes([3]) + struct.pack(">I", verify) + sub
            return v2(more=bytes([0x20]) + struct.pack(">H", len(ssl)) + ssl)

        def said(header):
            return self.dial(b, header).join("c")[1]

        c = self.dial(b, named(b"device"))
        self.assertEqual(c.join("c")[1], 0)
        self.assertEqual(c.publish("mine/x", b"", qos=1), 0x10)  # nobody has subscribed, but it may
        self.assertEqual(c.publish("other/x", b"", qos=1), 0x87)
        for header in (v2(), named(b"device", verify=1), named(b"\xff\xfe"), named(b"a\0b")):
            self.assertIn(said(header), (0x86, 0x87))

    def test_a_header_may_be_slow_but_not_slower_than_connect_timeout_s(self):
        b = self.broker(f"enable_proxy_protocol any\n{TRUSTED}")
        slow = self.dial(b, b"")
        for byte in v1():
            slow.send(bytes([byte]))
        slow.join("slow")
        b = self.broker(f"connect_timeout_s 1\nenable_proxy_protocol any\n{TRUSTED}")
        for c in [self.dial(b, header) for header in (v1()[:-1], v2()[:-1], b"")]:
            self.assertEqual(c.expect_closed(), [])
        kit.wait_file(b.log, " connect-timeout ")

    def test_proxy_trusted_is_needed_and_must_be_right(self):  # option: proxy_trusted
        for conf, said in (("enable_proxy_protocol any", "needs proxy_trusted"),
                           ("enable_proxy_protocol any\nproxy_trusted 10.0.0.1/8", "'10.0.0.1/8' is no source")):
            b = kit.Broker(conf)
            self.addCleanup(b.remove)
            self.assertNotEqual(b.process.wait(kit.WAIT_S), 0)
            b.log_file.close()
            self.assertIn(said, b.text())


if __name__ == "__main__":
    kit.main()
