#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that people use: mosquitto's tools and paho, with MQTT 3.1.1 and 5.0."""
import kit


class Mosquitto(kit.Test):
    def setUp(self):
        if not kit.have("mosquitto_sub", "mosquitto_pub", "mosquitto_rr"):
            self.skipTest("mosquitto-clients is not installed")

    def test_pub_and_sub_of_both_versions_understand_each_other(self):
        b = self.broker()
        for to in ("311", "5"):
            for frm in ("311", "5"):
                for qos in (0, 1):
                    s = kit.Running(*kit.sub(b, "-V", to, "-t", "home/+/state", "-q", qos, "-v", "-d", "-C", 1))
                    s.wait("SUBACK")
                    kit.pub(b, "-V", frm, "-t", "home/door/state", "-q", qos, "-m", "open")
                    self.assertEqual(s.end(), ["home/door/state open"])

    def test_properties_arrive(self):
        b = self.broker()
        s = kit.Running(*kit.sub(b, "-V", "5", "-t", "t", "-q", "1", "-d", "-C", 1, "-F", "%p|%C|%R|%D|%P|%E"))
        s.wait("SUBACK")
        kit.pub(b, "-V", "5", "-t", "t", "-q", "1", "-m", "body",
                "-D", "publish", "content-type", "text/plain",
                "-D", "publish", "response-topic", "answers",
                "-D", "publish", "correlation-data", "17",
                "-D", "publish", "user-property", "a", "1", "-D", "publish", "user-property", "b", "2",
                "-D", "publish", "message-expiry-interval", "600")
        body, kind, answer_to, correlation, users, expiry = s.end()[0].split("|")
        self.assertEqual([body, kind, answer_to, correlation], ["body", "text/plain", "answers", "17"])
        self.assertEqual(users.split(), ["a:1", "b:2"])
        self.assertIn(int(expiry), range(540, 601))

    def test_request_and_response(self):
        b = self.broker()
        service = self.client(b, "service")
        service.subscribe("ask", 1)
        rr = kit.Running("mosquitto_rr", "-h", "127.0.0.1", "-p", b.port, "-V", "5", "-t", "ask", "-e", "answer",
                         "-m", "how much?", "-q", "1", "-W", kit.WAIT_S)
        self.assertEqual(service.message().payload, b"how much?")
        service.publish("answer", b"42", qos=1)
        self.assertEqual(rr.end(), ["42"])

    def test_retained_and_its_removal(self):
        b = self.broker()
        kit.pub(b, "-t", "state", "-m", "on", "-q", "1", "-r")
        self.assertEqual(kit.run(*kit.sub(b, "-t", "state", "-C", 1, "-F", "%r %p")), "1 on\n")
        kit.run(*kit.sub(b, "-t", "#", "--remove-retained", "--retained-only", "-W", "1"), status=27)
        b.wait_metric("retained_messages", lambda n: n == 0)

    def test_a_client_without_an_id_gets_one(self):
        b = self.broker()
        for version in ("311", "5"):
            s = kit.Running(*kit.sub(b, "-V", version, "-t", "t", "-d", "-C", 1)).wait("SUBACK")
            kit.pub(b, "-t", "t", "-m", "x")
            self.assertEqual(s.end()[-1], "x")

    def test_qos_2_in_both_directions(self):
        b = self.broker()
        for version in ("311", "5"):
            s = kit.Running(*kit.sub(b, "-V", version, "-t", "t", "-q", "2", "-d", "-C", 3, "-F", "%q %p")).wait("): 2")
            for qos in "2", "1", "2":
                kit.pub(b, "-V", version, "-t", "t", "-q", qos, "-m", "x")
            self.assertEqual([line for line in s.end() if line.endswith(" x")], ["2 x", "1 x", "2 x"])


class Paho(kit.Test):
    def test_both_versions_publish_subscribe_and_unsubscribe(self):
        b = self.broker()
        for version in (kit.V311, kit.V5):
            reader = kit.Paho(b, f"reader {version}", version).subscribe("t/#", 1)
            self.assertFalse(reader.session_present())
            writer = kit.Paho(b, f"writer {version}", version)
            sent = [b"%d" % i for i in range(500)]
            for payload in sent[:-1]:
                writer.mqtt.publish("t/x", payload, 1)
            writer.publish("t/x", sent[-1])
            reader.wait(lambda: len(reader.messages) >= 500, "500 messages")
            self.assertEqual(reader.payloads(), sent)
            reader.stop()
            writer.stop()

    def test_qos_2_comes_once_and_in_order(self):
        b = self.broker()
        for version in (kit.V311, kit.V5):
            reader = kit.Paho(b, f"reader {version}", version).subscribe("t/#", 2)
            writer = kit.Paho(b, f"writer {version}", version)
            sent = [b"%d" % i for i in range(500)]
            for payload in sent[:-1]:
                writer.mqtt.publish("t/x", payload, 2)
            writer.publish("t/x", sent[-1], qos=2)
            reader.wait(lambda: len(reader.messages) >= 500, "500 messages")
            self.assertEqual(reader.payloads(), sent)
            self.assertEqual({m.qos for m in reader.messages}, {2})
            reader.stop()
            writer.stop()

    def test_a_will_goes_out_when_the_connection_is_lost(self):
        b = self.broker()
        reader = self.client(b, "reader")
        reader.subscribe("wills/#", 1)
        for version in (kit.V311, kit.V5):
            kit.Paho(b, f"device {version}", version, will=(f"wills/{version}", b"lost", 1)).lose()
            self.assertEqual(reader.message().topic, f"wills/{version}")
            kit.Paho(b, f"device {version}", version, will=(f"wills/{version}", b"lost", 1)).stop()
            reader.ping()  # said DISCONNECT: no will

    def test_paho_and_mosquitto_understand_each_other(self):
        if not kit.have("mosquitto_pub"):
            self.skipTest("mosquitto-clients is not installed")
        b = self.broker()
        reader = kit.Paho(b, "reader", kit.V5).subscribe("t", 1)
        kit.pub(b, "-V", "5", "-t", "t", "-q", "1", "-m", "from mosquitto")
        reader.wait(lambda: reader.messages, "a message")
        self.assertEqual(reader.payloads(), [b"from mosquitto"])
        reader.stop()


if __name__ == "__main__":
    kit.main()
