#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""smtp: servers whose TLS is broken, changes, or is an attack."""
import os
import socket
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import CLOSE, DNS, HANG, need_root, sender, wait_rcpt  # noqa: E402
from tlslib import TLSPeer, make_certs, openssl  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
NAMES = ("may", "enc", "ver", "sec", "old", "odd", "anchor", "noanchor",
         "once")
ZONES = {f"{n}.test": {"MX": ["10 mx.plain.test"]} for n in NAMES}
ZONES["mx.plain.test"] = {"A": ["127.0.0.1"]}


def expired(d):
    """A certificate that was good until yesterday."""
    openssl("x509", "-req", "-days", "-1", "-in", f"{d}/mx.plain.test.csr",
            "-CA", f"{d}/ca.pem", "-CAkey", f"{d}/ca.key", "-CAcreateserial",
            "-out", f"{d}/expired.pem")
    os.link(f"{d}/mx.plain.test.key", f"{d}/expired.key")


def check(m, to, want):
    m.send(to, TEXT)
    line = wait_rcpt(m, to)
    assert want in line, (to, want, line)
    return line


def load(p, d, name):
    p.ctx.load_cert_chain(f"{d}/{name}.pem", f"{d}/{name}.key")


def test_certificates(m, p, d):
    p.starttls()
    check(m, "a@ver.test", "status=sent")
    load(p, d, "expired")
    check(m, "b@ver.test", "dsn=4.7.5, status=deferred (Server certificate "
          "not trusted: certificate has expired)")
    check(m, "b@may.test", "status=sent")
    assert "Untrusted TLS connection established to mx.plain.test" in m.log()
    load(p, d, "other.test")
    check(m, "c@ver.test", "dsn=4.7.5, status=deferred (Server certificate "
          "not verified: no name in the certificate matches)")
    check(m, "c@enc.test", "status=sent")
    load(p, d, "mx.plain.test")
    check(m, "d@ver.test", "status=sent")


def test_offer_comes_and_goes(m, p, d):
    del p.on["EHLO"]
    check(m, "e@enc.test", "dsn=4.7.4, status=deferred")
    check(m, "e@may.test", "status=sent")
    p.starttls()
    check(m, "f@enc.test", "status=sent")
    # Offered, and then refused; and then nothing but the end.
    for answer in ("454 4.7.0 not now", "500 5.5.1 what?"):
        p.on["STARTTLS"] = answer
        check(m, f"g{answer[:3]}@enc.test", "dsn=4.7.4, status=deferred (TLS "
              "is required, but the host refused to start it: " + answer)
        check(m, f"g{answer[:3]}@may.test", "status=sent")
    p.on["STARTTLS"] = CLOSE
    check(m, "h@enc.test", "dsn=4.4.2, status=deferred (lost connection")
    check(m, "h@may.test", "dsn=4.4.2, status=deferred (lost connection")


def test_handshakes(m, p, d):
    """They hang, end, or are none; mail waits, and nothing goes in plain."""
    def after(data, hang=False):
        def begin(s, arg):
            s.s.sendall(b"220 go ahead\r\n" + data)
            if hang:
                time.sleep(8)
            return s.close()
        return begin

    del p.messages[:]
    for name, what in {
            "hang": after(b"", True),
            "end": after(b""),
            "alert": after(b"\x15\x03\x03\x00\x02\x02\x28"),
            "huge": after(b"\x16\x03\x03\xff\xff" + b"\0" * 70000),
            "text": after(b"250 welcome\r\n" * 20),
            "reply": HANG}.items():
        p.on["STARTTLS"] = what
        check(m, f"{name}@enc.test", "status=deferred")
        check(m, f"{name}@may.test", "status=deferred")
    assert not p.messages, [x.rcpts for x in p.messages]
    assert "welcome" not in m.log().split("DONE")[-1]


def test_injection(m, p, d):
    """CVE-2011-0411 the other way round: replies before the handshake."""
    def begin(s, arg):
        s.s.sendall(b"220 go ahead\r\n250-injected\r\n250 AUTH PLAIN\r\n"
                    b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n"
                    b"250 2.0.0 injected\r\n")
        p.secure(s)
        return b""
    del p.messages[:]
    p.on["STARTTLS"] = begin
    for i in range(3):
        m.send(f"i{i}@enc.test", TEXT)
        line = wait_rcpt(m, f"i{i}@enc.test")
        assert "injected" not in line, line
        # Either it was thrown away, or the session was given up.
        assert "status=deferred" in line or len(p.messages) == i + 1, line
    # The server ends TLS in the middle and goes on in plain text.
    def plain_again(s, arg):
        s.s.sendall(b"220 go ahead\r\n")
        p.secure(s)
        fd = socket.socket(fileno=os.dup(s.s.fileno()))
        fd.sendall(b"250 2.1.0 plain\r\n" * 4)
        fd.close()
        return b""
    p.on["STARTTLS"] = plain_again
    check(m, "j@enc.test", "status=deferred")


def test_protocols(m, p, d):
    p.starttls()
    p.ctx.maximum_version = ssl.TLSVersion.TLSv1_2
    check(m, "k@old.test", "status=deferred")      # protocols=TLSv1.3
    check(m, "k@enc.test", "status=sent")
    p.ctx.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    check(m, "l@old.test", "status=sent")
    check(m, "l@odd.test", "dsn=4.7.5, status=deferred (client TLS "
          "configuration problem)")


def test_anchors(m, p, d):
    check(m, "m@anchor.test", "status=sent")
    check(m, "m@noanchor.test", "dsn=4.7.5, status=deferred (client TLS "
          "configuration problem)")
    assert "is not in smtp_tls_trust_anchor_file" in m.log()
    load(p, d, "alone")
    check(m, "n@anchor.test", "dsn=4.7.5, status=deferred (Server "
          "certificate not trusted")
    load(p, d, "mx.plain.test")


def plain_later(m, p):
    """At the level may, what TLS has held up for a while goes without."""
    p.on["STARTTLS"] = lambda s, arg: (
        s.s.sendall(b"220 go\r\nno TLS\r\n"), s.close())[1]
    check(m, "later@may.test", "status=deferred")
    end = time.monotonic() + 60
    while "to=<later@may.test>" not in "".join(
            x for x in m.log().splitlines() if "status=sent" in x):
        assert time.monotonic() < end, m.log()[-2000:]
        m.command("postqueue", "-f")
        time.sleep(1)


def handshake_limit(m, p):
    """Two at the same time, and four peers that say nothing more: the fifth
    gets its turn, and what it said before that is thrown away."""
    hellos, seen, over = [], [], threading.Event()

    def begin(s, arg):
        seen.append(s)
        if len(seen) == 5:
            s.s.sendall(b"220 go ahead\r\n250 2.0.0 too early\r\n")
            p.secure(s)
            return b""
        s.s.sendall(b"220 go ahead\r\n")
        hellos.append(s.s.recv(1))
        over.wait(60)
        return s.close()
    p.starttls()
    p.on["STARTTLS"] = begin
    del p.messages[:]
    for i, to in enumerate(("may", "enc", "ver", "anchor")):
        m.send(f"q{i}@{to}.test", TEXT)
    end = time.monotonic() + 60
    while len(seen) < 4:
        assert time.monotonic() < end
        time.sleep(0.02)
    m.send("q4@sec.test", TEXT)
    line = wait_rcpt(m, "q4@sec.test")
    assert "status=sent" in line and "too early" not in line, line
    assert hellos == [b"\x16"] * 4, hellos
    assert "to=<q0@may.test>" not in m.log(), m.log()
    over.set()
    for i, to in enumerate(("may", "enc", "ver", "anchor")):
        line = wait_rcpt(m, f"q{i}@{to}.test")
        assert "status=deferred" in line, line


def main():
    need_root()
    n = 0
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        make_certs(d)
        expired(d)
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9",
                "-keyout", f"{d}/alone.key", "-out", f"{d}/alone.pem",
                "-subj", "/CN=mx.plain.test", "-addext",
                "subjectAltName=DNS:mx.plain.test")
        settings = {
            "smtp_tls_security_level": "may",
            "smtp_tls_CAfile": f"{d}/ca.pem",
            "smtp_tls_trust_anchor_file":
                f"{d}/mx.plain.test.pem {d}/ca.pem",
            "smtp_starttls_timeout": "3s", "queue_run_delay": "300s",
            "smtp_connection_cache_on_demand": "no",
            "smtp_tls_policy_maps": "inline:{{ {{enc.test = encrypt}}, "
                "{{ver.test = verify}}, "
                "{{old.test = encrypt protocols=TLSv1.3}}, "
                "{{odd.test = encrypt ciphers=nonsense}}, "
                f"{{{{anchor.test = verify tafile={d}/mx.plain.test.pem}}}}, "
                "{{noanchor.test = verify tafile=/nowhere}} }}"}
        with DNS(ZONES) as dns, TLSPeer(d) as p:
            # What was verified once may be resumed; not here.
            p.ctx.num_tickets = 0
            p.ctx.options |= ssl.OP_NO_TICKET
            with sender(dns, p.port, settings) as m:
                for name, test in list(globals().items()):
                    if name.startswith("test_"):
                        test(m, p, d)
                        n += 1
            settings["minimal_backoff_time"] = "2s"
            with sender(dns, p.port, settings) as m:
                plain_later(m, p)
            settings.update({"smtp_tls_handshake_limit": "2",
                             "smtp_starttls_timeout": "300s"})
            with sender(dns, p.port, settings) as m:
                handshake_limit(m, p)
    print(f"{n + 2} passed, 0 failed, 0 skipped")


socket.setdefaulttimeout(60)
main()
