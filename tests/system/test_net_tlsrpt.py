#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""TLSRPT (RFC 8460) from host to host: sessions are counted, and reported by
mail and to a web server, also after the counting process was killed."""
import email
import gzip
import json
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../proto/smtp"))
import netns  # noqa: E402
from peerlib import Peer, wait_rcpt  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
POLICY = "version: STSv1\nmode: {}\nmx: mx.plain.test\nmax_age: 86400\n"
FROM = "reports@sender.plain.test"


def zones(net, a, b, p, web):
    spki = net.spki("mx.plain.test")
    common = {"mx": b.records()}
    net.zone("plain.test", {
        **common, "sender": ["MX 10 mx-a"], "mx-a": a.records(),
        "bare": p.records(), "other": b.records(),
        "good": ["MX 10 mx"], "_mta-sts.good": ["TXT v=STSv1; id=7;"],
        "mta-sts.good": web.records(),
        "_smtp._tls.good": ["TXT v=TLSRPTv1; rua=mailto:bob@good.plain.test"],
        # Its certificate has another name; it is only tried out.
        "trial": ["MX 10 other"], "_mta-sts.trial": ["TXT v=STSv1; id=8;"],
        "mta-sts.trial": web.records(),
        "_smtp._tls.trial": ["TXT v=TLSRPTv1; rua=https://web.plain.test/r"],
        "plain": ["MX 10 bare"],
        "_smtp._tls.plain": [
            "TXT v=TLSRPTv1; rua=https://away.plain.test/,"
            "https://web.plain.test/r"],
        "web": web.records(),
        # Nobody asked for this one.
        "quiet": ["MX 10 mx"],
    }, signed=False)
    net.zone("signed.test", {
        **common, "dane": ["MX 10 mx"], "_25._tcp.mx": [f"TLSA 3 1 1 {spki}"],
        "_smtp._tls.dane": ["TXT v=TLSRPTv1; rua=https://web.plain.test/r"],
        "wrong": ["MX 10 wrongmx"], "wrongmx": b.records(),
        "_25._tcp.wrongmx": ["TLSA 3 1 1 " + "00" * 32],
        "_smtp._tls.wrong": ["TXT v=TLSRPTv1; rua=https://web.plain.test/r"],
    })
    net.start_dns()


class Reports:
    """What has come so far, added up by domain."""

    def __init__(self):
        self.seen, self.sums = [], {}

    def take(self, data):
        r = json.loads(gzip.decompress(data))
        if r in self.seen:
            return
        self.seen.append(r)
        assert r["organization-name"] == "sender.plain.test", r
        assert r["contact-info"] == FROM and r["report-id"], r
        for k in ("start-datetime", "end-datetime"):
            assert r["date-range"][k].endswith("Z"), r
        for p in r["policies"]:
            domain = r["report-id"].split(".", 1)[1]
            s = self.sums.setdefault(domain, {
                "good": 0, "bad": 0, "types": set(), "policy": p["policy"]})
            s["good"] += p["summary"]["total-successful-session-count"]
            s["bad"] += p["summary"]["total-failure-session-count"]
            for f in p.get("failure-details", []):
                s["types"].add(f["result-type"])
                s["failure"] = f

    def mail(self, text):
        m = email.message_from_bytes(text)
        if m.get_content_type() != "multipart/report":
            return
        assert m.get_param("report-type") == "tlsrpt", m
        assert m["TLS-Required"] == "No" and m["TLS-Report-Domain"], m
        assert m["TLS-Report-Submitter"] == "sender.plain.test", m
        part = m.get_payload()[1]
        assert part.get_content_type() == "application/tlsrpt+gzip", part
        assert part.get_filename().startswith(
            "sender.plain.test!good.plain.test!"), part
        self.take(part.get_payload(decode=True))


def wait_sums(reports, site, peer, want, timeout=60):
    end = time.monotonic() + timeout
    while True:
        for method, path, head, body in list(site.asked):
            if path == "/r":
                assert method == "POST", method
                assert head["content-type"] == "application/tlsrpt+gzip"
                reports.take(body)
        for text in peer.maildir("bob"):
            reports.mail(text)
        got = {d: (s["good"], s["bad"]) for d, s in reports.sums.items()}
        if got == want:
            return
        assert time.monotonic() < end, (got, want)
        time.sleep(0.2)


def send(m, domain, user):
    m.send(f"{user}@{domain}", TEXT, sender="alice@sender.plain.test")
    wait_rcpt(m, f"{user}@{domain}", timeout=60)


def run(m, peer, site):
    reports = Reports()
    for domain in ("good.plain.test", "trial.plain.test", "plain.plain.test",
                   "quiet.plain.test", "dane.signed.test",
                   "wrong.signed.test"):
        send(m, domain, "x")
    send(m, "good.plain.test", "y")
    want = {"good.plain.test": (2, 0), "trial.plain.test": (0, 1),
            "plain.plain.test": (0, 1), "dane.signed.test": (1, 0),
            "wrong.signed.test": (0, 2)}
    wait_sums(reports, site, peer, want)
    s = reports.sums
    assert s["good.plain.test"]["policy"] == {
        "policy-type": "sts", "policy-domain": "good.plain.test",
        "policy-string": ["version: STSv1", "mode: enforce",
                          "mx: mx.plain.test", "max_age: 86400"],
        "mx-host": ["mx.plain.test"]}, s
    assert s["dane.signed.test"]["policy"]["policy-type"] == "tlsa"
    assert s["dane.signed.test"]["policy"]["policy-domain"] == \
        "mx.signed.test"
    assert s["trial.plain.test"]["types"] == {"validation-failure"}, s
    assert s["wrong.signed.test"]["types"] == {"certificate-not-trusted"}, s
    f = s["plain.plain.test"]["failure"]
    assert f["result-type"] == "starttls-not-supported", f
    assert f["receiving-mx-hostname"] == "bare.plain.test", f
    assert f["receiving-ip"] and f["sending-mta-ip"], f
    # A report was mail, too, and is not reported on.
    m.wait_log("posted to https://web.plain.test/r")
    m.wait_log("away.plain.test has no address")
    return reports


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return b""


def survives(m, site, reports):
    """What was saved outlives the process."""
    before = {r["report-id"] for r in reports.seen}
    site.asked.clear()
    send(m, "dane.signed.test", "z")
    d = f"{m.base}/lib/tlsrpt"
    end = time.monotonic() + 20
    old = {i.split(".")[0] for i in before}
    while not any(b"dane.signed.test" in read(f"{d}/{n}")
                  for n in os.listdir(d) if n.split("-")[0] not in old):
        if any(p == "/r" for _, p, _, _ in site.asked):
            break               # it was reported before it was saved
        assert time.monotonic() < end, os.listdir(d)
        time.sleep(0.05)
    for pid, name in m.children().items():
        if name == "tlsrpt":
            os.kill(pid, signal.SIGKILL)
    # Others may come once more, under the ids that they had.
    end = time.monotonic() + 60
    while True:
        for _, path, _, body in list(site.asked):
            if path == "/r":
                reports.take(body)
        new = {r["report-id"] for r in reports.seen} - before
        if new:
            break
        assert time.monotonic() < end, m.log()[-2000:]
        time.sleep(0.2)
    assert [r.split(".", 1)[1] for r in new] == ["dane.signed.test"], new


def main():
    net = netns.enter()
    with net:
        a, b, p, web = (net.host(n) for n in ("a", "b", "p", "web"))
        net.cert("mx.plain.test")
        zones(net, a, b, p, web)
        site = netns.https(web, net.cert(
            "web.plain.test", "mta-sts.good.plain.test",
            "mta-sts.trial.plain.test", file="web"), {})

        def policy(path):
            mode = "testing" if "trial" in site.names[-1] else "enforce"
            return POLICY.format(mode)
        site.pages["/.well-known/mta-sts.txt"] = policy
        site.pages["/r"] = "thanks"
        with p:
            Peer(host=p.ip4, port=25)
            Peer(host=p.ip6, port=25)
        takes = {"virtual_mailbox_domains": "good.plain.test "
                 "trial.plain.test quiet.plain.test dane.signed.test "
                 "wrong.signed.test",
                 "virtual_mailbox_maps": "static:example.test/bob/"}
        with net.mansio(b, "mx.plain.test", takes,
                        users={"bob": "good.plain.test"}) as peer, \
            net.mansio(a, "mx-a.plain.test", {
                "smtp_tlsrpt_enable": "yes", "tlsrpt_report_interval": "8s",
                "tlsrpt_report_from": FROM, "mydomain": "sender.plain.test",
                "minimal_backoff_time": "300s",
                "maximal_backoff_time": "300s",
                }, users={"alice": "sender.plain.test"}) as m:
            survives(m, site, run(m, peer, site))
    print("2 passed, 0 failed, 0 skipped")


main()
