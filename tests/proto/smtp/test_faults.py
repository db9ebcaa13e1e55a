#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: name servers that are broken or lie, and tables that cannot be read.
What is temporary is never permanent, and no mail takes a wrong route."""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import (DNS, Peer, need_root, sender, wait_rcpt)  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
ZONES = {"plain.test": {"MX": ["10 mx.plain.test"]},
         "mx.plain.test": {"A": ["127.0.0.1"]}}


class Forger(DNS):
    """In front of each answer comes one of somebody who guesses its id."""
    def run_udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
                answer = self.answer(data, False)
                if not answer:
                    continue
                wrong = bytes([answer[0] ^ 0x55]) + answer[1:]
                wrong = wrong.replace(bytes([127, 0, 0, 1]),
                                      bytes([127, 0, 0, 66]))
                self.udp.sendto(wrong, peer)
                self.udp.sendto(answer, peer)
            except OSError:
                return
            except struct.error:
                continue


def fate(m, to):
    m.send(to, TEXT)
    return wait_rcpt(m, to, timeout=60)


def test_names(p):
    zones = {
        **ZONES,
        "loop.test": {"CNAME": ["loop2.test"]},
        "loop2.test": {"CNAME": ["loop.test"]},
        "mxloop.test": {"MX": ["10 loop.test"]},
        **{f"long{n}.test": {"CNAME": [f"long{n + 1}.test"]}
           for n in range(40)},
        "refused.test": "REFUSED",
        "silent.test": "DROP",
        "half.test": {"MX": ["10 gone.half.test", "20 mx.plain.test"]},
        "gone.half.test": "SERVFAIL",
        "amiss.test": {"MX": "NODATA?", "A": "SERVFAIL"},
        "odd.test": {"MX": [b"\0\x0a\x3f"]},
        "many.test": {"MX": [f"{n} m{n}.many.test" for n in range(2, 80)]
                      + ["1 mx.plain.test"]},
        "dots.test": {"MX": ["0 .", "10 mx.plain.test"]},
    }
    del zones["amiss.test"]["MX"]
    with DNS(zones) as dns, sender(dns, p.port,
                                   {"resolver_timeout": "3s"}) as m:
        for domain, want in [
                ("loop.test", "dsn=4.4.3, status=deferred"),
                ("mxloop.test", "dsn=4.4.3, status=deferred"),
                ("long0.test", "dsn=4.4.3, status=deferred"),
                ("refused.test", "dsn=4.4.3, status=deferred"),
                ("silent.test", "dsn=4.4.3, status=deferred"),
                ("half.test", "status=sent"),
                ("amiss.test", "dsn=4.4.3, status=deferred"),
                ("odd.test", "status=deferred"),
                ("many.test", "status=sent"),
                ("dots.test", "status=sent"),
                ("nowhere.test", "dsn=5.4.4, status=bounced")]:
            line = fate(m, f"x@{domain}")
            assert want in line, (domain, line)
            if "deferred" in want:
                assert "relay=none" in line, line
            if domain == "odd.test":    # what follows needs many answers
                m.reload("resolver_timeout=30s")


def test_forged(p):
    with Forger(dict(ZONES)) as dns, Peer("127.0.0.66", p.port) as thief, \
            sender(dns, p.port) as m:
        line = fate(m, "x@plain.test")
        assert "relay=mx.plain.test[127.0.0.1]" in line, line
        assert "status=sent" in line, line
        assert not thief.commands


def test_no_resolver(p):
    # It cannot start, and is tried again.
    with DNS(dict(ZONES)) as dns, sender(dns, p.port, {
            "resolver_dnssec": "validate",
            "resolver_trust_anchor_file": "/none"}) as m:
        line = fate(m, "x@plain.test")
        assert "dsn=4.4.3, status=deferred" in line, line
        assert not p.commands


def test_tables(p):
    # Each table decides where mail goes, how it is secured, or what it says.
    for setting, value in [
            ("transport_maps", "hash:{base}/none"),
            ("sender_dependent_relayhost_maps", "hash:{base}/none"),
            ("sender_dependent_default_transport_maps", "hash:{base}/none"),
            ("smtp_tls_policy_maps", "hash:{base}/none"),
            ("smtp_generic_maps", "hash:{base}/none"),
            ("relocated_maps", "hash:{base}/none")]:
        with DNS(dict(ZONES)) as dns, sender(dns, p.port,
                                             {setting: value}) as m:
            p.forget()
            with m.smtp() as s:
                s.ehlo()
                s.mail("sender@example.org")
                code, text = s.rcpt("x@plain.test")
                if code // 100 == 4:
                    continue        # smtpd has said so already
                assert code == 250, (setting, code, text)
                s.data(TEXT)
            line = wait_rcpt(m, "x@plain.test")
            assert "status=deferred" in line, (setting, line)
            assert not p.commands, (setting, p.commands)


def main():
    need_root()
    tests = [v for k, v in globals().items() if k.startswith("test_")]
    only = sys.argv[1:]
    n = 0
    for test in tests:
        if only and test.__name__ not in only:
            continue
        with Peer() as p:
            test(p)
        n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
