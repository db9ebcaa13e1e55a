#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp, lmtp: next hops, fallback, loops, families, kept sessions, LMTP."""
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import (DEFAULT, DNS, HANG, Peer, need_root,  # noqa: E402
                     sender, wait_rcpt)

TEXT = "Subject: hello\r\n\r\nhi\r\n"
ZONES = {"plain.test": {"MX": ["10 mx.plain.test"]},
         "mx.plain.test": {"A": ["127.0.0.1"]},
         "relay.test": {"A": ["127.0.0.1"]}}


def test_relayhost():
    with DNS(ZONES) as dns, Peer() as p, sender(
            dns, 1, {"relayhost": f"[relay.test]:{p.port}"}) as m:
        m.send("a@anything.test", TEXT)
        line = wait_rcpt(m, "a@anything.test")
        assert f"relay=relay.test[127.0.0.1]:{p.port}" in line, line
        p.wait()


def test_relayhost_wrong():
    # A wrong setting returns no mail.
    with DNS(ZONES) as dns, sender(
            dns, 1, {"relayhost": "[nothing.test]"}) as m:
        m.send("a@anything.test", TEXT)
        line = wait_rcpt(m, "a@anything.test")
        assert "dsn=4.3.5, status=deferred (Server configuration error)" \
            in line, line


def test_several_hops():
    with DNS(ZONES) as dns, Peer() as p, Peer() as q, sender(
            dns, 1, {"relayhost":
                     f"[relay.test]:1, [relay.test]:{p.port}",
                     "smtp_fallback_relay": f"[relay.test]:{q.port}"}) as m:
        m.send("a@anything.test", TEXT)
        p.wait()
        p.on["RCPT"] = "451 4.3.0 not here"
        m.send("b@anything.test", TEXT)
        q.wait()
        line = wait_rcpt(m, "b@anything.test")
        assert f":{q.port}" in line and "status=sent" in line


def test_bind_address():
    # 192.0.2.1 is no address of ours.
    for enforce in ("no", "yes"):
        with DNS(ZONES) as dns, Peer() as p, sender(
                dns, 1, {"relayhost": f"[127.0.0.1]:{p.port}",
                         "smtp_bind_address": "192.0.2.1",
                         "smtp_bind_address_enforce": enforce}) as m:
            m.send("a@anything.test", TEXT)
            line = wait_rcpt(m, "a@anything.test")
            assert ("status=deferred" if enforce == "yes" else "status=sent") \
                in line, line
            m.wait_log("bind to smtp_bind_address: ")
            assert bool(p.commands) == (enforce == "no")
    with DNS(ZONES) as dns, Peer() as p, sender(
            dns, 1, {"relayhost": f"[127.0.0.1]:{p.port}",
                     "smtp_bind_address": "127.0.0.9"}) as m:
        m.send("a@anything.test", TEXT)
        p.wait()
        assert "warning: bind" not in m.log()


def test_transport_table():
    with DNS(ZONES) as dns, Peer() as p, sender(
            dns, 1, {"transport_maps": "texthash:{base}/etc/transport"}) as m:
        with open(f"{m.etc}/transport", "w", encoding="ascii") as f:
            f.write(f"one.test smtp:[relay.test]:{p.port}\n"
                    f".two.test relay:[127.0.0.1]:{p.port}\n"
                    "three.test error:5.7.1 closed\n"
                    f"*  smtp:[127.0.0.1]:{p.port}\n")
        m.reload()
        for to in ("a@one.test", "a@b.two.test", "a@other.test"):
            m.send(to, TEXT)
            assert "status=sent" in wait_rcpt(m, to)


def test_loops():
    if os.environ.get("TEST_NO_PORT25"):
        return
    zones = dict(ZONES)
    zones["self.test"] = {"MX": ["10 me.test"]}
    zones["me.test"] = {"A": ["127.0.0.1"]}
    zones["backup.test"] = {"MX": ["10 best.test", "20 me.test",
                                   "30 worse.test"]}
    zones["best.test"] = {"A": ["127.0.0.9"]}
    zones["worse.test"] = {"A": ["127.0.0.2"]}
    with DNS(zones) as dns, sender(dns, 25) as m:
        m.send("a@self.test", TEXT)
        line = wait_rcpt(m, "a@self.test")
        assert "dsn=5.4.6, status=bounced (mail for self.test loops back to " \
            "myself)" in line, line
        # Only better hosts than ourselves are tried.
        m.send("a@backup.test", TEXT)
        line = wait_rcpt(m, "a@backup.test")
        assert "status=deferred (connect to best.test[127.0.0.9]:25" in line
        assert "worse.test" not in m.log()
    # Where we are the best, best_mx_transport says what becomes of it, and
    # one that leads back again ends.
    for way, want in (("discard", "relay=none, .* status=sent"),
                      ("smtp", "dsn=5.4.6, status=bounced"),
                      ("error:5.1.1 not here", "dsn=5.1.1, status=bounced")):
        with DNS(zones) as dns, sender(dns, 25, {
                "best_mx_transport": way}) as m:
            m.send("a@self.test", TEXT)
            line = wait_rcpt(m, "a@self.test")
            assert re.search(want, line), (way, line)
            m.send("a@backup.test", TEXT)
            line = wait_rcpt(m, "a@backup.test")
            assert "status=deferred (connect to best.test" in line, line


def test_reply_filter():
    zones = dict(ZONES)
    zones["some.test"] = {"MX": ["10 bad.some.test", "20 relay.test"]}
    zones["bad.some.test"] = {"A": ["127.0.0.9"]}
    zones["none.test"] = {"MX": ["10 bad.some.test"]}
    with DNS(zones) as dns, Peer() as p, sender(dns, p.port, {
            "smtp_dns_reply_filter": "regexp:{base}/etc/filter"}) as m:
        with open(f"{m.etc}/filter", "w", encoding="ascii") as f:
            f.write(r"/^some\.test\. [0-9]+ IN MX 10 / IGNORE" "\n"
                    r"/ IN A 127\.0\.0\.9$/ IGNORE" "\n")
        m.command("mansio", "reload")
        m.send("a@some.test", TEXT)
        line = wait_rcpt(m, "a@some.test")
        assert "relay=relay.test[127.0.0.1]" in line, line
        m.wait_log("ignoring DNS RR: some.test. ")
        # What leaves nothing is never permanent.
        m.send("a@none.test", TEXT)
        line = wait_rcpt(m, "a@none.test")
        assert "status=deferred" in line and \
            "DNS reply filter drops all results" in line, line


def test_filter_nexthop():
    with DNS(ZONES) as dns, Peer() as p, sender(dns, 1, {
            "content_filter": "smtp:",
            "default_filter_nexthop": f"[127.0.0.1]:{p.port}"}) as m:
        m.send("a@anything.test", TEXT)
        assert "status=sent" in wait_rcpt(m, "a@anything.test")


def test_families():
    zones = dict(ZONES)
    # 100::/64 goes nowhere; the other family has its turn soon.
    zones["both.test"] = {"AAAA": ["100::1"], "A": ["127.0.0.1"]}
    zones["six.test"] = {"AAAA": ["::1"]}
    with DNS(zones) as dns, Peer() as p, sender(
            dns, p.port, {"smtp_address_preference": "ipv6"}) as m:
        m.send("a@both.test", TEXT)
        p.wait()
        try:
            six = Peer("::1", p.port)
        except OSError:
            print("skip: no ::1 on this machine")
            return
        with six:
            m.send("a@six.test", TEXT)
            line = wait_rcpt(m, "a@six.test")
            assert f"relay=six.test[::1]:{p.port}" in line, line


def backlog(m, p, n):
    """n mails go to p, none before all wait."""
    queued = threading.Event()
    p.on["GREETING"] = lambda s, arg: (
        queued.wait(120), DEFAULT["GREETING"])[1]
    with m.smtp() as s:
        for i in range(n):
            s.sendmail("a@example.org", [f"r{i}@plain.test"], TEXT)
    queued.set()
    p.wait(n)
    m.wait_idle()


def test_kept_sessions():
    with DNS(ZONES) as dns, Peer() as p, sender(dns, p.port, {
            "smtp_destination_concurrency_limit": "2",
            "smtp_initial_destination_concurrency": "2"}) as m:
        backlog(m, p, 30)
        assert len(p.sessions) <= 6, len(p.sessions)
        # One at a time: no other is under way when one ends.
        with sender(dns, p.port, {
                "smtp_destination_concurrency_limit": "1"}) as one:
            p.forget()
            backlog(one, p, 20)
            assert len(p.sessions) <= 3, len(p.sessions)
        # A server that ends a kept session costs the mail nothing.
        p.forget()
        p.on["DOT"] = lambda s, arg: (
            s.s.sendall(b"250 2.0.0 ok\r\n"), s.close(), "x")[2]
        with m.smtp() as s:
            for i in range(10):
                s.sendmail("a@example.org", [f"k{i}@plain.test"], TEXT)
        for i in range(10):
            assert "status=sent" in wait_rcpt(m, f"k{i}@plain.test")


def test_others_go_on():
    # A destination that hangs is no trouble for another one.
    zones = dict(ZONES)
    zones["hang.test"] = {"A": ["127.0.0.2"]}
    with DNS(zones) as dns, Peer() as p, Peer("127.0.0.2", p.port) as h, \
            sender(dns, p.port) as m:
        h.on["GREETING"] = HANG
        with m.smtp() as s:
            for i in range(40):
                s.sendmail("a@example.org", [f"h{i}@hang.test"], TEXT)
            for i in range(20):
                s.sendmail("a@example.org", [f"g{i}@plain.test"], TEXT)
        p.wait(20)


def test_reload_while_busy():
    # New settings count for new mail, also when there is never a pause.
    with DNS(ZONES) as dns, Peer() as p, sender(dns, p.port) as m:
        def answer(s, arg):
            time.sleep(0.05)
            return "250 2.1.0 Ok"
        p.on["MAIL"] = answer
        with m.smtp() as s:
            for i in range(60):
                s.sendmail("a@example.org", [f"r{i}@plain.test"], TEXT)
                if i == 20:
                    p.wait(1)       # with the old settings
                    with open(f"{m.etc}/main.cf", "a",
                              encoding="ascii") as f:
                        f.write("smtp_helo_name = new.example.test\n")
                    m.command("mansio", "reload")
        p.wait(60)
        m.wait_idle()
        assert "EHLO mail.example.test" in p.commands
        m.send("last@plain.test", TEXT)
        wait_rcpt(m, "last@plain.test")
        assert "EHLO new.example.test" in p.commands
        for i in range(60):
            assert "status=sent" in wait_rcpt(m, f"r{i}@plain.test")


def test_lmtp():
    zones = dict(ZONES)
    with DNS(zones) as dns, Peer(lmtp=True) as p, sender(
            dns, 1, {"default_transport": f"lmtp:inet:relay.test:{p.port}"}
            ) as m:
        path = f"{m.base}/lmtp.sock"
        p.on["DOT"] = lambda s, rcpt: (
            "550 5.2.1 disabled" if "off" in rcpt else
            "452 4.2.2 full" if "full" in rcpt else "250 2.1.5 delivered")
        m.send(["a@l.test", "off@l.test", "full@l.test", "b@l.test"], TEXT)
        assert "status=sent (250 2.1.5 delivered)" in wait_rcpt(m, "a@l.test")
        assert "status=sent" in wait_rcpt(m, "b@l.test")
        assert "dsn=5.2.1, status=bounced" in wait_rcpt(m, "off@l.test")
        line = wait_rcpt(m, "full@l.test")
        assert "dsn=4.2.2, status=deferred" in line
        assert "mansio/lmtp[" in line
        assert p.commands[0] == "LHLO mail.example.test"
        with Peer(lmtp=True, path=path) as q:
            with open(f"{m.etc}/main.cf", "a", encoding="ascii") as f:
                f.write(f"default_transport = lmtp:unix:{path}\n")
            m.reload()
            m.send("u@l.test", TEXT)
            line = wait_rcpt(m, "u@l.test")
            assert f"relay=mail.example.test[{path}]" in line, line
            assert len(q.messages) == 1


def test_native_hosts():
    try:
        with open("/etc/hosts", encoding="utf-8") as f:
            there = "localhost" in f.read()
    except FileNotFoundError:
        there = False
    if not there:
        print("skip: no localhost in /etc/hosts")
        return
    with DNS(ZONES) as dns, Peer() as p, sender(
            dns, 1, {"relayhost": f"[localhost]:{p.port}",
                     "smtp_host_lookup": "native",
                     "inet_protocols": "ipv4"}) as m:
        m.send("a@anything.test", TEXT)
        assert "status=sent" in wait_rcpt(m, "a@anything.test")


def test_probe():
    zones = dict(ZONES)
    zones["plain.test"] = {"MX": ["20 second.test", "10 mx.plain.test"]}
    zones["null.test"] = {"MX": ["0 ."]}
    zones["fail.test"] = "SERVFAIL"
    with DNS(zones) as dns, sender(dns, 1, {
            "transport_maps": "inline:{{moved.test=smtp:[relay.test]:26}}",
            "smtp_tls_policy_maps": "inline:{{.test=encrypt}}"}) as m:
        def probe(what, ok=True):
            done = m.command("mansio", "probe", what, check=False)
            assert (done.returncode == 0) == ok, done
            return done.stdout
        out = probe("plain.test")
        assert "transport smtp, next hop plain.test (default_transport)" in out
        assert "TLS        encrypt (smtp_tls_policy_maps)" in out
        assert out.index("10 mx.plain.test") < out.index("20 second.test")
        assert "127.0.0.1" in out and "no address" in out, out
        assert "does not accept mail" in probe("null.test", False)
        assert "mail waits" in probe("fail.test", False)
        assert "next hop [relay.test]:26 (transport_maps" in \
            probe("x@moved.test")
        assert "no mail exchanger" in probe("alice@example.test")


def test_probe_kinds():
    """What becomes of mail, for every kind of domain."""
    zones = dict(ZONES)
    zones.update({
        "two.test": {"MX": ["10 mx.plain.test", "20 other.test"]},
        "other.test": {"A": ["198.51.100.1"], "AAAA": ["2001:db8::5"]},
        "mx.plain.test": {"A": ["198.51.100.9"]},
        "alias.test": {"CNAME": ["two.test"]},
        "bare.test": {"A": ["198.51.100.2"]},
        "null.test": {"MX": ["0 ."]}, "fail.test": "SERVFAIL",
        "nothing.test": {"MX": ["10 gone.test"]},
        "half.test": {"MX": ["10 fail.test", "20 other.test"]},
        "allfail.test": {"MX": ["10 fail.test"]},
        "empty.test": {"TXT": ["x"]},
        "us.test": {"MX": ["10 we.test", "20 other.test"]},
        "backup.test": {"MX": ["10 other.test", "20 we.test"]},
        "we.test": {"A": ["192.0.2.1"]},
        "_submission._tcp.srv.test": {"SRV": ["0 1 587 other.test"]},
        "xn--bcher-kva.test": {"MX": ["10 other.test"]},
    })
    gone = "mail is returned to its sender"
    waits = "mail waits, and is tried again"
    takes = "mail goes to the first of %s that takes it"
    one, two = takes % "1 host", takes % "2 hosts"
    want = {
        "two.test": (two, "MX         2, not proven\n"),
        "alias.test": (two, "of two.test: the domain is an alias"),
        "bare.test": (one, "the domain's own address\n             198.51"),
        "null.test": (gone, "does not accept mail"),
        "fail.test": (waits, "mail waits"),
        "nothing.test": (gone, "no address"),
        "half.test": (one, "tried again later"),
        "allfail.test": (waits, "tried again later"),
        "none.test": (gone, "there is no such domain"),
        "empty.test": (gone, "no address"),
        "us.test": (gone + ": it would come back to this machine",
                    "this machine has preference 10"),
        "backup.test": (one, "those of 20 and more are not tried"),
        "we.test": (gone + ": it would come back", "192.0.2.1, this machine"),
        "[192.0.2.7]": (one, "host       192.0.2.7"),
        "moved.test": (one, "next hop [other.test]:26 (transport_maps"),
        "srv.test": (one, "other.test:587, weight 1"),
        "b\u00fccher.test": (one, "10 other.test"),
        "x@\u00fcnknown.test": (gone, "there is no such domain"),
    }
    with DNS(zones) as dns, sender(dns, 1, {
            "proxy_interfaces": "192.0.2.1", "smtp_tcp_port": "25",
            "use_srv_lookup": "submission", "mtasts_enable": "no",
            "transport_maps": "inline:{{{{moved.test=smtp:[other.test]:26}}, "
                              "{{srv.test=smtp:srv.test:submission}}}}"}) as m:
        for what, (result, text) in want.items():
            done = m.command("mansio", "probe", what, check=False)
            out = done.stdout
            assert f"result     {result}" in out and text in out, (what, out)
            assert (done.returncode == 0) == ("goes to" in result), what
    for settings, what, result in (
            ({"relayhost": "none.test"}, "two.test",
             "mail waits: relayhost leads nowhere"),
            ({"relayhost": "[bare.test]:587"}, "none.test", one),
            ({"smtp_fallback_relay": "[bare.test]"}, "none.test",
             "mail goes to the fallback relay, [bare.test]"),
            ({"smtp_defer_if_no_mx_address_found": "yes"}, "nothing.test",
             waits)):
        with DNS(zones) as dns, sender(dns, 1, {
                "smtp_tcp_port": "25", "mtasts_enable": "no",
                **settings}) as m:
            out = m.command("mansio", "probe", what, check=False).stdout
            assert f"result     {result}\n" in out, (settings, out)


def main():
    need_root()
    only = sys.argv[1:]
    n = 0
    for name, test in list(globals().items()):
        if name.startswith("test_") and (not only or name in only):
            test()
            n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


socket.setdefaulttimeout(60)
main()
