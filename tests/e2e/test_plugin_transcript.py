# SPDX-License-Identifier: Apache-2.0
import os, sys, signal, tempfile
import kit
from mosquitto_kit import Mosquitto
import transcript_steps as T

SO = os.environ["TRANSCRIPT"]

def conf(out):
    return f"""
plugin {SO}
plugin_opt_out {out}
plugin_opt_name a
plugin {SO}2
plugin_opt_out {out}
plugin_opt_name b
plugin_opt_auth 17
plugin_opt_acl 17
plugin_opt_events laxcmtdr
"""

class Stage:
    def __init__(self, broker, out):
        self.broker, self.port, self.out = broker, broker.port, out
        self.said, self.actors, self.marks, self.at = [], [], 0, 0
        self.admin = T.Actor(self, "admin").join(user="admin")

    def lines(self):
        with open(self.out) as f:
            return [l.rstrip("\n") for l in f]

    def say(self, what):
        self.said.append(what)

    def mark(self):
        self.marks += 1
        for _ in range(2):
            said = self.said
            self.said = []
            self.admin.publish("$CONTROL/a/v1", f"mark {self.marks}", 1)
            self.said = said
        # marks wait for their PUBACK

    def do(self, what, plugin="a"):
        self.admin.publish(f"$CONTROL/{plugin}/v1", what, 1)
        self.mark()

    def wait_plugin(self, text):
        kit.wait_until(lambda: any(text in l for l in self.lines()), text)

    def reload(self):
        self.broker.process.send_signal(signal.SIGHUP)
        kit.wait_until(lambda: any("b 1 reload" in l for l in self.lines()), "reload")

    def run(self, step):
        if b.process.poll() is not None: raise SystemExit("mosquitto died")
        before = len(self.lines())
        self.said, self.actors = [], []
        error = ""
        try:
            step(self)
        except Exception as e:
            error = repr(e)
        self.mark()
        for a in self.actors:
            a.c.close()
        mine = [l for l in self.lines()[before:] if not l.startswith("a mark")]
        self.mark()
        return mine, self.said, error

out = tempfile.mktemp(prefix="/tmp/build-abi/out.")
b = Mosquitto("allow_anonymous true\n" + conf(out)).ready()
kit.WAIT_S = 5
try:
    s = Stage(b, out)
    for l in s.lines(): print("   ", l)
    names = sys.argv[1:] or [n[5:] for n in dir(T) if n.startswith("step_")]
    for n in names:
        print("=====", n, flush=True)
        plugin, said, error = s.run(getattr(T, "step_" + n))
        for l in plugin: print("   ", l)
        print("  --")
        for l in said: print("   ", l)
        if error: print("!!!", error)
finally:
    b.stop()
    print(open(out).read()[-300:])
