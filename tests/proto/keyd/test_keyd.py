#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""keyd (lib/ipc/msg_keyd.h), asked by a client that was taken over: what it
hands out, what it signs, and all that it does not."""
import os
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../authd"), os.path.join(HERE,
                                                             "../../system")]
from authlib import Reader, blob, frame, u32  # noqa: E402
from instance import Instance, need_root  # noqa: E402

(HELLO, GET, CHAIN, SET, SIGN, SIGNATURE, TICKETS, CHANGED) = range(8)
OK, NONE, REFUSED, FAILED = range(4)
ECDSA_SHA256, PSS_SHA256, PKCS1_SHA256, ED25519 = 0x403, 0x804, 0x401, 0x807
# RFC 8446 4.4.3
SERVER13 = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
CLIENT13 = b" " * 64 + b"TLS 1.3, client CertificateVerify\0"
HASH = b"h" * 32
# RFC 8422 5.4: both randoms, ECParameters, point
EXCHANGE = b"r" * 64 + b"\x03\x00\x17\x41\x04" + b"p" * 64


class Client:
    def __init__(self, base):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30)
        self.s.connect(f"{base}/spool/private/keyd")
        self.s.sendall(frame(HELLO, 0, blob("keyd") + u32(1)))
        self.tag, self.tickets, self.changed = 0, [], 0

    def read(self, n):
        out = b""
        while len(out) < n:
            more = self.s.recv(n - len(out))
            if not more:
                raise EOFError
            out += more
        return out

    def recv(self, any_tag=False):
        """The next answer; what comes unasked is noted."""
        while True:
            n, kind, _, tag = struct.unpack("<IHHI", self.read(12))
            r = Reader(self.read(n))
            if kind == TICKETS:
                self.tickets.append(r.blob())
            elif kind == CHANGED:
                self.changed += 1
            elif kind != HELLO:
                assert any_tag or tag == self.tag, (kind, tag)
                return kind, r
            if any_tag and kind != HELLO:
                return kind, r

    def get(self, files="", maps="", name="", client=False):
        """(status, [(key id, DER)], text)."""
        self.tag += 1
        self.s.sendall(frame(GET, self.tag, blob(files) + blob(maps) +
                             blob(name) + bytes([client])))
        chains = []
        while True:
            kind, r = self.recv()
            if kind == SET:
                status, n = r.u32(), r.u32()
                assert n == len(chains)
                return status, chains, r.str()
            assert kind == CHAIN
            chains.append((r.u64(), r.blob()))

    def ask_sign(self, key, scheme, tbs):
        self.tag += 1
        self.s.sendall(frame(SIGN, self.tag, struct.pack("<QI", key, scheme)
                             + blob(tbs)))

    def sign(self, key, scheme, tbs):
        self.ask_sign(key, scheme, tbs)
        kind, r = self.recv()
        assert kind == SIGNATURE
        return r.u32(), r.blob()

    def ended(self, data):
        """Whether keyd ends the connection because of data."""
        try:
            self.s.sendall(data)
            while self.s.recv(65536):
                pass
        except ConnectionError:
            pass
        except socket.timeout:
            return False
        return True


def verifies(m, der, tbs, signature, *options):
    for name, data in (("der", der), ("tbs", tbs), ("sig", signature)):
        with open(f"{m.base}/{name}", "wb") as f:
            f.write(data)
    with open(f"{m.base}/pub", "wb") as f:
        f.write(subprocess.run(["openssl", "x509", "-inform", "DER", "-in",
                                f"{m.base}/der", "-noout", "-pubkey"],
                               check=True, capture_output=True).stdout)
    return subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", f"{m.base}/pub",
         "-signature", f"{m.base}/sig", *options, f"{m.base}/tbs"],
        capture_output=True, check=False).returncode == 0


def certificates(m, c):
    status, chains, _ = c.get(m.pem)
    assert status == OK and len(chains) == 2
    assert c.tickets and len(c.tickets[0]) % 80 == 0
    ids = [k for k, _ in chains]
    # The same after a restart; another one for a client's role.
    assert c.get(m.pem, client=True)[1][0][0] not in ids
    assert c.get(maps=m.maps, name="one.example.test")[0] == OK
    assert c.get(maps=m.maps, name="two.example.test")[0] == NONE
    for kind in (b"PRIVATE", b"BEGIN"):
        assert all(kind not in der for _, der in chains)
    return chains


def not_configured(m, c):
    """Files that the configuration does not name are not opened."""
    other = f"{m.etc}/other.pem"
    for files in (other, "/etc/shadow", f"{m.pem} {other}", m.pem + "/",
                  f"{m.etc}/../etc/server.pem", "", " ", "server.pem",
                  m.pem + "\0"):
        try:
            assert c.get(files)[0] == REFUSED, files
        except EOFError:
            assert "\0" in files
            c = Client(m.base)
    for maps in (f"static:{other}", "inline:{a=b}", "", f"hash:{m.etc}/x"):
        assert c.get(maps=maps, name="one.example.test")[0] == REFUSED
    assert "that the configuration does not name" in m.log()


def signatures(m, c, chains):
    """Over what a server signs in a handshake, with the key's own kind."""
    (ec, ec_der), (rsa, rsa_der) = sorted(chains, key=lambda x: len(x[1]))
    status, sig = c.sign(ec, ECDSA_SHA256, SERVER13 + HASH)
    assert status == OK and verifies(m, ec_der, SERVER13 + HASH, sig)
    status, sig = c.sign(ec, ECDSA_SHA256, EXCHANGE)
    assert status == OK and verifies(m, ec_der, EXCHANGE, sig)
    status, sig = c.sign(rsa, PSS_SHA256, SERVER13 + HASH)
    assert status == OK and verifies(
        m, rsa_der, SERVER13 + HASH, sig, "-sigopt",
        "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1")
    status, sig = c.sign(rsa, PKCS1_SHA256, EXCHANGE)
    assert status == OK and verifies(m, rsa_der, EXCHANGE, sig)
    for key, scheme, tbs in (
            # A client's role, a certificate, a message, nothing at all.
            (ec, ECDSA_SHA256, CLIENT13 + HASH), (ec, ECDSA_SHA256, b""),
            (ec, ECDSA_SHA256, HASH), (ec, ECDSA_SHA256, ec_der),
            (rsa, PKCS1_SHA256, rsa_der), (rsa, PSS_SHA256, rsa_der),
            (rsa, PKCS1_SHA256, b"DKIM-Signature: v=1; a=rsa-sha256"),
            (ec, ECDSA_SHA256, SERVER13[1:] + HASH),
            (ec, ECDSA_SHA256, SERVER13), (ec, ECDSA_SHA256, SERVER13 +
                                           b"x" * 5000),
            (ec, ECDSA_SHA256, EXCHANGE + b"x"),
            (ec, ECDSA_SHA256, EXCHANGE[:-1]),
            (rsa, PKCS1_SHA256, SERVER13 + HASH),
            # No such key.
            (ec + 1, ECDSA_SHA256, SERVER13 + HASH),
            (0, ECDSA_SHA256, SERVER13 + HASH)):
        assert c.sign(key, scheme, tbs) == (REFUSED, b""), tbs[:80]
    for key, scheme in ((ec, PSS_SHA256), (rsa, ECDSA_SHA256), (ec, ED25519),
                        (ec, 0), (ec, 0xffff)):
        assert c.sign(key, scheme, SERVER13 + HASH)[0] in (FAILED, REFUSED)
    assert "to sign what is no TLS handshake: refused" in m.log()


def malformed(m):
    """Every broken frame ends its client's connection, and only that."""
    good = Client(m.base)
    get = blob(m.pem) + blob("") + blob("") + b"\0"
    for data in (frame(99, 1), frame(SET, 1), frame(TICKETS, 1), frame(GET, 1),
                 frame(GET, 1, get[:-1]), frame(GET, 1, get + b"x"),
                 frame(GET, 1, get[:-1] + b"\2"),
                 frame(GET, 1, blob("x" * 4097) + get), frame(SIGN, 1),
                 frame(SIGN, 1, struct.pack("<QI", 1, 2) +
                       blob(b"x" * (64 * 1024 + 1))),
                 frame(SIGN, 1, struct.pack("<QII", 1, 0x403, 2 ** 32 - 1)),
                 frame(SIGN, 1, struct.pack("<QI", 1, 0x10000) + blob("")),
                 struct.pack("<IHHI", 2 ** 31, GET, 0, 1),
                 struct.pack("<IHHI", 0, GET, 3, 1), os.urandom(500)):
        c = Client(m.base)
        assert c.ended(data), data[:40]
        assert good.get(m.pem)[0] == OK
    # A HELLO for somebody else.
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(f"{m.base}/spool/private/keyd")
    s.sendall(frame(HELLO, 0, blob("auth") + u32(1)) + frame(GET, 1, get))
    data = b""
    while more := s.recv(65536):
        data += more
    assert b"\x30\x82" not in data


def limited(m, chains):
    """One client's flood is slowed down, and others do not wait for it."""
    key = min(chains, key=lambda x: len(x[1]))[0]
    bad, good = Client(m.base), Client(m.base)
    begun = time.monotonic()
    for _ in range(150):
        bad.ask_sign(key, ECDSA_SHA256, SERVER13 + HASH)
    assert good.sign(key, ECDSA_SHA256, SERVER13 + HASH)[0] == OK
    for _ in range(150):
        kind, r = bad.recv(any_tag=True)
        while kind != SIGNATURE:
            kind, r = bad.recv(any_tag=True)
        assert r.u32() == OK
    # 50 at once and 50 a second: two seconds' worth is left of it.
    took = time.monotonic() - begun
    assert took > 1.5, took


def restarted(m, chains):
    keyd, = [p for p, n in m.children().items() if n == "keyd"]
    os.kill(keyd, signal.SIGKILL)
    end = time.monotonic() + 30
    while True:
        try:
            c = Client(m.base)
            got = c.get(m.pem)
            break
        except (OSError, EOFError):
            assert time.monotonic() < end
            time.sleep(0.1)
    assert got[:2] == (OK, chains)
    assert c.sign(chains[0][0], ECDSA_SHA256, SERVER13 + HASH)[0] in (OK,
                                                                     FAILED)
    # A new certificate: everybody is told, and the old key goes on signing.
    m.make(m.pem)
    while not c.changed:
        assert time.monotonic() < end + 30
        kind, _ = c.recv(any_tag=True)
    fresh = c.get(m.pem)[1]
    assert {k for k, _ in fresh}.isdisjoint({k for k, _ in chains})
    old = min(chains, key=lambda x: len(x[1]))[0]
    assert c.sign(old, ECDSA_SHA256, SERVER13 + HASH)[0] == OK


class Keyd(Instance):
    def __init__(self):
        super().__init__(settings={
            "smtpd_tls_chain_files": "{base}/etc/server.pem",
            "tls_server_sni_maps": "inline:{{ {{one.example.test = "
                                   "{base}/etc/other.pem}} }}",
            "keyd_check_interval": "1s", "keyd_client_sign_limit": "50",
        }, services="keyd unix - - - - 1 keyd\n")
        self.pem = f"{self.etc}/server.pem"
        self.maps = (f"inline:{{ {{one.example.test = {self.etc}/other.pem}}"
                     " }")
        self.make(self.pem)
        self.make(f"{self.etc}/other.pem")

    def make(self, path):
        text = ""
        for kind in ("ecdsa", "rsa"):
            self.command("mansio", "cert", "selfsign", "-t", kind,
                         f"{path}.{kind}", "mail.example.test")
            with open(f"{path}.{kind}", encoding="ascii") as f:
                text += f.read()
            os.unlink(f"{path}.{kind}")
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write(text)
        os.rename(path + ".new", path)


need_root()
with Keyd() as inst:
    asker = Client(inst.base)
    found = certificates(inst, asker)
    not_configured(inst, asker)
    signatures(inst, Client(inst.base), found)
    malformed(inst)
    limited(inst, found)
    restarted(inst, found)
    assert "panic" not in inst.log() and "fatal" not in inst.log()
print("6 passed, 0 failed, 0 skipped")
