# SPDX-License-Identifier: Apache-2.0
"""What tests of the edge share: throw-away certificates, made by the `openssl` command once in a run, and the kit's
client over TLS.

    p = pki()                                   # the same files for every test of this process
    b = self.broker(f"certfile {p.server.crt}\\nkeyfile {p.server.key}")
    c = TlsClient(b.port, p.trust())

Files, all PEM: `crt` (a leaf's, with what is between it and the root behind it), `key`. Keys are P-256 unless RSA is
asked for, because making them costs nothing.
"""
import atexit
import functools
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

import kit

CA_CONF = """
[ca]
default_ca = this
[this]
database = {dir}/index.txt
serial = {dir}/serial
crlnumber = {dir}/crlnumber
new_certs_dir = {dir}
certificate = {crt}
private_key = {key}
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = none
preserve = yes
[any]
countryName = optional
stateOrProvinceName = optional
localityName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
emailAddress = optional
[ext_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[ext_leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
subjectKeyIdentifier = hash
{san}
"""


def openssl(*args, stdin=None):
    """Runs the tool; what it printed."""
    done = subprocess.run(["openssl", *map(str, args)], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {args}: {done.stdout.decode(errors='replace')}")
    return done.stdout.decode(errors="replace")


class Pair:
    """A certificate (with its chain) and its key. own: the certificate alone."""

    def __init__(self, crt, key, own=None):
        self.crt, self.key, self.own = crt, key, own or crt

    def lines(self):
        """Of a configuration."""
        return f"certfile {self.crt}\nkeyfile {self.key}\n"


def new_key(path, kind="ec", password=None):
    how = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if kind == "rsa" else \
          ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    lock = ["-aes-256-cbc", "-pass", "pass:" + password] if password else []
    openssl("genpkey", *how, *lock, "-out", path)
    return path


class Authority:
    """A CA; with a parent, an intermediate one. `issue` gives Pairs, `revoke` and `crl` take them back."""

    def __init__(self, where, name, parent=None):
        self.name, self.parent, self.dir = name, parent, os.path.join(where, name)
        os.mkdir(self.dir)
        self.crt, self.key = self.path("ca.crt"), new_key(self.path("ca.key"))
        for file, content in (("index.txt", ""), ("serial", "01\n"), ("crlnumber", "01\n")):
            with open(self.path(file), "w") as f:
                f.write(content)
        self.count = 0
        subject = f"/O=Longlink tests/CN={name}"
        if parent:
            parent._sign(self.crt, self.key, subject, "ext_ca", [], None)
        else:
            conf = self._conf(None)
            openssl("req", "-x509", "-new", "-key", self.key, "-subj", subject, "-days", 30, "-config", conf,
                    "-extensions", "ext_ca", "-out", self.crt)

    def path(self, name):
        return os.path.join(self.dir, name)

    def _conf(self, san):
        path = self.path("openssl.cnf")
        with open(path, "w") as f:
            f.write("[req]\ndistinguished_name = none\nstring_mask = utf8only\n[none]\n")
            f.write(CA_CONF.format(dir=self.dir, crt=self.crt, key=self.key,
                                   san="subjectAltName = " + san if san else ""))
        return path

    def _sign(self, crt, key, subject, kind, dates, san):
        conf, request = self._conf(san), crt + ".csr"
        openssl("req", "-new", "-utf8", "-key", key, "-subj", subject, "-config", conf, "-out", request)
        openssl("ca", "-batch", "-utf8", "-notext", "-config", conf, "-extensions", kind, "-in", request, "-out", crt,
                *dates)

    def issue(self, name, subject=None, san=None, kind="ec", expired=False):
        """A leaf. subject: "/CN=..." as openssl writes it. san: "DNS:localhost,IP:127.0.0.1"."""
        self.count += 1
        base = self.path(f"{self.count}-{name}")
        own, key, crt = base + ".own.crt", new_key(base + ".key", kind), base + ".crt"
        dates = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired else []
        self._sign(own, key, subject or f"/CN={name}", "ext_leaf", dates, san)
        with open(crt, "w") as out:
            for file in [own] + self.between():
                with open(file) as f:
                    out.write(f.read())
        return Pair(crt, key, own)

    def between(self):
        """The certificates from this one up to the root, without it."""
        return [self.crt] + self.parent.between() if self.parent else []

    def revoke(self, pair):
        openssl("ca", "-config", self._conf(None), "-revoke", pair.own)

    def crl(self, name="crl.pem"):
        """A file with the list as it is now."""
        path = self.path(name)
        openssl("ca", "-config", self._conf(None), "-gencrl", "-out", path)
        return path


class Pki:
    """One of everything: ca (trusted), sub (an intermediate of it), stranger (a CA that nobody trusts)."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="longlink-pki.")
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)
        self.ca = Authority(self.dir, "root")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content):
        with open(self.path(name), "w") as f:
            f.write(content)
        return self.path(name)

    def trust(self, pair=None, verify=True):
        """A client's context; with a pair it has a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca.crt)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if pair:
            context.load_cert_chain(pair.crt, pair.key)
        return context


# What few tests need is made when the first one asks.
LEAVES = {
    "sub": lambda p: Authority(p.dir, "sub", p.ca),
    "stranger": lambda p: Authority(p.dir, "stranger"),
    "server": lambda p: p.ca.issue("localhost", san="DNS:localhost,IP:127.0.0.1,IP:::1"),
    "server_rsa": lambda p: p.ca.issue("localhost", san="DNS:localhost,IP:127.0.0.1,IP:::1", kind="rsa"),
    "server_by_sub": lambda p: p.sub.issue("localhost", san="DNS:localhost,IP:127.0.0.1,IP:::1"),
    "client": lambda p: p.ca.issue("alice", "/C=DE/O=Home, Ltd/OU=Lamps/CN=alice"),
    "client2": lambda p: p.ca.issue("bob"),
    "client_by_sub": lambda p: p.sub.issue("carol"),
    "client_expired": lambda p: p.ca.issue("old", expired=True),
    "client_stranger": lambda p: p.stranger.issue("alice"),
    "client_nameless": lambda p: p.ca.issue("nobody", "/O=no common name"),
}
for _name, _make in LEAVES.items():
    setattr(Pki, _name, functools.cached_property(_make))
    getattr(Pki, _name).__set_name__(Pki, _name)


@functools.lru_cache(None)
def pki():
    return Pki()


class TlsClient(kit.Client):
    """The kit's client over TLS. context: Pki.trust(). session: of a connection before, to resume."""

    def __init__(self, port, context, name="localhost", session=None, receive_buffer=None):
        super().__init__(port, receive_buffer)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session)
        except BaseException:
            self.socket.close()
            raise


class TlsTest(kit.Test):
    def tls_broker(self, options="", conf="", pair=None, **more):
        """options: of the listener. pair: its certificate; False: it has none."""
        lines = "" if pair is False else (pair or pki().server).lines()
        return self.broker(conf, listener=f"listener 0 127.0.0.1\n{lines}{options}\n", **more)

    def tls_client(self, broker, client_id="", context=None, **more):
        c = TlsClient(broker.port, context or pki().trust(), **{k: more.pop(k) for k in
                      ("receive_buffer", "session", "name") if k in more})
        self.addCleanup(c.close)
        c.join(client_id, **more)
        return c

    def refused(self, broker, context, why):
        """The client cannot come in, and the log says why."""
        with self.assertRaises((ssl.SSLError, ConnectionResetError, kit.Closed)):
            c = TlsClient(broker.port, context)
            self.addCleanup(c.close)
            c.join("refused")  # TLS 1.3: the client learns it only after its own last word
        kit.wait_file(broker.log, f" peer-transport .*transport=\"tls\" reason=\".*{why}")

    def only(self, version, context=None):
        context = context or pki().trust()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        return context


def tcp(port):
    """A plain connection, for who speaks no TLS."""
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(kit.WAIT_S)
    return s
