#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: replies that are tricks, come at the wrong time, or one byte at a
time.  No recipient is lost, and none is sent to twice after a clean reply."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import (DNS, Peer, need_root, rcpt_lines, sender,  # noqa: E402
                     wait_rcpt)

TEXT = "Subject: hello\r\n\r\nhi\r\n"
H = "mx.plain.test[127.0.0.1]"


def fate(m, to):
    m.send(to, TEXT)
    return wait_rcpt(m, to)


def test_multiline_tricks(m, p, dns):
    for n, (verb, reply, want) in enumerate([
            # The last line counts, whatever was in front of it.
            ("RCPT", b"550-5.1.1 no\r\n250 2.1.5 yes\r\n", "status=sent"),
            ("RCPT", b"250-2.1.5 yes\r\n250-yes\r\n450 4.2.0 later\r\n",
             "dsn=4.2.0, status=deferred"),
            ("DOT", b"250-2.0.0 queued\r\n554 5.7.1 no\r\n",
             "dsn=5.7.1, status=bounced"),
            # Only a code; a code and a space; only hyphens.
            ("MAIL", b"250\r\n", "status=sent"),
            ("MAIL", b"250 \r\n", "status=sent"),
            ("MAIL", b"250-\r\n250-\r\n250 \r\n", "status=sent"),
            # An empty line, a tab, or a line without code is no reply.
            ("MAIL", b"250-a\r\n\r\n250 b\r\n", "dsn=4.5.0, status=deferred"),
            ("MAIL", b"250\tok\r\n", "dsn=4.5.0, status=deferred"),
            ("RCPT", b"250-a\r\nmore text\r\n250 b\r\n",
             "dsn=4.5.0, status=deferred"),
            ("RCPT", b" 250 ok\r\n", "dsn=4.5.0, status=deferred"),
            # A carriage return ends no line, a NUL no text.
            ("RCPT", b"250 2.1.5 a\r550 5.1.1 b\r\n", "status=sent"),
            ("RCPT", b"550 5.1.1 a\0b\r\n", "dsn=5.1.1, status=bounced"),
            # Line feeds alone are taken for line ends.
            ("RCPT", b"250-one\n250 2.1.5 two\n", "status=sent"),
            ("DOT", b"250 2.0.0 queued\n", "status=sent"),
            # The line goes away in the middle of a reply.
            ("MAIL", lambda s, a: (s.s.sendall(b"250-on and"), s.close())[1],
             "status=deferred (lost connection with"),
            ("DOT", lambda s, a: (s.s.sendall(b"250-on\r\n"), s.close())[1],
             "status=deferred (lost connection with")]):
        p.forget()
        p.on[verb] = reply
        to = f"multi{n}@plain.test"
        line = fate(m, to)
        assert want in line, (reply, line)
        # (The helper looks at the first digit of its answer.)
        if verb != "DOT":
            assert ("status=sent" in line) == any(
                x.data for x in p.messages), (reply, line)
        assert "\0" not in line


def test_byte_by_byte(m, p, dns):
    def drip(text):
        def answer(s, arg):
            for c in text:
                s.s.sendall(bytes([c]))
                time.sleep(0.002)
            return b""
        return answer

    p.on["GREETING"] = drip(b"220-peer\r\n220 test\r\n")
    p.on["RCPT"] = drip(b"250-2.1.5 slow\r\n250 2.1.5 ok\r\n")
    p.on["QUIT"] = drip(b"221 2.0.0 bye\r\n")
    m.send(["a@plain.test", "b@plain.test"], TEXT)
    # The helper sees no class in its own answer and keeps no recipients: the
    # fate is what counts.
    for to in ("a@plain.test", "b@plain.test"):
        assert "status=sent" in wait_rcpt(m, to)


def test_two_answers(m, p, dns):
    # 354 twice: an answer before the end of the message.
    p.on["DATA"] = b"354 go on\r\n354 go on\r\n"
    line = fate(m, "twice1@plain.test")
    assert "status=deferred" in line, line
    # Two answers to one RCPT put all that follow out of step.
    p.forget()
    p.on["EHLO"] = "250 peer.test"
    p.on["RCPT"] = b"250 2.1.5 ok\r\n250 2.1.5 ok\r\n"
    line = fate(m, "twice2@plain.test")
    assert "status=deferred" in line, line
    # Two clean answers at the end: sent, once, and the session is over.
    p.forget()
    p.on["DOT"] = b"250 2.0.0 queued\r\n250 2.0.0 queued\r\n"
    line = fate(m, "twice3@plain.test")
    assert "status=sent" in line, line
    p.forget()
    assert "status=sent" in fate(m, "next@plain.test")
    # (The QUIT of the session before may come late.)
    assert any(c.startswith("EHLO") for c in p.commands), p.commands
    time.sleep(0.3)
    for to in ("twice3@plain.test", "next@plain.test"):
        assert len(rcpt_lines(m, to)) == 1


def test_after_quit(m, p, dns):
    p.on["QUIT"] = b"221 2.0.0 bye\r\n250 2.0.0 queued\r\n" * 1000
    assert "status=sent" in fate(m, "quit1@plain.test")
    p.forget()
    p.on["QUIT"] = b"no reply at all\r\n"
    assert "status=sent" in fate(m, "quit2@plain.test")
    p.forget()
    assert "status=sent" in fate(m, "quit3@plain.test")


def test_421_at_any_time(m, p, dns):
    # In front of the message it is tried later; all of a pipeline.
    for n, verb in enumerate(("MAIL", "RCPT", "DATA")):
        p.forget()
        p.on[verb] = lambda s, a: (
            s.s.sendall(b"421 4.3.2 restart\r\n"), s.close())[1]
        m.send([f"a{n}@plain.test", f"b{n}@plain.test"], TEXT)
        for to in (f"a{n}@plain.test", f"b{n}@plain.test"):
            line = wait_rcpt(m, to)
            assert "dsn=4.3.2, status=deferred" in line, line
        assert not p.messages
    # 421 without the end of the line after a good message changes nothing.
    p.forget()
    p.on["DOT"] = lambda s, a: (
        s.s.sendall(b"250 2.0.0 queued\r\n421 4.3.2 bye\r\n"), s.close())[1]
    assert "status=sent" in fate(m, "good@plain.test")
    time.sleep(0.3)
    assert len(rcpt_lines(m, "good@plain.test")) == 1


def test_mixed_pipeline(m, p, dns):
    # All answers to a pipelined group in one piece, good and bad mixed.
    def rcpt(s, arg):
        s.n = getattr(s, "n", 0) + 1
        return ["250 2.1.5 ok", "550 5.1.1 unknown", "452 4.2.2 full",
                "250-2.1.5 two\n250 2.1.5 lines", "553 5.1.3 bad"][
                    (s.n - 1) % 5]
    p.on["RCPT"] = rcpt
    to = [f"r{n}@plain.test" for n in range(10)]
    m.send(to, TEXT)
    want = ["status=sent", "dsn=5.1.1, status=bounced",
            "dsn=4.2.2, status=deferred", "status=sent",
            "dsn=5.1.3, status=bounced"]
    got = sorted(next(w for w in set(want) if w in wait_rcpt(m, a))
                 for a in to)
    assert got == sorted(want * 2), got
    assert len(p.messages) == 1 and len(p.messages[0].rcpts) == 4
    time.sleep(0.3)
    assert all(len(rcpt_lines(m, a)) == 1 for a in to)


def test_unasked(m, p, dns):
    # What comes without a question ends a kept session, not a message.
    p.on["DOT"] = lambda s, a: (
        s.s.sendall(b"250 2.0.0 queued\r\n"), time.sleep(0.2),
        s.s.sendall(b"250 and more\r\n"), b"")[3]
    with sender(dns, p.port, {"smtp_connection_cache_destinations":
                              "plain.test"}) as kept:
        assert "status=sent" in fate(kept, "k1@plain.test")
        time.sleep(0.5)
        p.on.clear()
        assert "status=sent" in fate(kept, "k2@plain.test")
        assert "panic" not in kept.log()


def main():
    need_root()
    tests = [v for k, v in globals().items() if k.startswith("test_")]
    only = sys.argv[1:]
    zones = {"plain.test": {"MX": ["10 mx.plain.test"]},
             "mx.plain.test": {"A": ["127.0.0.1"]}}
    settings = {f"smtp_{k}_timeout": "5s" for k in
                ("helo", "mail", "rcpt", "data_init", "data_xfer",
                 "data_done")}
    settings["smtp_connection_cache_on_demand"] = "no"
    n = 0
    with DNS(zones) as dns, Peer() as p, \
            sender(dns, p.port, settings) as m:
        for test in tests:
            if only and test.__name__ not in only:
                continue
            p.forget()
            test(m, p, dns)
            assert "panic" not in m.log()
            n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
