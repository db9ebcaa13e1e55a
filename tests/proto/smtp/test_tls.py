#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: levels of TLS, policies, fingerprints, what follows when it fails;
AUTH."""
import base64
import hashlib
import hmac
import os
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peerlib  # noqa: E402
from peerlib import DNS, sender, wait_rcpt  # noqa: E402
from tlslib import TLSPeer, run  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
ZONES = {"plain.test": {"MX": ["10 mx.plain.test"]},
         "mx.plain.test": {"A": ["127.0.0.1"]}}


# Each mail a session, whatever was just before.
ALONE = {"smtp_connection_cache_on_demand": "no"}


def send(m, to, want):
    m.send(to, TEXT)
    line = wait_rcpt(m, to)
    assert want in line, (want, line)
    return line


def test_levels(certs):
    with DNS(ZONES) as dns, TLSPeer(certs) as p, sender(dns, p.port, ALONE | {
            "smtp_tls_CAfile": f"{certs}/ca.pem",
            "smtp_tls_policy_maps": "texthash:{base}/etc/policy"}) as m:
        p.starttls()
        pem = subprocess.run(
            ["openssl", "x509", "-in", f"{certs}/mx.plain.test.pem", "-noout",
             "-fingerprint", "-sha256"], capture_output=True, text=True,
            check=True).stdout.strip().partition("=")[2]
        rows = {"none.test": "none", "may.test": "may", "enc.test": "encrypt",
                "ver.test": "verify", "sec.test": "secure match=mx.plain.test",
                "bad.test": "secure", "fp.test": f"fingerprint match={pem}",
                "fpbad.test": "fingerprint match=" + pem[:-2] +
                ("00" if pem[-2:] != "00" else "01"),
                ".sub.test": "verify", "odd.test": "sure",
                "only.test": "dane-only"}
        with open(f"{m.etc}/policy", "w", encoding="ascii") as f:
            f.writelines(f"{k} {v}\n" for k, v in rows.items())
        m.reload()
        for d in list(rows) + ["a.sub.test", "free.test"]:
            if not d.startswith("."):
                dns.zones[d] = {"MX": ["10 mx.plain.test"]}
        for d, secured in [("none.test", 0), ("may.test", 1),
                           ("enc.test", 1), ("ver.test", 1), ("sec.test", 1),
                           ("fp.test", 1), ("a.sub.test", 1),
                           ("free.test", 1)]:
            p.secured = 0
            send(m, f"a@{d}", "status=sent")
            assert bool(p.secured) == bool(secured), d
        log = m.log()
        assert "Verified TLS connection established to mx.plain.test" \
            f"[127.0.0.1]:{p.port}: TLSv1.3 with cipher " in log, log
        assert "Trusted TLS connection established to" in log
        line = send(m, "a@bad.test", "dsn=4.7.5, status=deferred (Server "
                    "certificate not verified")
        send(m, "a@fpbad.test", "dsn=4.7.5, status=deferred")
        send(m, "a@odd.test", "dsn=4.7.5, status=deferred (client TLS "
             "configuration problem)")
        line = send(m, "a@only.test", "status=deferred")
        assert "TLSA" in line, line
        # Not offered.
        p.on.clear()
        send(m, "b@enc.test", "dsn=4.7.4, status=deferred (TLS is required, "
             "but was not offered by host ")
        send(m, "b@may.test", "status=sent")
        # Refused.
        p.starttls()
        p.on["STARTTLS"] = "454 4.7.0 not now"
        send(m, "c@enc.test", "dsn=4.7.4, status=deferred (TLS is required")
        send(m, "c@may.test", "status=sent")
        # Broken: plain text where that will do, but not at once.
        p.on["STARTTLS"] = lambda s, arg: (
            s.s.sendall(b"220 go\r\nthis is no TLS at all, is it?\r\n"),
            s.close())[1]
        send(m, "d@enc.test", "status=deferred")
        send(m, "d@may.test", "dsn=4.7.5, status=deferred")
        m.send("dd@may.test", "TLS-Required: No\r\n" + TEXT)
        assert "status=sent" in wait_rcpt(m, "dd@may.test")
        # What came before the handshake is not taken for an answer.
        p.secured = 0

        def inject(s, arg):
            s.s.sendall(b"220 go\r\n250 injected\r\n")
            p.secure(s)
            return b""
        p.on["STARTTLS"] = inject
        m.send("e@enc.test", TEXT)
        wait_rcpt(m, "e@enc.test")
        assert "injected" not in m.log()


def test_wrapper(certs):
    with DNS(ZONES) as dns, TLSPeer(certs, wrapped=True) as p, sender(
            dns, p.port, ALONE | {"smtp_tls_wrappermode": "yes",
                          "smtp_tls_security_level": "encrypt",
                          "smtp_tls_servername": "hostname"}) as m:
        send(m, "a@plain.test", "status=sent")
        assert p.secured and p.names == ["mx.plain.test"]


def scram(user, password, answers):
    """AUTH SCRAM-SHA-256 at the server."""
    def auth(s, arg):
        first = base64.b64decode(arg.split()[1]).decode()
        bare = first.split(",", 2)[2]
        nonce = bare.split("r=")[1] + "SERVER"
        salt = b"0123456789abcdef"
        server = (f"r={nonce},s={base64.b64encode(salt).decode()},i=4096")
        s.s.sendall(b"334 " + base64.b64encode(server.encode()) + b"\r\n")
        final = base64.b64decode(s.f.readline()).decode()
        without, _, proof = final.rpartition(",p=")
        msg = ",".join((bare, server, without)).encode()
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
        key = hmac.digest(salted, b"Client Key", "sha256")
        stored = hashlib.sha256(key).digest()
        want = bytes(a ^ b for a, b in zip(
            key, hmac.digest(stored, msg, "sha256")))
        ok = base64.b64decode(proof) == want and f"n={user}" in bare
        answers.append(ok)
        skey = hmac.digest(salted, b"Server Key", "sha256")
        sig = hmac.digest(skey, msg, "sha256")
        if answers[0] == "lie":
            sig = bytes(32)
        s.s.sendall(b"334 " + base64.b64encode(
            b"v=" + base64.b64encode(sig)) + b"\r\n")
        if not s.f.readline():
            return peerlib.CLOSE
        return "235 2.7.0 ok" if ok else "535 5.7.8 no"
    return auth


def test_auth(certs):
    with DNS(ZONES) as dns, TLSPeer(certs) as p, sender(dns, p.port, ALONE | {
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_password_maps": "texthash:{base}/etc/secret",
            "smtp_sender_dependent_authentication": "yes",
            "smtp_sasl_tls_security_options": "noanonymous"}) as m:
        with open(f"{m.etc}/secret", "w", encoding="ascii") as f:
            f.write("mx.plain.test joe:se=cret,:x\n"
                    "special@example.org jane:other\n")
        # Nobody but root may read passwords; they stay open over a reload.
        os.chmod(f"{m.etc}/secret", 0o600)
        m.stop()
        m.start()
        m.reload()
        p.starttls()
        p.extra = "250-AUTH PLAIN LOGIN\n"
        got = []
        p.on["AUTH"] = lambda s, arg: (
            got.append((arg, isinstance(s.s, ssl.SSLSocket))),
            "235 2.7.0 ok")[1]
        send(m, "a@plain.test", "status=sent")
        assert got == [("PLAIN " + base64.b64encode(
            b"\0joe\0se=cret,:x").decode(), True)], got
        got.clear()
        m.send("b@plain.test", TEXT, sender="special@example.org")
        assert "status=sent" in wait_rcpt(m, "b@plain.test")
        assert base64.b64decode(got[0][0][6:]) == b"\0jane\0other"
        # LOGIN asks twice.
        p.extra = "250-AUTH LOGIN\n"
        words = []

        def login(s, arg):
            for q in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"):
                s.s.sendall(q)
                words.append(base64.b64decode(s.f.readline()))
            return "235 2.7.0 ok"
        p.on["AUTH"] = login
        with open(f"{m.etc}/main.cf", "a", encoding="ascii") as f:
            f.write("smtp_send_dummy_mail_auth = yes\n")
        m.stop()
        m.start()
        send(m, "c@plain.test", "status=sent")
        mails = [x.mail for x in p.messages]
        assert "AUTH=" not in mails[-2], mails
        assert mails[-1].endswith(" AUTH=<>"), mails
        assert words == [b"joe", b"se=cret,:x"], words
        # SCRAM: the server proves itself, too.
        p.extra = "250-AUTH PLAIN SCRAM-SHA-256\n"
        answers = ["honest"]
        p.on["AUTH"] = scram("joe", "se=cret,:x", answers)
        send(m, "d@plain.test", "status=sent")
        assert answers == ["honest", True]
        p.on["AUTH"] = scram("joe", "se=cret,:x", ["lie"])
        send(m, "e@plain.test", "dsn=4.7.0, status=deferred (SASL "
             "authentication failed: the server does not know the password)")
        # Refused: the mail waits.
        p.extra = "250-AUTH PLAIN\n"
        p.on["AUTH"] = "535 5.7.8 no"
        send(m, "f@plain.test", "dsn=4.7.8, status=deferred (SASL "
             "authentication failed; server mx.plain.test[127.0.0.1] said: "
             "535 5.7.8 no)")
        # Never the password in plain text.
        del p.on["STARTTLS"]
        p.on["EHLO"] = "250-peer.test\n250 AUTH PLAIN LOGIN"
        got.clear()
        p.on["AUTH"] = lambda s, arg: (got.append(arg), "235 ok")[1]
        send(m, "g@plain.test", "dsn=4.7.0, status=deferred (SASL "
             "authentication failed: no mechanism available")
        assert not got
        assert "se=cret" not in m.log()


socket.setdefaulttimeout(60)
run(globals())
