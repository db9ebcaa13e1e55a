#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp, lmtp: messages in chunks for peers with CHUNKING (RFC 3030)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import (DNS, Peer, need_root, sender, wait_rcpt,  # noqa: E402
                     CLOSE)

EHLO = "250-peer.test\n250-PIPELINING\n250-CHUNKING\n250 8BITMIME"
SLOW = "250-peer.test\n250-CHUNKING\n250 8BITMIME"
TEXT = "Subject: hello\r\n\r\n.\r\n.dot\r\n..two\r\nlast line\r\n"
BIG = "Subject: big\r\n\r\n" + ".2345678 x\r\n" * 50000
H = "mx.plain.test[127.0.0.1]"


def body(message):
    return message.data.partition(b"\r\n\r\n")[2]


def verbs(p):
    return [c.split(" ")[0].split(":")[0] for c in p.commands]


def test_one_chunk(m, p, dns):
    p.on["EHLO"] = EHLO
    m.send(["a@plain.test", "b@plain.test"], TEXT)
    got = p.wait()[0]
    assert body(got) == b".\r\n.dot\r\n..two\r\nlast line\r\n", got.data
    assert got.chunks == [len(got.data)]
    assert "status=sent" in wait_rcpt(m, "a@plain.test")
    assert "status=sent" in wait_rcpt(m, "b@plain.test")
    m.wait_idle()
    assert verbs(p) == ["EHLO", "MAIL", "RCPT", "RCPT", "BDAT", "QUIT"]
    assert p.commands[-2] == f"BDAT {len(got.data)} LAST"


def test_many_chunks(m, p, dns):
    for ehlo in (EHLO, SLOW):
        p.forget()
        p.on["EHLO"] = ehlo
        m.send("big@plain.test", BIG)
        got = p.wait()[0]
        assert body(got) == b".2345678 x\r\n" * 50000
        assert len(got.chunks) > 3
        assert all(n >= 1 << 17 for n in got.chunks[:-1]), got.chunks
        assert verbs(p).count("BDAT") == len(got.chunks)
        assert "DATA" not in verbs(p)
        m.wait_idle()


def test_discarded(m, p, dns):
    with sender(dns, p.port, {"smtp_discard_ehlo_keywords":
                              "chunking"}) as other:
        p.on["EHLO"] = EHLO
        other.send("a@plain.test", TEXT)
        p.wait()
        assert "DATA" in verbs(p)


def test_recipients(m, p, dns):
    # Nothing is sent for nobody, and the refused are not told by the rest.
    p.on["EHLO"] = EHLO
    p.on["RCPT"] = lambda s, arg: (
        "550 5.1.1 no" if "bad" in arg else "250 2.1.5 Ok")
    m.send(["bad1@plain.test", "good1@plain.test"], TEXT)
    assert "status=bounced" in wait_rcpt(m, "bad1@plain.test")
    assert "status=sent" in wait_rcpt(m, "good1@plain.test")
    assert p.wait()[0].rcpts == ["RCPT TO:<good1@plain.test>"]
    p.commands.clear()
    m.send("bad2@plain.test", TEXT)
    assert "status=bounced" in wait_rcpt(m, "bad2@plain.test")
    assert "BDAT" not in verbs(p)
    p.on["MAIL"] = "450 4.1.8 not now"
    m.send("good2@plain.test", TEXT)
    assert "dsn=4.1.8, status=deferred" in wait_rcpt(m, "good2@plain.test")
    assert "BDAT" not in verbs(p)
    m.command("postsuper", "-d", "ALL")


def test_refused_at_end(m, p, dns):
    p.on["EHLO"] = EHLO
    p.on["DOT"] = "554 5.7.1 spam"
    m.send("spam@plain.test", TEXT)
    line = wait_rcpt(m, "spam@plain.test")
    assert (f"dsn=5.7.1, status=bounced (host {H} said: 554 5.7.1 spam (in "
            "reply to BDAT command))") in line, line


def test_refused_on_the_way(m, p, dns):
    # One by one the session lives on behind a RSET, pipelined it ends.
    for n, ehlo in enumerate((SLOW, EHLO)):
        p.forget()
        p.on["EHLO"] = ehlo
        p.on["BDAT"] = "552 5.3.4 enough"
        m.send(f"much{n}@plain.test", BIG)
        line = wait_rcpt(m, f"much{n}@plain.test")
        assert "dsn=5.3.4, status=bounced" in line, line
        assert not p.messages
        m.wait_idle()
        if ehlo is SLOW:
            assert verbs(p)[3:5] == ["BDAT", "RSET"], p.commands


def test_lost(m, p, dns):
    # Before the last chunk it is certain that nobody has the message: the
    # next host may get it.  After it nobody knows.
    dns.zones["two.test"] = {"MX": ["10 mx.plain.test", "20 other.test"]}
    dns.zones["other.test"] = {"A": ["127.0.0.2"]}
    with Peer("127.0.0.2", p.port) as other:
        p.on["EHLO"] = SLOW
        p.on["BDAT"] = CLOSE
        m.send("lost1@two.test", BIG)
        assert "relay=other.test" in wait_rcpt(m, "lost1@two.test")
        assert len(other.wait()) == 1
        other.forget()
        p.forget()
        p.on["EHLO"] = EHLO
        p.on["DOT"] = CLOSE
        m.send("lost2@two.test", TEXT)
        line = wait_rcpt(m, "lost2@two.test")
        assert "message may be sent more than once" in line, line
        assert not other.commands
        m.command("postsuper", "-d", "ALL")


def test_liars(m, p, dns):
    # Answers to what has not been sent are not believed.
    p.on["EHLO"] = EHLO
    p.on["RCPT"] = b"250 2.1.5 Ok\r\n250 2.0.0 queued\r\n250 2.0.0 queued\r\n"
    m.send("liar@plain.test", BIG)
    line = wait_rcpt(m, "liar@plain.test")
    assert "dsn=4.5.0, status=deferred (protocol error: host" in line, line
    p.forget()
    p.on["EHLO"] = SLOW
    p.on["BDAT"] = "354 go on"
    m.send("class@plain.test", BIG)
    assert "status=deferred (host" in wait_rcpt(m, "class@plain.test")
    p.forget()
    p.on["EHLO"] = EHLO
    p.on["DOT"] = "354 go on"
    m.send("class2@plain.test", TEXT)
    assert "status=deferred (host" in wait_rcpt(m, "class2@plain.test")
    m.command("postsuper", "-d", "ALL")


def test_kept_session(m, p, dns):
    p.on["EHLO"] = EHLO
    with sender(dns, p.port, {"smtp_connection_cache_destinations":
                              "plain.test"}) as other:
        for n in range(5):
            other.send(f"kept{n}@plain.test", TEXT)
            p.wait(n + 1)
        assert all(x.chunks == [len(x.data)] for x in p.messages)
        assert verbs(p).count("EHLO") < 5, p.commands


def test_lmtp(dns):
    with Peer(lmtp=True) as p, sender(
            dns, 25, {"default_transport":
                      f"lmtp:inet:[127.0.0.1]:{p.port}"}) as m:
        p.on["LHLO"] = "250-peer.test\n250-PIPELINING\n250 CHUNKING"
        p.on["DOT"] = lambda s, arg: (
            "552 5.2.2 full" if "full" in arg else "250 2.0.0 kept")
        m.send(["a@plain.test", "full@plain.test", "b@plain.test"], TEXT)
        assert "status=sent (250 2.0.0 kept)" in wait_rcpt(m, "a@plain.test")
        assert "dsn=5.2.2, status=bounced" in wait_rcpt(m, "full@plain.test")
        assert "status=sent" in wait_rcpt(m, "b@plain.test")
        assert len(p.messages) == 2


def main():
    need_root()
    tests = [v for k, v in globals().items() if k.startswith("test_")]
    only = sys.argv[1:]
    zones = {"plain.test": {"MX": ["10 mx.plain.test"]},
             "mx.plain.test": {"A": ["127.0.0.1"]}}
    # A session that was kept would not see what a test offers.
    once = {"smtp_connection_cache_on_demand": "no"}
    n = 0
    with DNS(zones) as dns, Peer() as p, sender(dns, p.port, once) as m:
        for test in tests:
            if only and test.__name__ not in only:
                continue
            p.forget()
            if test is test_lmtp:
                test(dns)
            else:
                test(m, p, dns)
            assert "panic" not in m.log()
            n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
