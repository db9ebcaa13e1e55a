#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""MTA-STS (RFC 8461) from host to host: the policy is fetched from a web
server of the domain, kept, and enforced; REQUIRETLS (RFC 8689) on top."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../proto/smtp"))
import netns  # noqa: E402
from peerlib import rcpt_lines, wait_rcpt  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
DOMAINS = {             # domain: (mode, patterns), None: no policy
    "good": ("enforce", ["mx.plain.test"]),
    "wild": ("enforce", ["*.plain.test"]),
    "alien": ("enforce", ["mx.elsewhere.test"]),
    "badcert": ("enforce", ["wrongmx.plain.test"]),
    "trial": ("testing", ["mx.elsewhere.test"]),
    "off": ("none", []),
    "nothing": None,
    "twice": ("enforce", ["mx.elsewhere.test"]),    # two records: no policy
    "redirect": ("enforce", ["mx.elsewhere.test"]),
    "html": ("enforce", ["mx.elsewhere.test"]),
    "big": ("enforce", ["mx.elsewhere.test"]),
    "untrusted": ("enforce", ["mx.elsewhere.test"]),
    "hanging": ("enforce", ["mx.elsewhere.test"]),
}


def policy(mode, patterns, age=86400):
    return (f"version: STSv1\r\nmode: {mode}\r\nmax_age: {age}\r\n"
            + "".join(f"mx: {p}\r\n" for p in patterns))


def zones(net, a, b, w, ids=None):
    plain = {"mx": b.records(), "wrongmx": b.records(),
             "sender": ["MX 10 mx-a"], "mx-a": a.records()}
    for name, what in DOMAINS.items():
        mx = "wrongmx" if name == "badcert" else "mx"
        plain[name] = [f"MX 10 {mx}"]
        if what:
            number = (ids or {}).get(name, "1")
            plain[f"_mta-sts.{name}"] = [f"TXT v=STSv1; id={number};"]
            plain[f"mta-sts.{name}"] = w[name].records() \
                if name in w else w[""].records()
    plain["_mta-sts.twice"] *= 2
    plain["_mta-sts.twice"][1] = "TXT v=STSv1; id=2;"
    # A host that DANE secures needs no policy, and is not freed by one.
    net.zone("plain.test", plain, signed=False)
    net.zone("signed.test", {
        "mx": b.records(), "dane": ["MX 10 mx"],
        "_25._tcp.mx": ["TLSA 3 1 1 " + net.spki("mx.plain.test")],
        "_mta-sts.dane": ["TXT v=STSv1; id=1;"],
        "mta-sts.dane": w[""].records(),
        "pkix": ["MX 10 plainmx"], "plainmx": b.records(),
    })
    net.start_dns()


def pages(name):
    mode, patterns = DOMAINS.get(name, ("enforce", ["mx.elsewhere.test"]))
    text = policy(mode, patterns)
    if name == "redirect":
        return (b"HTTP/1.1 302 there\r\nLocation: https://mta-sts.good."
                b"plain.test/.well-known/mta-sts.txt\r\n"
                b"Content-Length: 0\r\n\r\n")
    if name == "html":
        return (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                b"Content-Length: %d\r\n\r\n" % len(text)) + text.encode()
    if name == "big":
        return text + "mx: mx.plain.test\r\n" * 5000
    return text


class Site(netns.Web):
    """Answers for all policy hosts, by the name that is asked for."""

    def answer(self, s, f):
        host = self.names[-1] or ""
        self.pages = {"/.well-known/mta-sts.txt":
                      pages(host.split(".")[1] if "." in host else "")}
        super().answer(s, f)


def sent(m, domain, want, user="bob", flags=()):
    to = f"{user}@{domain}"
    before = len(rcpt_lines(m, to))
    if flags:
        with m.smtp() as s:
            s.ehlo()
            s.starttls()
            s.ehlo()
            s.mail("alice@sender.plain.test", list(flags))
            s.rcpt(to)
            s.data(TEXT)
    else:
        m.send(to, TEXT, sender="alice@sender.plain.test")
    line = wait_rcpt(m, to, before + 1, timeout=60)
    assert want in line, (to, line, m.log()[-2000:])
    return line


def test_enforced(m, site):
    sent(m, "good.plain.test", "status=sent")
    assert "good.plain.test: MTA-STS policy id=1 mode=enforce " \
        "max_age=86400 mx=mx.plain.test" in m.log()
    assert "Verified TLS connection established to mx.plain.test" in m.log()
    assert site.names[-1] == "mta-sts.good.plain.test"
    n = len(site.asked)
    sent(m, "good.plain.test", "status=sent", "carol")
    assert len(site.asked) == n, "it was in the cache"
    sent(m, "wild.plain.test", "status=sent")
    sent(m, "alien.plain.test", "dsn=4.7.5, status=deferred (the MTA-STS "
         "policy of the domain does not have the host mx.plain.test[")
    sent(m, "badcert.plain.test", "dsn=4.7.5, status=deferred (Server "
         "certificate not verified")


def test_not_enforced(m):
    for name in ("trial", "off", "nothing", "twice", "redirect", "html",
                 "big", "untrusted", "hanging"):
        sent(m, f"{name}.plain.test", "status=sent")
    for text in ("_mta-sts.twice.plain.test: more than one record",
                 "https://mta-sts.redirect.plain.test: HTTP status 302",
                 "https://mta-sts.html.plain.test: the policy is no "
                 "text/plain",
                 "https://mta-sts.big.plain.test: the answer is too large",
                 "untrusted.plain.test: MTA-STS: https://mta-sts.untrusted"
                 ".plain.test: SSL certificate problem",
                 "hanging.plain.test: MTA-STS: https://mta-sts.hanging"):
        assert text in m.log(), text


def test_dane_first(m):
    """The policy names another host; DANE proves this one."""
    sent(m, "dane.signed.test", "status=sent")
    assert "Verified TLS connection established to mx.signed.test" in m.log()


def test_requiretls(m, peer):
    peer.maildir("bob")
    sent(m, "good.plain.test", "status=sent", flags=["REQUIRETLS"])
    sent(m, "dane.signed.test", "status=sent", flags=["REQUIRETLS"])
    # Nobody proves that the host is the domain's; its certificate does not
    # say so either.
    sent(m, "nothing.plain.test", "dsn=5.7.10, status=bounced (Server "
         "certificate not verified", flags=["REQUIRETLS"])
    # The name is proven, the certificate has another.
    sent(m, "pkix.signed.test", "dsn=5.7.10, status=bounced", flags=[
        "REQUIRETLS"])
    end = time.monotonic() + 20
    while len(m.maildir("alice")) < 2:
        assert time.monotonic() < end, m.log()[-3000:]
        time.sleep(0.1)
    for text in m.maildir("alice"):
        assert b"Status: 5.7.10" in text and b"\nhi\n" not in text, text


def test_tls_required_no(m):
    """RFC 8689 3: the sender wants it to arrive whatever the domain says."""
    m.send("zoe@alien.plain.test", "TLS-Required: No\r\n" + TEXT,
           sender="alice@sender.plain.test")
    line = wait_rcpt(m, "zoe@alien.plain.test")
    assert "status=sent" in line, line


def test_probe(m):
    out = m.command("mansio", "probe", "good.plain.test").stdout
    assert "MTA-STS" in out and "enforce" in out, out
    out = m.command("mansio", "probe", "alien.plain.test", check=False).stdout
    assert "not in the policy" in out, out


def test_lasting(net, m, site, w):
    """The policy is in force though its host is gone, and after a restart;
    a new id brings the new policy."""
    site.stop()
    m.command("mansio", "stop")
    with open(f"{m.base}/lib/mtasts/policies", encoding="ascii") as f:
        assert "alien.plain.test enforce 1 86400 " in f.read()
    zones(net, w["a"], w["b"], w, {"alien": "2"})
    m.command("mansio", "start")
    sent(m, "alien.plain.test", "status=deferred (the MTA-STS policy", "dave")
    assert "the policy seen before stays in force" in m.log()
    DOMAINS["alien"] = ("enforce", ["mx.plain.test"])
    again = Site(w[""], (net.cert_of_all, net.key_of_all), {})
    # A failure is not repeated for five minutes, unless somebody asks.
    m.command("mansio", "probe", "-f", "alien.plain.test")
    m.reload()
    sent(m, "alien.plain.test", "status=sent", "erin")
    again.stop()


def main():
    net = netns.enter()
    with net:
        a, b, web, hang = (net.host(n) for n in ("a", "b", "web", "hang"))
        bad = net.host("bad")
        w = {"": web, "hanging": hang, "untrusted": bad, "a": a, "b": b}
        net.cert("mx.plain.test")
        net.cert_of_all, net.key_of_all = net.cert(
            *[f"mta-sts.{n}.plain.test" for n in DOMAINS],
            "mta-sts.dane.signed.test", file="web")
        site = Site(web, (net.cert_of_all, net.key_of_all), {})
        Site(bad, net.cert("mta-sts.untrusted.plain.test", ca=False,
                           file="bad"), {})
        netns.https(hang, (net.cert_of_all, net.key_of_all), {
            "/.well-known/mta-sts.txt": lambda p: time.sleep(60)})
        zones(net, a, b, w)
        takes = {"virtual_mailbox_domains":
                 " ".join([f"{n}.plain.test" for n in DOMAINS]
                          + ["dane.signed.test", "pkix.signed.test"]),
                 "virtual_mailbox_maps": "static:example.test/bob/"}
        with net.mansio(b, "mx.plain.test", takes, users={
                "bob": "good.plain.test"}) as peer, \
            net.mansio(a, "mx-a.plain.test", {
                "mtasts_fetch_timeout": "3s",
                "minimal_backoff_time": "300s",
                "maximal_backoff_time": "300s"},
                       users={"alice": "sender.plain.test"}) as m:
            test_enforced(m, site)
            test_not_enforced(m)
            test_dane_first(m)
            test_requiretls(m, peer)
            test_tls_required_no(m)
            test_probe(m)
            test_lasting(net, m, site, w)
    print("7 passed, 0 failed, 0 skipped")


main()
