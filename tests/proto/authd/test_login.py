#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""authd: PLAIN and LOGIN, tickets, who may ask for what."""
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import (CONTINUE, LOOKUP, MALFORMED, NO_MECHANISM,  # noqa: E402
                     NOT_FOR_YOU, REDEEM, START, WRONG, Client, Instance,
                     a_client, accounts, blob, frame, need_root, u32)


def logins(m):
    c = Client(m.base)
    ok = ("ok", "alice@example.test", "alice@example.test", b"")
    assert c.plain("alice@example.test", "wonderland") == ok
    assert c.plain("Alice@EXAMPLE.test", "wonderland") == ok
    assert c.login("alice@example.test", "wonderland") == ok
    # The empty challenge for a client without initial response.
    c.start("plain")
    assert c.answer() == ("challenge", b"")
    c.respond(b"\0alice@example.test\0wonderland")
    assert c.answer() == ok
    # Itself as authorization identity, and somebody else.
    assert c.plain("alice@example.test", "wonderland",
                   "alice@example.test") == ok
    assert c.plain("alice@example.test", "wonderland",
                   "bob@example.test")[:2] == ("fail", NOT_FOR_YOU)


def failures(m):
    c = Client(m.base)
    texts = set()
    for user, password in (("alice@example.test", "wrong"),
                           ("nobody@example.test", "wonderland"),
                           ("alice@example.test", "x" * 600),
                           ("bob", "builder"), ("@", "x"), ("a:b", "x")):
        got = c.plain(user, password)
        assert got[:2] == ("fail", WRONG), (user, got)
        texts.add(got[2])
    assert len(texts) == 1, texts
    for mech, data, want in (
            ("PLAIN", b"", MALFORMED), ("PLAIN", b"\0\0", MALFORMED),
            ("PLAIN", b"a", MALFORMED), ("PLAIN", b"\0a\0", MALFORMED),
            ("PLAIN", b"\0a\0b\0", MALFORMED),
            ("PLAIN", b"\0\xff\0b", MALFORMED),
            ("PLAIN", b"\0a\n\0b", MALFORMED),
            ("PLAIN", b"\0" + b"a" * 300 + b"\0b", MALFORMED),
            ("LOGIN", b"", MALFORMED),
            ("CRAM-MD5", None, NO_MECHANISM), ("", None, NO_MECHANISM),
            ("OAUTHBEARER", b"n,,\1auth=Bearer x\1\1", NO_MECHANISM),
            ("EXTERNAL", b"", NO_MECHANISM),
            ("SCRAM-SHA-256-PLUS", b"x", NO_MECHANISM)):
        c.start(mech, data)
        got = c.answer()
        assert got[:2] == ("fail", want), (mech, data, got)
    # A front that was taken over claims that a certificate was seen.
    c.start("EXTERNAL", b"", cert="alice@example.test", ticket=True)
    assert c.answer()[:2] == ("fail", NO_MECHANISM)


def tickets(m):
    front, monitor = Client(m.base), Client(m.base)
    _, user, login, ticket = front.plain(
        "alice@example.test", "wonderland", service="imap", ticket=True)
    assert user == login == "alice@example.test" and len(ticket) == 32
    got = monitor.redeem("imap", ticket)
    assert got == {
        "user": user, "login": login, "uid": m.vmail.pw_uid,
        "gid": m.vmail.pw_gid, "home": "", "base": m.mail,
        "path": "example.test/alice", "format": 1, "detect": True,
        "virtual": True}, got
    assert monitor.redeem("imap", ticket) is None, "spent"
    # Another service, made up, of another length.
    ticket = front.plain("alice@example.test", "wonderland", service="imap",
                         ticket=True)[3]
    assert monitor.redeem("pop3", ticket) is None
    assert monitor.redeem("imap", ticket) is None
    assert monitor.redeem("imap", os.urandom(32)) is None
    assert monitor.redeem("imap", b"") is None
    assert monitor.lookup("bob@example.test")["path"] == "example.test/bob"
    assert monitor.lookup("none@example.test") is None
    assert monitor.lookup("root") is None
    assert monitor.lookup("daemon")["uid"] > 0


def as_user(uid, gid, fn):
    pid = os.fork()
    if pid == 0:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
        try:
            fn()
        except BaseException as e:  # pylint: disable=broad-except
            print(f"uid {uid}: {e!r}")
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def rights(m):
    """A front that was taken over has no use for its socket but logins."""
    def front():
        c, (client, served) = Client(m.base), a_client()
        ticket = c.plain("alice@example.test", "wonderland", service="imap",
                         ticket=True, client="127.0.0.1", show=served)[3]
        client.close(), served.close()
        assert c.lookup("bob@example.test") is not None
        assert c.broken(frame(REDEEM, 99, blob("imap") + blob(ticket)))
        for kind in (11, 12, 13):
            assert Client(m.base).broken(
                frame(kind, 1, blob("x") + b"\0" * 8))

    as_user(m.owner.pw_uid, m.owner.pw_gid, front)

    def stranger():
        try:
            Client(m.base)
        except PermissionError:
            return
        raise AssertionError("a stranger reached private/auth")

    as_user(65534, 65534, stranger)


def hostile(m):
    good = (blob("smtp") + blob("PLAIN") + b"\1" + blob(b"\0a\0b")
            + blob("192.0.2.1") + u32(1) + blob("") + u32(0) + b"\0"
            + blob("") + blob("") + blob("") + blob("") + b"\0")
    for data in (frame(99, 1), frame(START, 1), frame(START, 1, good + b"x"),
                 frame(START, 1, good) * 2, frame(CONTINUE, 7, b"\xff" * 9),
                 frame(START, 1, blob("s" * 17) + good[8:]),
                 frame(LOOKUP, 1, b"")):
        assert Client(m.base).broken(data), data
    # An attempt that nobody knows, and one that is given up.
    c = Client(m.base)
    c.respond(b"x", tag=77)
    c.start("LOGIN")
    c.answer()
    c.s.sendall(frame(3, c.tag))
    # Many at once, cut off in the middle.
    for i in range(200):
        c.start("PLAIN", f"\0u{i}@example.test\0x".encode())
    c.s.shutdown(socket.SHUT_RDWR)
    c.close()
    # The address that made the flood may have to wait; others not.
    assert Client(m.base).plain("bob@example.test", "builder",
                                client="192.0.2.77")[0] == "ok"


need_root()
inst = Instance(settings={"authd_failure_delay": "0s",
                          "authd_failure_ban_threshold": "100000"})
accounts(inst, alice="wonderland", bob="builder")
with inst:
    logins(inst)
    failures(inst)
    tickets(inst)
    rights(inst)
    hostile(inst)
    log = inst.log()
    assert "wonderland" not in log and "builder" not in log
    assert "login: service=smtp method=PLAIN user=<alice@example.test> " \
        "client=192.0.2.1[1234] tls trace=trace0" in log
    assert "reason=unknown user" in log and "reason=wrong password" in log
print("5 passed, 0 failed, 0 skipped")
