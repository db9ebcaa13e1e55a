#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: a certificate for servers that ask for one, whose key keyd holds."""
import os
import signal
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../system")]
from memory import in_memory, private_parts  # noqa: E402
from peerlib import DNS, sender, wait_rcpt  # noqa: E402
from tlslib import TLSPeer, openssl, run  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
ZONES = {"plain.test": {"MX": ["10 mx.plain.test"]},
         "mx.plain.test": {"A": ["127.0.0.1"]}}


class Asker(TLSPeer):
    """Demands a certificate of the CA, and notes who showed which."""

    def __init__(self, certs, **kw):
        super().__init__(certs, **kw)
        self.shown = []
        self.ctx.verify_mode = ssl.CERT_REQUIRED
        self.ctx.load_verify_locations(f"{certs}/ca.pem")
        self.starttls()

    def secure(self, x):
        super().secure(x)
        cert = x.s.getpeercert()
        name = dict(p[0] for p in cert["subject"])["commonName"]
        self.shown.append((name, x.s.version(), x.s.session_reused))


def one(certs, name, kind="EC", cn=None):
    """name.pem: the key, and the certificate of the CA."""
    how = ["-algorithm", kind]
    if kind == "EC":
        how += ["-pkeyopt", "ec_paramgen_curve:P-256"]
    openssl("genpkey", *how, "-out", f"{certs}/{name}.key")
    openssl("req", "-new", "-key", f"{certs}/{name}.key", "-out",
            f"{certs}/{name}.csr", "-subj", f"/CN={cn or name}")
    openssl("x509", "-req", "-days", "9", "-in", f"{certs}/{name}.csr", "-CA",
            f"{certs}/ca.pem", "-CAkey", f"{certs}/ca.key",
            "-CAcreateserial", "-out", f"{certs}/{name}.crt")
    with open(f"{certs}/{name}.new", "w", encoding="ascii") as out:
        os.fchmod(out.fileno(), 0o600)
        for part in ("key", "crt"):
            with open(f"{certs}/{name}.{part}", encoding="ascii") as f:
                text = f.read()
            out.write(text)
    os.rename(f"{certs}/{name}.new", f"{certs}/{name}.pem")


def send(m, to, want="status=sent"):
    m.send(to, TEXT)
    line = wait_rcpt(m, to)
    assert want in line, (want, line)


SERVICES = "keyd unix - - - - 1 keyd\n"


def settings(certs, **more):
    return {"smtp_tls_CAfile": f"{certs}/ca.pem",
            "smtp_tls_security_level": "secure",
            "smtp_tls_secure_cert_match": "mx.plain.test",
            "smtp_connection_cache_on_demand": "no",
            "keyd_check_interval": "1s", **more}


def test_shown(certs):
    """Each kind of key, TLS 1.2 and 1.3, and by the old parameters."""
    for kind, more in (
            ("EC", {"smtp_tls_chain_files": f"{certs}/own.pem"}),
            ("RSA", {"smtp_tls_cert_file": f"{certs}/own.crt",
                     "smtp_tls_key_file": f"{certs}/own.key"}),
            ("ED25519", {"smtp_tls_chain_files": f"{certs}/own.pem"}),
            ("EC", {"smtp_tls_eccert_file": f"{certs}/own.pem"})):
        one(certs, "own", kind)
        with DNS(ZONES) as dns, Asker(certs) as p, sender(
                dns, p.port, settings(certs, **more),
                services=SERVICES) as m:
            send(m, "a@plain.test")
            assert p.shown == [("own", "TLSv1.3", False)], p.shown
            p.ctx.maximum_version = ssl.TLSVersion.TLSv1_2
            send(m, "b@plain.test")
            assert p.shown[1][:2] == ("own", "TLSv1.2"), p.shown
            if not os.environ.get("SAN"):
                keys = private_parts(f"{certs}/own.key")
                for pid, name in m.children().items():
                    if name in ("smtp", "smtpd"):
                        assert not in_memory(pid, keys), name
                        break


def test_none(certs):
    """Without the setting nothing is shown, and such a server waits."""
    with DNS(ZONES) as dns, Asker(certs) as p, sender(
            dns, p.port, settings(certs), services=SERVICES) as m:
        send(m, "a@plain.test", "status=deferred")
        assert not p.shown


def test_renewed(certs):
    one(certs, "own", cn="old")
    with DNS(ZONES) as dns, Asker(certs) as p, sender(
            dns, p.port, settings(
                certs, smtp_tls_chain_files=f"{certs}/own.pem"),
            services=SERVICES) as m:
        send(m, "a@plain.test")
        one(certs, "own", "RSA", cn="new")
        m.wait_log("new certificate", 30)
        time.sleep(0.5)
        send(m, "b@plain.test")
        assert [s[0] for s in p.shown] == ["old", "new"], p.shown
        # A key that does not fit: the last good pair stays.
        with open(f"{certs}/own.pem", "w", encoding="ascii") as f:
            f.write("nonsense\n")
        m.wait_log("the old certificate stays", 30)
        send(m, "c@plain.test")
        assert p.shown[2][0] == "new"


def test_keyd_away(certs):
    """Mail waits, also where a server would refuse it for good."""
    one(certs, "own")
    with DNS(ZONES) as dns, Asker(certs) as p, sender(
            dns, p.port, settings(
                certs, smtp_tls_chain_files=f"{certs}/own.pem",
                minimal_backoff_time="1s", queue_run_delay="1s"),
            services=SERVICES) as m:
        send(m, "a@plain.test")
        keyd, = [pid for pid, n in m.children().items() if n == "keyd"]
        os.kill(keyd, signal.SIGSTOP)
        m.send("b@plain.test", TEXT)
        time.sleep(2)
        os.kill(keyd, signal.SIGKILL)
        # master starts another, which has the same key.
        end = time.monotonic() + 60
        while "to=<b@plain.test>" not in m.log() or \
                "status=sent" not in wait_last(m, "b@plain.test"):
            assert time.monotonic() < end, m.log()[-3000:]
            time.sleep(0.2)
        assert {s[0] for s in p.shown} == {"own"}
        assert "status=bounced" not in m.log()


def wait_last(m, to):
    return [x for x in m.log().splitlines() if f"to=<{to}>" in x][-1]


def test_missing(certs):
    """A file that is not there: said at the start; and when it goes away
    later, nothing is sent without it, nor lost."""
    one(certs, "own")
    with DNS(ZONES) as dns, Asker(certs) as p, sender(
            dns, p.port, settings(
                certs, smtp_tls_chain_files=f"{certs}/own.pem"),
            services=SERVICES) as m:
        os.unlink(f"{certs}/own.pem")
        done = m.command("mansio", "check", check=False)
        assert "own.pem: No such file" in done.stdout + done.stderr, done
        keyd, = [pid for pid, n in m.children().items() if n == "keyd"]
        os.kill(keyd, signal.SIGKILL)
        send(m, "a@plain.test", "status=deferred")
        assert "our client certificate is not available" in m.log()
        assert not p.shown


socket.setdefaulttimeout(60)
run(globals())
