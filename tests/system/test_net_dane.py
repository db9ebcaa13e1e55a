#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""Hosts on a network with a signed zone: DANE, dead paths, null MX."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../proto/smtp"))
import netns  # noqa: E402
from peerlib import wait_rcpt  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"


def zones(net, a, b):
    good = net.spki("mx.signed.test")
    net.zone("signed.test", {
        "mx": b.records(),
        "_25._tcp.mx": [f"TLSA 3 1 1 {good}"],
        "good": ["MX 10 mx"],
        # The key of somebody else.
        "wrongmx": b.records(),
        "_25._tcp.wrongmx": ["TLSA 3 1 1 " + "00" * 32],
        "wrong": ["MX 10 wrongmx"],
        # Usages that mail cannot use: encrypt, and ask for no more.
        "pkixmx": b.records(),
        "_25._tcp.pkixmx": ["TLSA 1 1 1 " + "00" * 32],
        "pkix": ["MX 10 pkixmx"],
        # An alias is followed; the records are those of its target.
        "alias": ["CNAME mx"],
        "byalias": ["MX 10 alias"],
        # A path that swallows packets, before one that works.
        "dead6": ["A " + b.ip4, "AAAA 2001:db8::25"],
        "dead": ["MX 10 dead6"],
        "gone": ["A 192.0.2.25"],
        "fallback": ["MX 10 gone", "MX 20 mx"],
        "null": ["MX 0 ."],
        "sender": ["MX 10 mx-a"],
        "mx-a": a.records(),
    })
    net.zone("plain.test", {
        "mx": b.records(),
        "_25._tcp.mx": ["TLSA 3 1 1 " + "00" * 32],
        "wrong": ["MX 10 mx"],
    }, signed=False)


USERS = [f"{n}.signed.test" for n in
         ("good", "wrong", "pkix", "byalias", "dead", "fallback")] + \
        ["wrong.plain.test"]


def sent(m, to, want):
    m.send(to, TEXT, sender="alice@sender.signed.test")
    line = wait_rcpt(m, to, timeout=60)
    assert want in line, (to, line)
    return line


def test_dane(m):
    sent(m, "bob@good.signed.test", "status=sent")
    assert "Verified TLS connection established to mx.signed.test" in m.log()
    sent(m, "bob@byalias.signed.test", "status=sent")
    sent(m, "bob@wrong.signed.test", "dsn=4.7.5, status=deferred (Server "
         "certificate not trusted")
    sent(m, "bob@pkix.signed.test", "status=sent")
    assert " TLS connection established to pkixmx.signed.test" in m.log()
    # Nobody has signed it: it says nothing.
    sent(m, "bob@wrong.plain.test", "status=sent")


def test_paths(m):
    began = time.monotonic()
    sent(m, "bob@dead.signed.test", "status=sent")
    assert time.monotonic() - began < 25, "a dead path costs seconds"
    sent(m, "bob@fallback.signed.test", "relay=mx.signed.test[")
    sent(m, "bob@null.signed.test",
         "status=bounced (Domain null.signed.test does not accept mail "
         "(nullMX))")


def test_notices(m):
    """What was bounced comes back to its sender."""
    end = time.monotonic() + 30
    while not any(b"nullMX" in x for x in m.maildir("alice")):
        assert time.monotonic() < end, m.log()[-3000:]
        time.sleep(0.1)


def main():
    net = netns.enter()
    with net:
        a, b = net.host("a"), net.host("b")
        net.cert("mx.signed.test")
        zones(net, a, b)
        net.start_dns()
        with net.mansio(b, "mx.signed.test",
                        {"virtual_mailbox_domains": " ".join(USERS),
                         "virtual_mailbox_maps": "static:example.test/bob/"},
                        users={"bob": "good.signed.test"}) as peer, \
            net.mansio(a, "mx-a.signed.test",
                       {"smtp_tls_security_level": "dane",
                        "smtp_connect_timeout": "5s"},
                       users={"alice": "sender.signed.test"}) as m:
            test_dane(m)
            test_paths(m)
            test_notices(m)
            peer.wait_idle()
            assert len(peer.maildir("bob")) == 6, len(peer.maildir("bob"))
    print("3 passed, 0 failed, 0 skipped")


main()
