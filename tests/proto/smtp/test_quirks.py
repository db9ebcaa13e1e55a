#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: firewalls that break SMTP, words of EHLO that are not meant, and
content filters that want to know whom mail came from (XFORWARD)."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import (DNS, Peer, need_root, sender, wait_rcpt)  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\nlast line\r\n"
MASKED = "220 *******************************0*2******"
ALL = "250-peer.test\n250-PIPELINING\n250-8BITMIME\n250-CHUNKING\n250 " \
    "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE FUTURE"
ONCE = {"smtp_connection_cache_on_demand": "no"}


def old_message(m, p, to, **on):
    """Refused at first; the second attempt is for on."""
    p.on["MAIL"] = "450 4.2.0 later"
    m.send(to, TEXT)
    assert "status=deferred" in wait_rcpt(m, to)
    time.sleep(1.1)
    p.forget()
    p.on.update(on)
    m.command("postqueue", "-f")
    return wait_rcpt(m, to, 2)


def test_pix(dns, p):
    with sender(dns, p.port, {**ONCE, "smtp_pix_workaround_threshold_time":
                              "1m", "smtp_pix_workaround_delay_time":
                              "1s"}) as m:
        # A young message takes its chance.
        p.on["GREETING"] = MASKED
        m.send("young@plain.test", TEXT)
        assert "status=sent" in wait_rcpt(m, "young@plain.test")
        assert p.commands[0].startswith("EHLO "), p.commands
        m.reload("smtp_pix_workaround_threshold_time=1s")
        # So does an old one at a server that shows its name.
        line = old_message(m, p, "named@plain.test")
        assert "status=sent" in line
        assert p.commands[0].startswith("EHLO "), p.commands
        # The dot comes later, by itself.
        seen = []

        def body(s, data):
            seen.append((data[-11:], time.monotonic()))
        p.forget()
        line = old_message(m, p, "old@plain.test", GREETING=MASKED, BODY=body)
        assert "status=sent" in line
        assert p.commands[0].startswith("HELO "), p.commands
        assert re.search(r"enabling PIX workarounds: disable_esmtp, "
                         r"delay_dotcrlf for mx.plain.test\[127.0.0.1\]:",
                         m.log())
        assert seen[-1][0] == b"last line\r\n", seen
        delay = float(re.search(r"delays=[^,]*/([\d.]+),", line).group(1))
        assert delay >= 1, line
        # A server that goes away meanwhile has not taken it.
        line = old_message(m, p, "gone@plain.test", GREETING=MASKED,
                           BODY=lambda s, d: s.close()
                           if d.endswith(b"last line\r\n") else None)
        assert "status=deferred (lost connection with" in line
        assert "more than once" not in line, line


def test_pix_maps(dns, p):
    base = {**ONCE, "smtp_pix_workaround_threshold_time": "1s"}
    with sender(dns, p.port, {**base, "smtp_pix_workaround_maps":
                              "inline:{{{{127.0.0.1 = disable_esmtp}}}}"}) as m:
        line = old_message(m, p, "a@plain.test", GREETING=MASKED)
        assert "status=sent" in line
        assert p.commands[0].startswith("HELO ")
        assert "enabling PIX workarounds: disable_esmtp for" in m.log()
    p.forget()
    with sender(dns, p.port, {**base, "smtp_pix_workarounds": ""}) as m:
        old_message(m, p, "b@plain.test", GREETING=MASKED)
        assert p.commands[0].startswith("EHLO ")
        assert "PIX" not in m.log()


def test_plain_greeting(dns, p):
    for greeting, always, want in (
            ("220 peer.test ready", "yes", "EHLO"),
            ("220 peer.test ready", "no", "HELO"),
            ("220 peer.test ESMTP ready", "no", "EHLO"),
            ("220-peer.test\n220 no NOTESMTP here", "no", "HELO")):
        p.forget()
        p.on["GREETING"] = greeting
        with sender(dns, p.port, {**ONCE,
                                  "smtp_always_send_ehlo": always}) as m:
            m.send("a@plain.test", TEXT)
            assert "status=sent" in wait_rcpt(m, "a@plain.test")
            assert p.commands[0].startswith(f"{want} "), (greeting, p.commands)
    p.on.clear()


def test_discard_by_address(dns, p):
    with sender(dns, p.port, {
            **ONCE, "smtp_discard_ehlo_keywords": "8bitmime",
            "smtp_discard_ehlo_keyword_address_maps":
            "inline:{{{{127.0.0.1 = pipelining, chunking}}}}"}) as m:
        p.on["EHLO"] = ALL
        m.send("a@plain.test", TEXT, mail_options=["BODY=8BITMIME"])
        got = p.wait()[0]
        assert "BODY=8BITMIME" in got.mail
        assert "DATA" in p.commands


def test_xforward(dns, p):
    with sender(dns, p.port, {**ONCE,
                              "smtp_send_xforward_command": "yes"}) as m:
        p.on["XFORWARD"] = "250 2.0.0 Ok"
        for ehlo in (ALL, ALL.replace("250-PIPELINING\n", "")):
            p.commands.clear()
            p.messages.clear()
            p.on["EHLO"] = ehlo
            m.send("a@plain.test", TEXT)
            p.wait()
            said = [c for c in p.commands if c.startswith("XFORWARD")]
            assert re.fullmatch(r"XFORWARD NAME=localhost ADDR=127.0.0.1 "
                                r"PORT=\d+", said[0]), said
            assert re.fullmatch(r"XFORWARD PROTO=ESMTP HELO=\S+ "
                                r"IDENT=4\w+ SOURCE=REMOTE", said[1]), said
            assert p.commands[3].startswith("MAIL"), p.commands
        # From here.
        p.commands.clear()
        subprocess.run([m.program("sendmail"), "-C", m.etc, "-f",
                        "joe@plain.test", "b@plain.test"], input=TEXT,
                       text=True, check=True, timeout=60)
        p.wait(2)
        said = [c for c in p.commands if c.startswith("XFORWARD")]
        assert "ADDR=[UNAVAILABLE]" in said[0], said
        assert "SOURCE=LOCAL" in said[1], said
        # Some of it only, and a refusal.
        p.commands.clear()
        p.on["EHLO"] = "250-peer.test\n250-PIPELINING\n250 XFORWARD ADDR HELO"
        p.on["XFORWARD"] = ["550 5.7.0 not you", "550 5.7.0 not you"]
        m.send("c@plain.test", TEXT)
        p.wait(3)
        said = [c for c in p.commands if c.startswith("XFORWARD")]
        assert said[0] == "XFORWARD ADDR=127.0.0.1", said
        assert said[1].startswith("XFORWARD HELO="), said
        assert "said: 550 5.7.0 not you (in reply to XFORWARD" in m.log()
        # The server goes away at once.
        p.on["XFORWARD"] = "421 4.3.2 bye"
        m.send("d@plain.test", TEXT)
        assert "dsn=4.3.2, status=deferred" in wait_rcpt(m, "d@plain.test")
    # Not without being told to.
    p.forget()
    with sender(dns, p.port, ONCE) as m:
        p.on["EHLO"] = ALL
        m.send("e@plain.test", TEXT)
        p.wait()
        assert not any(c.startswith("XFORWARD") for c in p.commands)


def test_filter(dns, p):
    # Through a filter that gives it back: the log knows the client.
    with sender(dns, p.port, {"smtpd_authorized_xforward_hosts":
                              "127.0.0.1"}) as back, \
        sender(dns, p.port, {
            "smtp_send_xforward_command": "yes",
            "default_transport":
            f"smtp:[127.0.0.1]:{back.smtp_port}"}) as m:
        with m.smtp() as s:
            s.ehlo("client.example")
            s.mail("sender@example.org")
            s.rcpt("alice@example.test")
            s.rcpt("joe@plain.test")
            s.data(TEXT)
        p.wait()
        assert re.search(r"smtpd\[\d+\]: \w+: client=localhost\[127.0.0.1\], "
                         r"orig_queue_id=\w+, orig_client=localhost"
                         r"\[127.0.0.1\]", back.log()), back.log()


def main():
    need_root()
    tests = [v for k, v in globals().items() if k.startswith("test_")]
    only = sys.argv[1:]
    zones = {"plain.test": {"MX": ["10 mx.plain.test"]},
             "mx.plain.test": {"A": ["127.0.0.1"]}}
    n = 0
    for test in tests:
        if only and test.__name__ not in only:
            continue
        with DNS(zones) as dns, Peer() as p:
            test(dns, p)
        n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
