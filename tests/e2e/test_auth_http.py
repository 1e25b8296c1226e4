#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""longlink_auth.so asks a back end by HTTP: what it says, what is remembered, and what holds while it fails."""
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import auth_kit
import kit
from auth_kit import MAXIMUM_CONNECT_TIME, NOT_AUTHORIZED, PASSWORD, SERVER_UNAVAILABLE


class BackEnd:
    """Answers as `says` does: a function of the question that gives a status and a body. `asked` are all questions."""

    def __init__(self, says):
        back_end = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                back_end.asked.append((question, dict(self.headers)))
                status, body = back_end.says(question)
                body = json.dumps(body).encode() if isinstance(body, dict) else body
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                with contextlib.suppress(ConnectionError):  # who asked has not waited
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *words):
                pass

        self.says, self.asked = says, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/login"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def asks(back_end):
    """Options: an answer has its time, also on a machine that stalls."""
    return {"http_url": back_end.url, "http_timeout_ms": 60000, "conf": "plugin_timeout 0"}


class Http(auth_kit.Test):
    def back_end(self, says):
        s = BackEnd(says)
        self.addCleanup(s.stop)
        return s

    def test_it_is_told_who_comes_and_says_who_may(self):
        s = self.back_end(lambda q: (200, {"username": "A-" + q["username"], "acl": {"both": "%u/#"}})
                          if q["password"] == PASSWORD else (403, b"no"))
        header = self.file("Authorization: Bearer hidden-77\n")
        b = self.auth(**asks(s), http_header_file=header)
        c = self.come(b, "c1", user="anna", password=PASSWORD)
        self.assertEqual(s.asked[0][0], {"username": "anna", "password": PASSWORD, "client_id": "c1",
                                         "address": "127.0.0.1"})
        self.assertEqual(s.asked[0][1]["Authorization"], "Bearer hidden-77")
        self.assertEqual(c.subscribe("A-anna/#", 1), 1)
        self.assertEqual(c.subscribe("anna/#", 1), NOT_AUTHORIZED)
        self.come(b, "c2", NOT_AUTHORIZED, user="anna", password="wrong")
        self.come(b, "c3", NOT_AUTHORIZED)
        self.assertEqual(len(s.asked), 2)
        self.assertNotIn("hidden-77", b.text())
        self.assertNotIn(PASSWORD, b.text())

    def test_answers_are_remembered_until_a_reload(self):
        s = self.back_end(lambda q: (204, b"") if q["password"] == PASSWORD else (401, b""))
        b = self.auth(**asks(s))
        for _ in range(3):
            self.come(b, "c1", user="anna", password=PASSWORD)
            self.come(b, "c1", NOT_AUTHORIZED, user="anna", password="wrong")
        self.assertEqual(len(s.asked), 2)
        b.reload()
        self.come(b, "c1", user="anna", password=PASSWORD)
        self.assertEqual(len(s.asked), 3)

    def test_what_fails_refuses_and_is_left_alone_after_a_while(self):
        s = self.back_end(lambda q: (500, b""))
        b = self.auth(**asks(s), http_failures=2, http_open_seconds=3600)
        for i in range(5):
            self.come(b, f"c{i}", SERVER_UNAVAILABLE, user="anna", password=PASSWORD)
        self.assertEqual(len(s.asked), 2)

    def test_what_fails_may_leave_it_to_the_next_source(self):
        s = self.back_end(lambda q: (200, b"this is no JSON"))
        b = self.auth(**asks(s), http_on_failure="next", sources="http sqlite", accounts_db=self.database("anna"))
        self.come(b, "c1", user="anna", password=PASSWORD)
        self.come(b, "c1", NOT_AUTHORIZED, user="anna", password="wrong")
        self.come(b, "c1", NOT_AUTHORIZED, user="bob", password=PASSWORD)
        self.assertEqual(len(s.asked), 3)

    def test_one_that_never_answers_holds_up_nobody_who_needs_no_answer(self):
        may_go = threading.Event()
        self.addCleanup(may_go.set)
        s = self.back_end(lambda q: (may_go.wait(kit.WAIT_S) and 204 or 204, b""))
        b = self.auth(**asks(s), accounts_db=self.database("anna"))
        slow = kit.Client(b.port)
        self.addCleanup(slow.close)
        slow.join("slow", user="zoe", password=PASSWORD, answer=False)
        kit.wait_until(lambda: s.asked, "the question")
        self.come(b, "c1", user="anna", password=PASSWORD).ping()
        may_go.set()
        self.assertEqual(slow.expect(kit.CONNACK).body[1], 0)

    def test_a_login_holds_as_long_as_the_answer_says(self):
        s = self.back_end(lambda q: (200, {"expires_in": 3}))
        b = self.auth(**asks(s))
        self.told_to_go(self.come(b, "c1", user="anna", password=PASSWORD), MAXIMUM_CONNECT_TIME)

    def test_what_is_remembered_ends_when_it_would_have_ended(self):
        s = self.back_end(lambda q: (200, {"expires_in": 2}))
        b = self.auth(**asks(s))
        first = self.come(b, "c1", user="anna", password=PASSWORD)
        self.told_to_go(first, MAXIMUM_CONNECT_TIME)
        self.come(b, "c1", user="anna", password=PASSWORD)
        self.assertEqual(len(s.asked), 2)

    def test_what_is_said_of_an_address_is_not_said_of_another_one(self):
        s = self.back_end(lambda q: (204, b"") if q["address"] == "127.0.0.1" else (403, b""))
        b = self.auth(**asks(s))
        self.come(b, "c1", user="anna", password=PASSWORD)
        other = kit.Client(b.port, source="127.0.0.2")
        self.addCleanup(other.close)
        self.assertEqual(other.join("c1", user="anna", password=PASSWORD)[1], NOT_AUTHORIZED)
        self.assertEqual(len(s.asked), 2)

    def test_a_nul_in_the_body_hides_nothing(self):
        s = self.back_end(lambda q: (200, b"\0" + b'{"acl": {"deny_both": "#"}}'))
        b = self.auth(**asks(s))
        self.come(b, "c1", SERVER_UNAVAILABLE, user="anna", password=PASSWORD)

    def test_the_broker_stops_while_it_waits_for_an_answer(self):
        may_go = threading.Event()
        s = self.back_end(lambda q: (may_go.wait(kit.WAIT_S) and 204 or 204, b""))
        self.addCleanup(may_go.set)
        b = self.auth(**asks(s))
        slow = kit.Client(b.port)
        self.addCleanup(slow.close)
        slow.join("slow", user="zoe", password=PASSWORD, answer=False)
        kit.wait_until(lambda: s.asked, "the question")
        self.assertEqual(b.stop(), 0)


if __name__ == "__main__":
    kit.main()
