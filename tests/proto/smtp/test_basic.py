#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: where mail goes, what is said on the way, and the log line."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import (DNS, Peer, need_root, sender, wait_rcpt,  # noqa: E402
                     CLOSE)

TEXT = "Subject: hello\r\n\r\n.dot\r\n..two\r\nlast line\r\n"


def body(message):
    return message.data.partition(b"\r\n\r\n")[2]


def test_delivery(m, p, dns):
    m.send("joe@plain.test", TEXT)
    got = p.wait()[0]
    assert body(got) == b".dot\r\n..two\r\nlast line\r\n", got.data
    assert got.mail.startswith("MAIL FROM:<sender@example.org> SIZE="), got.mail
    assert got.rcpts == ["RCPT TO:<joe@plain.test>"]
    line = wait_rcpt(m, "joe@plain.test")
    assert re.search(
        r"mansio/smtp\[\d+\]: \w+: to=<joe@plain.test>, "
        rf"relay=mx.plain.test\[127.0.0.1\]:{p.port}, delay=[\d.e-]+, "
        r"delays=[\d.e-]+/[\d.e-]+/[\d.e-]+/[\d.e-]+, dsn=2.0.0, status=sent "
        r"\(250 2.0.0 Ok: queued as ABC\)$", line), line
    m.wait_idle()
    assert p.commands[0] == "EHLO mail.example.test"
    assert p.commands[-1] == "QUIT"


def test_recipients(m, p, dns):
    p.on["RCPT"] = lambda s, arg: (
        "550 5.1.1 unknown" if "bad" in arg else
        "450 4.2.0 later" if "later" in arg else "250 2.1.5 Ok")
    m.send(["a@plain.test", "bad@plain.test", "later@plain.test",
            "b@plain.test"], TEXT)
    got = p.wait()[0]
    assert len(got.rcpts) == 2, got.rcpts
    assert "status=sent" in wait_rcpt(m, "a@plain.test")
    bad = wait_rcpt(m, "bad@plain.test")
    assert "dsn=5.1.1, status=bounced (host mx.plain.test[127.0.0.1] said: " \
        "550 5.1.1 unknown (in reply to RCPT TO command))" in bad, bad
    later = wait_rcpt(m, "later@plain.test")
    assert "dsn=4.2.0, status=deferred (host mx.plain.test[127.0.0.1] said: " \
        "450 4.2.0 later (in reply to RCPT TO command))" in later, later
    m.command("postsuper", "-d", "ALL")


def test_all_refused(m, p, dns):
    p.on["RCPT"] = "550 5.1.1 unknown"
    p.on["DATA"] = "554 5.5.1 no valid recipients"
    m.send(["x1@plain.test", "x2@plain.test"], TEXT)
    assert "status=bounced" in wait_rcpt(m, "x1@plain.test")
    assert "status=bounced" in wait_rcpt(m, "x2@plain.test")
    # A server that says 354 all the same gets an empty message.
    p.on["DATA"] = "354 go on"
    p.on["DOT"] = "554 5.5.1 no valid recipients"
    m.send(["x3@plain.test"], TEXT)
    assert "status=bounced" in wait_rcpt(m, "x3@plain.test")
    assert not p.messages


def test_stages(m, p, dns):
    for n, (verb, answer, want) in enumerate([
            ("MAIL", "550 5.7.1 not you",
             "dsn=5.7.1, status=bounced (host H said: 550 5.7.1 not you "
             "(in reply to MAIL FROM command))"),
            ("MAIL", "451 4.7.1 not now",
             "dsn=4.7.1, status=deferred (host H said: 451 4.7.1 not now "
             "(in reply to MAIL FROM command))"),
            ("DATA", "554 no", "dsn=5.0.0, status=bounced (host H said: "
             "554 no (in reply to DATA command))"),
            ("DOT", "552-5.3.4 too\n552 5.3.4 big",
             "dsn=5.3.4, status=bounced (host H said: 552-5.3.4 too 552 5.3.4 "
             "big (in reply to end of DATA command))"),
            ("DOT", "451 4.3.0 no space", "dsn=4.3.0, status=deferred (host H "
             "said: 451 4.3.0 no space (in reply to end of DATA command))"),
            ("GREETING", "421 4.7.0 busy", "dsn=4.7.0, status=deferred (host "
             "H refused to talk to me: 421 4.7.0 busy)"),
            ("GREETING", "554 5.7.1 go away", "dsn=4.7.1, status=deferred "
             "(host H refused to talk to me: 554 5.7.1 go away)"),
            ("EHLO", "421 4.7.0 no", "dsn=4.7.0, status=deferred (host H "
             "refused to talk to me: 421 4.7.0 no)"),
            ("GREETING", CLOSE, "dsn=4.4.2, status=deferred (lost connection "
             "with H while receiving the initial server greeting)"),
            ("EHLO", CLOSE, "dsn=4.4.2, status=deferred (lost connection "
             "with H while performing the EHLO handshake)"),
            ("MAIL", CLOSE, "dsn=4.4.2, status=deferred (lost connection "
             "with H while sending MAIL FROM)"),
            ("RCPT", CLOSE, "dsn=4.4.2, status=deferred (lost connection "
             "with H while sending RCPT TO)"),
            ("DOT", CLOSE, "dsn=4.4.2, status=deferred (lost connection with "
             "H while sending end of data -- message may be sent more than "
             "once)"),
    ]):
        p.forget()
        p.on[verb] = answer
        to = f"stage{n}@plain.test"
        m.send(to, TEXT)
        line = wait_rcpt(m, to)
        want = want.replace("H", "mx.plain.test[127.0.0.1]", 1) \
            if "EHLO" not in want else want.replace(
                "with H", "with mx.plain.test[127.0.0.1]")
        assert want in line, (want, line)
    m.command("postsuper", "-d", "ALL")


def test_helo(m, p, dns):
    p.on["EHLO"] = "502 5.5.1 what?"
    m.send("helo@plain.test", TEXT)
    got = p.wait()[0]
    assert got.mail == "MAIL FROM:<sender@example.org>"
    assert "HELO mail.example.test" in p.commands


def test_no_pipelining(m, p, dns):
    p.on["EHLO"] = "250 peer.test"
    order = []
    for verb in ("MAIL", "RCPT", "DATA"):
        def answer(s, arg, verb=verb):
            s.s.settimeout(0.2)
            try:
                early = s.f.peek(1)
            except OSError:
                early = b""
            s.s.settimeout(None)
            s.f = s.s.makefile("rb")
            order.append((verb, early))
            return {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 ok"}[verb]
        p.on[verb] = answer
    m.send(["n1@plain.test", "n2@plain.test"], TEXT)
    p.wait()
    assert order == [("MAIL", b""), ("RCPT", b""), ("RCPT", b""),
                     ("DATA", b"")], order


def test_mx(m, p, dns):
    # The best one does not answer, the second defers, the third takes it.
    dns.zones["many.test"] = {"MX": ["10 dead.test", "20 busy.test",
                                     "30 good.test"]}
    dns.zones["dead.test"] = {"A": ["127.0.0.9"]}
    dns.zones["busy.test"] = {"A": ["127.0.0.2"]}
    dns.zones["good.test"] = {"A": ["127.0.0.1"]}
    with Peer("127.0.0.2", p.port) as busy:
        busy.on["RCPT"] = "451 4.3.0 not here"
        m.send("mx@many.test", TEXT)
        p.wait()
        assert any("RCPT" in c for c in busy.commands)
    line = wait_rcpt(m, "mx@many.test")
    assert "relay=good.test[127.0.0.1]" in line and "status=sent" in line
    log = m.log()
    assert f"connect to dead.test[127.0.0.9]:{p.port}: Connection refused" \
        in log
    assert "host busy.test[127.0.0.2] said: 451 4.3.0 not here" in log


def test_dns(m, p, dns):
    dns.zones.update({
        "null.test": {"MX": ["0 ."]},
        "fail.test": "SERVFAIL",
        "onlya.test": {"A": ["127.0.0.1"]},
        "hollow.test": {"MX": ["10 nothing.hollow.test"]},
        "shaky.test": {"MX": ["10 a.shaky.test"]},
        "a.shaky.test": "SERVFAIL",
        "cname.test": {"CNAME": ["plain.test"]},
    })
    for domain, want in [
            ("null.test", "dsn=5.1.10, status=bounced (Domain null.test does "
             "not accept mail (nullMX))"),
            ("fail.test", "dsn=4.4.3, status=deferred (Host or domain name "
             "not found. Name service error for name=fail.test type=MX: Host "
             "not found, try again)"),
            ("nowhere.test", "dsn=5.4.4, status=bounced (Host or domain name "
             "not found. Name service error for name=nowhere.test type=A"),
            ("hollow.test", "dsn=5.4.4, status=bounced (Host or domain name "
             "not found. Name service error for name=nothing.hollow.test"),
            ("shaky.test", "dsn=4.4.3, status=deferred"),
            ("onlya.test", "status=sent"),
            ("cname.test", "status=sent"),
            ("[127.0.0.3]", "dsn=4.4.1, status=deferred (connect to "
             f"127.0.0.3[127.0.0.3]:{p.port}: Connection refused)"),
    ]:
        m.send(f"dns@{domain}", TEXT)
        line = wait_rcpt(m, f"dns@{domain}")
        assert want in line, (domain, line)
    m.command("postsuper", "-d", "ALL")


def test_dsn(m, p, dns):
    with m.smtp() as s:
        s.ehlo()
        s.mail("sender@example.org", ["RET=HDRS", "ENVID=a+2Bb"])
        s.rcpt("one@plain.test", ["NOTIFY=SUCCESS,DELAY",
                                  "ORCPT=rfc822;first@plain.test"])
        s.data("Subject: x\r\n\r\nx\r\n")
    got = p.wait()[0]
    assert "RET=HDRS" in got.mail and "ENVID=a+2Bb" in got.mail, got.mail
    assert "NOTIFY=SUCCESS,DELAY" in got.rcpts[0]
    assert "ORCPT=rfc822;first@plain.test" in got.rcpts[0]
    # Without DSN the sender hears from us that it was relayed.
    p.forget()
    p.on["EHLO"] = "250 peer.test"
    with m.smtp() as s:
        s.ehlo()
        s.mail("alice@example.test", [])
        s.rcpt("two@plain.test", ["NOTIFY=SUCCESS"])
        s.data("Subject: x\r\n\r\nx\r\n")
    assert p.wait()[0].rcpts == ["RCPT TO:<two@plain.test>"]
    m.wait_idle()
    text = b"".join(m.maildir("alice"))
    assert b"Action: relayed" in text, text


def test_8bit(m, p, dns):
    text = ("Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; "
            "charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
            "gr\u00fcn = 1 \n.\nend \t\n").replace("\n", "\r\n").encode()
    m.send("e1@plain.test", text, mail_options=["BODY=8BITMIME"])
    got = p.wait()[0]
    assert "BODY=8BITMIME" in got.mail
    assert "gr\u00fcn".encode() in got.data
    p.forget()
    p.on["EHLO"] = "250 peer.test"
    m.send("e2@plain.test", text, mail_options=["BODY=8BITMIME"])
    got = p.wait()[0]
    assert b"Content-Transfer-Encoding: quoted-printable" in got.data
    assert b"8bit" not in got.data.partition(b"\r\n\r\n")[0]
    assert body(got) == (b"gr=C3=BCn =3D 1=20\r\n.\r\nend =09\r\n"), body(got)


def test_smtputf8(m, p, dns):
    with m.smtp() as s:
        s.ehlo()
        s.command_encoding = "utf-8"
        s.mail("sender@example.org", ["SMTPUTF8"])
        s.rcpt("j\u00f6@plain.test")
        s.data("Subject: x\r\n\r\nx\r\n")
    assert " SMTPUTF8" in p.wait()[0].mail
    p.forget()
    p.on["EHLO"] = "250-peer.test\n250 8BITMIME"
    with m.smtp() as s:
        s.ehlo()
        s.command_encoding = "utf-8"
        s.mail("sender@example.org", ["SMTPUTF8"])
        s.rcpt("j\u00e4@plain.test")
        s.data("Subject: x\r\n\r\nx\r\n")
    line = wait_rcpt(m, "j\u00e4@plain.test")
    assert "dsn=5.6.7, status=bounced (SMTPUTF8 is required, but was not " \
        "offered by host mx.plain.test[127.0.0.1])" in line, line
    # Nothing in this message needs it.
    m.send("plain8@plain.test", TEXT, mail_options=["SMTPUTF8"])
    assert "SMTPUTF8" not in p.wait()[0].mail


def test_size(m, p, dns):
    p.on["EHLO"] = "250-peer.test\n250 SIZE 1000"
    m.send("size@plain.test", TEXT + "x" * 2000 + "\r\n")
    line = wait_rcpt(m, "size@plain.test")
    assert "dsn=5.3.4, status=bounced (message size " in line, line
    assert "exceeds size limit 1000 of server" in line


def test_long_line(m, p, dns):
    m.send("long@plain.test", "Subject: x\r\n\r\n" + "y" * 3000 + "\r\n")
    lines = body(p.wait()[0]).split(b"\r\n")
    assert max(len(x) for x in lines) <= 998
    assert b"".join(lines).replace(b" ", b"") == b"y" * 3000


def main():
    need_root()
    tests = [v for k, v in globals().items() if k.startswith("test_")]
    only = sys.argv[1:]
    zones = {"plain.test": {"MX": ["10 mx.plain.test"]},
             "mx.plain.test": {"A": ["127.0.0.1"]}}
    n = 0
    # Each mail a session, whatever was just before.
    with DNS(zones) as dns, Peer() as p, sender(dns, p.port, {
            "smtp_connection_cache_on_demand": "no"}) as m:
        for test in tests:
            if only and test.__name__ not in only:
                continue
            p.forget()
            test(m, p, dns)
            n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
