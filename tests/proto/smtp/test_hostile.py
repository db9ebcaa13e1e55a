#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: peers that lie, hang, flood, speak out of turn and go away."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import (DNS, Peer, need_root, sender, wait_rcpt,  # noqa: E402
                     rcpt_lines, CLOSE, HANG)

TEXT = "Subject: hello\r\n\r\nhi\r\n"
H = "mx.plain.test[127.0.0.1]"


def expect(m, to, want):
    m.send(to, TEXT)
    line = wait_rcpt(m, to)
    assert want in line, (want, line)
    return line


def test_silence(m, p, dns):
    for n, (verb, what) in enumerate([
            ("GREETING", "receiving the initial server greeting"),
            ("EHLO", "performing the EHLO handshake"),
            ("MAIL", "sending MAIL FROM"),
            ("RCPT", "sending RCPT TO"),
            ("DATA", "sending DATA command"),
            ("DOT", "sending end of data -- message may be sent more than "
             "once")]):
        p.forget()
        p.on[verb] = HANG
        expect(m, f"hang{n}@plain.test", "dsn=4.4.2, status=deferred "
               f"(conversation with {H} timed out while {what})")


def test_floods(m, p, dns):
    for n, (verb, flood) in enumerate([
            ("GREETING", b"220-" + b"x" * (1 << 20)),
            ("GREETING", b"220-more\r\n" * 100000),
            ("EHLO", b"250-PIPELINING\r\n" * 100000),
            ("MAIL", b"\0" * (1 << 20)),
            ("RCPT", b"250-" + b"y" * (1 << 20) + b"\r\n250 ok\r\n"),
            ("DOT", b"250-z\r\n" * 200000)]):
        p.forget()
        p.on[verb] = flood
        line = expect(m, f"flood{n}@plain.test", "status=deferred")
        assert len(line) < 2200


def test_garbage(m, p, dns):
    for n, (verb, junk) in enumerate([
            ("GREETING", b"SSH-2.0-OpenSSH_9.2\r\n"),
            ("GREETING", b"\r\n"),
            ("EHLO", b"250\x01ok\r\n"),
            ("MAIL", b"250ok\r\n"),
            ("RCPT", b"25 ok\r\n"),
            ("RCPT", b"650 2.1.5 ok\r\n"),
            ("DATA", b"\xff\xfe\r\n"),
            ("DOT", b"queued\r\n")]):
        p.forget()
        p.on[verb] = junk
        expect(m, f"junk{n}@plain.test", "dsn=4.5.0, status=deferred "
               "(protocol error: host")


def test_wrong_class(m, p, dns):
    # What makes no sense is not for ever, and never a success.
    for n, (verb, reply) in enumerate([
            ("MAIL", "354 go on"), ("RCPT", "354 go on"),
            ("DATA", "250 ok"), ("DOT", "354 go on")]):
        p.forget()
        p.on[verb] = reply
        p.on["EHLO"] = "250 peer.test"
        expect(m, f"class{n}@plain.test", "status=deferred (host")
        assert not p.messages


def test_multiline(m, p, dns):
    # The last line counts; a line end alone is enough.
    p.on["RCPT"] = b"250-yes\r\n550 5.1.1 no\r\n"
    expect(m, "multi1@plain.test", "dsn=5.1.1, status=bounced (host "
           f"{H} said: 250-yes 550 5.1.1 no (in reply")
    p.forget()
    p.on["DOT"] = b"250-2.0.0 one\n250-two\n250 2.0.0 three\n"
    expect(m, "multi2@plain.test", "dsn=2.0.0, status=sent (250-2.0.0 one "
           "250-two 250 2.0.0 three)")
    # Codes of another class than the reply's are not believed.
    p.forget()
    p.on["DOT"] = b"250 5.1.1 fine\r\n"
    expect(m, "multi3@plain.test", "dsn=2.0.0, status=sent")
    p.forget()
    p.on["RCPT"] = b"550 2.1.5 no\r\n"
    expect(m, "multi4@plain.test", "dsn=5.0.0, status=bounced")


def test_early(m, p, dns):
    # A server that says yes to what it has not seen.
    p.on["DATA"] = b"354 go on\r\n250 2.0.0 queued already\r\n"
    m.send("early1@plain.test", TEXT + "x" * 70 + "\r\n")
    line = wait_rcpt(m, "early1@plain.test")
    assert "dsn=4.5.0, status=deferred (protocol error: host" in line, line
    # Refused in the middle of a long message.
    p.forget()

    def body(s, data):
        if len(data) > 100000:
            s.s.sendall(b"552 5.3.4 enough\r\n")
            time.sleep(0.3)
            return CLOSE
        return None
    p.on["BODY"] = body
    m.send("early2@plain.test", "Subject: x\r\n\r\n"
           + ("z" * 70 + "\r\n") * 100000)
    line = wait_rcpt(m, "early2@plain.test")
    assert "status=bounced (host" in line or "lost connection" in line, line


def test_421(m, p, dns):
    for n, verb in enumerate(("GREETING", "EHLO", "MAIL", "RCPT", "DATA",
                              "DOT")):
        p.forget()
        p.on[verb] = lambda s, arg: (
            s.s.sendall(b"421 4.3.2 going down\r\n"), s.close())[1]
        expect(m, f"down{n}@plain.test", "dsn=4.3.2, status=deferred (host "
               + H)


def test_half_closed(m, p, dns):
    import socket as so
    p.on["DATA"] = lambda s, arg: (s.s.shutdown(so.SHUT_WR), CLOSE)[1]
    expect(m, "half@plain.test", "status=deferred (lost connection with")


def test_after_dot(m, p, dns):
    # Nobody knows: not at the next host, only later.
    dns.zones["two.test"] = {"MX": ["10 mx.plain.test", "20 other.test"]}
    dns.zones["other.test"] = {"A": ["127.0.0.2"]}
    with Peer("127.0.0.2", p.port) as other:
        p.on["DOT"] = CLOSE
        m.send("dot@two.test", TEXT)
        line = wait_rcpt(m, "dot@two.test")
        assert "status=deferred (lost connection with " in line
        assert "message may be sent more than once" in line
        assert not other.commands
        # A clean answer, and then the line drops: sent, once.
        p.forget()
        p.on["DOT"] = lambda s, arg: (
            s.s.sendall(b"250 2.0.0 ok\r\n"), s.close())[1]
        m.send("clean@two.test", TEXT)
        assert "status=sent" in wait_rcpt(m, "clean@two.test")
        time.sleep(0.3)
        assert len(rcpt_lines(m, "clean@two.test")) == 1
        assert not other.commands


def test_slow(m, p, dns):
    # A byte at a time is slow, and well.
    def answer(s, arg):
        for c in b"250-slow\r\n250 2.1.0 ok\r\n":
            s.s.sendall(bytes([c]))
            time.sleep(0.01)
        return b""
    p.on["MAIL"] = answer
    # The answer of b"" has no class: the session goes on all the same.
    m.send("slow@plain.test", TEXT)
    assert "status=sent" in wait_rcpt(m, "slow@plain.test")


def main():
    need_root()
    tests = [v for k, v in globals().items() if k.startswith("test_")]
    only = sys.argv[1:]
    zones = {"plain.test": {"MX": ["10 mx.plain.test"]},
             "mx.plain.test": {"A": ["127.0.0.1"]}}
    times = {f"smtp_{k}_timeout": "2s" for k in
             ("helo", "mail", "rcpt", "data_init", "data_xfer", "data_done")}
    n = 0
    with DNS(zones) as dns, Peer() as p, sender(dns, p.port, times) as m:
        for test in tests:
            if only and test.__name__ not in only:
                continue
            p.forget()
            test(m, p, dns)
            assert "panic" not in m.log() and "refused" not in [
                line for line in m.log().splitlines() if "signal" in line]
            n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
