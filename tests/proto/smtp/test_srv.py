#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: next hops by SRV records (RFC 2782, use_srv_lookup)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import (DNS, Peer, need_root, sender, wait_rcpt)  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
SRV = "_submission._tcp.d.test"
BASE = {"use_srv_lookup": "submission", "default_transport":
        "smtp:d.test:submission", "minimal_backoff_time": "300s"}


def send(m, to):
    m.send(to, TEXT)
    return wait_rcpt(m, to)


def test_hosts_and_ports(dns, a, b):
    dns.zones[SRV] = {"SRV": [f"20 0 {b.port} two.test",
                              f"10 5 {a.port} one.test"]}
    with sender(dns, 9, BASE) as m:
        line = send(m, "x1@elsewhere.test")
        assert f"relay=one.test[127.0.0.1]:{a.port}," in line, line
        a.on["GREETING"] = "421 4.3.2 busy"
        line = send(m, "x2@elsewhere.test")
        assert f"relay=two.test[127.0.0.1]:{b.port}," in line, line
        # Brackets and numbers are taken as they are.
    with sender(dns, 9, {**BASE, "default_transport":
                         f"smtp:[one.test]:{b.port}"}) as m:
        line = send(m, "x3@elsewhere.test")
        assert f"relay=one.test[127.0.0.1]:{b.port}," in line, line
        probe = m.command("mansio", "probe", "elsewhere.test").stdout
        assert "host       one.test" in probe, probe


def test_weights(dns, a, b):
    dns.zones[SRV] = {"SRV": [f"10 1 {b.port} two.test",
                              f"10 60000 {a.port} one.test"]}
    with sender(dns, 9, {**BASE,
                         "smtp_connection_cache_on_demand": "no"}) as m:
        for n in range(20):
            send(m, f"w{n}@elsewhere.test")
        assert len(a.messages) > len(b.messages)


def test_default_port(dns, a, b):
    # The service of a next hop without a port is smtp_tcp_port.
    dns.zones["_smtp._tcp.d.test"] = {"SRV": [f"0 0 {a.port} one.test"]}
    with sender(dns, 9, {"use_srv_lookup": "smtp", "smtp_tcp_port": "smtp",
                         "relayhost": "d.test"}) as m:
        line = send(m, "x@elsewhere.test")
        assert f"relay=one.test[127.0.0.1]:{a.port}," in line, line


def test_nothing_there(dns, a, b):
    # Each has a name of its own: answers are kept, also that there is none.
    for n, (how, want) in enumerate([
            (None, "dsn=5.4.4, status=bounced (Host or domain name not found. "
             "Name service error for name=_submission._tcp.d0.test type=SRV:"),
            ({"SRV": ["0 0 0 ."]}, "dsn=5.1.0, status=bounced (Service "
             "_submission._tcp.d1.test is not available"),
            ({"SRV": "SERVFAIL"}, "dsn=4.4.3, status=deferred"),
            ({"SRV": "REFUSED"}, "dsn=4.4.3, status=deferred"),
            ({"A": ["127.0.0.1"]}, "dsn=5.4.4, status=bounced"),
            ({"SRV": ["0 0 25 none.test"]}, "dsn=5.4.4, status=bounced")]):
        dns.zones[f"d{n}.test"] = {"MX": ["10 two.test"]}
        if how:
            dns.zones[f"_submission._tcp.d{n}.test"] = how
        with sender(dns, 9, {**BASE, "default_transport":
                             f"smtp:d{n}.test:submission"}) as m:
            line = send(m, "x@elsewhere.test")
            assert want in line, (how, line)
            probe = m.command("mansio", "probe", "elsewhere.test",
                              check=False).stdout
            assert "SRV        " in probe, probe
            assert ("mail waits" in probe) == ("status=deferred" in line)


def test_fall_back(dns, a, b):
    dns.zones["d.test"] = {"MX": ["10 two.test"]}
    for n, (how, setting, good) in enumerate([
            (None, "allow_srv_lookup_fallback", True),
            (None, "ignore_srv_lookup_error", False),
            ("SERVFAIL", "allow_srv_lookup_fallback", True),
            ("SERVFAIL", "ignore_srv_lookup_error", True)]):
        dns.zones.pop(SRV, None)
        if how:
            dns.zones[SRV] = {"SRV": how}
        # The port is that of the service: nobody listens there.
        with sender(dns, 9, {**BASE, setting: "yes",
                             "default_destination_concurrency_failed_cohort_"
                             "limit": "0"}) as m:
            line = send(m, f"x{n}@elsewhere.test")
            assert ("connect to two.test[127.0.0.1]:587" in line) == good, line
            assert ("skipping SRV lookup" in m.log()) == good


def main():
    need_root()
    tests = [v for k, v in globals().items() if k.startswith("test_")]
    only = sys.argv[1:]
    n = 0
    for test in tests:
        if only and test.__name__ not in only:
            continue
        zones = {"one.test": {"A": ["127.0.0.1"]},
                 "two.test": {"A": ["127.0.0.1"]}, SRV: {}}
        with DNS(zones) as dns, Peer() as a, Peer() as b:
            test(dns, a, b)
        n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
