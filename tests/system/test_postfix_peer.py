#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""Postfix and Mansio exchange mail over TLS, in both directions."""
import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../proto/smtp"))
sys.path.insert(0, os.path.join(HERE, "../bench"))
from peerlib import (DNS, SERVICES, Instance, need_root,  # noqa: E402
                     skip, wait_rcpt)
from tlslib import make_certs  # noqa: E402
import instance  # noqa: E402
import postfix  # noqa: E402

TEXT = "Subject: to {n}\r\n\r\nhello {n}\r\n"


def start_postfix(base, certs, port, back):
    p = postfix.Postfix(base, port, 3)
    with open(f"{base}/etc/main.cf", "a", encoding="ascii") as f:
        f.write(f"smtpd_tls_cert_file = {certs}/mx.plain.test.pem\n"
                f"smtpd_tls_key_file = {certs}/mx.plain.test.key\n"
                "smtpd_tls_security_level = may\n"
                "smtpd_tls_received_header = yes\n"
                "virtual_mailbox_domains = plain.test\n"
                f"virtual_mailbox_maps = hash:{base}/etc/vmailbox\n"
                f"relayhost = [127.0.0.1]:{back}\n"
                "smtp_tls_security_level = encrypt\n")
    p.keep_log()
    with open(f"{base}/etc/vmailbox", "w", encoding="ascii") as f:
        f.writelines(f"u{i}@plain.test plain.test/u{i}/\n" for i in range(3))
    postfix.run("postmap", f"{base}/etc/vmailbox")
    p.start()
    return p


def read_mail(base, user, n, timeout=60):
    end = time.monotonic() + timeout
    path = f"{base}/mail/plain.test/{user}/new"
    while not os.path.isdir(path) or len(os.listdir(path)) < n:
        if time.monotonic() > end:
            with open(f"{base}/log", encoding="utf-8") as f:
                raise TimeoutError(f.read()[-3000:])
        time.sleep(0.1)
    out = []
    for name in os.listdir(path):
        with open(f"{path}/{name}", "rb") as f:
            out.append(f.read())
    return out


def from_postfix(m, port):
    """Through Postfix back to a user of ours."""
    import smtplib
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as s:
        s.sendmail("u1@plain.test", ["bob@example.test"],
                   TEXT.format(n="mansio"))
    end = time.monotonic() + 60
    while not m.maildir("bob"):
        assert time.monotonic() < end, m.log()[-3000:]
        time.sleep(0.1)
    return m.maildir("bob")[0]


def main():
    need_root()
    if not postfix.available():
        skip("no Postfix")
    zones = {"plain.test": {"MX": ["10 mx.plain.test"]},
             "mx.plain.test": {"A": ["127.0.0.1"]}}
    port = instance.free_port()
    with tempfile.TemporaryDirectory() as d, DNS(zones) as dns:
        os.chmod(d, 0o755)
        make_certs(d)
        with open(f"{d}/chain.pem", "w", encoding="ascii") as out:
            for name in ("other.test.key", "other.test.pem"):
                with open(f"{d}/{name}", encoding="ascii") as f:
                    out.write(f.read())
        m = Instance(settings={
            "resolver_servers": f"127.0.0.1:{dns.port}",
            "smtp_tcp_port": str(port),
            "smtp_tls_security_level": "secure",
            "smtp_tls_secure_cert_match": "hostname",
            "smtp_tls_CAfile": f"{d}/ca.pem",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_chain_files": f"{d}/chain.pem",
            "default_destination_recipient_limit": "50"},
            services=SERVICES + "keyd unix - n - - 1 keyd\n")
        p = None
        with m:
            try:
                p = start_postfix(f"{d}/postfix", d, port, m.smtp_port)
                m.send("u0@plain.test", TEXT.format(n="postfix"))
                line = wait_rcpt(m, "u0@plain.test", timeout=60)
                assert "status=sent (250 2.0.0 Ok: " in line and " queued as " in line, line
                got = read_mail(f"{d}/postfix", "u0", 1)[0]
                assert b"hello postfix" in got
                assert b"using TLSv1.3" in got, got
                assert "Verified TLS connection established to " \
                    "mx.plain.test[127.0.0.1]" in m.log()
                # Unknown there: the answer, as Postfix gives it.
                m.send(["nobody@plain.test", "u2@plain.test"],
                       TEXT.format(n="both"))
                line = wait_rcpt(m, "nobody@plain.test", timeout=60)
                assert "dsn=5.1.1, status=bounced (host mx.plain.test[" \
                    "127.0.0.1] said: 550 5.1.1 <nobody@plain.test>: " in line
                read_mail(f"{d}/postfix", "u2", 1)
                got = from_postfix(m, port)
                assert b"hello mansio" in got and b"using TLSv1.3" in got, got
            finally:
                if p is not None:
                    p.stop()
    print("4 passed, 0 failed, 0 skipped")


main()
