#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Logins that make no sense, in every protocol and with every mechanism:
malformed, oversized, given up, never ending; in the clear; one password tried
on all users.  Nobody is let in, each gets an answer, and honest clients do not
notice."""
import hashlib
import os
import random
import ssl
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../proto/authd"))
from authlib import scram  # noqa: E402
from mailusers import PASSWORDS  # noqa: E402
from saslclient import Sasl, b64  # noqa: E402
from sasltarget import SaslTarget  # noqa: E402

MECHANISMS = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
              "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "OAUTHBEARER", "XOAUTH2")
# What no server of ours offers to this client.
OTHERS = ("EXTERNAL", "CRAM-MD5", "X-NONE", "GSSAPI", "PLAIN\0X", "\xff\xfe",
          "M" * 300, "PLAIN,LOGIN")
RESPONSE_MAX = 16384    # bytes that authd takes
rnd = random.Random(5)


def initials():
    user, secret = b"alice@example.test", PASSWORDS["alice"].encode()
    return (None, b"=", b"*", b"!!!!", b"AAAA=", b"A", b"==", b"AA==AA==",
            b"\0\0", b"\xff" * 30, b64(b"\0" * 3), b64(b"\0" * 500),
            b64(rnd.randbytes(200)), b64(b"\0" + user), b64(user),
            b64(b"\0" + user + b"\0" + secret + b"\0"),
            b64(b"\0" + user + b"\0" + secret)[:-2],
            b64(b"bob@example.test\0" + user + b"\0" + secret),
            b64(b"n,,n=" + user + b",r=x"), b64(b"n,,n=%s%n,r=" + user),
            b64(b"p=tls-exporter,,n=" + user + b",r=abcdef"),
            b64(b"n,a=" + user + b",\1auth=Bearer x\1\1"),
            b64(b"user=" + user + b"\1auth=Bearer " + b"e30." * 50 + b"\1\1"),
            b64(b"n,,\1auth=Bearer \1\1"), b64(b"\r\n.\r\nQUIT\r\n"),
            b64(b"A" * (RESPONSE_MAX - 1)), b64(b"A" * RESPONSE_MAX),
            b64(b"A" * (RESPONSE_MAX + 1)), b64(b"A" * 60000))


RESPONSES = (b"", b"=", b"!!", b64(b"x" * 100), b64(b"\0" * 9), b"*",
             b64(b"c=biws,r=x,p=YQ=="), b64(b"A" * RESPONSE_MAX),
             b64(b"A" * (RESPONSE_MAX + 1)), b"B" * 100000)


class Target(SaslTarget):
    def connect(self, protocol, **kw):
        return Sasl(self, protocol, **kw)

    def honest(self):
        for protocol in self.implicit:
            with self.connect(protocol) as c:
                got = c.plain("alice", PASSWORDS["alice"])
                assert got == ("ok",), (protocol, got)


def to_the_end(c, initial, mechanism):
    """How it ends, whatever is said: after a few responses at the most."""
    try:
        c.begin(mechanism, initial)
        got = c.answer()
        for _ in range(4):
            if got[0] != "challenge":
                return got
            c.send(rnd.choice(RESPONSES))
            got = c.answer()
        # The last one is an honest way to give up.
        if got[0] == "challenge":
            c.send(b"*")
            got = c.answer()
        return got
    except (EOFError, ConnectionError, ssl.SSLError):
        return ("closed",)


def malformed(m):
    for protocol in m.implicit:
        for mechanism in MECHANISMS + OTHERS:
            closed, c = 0, m.connect(protocol)
            for initial in initials():
                got = to_the_end(c, initial, mechanism)
                assert got[0] in ("fail", "closed"), (
                    protocol, mechanism, initial and initial[:80], got)
                if got[0] == "closed" or b"BYE" in got[1]:
                    closed += 1
                    c.close()
                    c = m.connect(protocol)
            c.close()
            # What is refused leaves the connection to try again, most times.
            assert closed < len(initials()) / 2, (protocol, mechanism, closed)
        m.honest()


def abandoned(m):
    """Half a login, and gone."""
    for protocol in m.implicit:
        for mechanism in MECHANISMS:
            for _ in range(5):
                c = m.connect(protocol)
                c.begin(mechanism, None)
                c.answer()
                c.close()
        # Pipelined behind a login: that is its response, or a command after.
        with m.connect(protocol) as c:
            c.s.sendall({"smtp": b"AUTH LOGIN\r\nQUIT\r\nMAIL FROM:<>\r\n",
                         "imap": b"a AUTHENTICATE LOGIN\r\nb\r\nc\r\n",
                         "pop3": b"AUTH LOGIN\r\nSTAT\r\nLIST\r\n"}[protocol])
            while (got := c.answer())[0] == "challenge":
                pass
            assert got[0] == "fail", (protocol, got)
    m.honest()


def scram_in_tls(m):
    """Keys of a certificate: this connection's, and another's."""
    with m.connect("smtp") as c:
        der = c.s.getpeercert(binary_form=True)
    own = hashlib.sha256(der).digest()
    for protocol in m.implicit:
        for hash_name in ("sha256", "sha1"):
            for binding, want in ((own, "ok"), (bytes(32), "fail")):
                with m.connect(protocol) as c:
                    got = scram(c, "alice@example.test",
                                PASSWORDS["alice"], hash_name,
                                "tls-server-end-point", "", binding, None,
                                {"exporter": b"", "endpoint": binding})
                    assert got[0] == want, (protocol, hash_name, got)
            with m.connect(protocol) as c:
                # He was told that we cannot bind: by somebody in the middle.
                c.start("SCRAM-SHA-256", b"y,,n=alice@example.test,r=abc")
                got = c.answer()
                assert got[0] == "fail", (protocol, got)


def in_the_clear(m):
    """Not even an unknown mechanism's initial response is looked at."""
    for protocol in m.plain:
        for mechanism in ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"):
            with m.connect(protocol, tls=False) as c:
                c.start(mechanism, b"\0alice@example.test\0" +
                        PASSWORDS["alice"].encode())
                got = c.answer()
                assert got[0] == "fail", (protocol, mechanism, got)
    with m.connect("imap", tls=False) as c:
        c.send(b"a LOGIN alice@example.test " + PASSWORDS["alice"].encode())
        assert c.answer()[0] == "fail"
    with m.connect("pop3", tls=False) as c:
        c.send(b"USER alice@example.test")
        assert c.answer()[0] == "fail"


def spraying():
    """One password for many users, in turn over all protocols, is one
    attacker: who is then banned in all of them, for what is right, too."""
    attacker, other = "127.0.0.5", "127.0.0.6"
    with Target(authd_failure_ban_threshold="9",
                authd_ban_exceptions="") as m:
        protocols = list(m.implicit)
        said = set()
        for i in range(9):
            with m.connect(protocols[i % 3], source=attacker) as c:
                got = c.plain(f"user{i}" if i % 2 else "bob", f"Summer{i}")
                assert got[0] == "fail", got
                said.add((protocols[i % 3], got[1]))
        assert len(said) == 3, said     # known or not
        for protocol in protocols:
            with m.connect(protocol, source=attacker) as c:
                got = c.plain("alice", PASSWORDS["alice"])
                assert got[0] == "later", (protocol, got)
            with m.connect(protocol, source=other) as c:
                assert c.plain("alice", PASSWORDS["alice"]) == ("ok",)
        m.wait_log(f"ban: client {attacker} after 9 failed logins")
        assert attacker in m.command("mansio", "ban").stdout


passed = 0
with Target() as inst:
    authd, = [p for p, n in inst.children().items() if n == "authd"]
    for case in (malformed, abandoned, scram_in_tls, in_the_clear):
        case(inst)
        passed += 1
    log = inst.log()
    for word in ("panic", "fatal", "killed by signal", "broke its conv",
                 *PASSWORDS.values()):
        assert word not in log, [x for x in log.splitlines() if word in x][:3]
    assert authd in inst.children()
spraying()
print(f"{passed + 1} passed, 0 failed, 0 skipped")
