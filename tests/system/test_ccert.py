#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""What a client certificate permits, and what access tables say of it: the
answers are Postfix's, where that is installed beside us.

Certificates: of the CA ("ca"), of nobody but listed ("own"), of nobody
("bad"), and none.
"""
import hashlib
import os
import smtplib
import ssl
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../bench"))
from instance import BUILD, Instance, free_port, need_root  # noqa: E402
import postfix  # noqa: E402

KINDS = ("ca", "own", "bad", None)
END = "reject_unauth_destination"
OUR_POSTMAP = (f"{BUILD}/bin/postmap", "-c")

# What smtpd_relay_restrictions say before END -> the reply to each kind.
YES, RELAY = "250 2.1.5", "554 5.7.1"
CASES = {
    "permit_tls_clientcerts": (RELAY, YES, RELAY, RELAY),
    "permit_tls_all_clientcerts": (YES, YES, RELAY, RELAY),
    # The table has own's certificate (OK), ca's key (450), bad's (REJECT).
    "check_ccert_access hash:{d}/access": ("450 4.7.1", YES, "554 5.7.9",
                                           RELAY),
    "check_ccert_access { hash:{d}/access, { search_order = "
    "cert_fingerprint } }": (RELAY, YES, "554 5.7.9", RELAY),
    "check_ccert_access { hash:{d}/access { search_order = "
    "pubkey_fingerprint } }": ("450 4.7.1", RELAY, RELAY, RELAY),
    "check_ccert_access { hash:{d}/access, { search_order = "
    "pubkey_fingerprint, cert_fingerprint } }": ("450 4.7.1", YES,
                                                 "554 5.7.9", RELAY),
    "check_ccert_access hash:{d}/missing": ("451 4.3.5", "451 4.3.5",
                                            "451 4.3.5", RELAY),
}


def make_certs(d):
    def ssl_tool(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True,
                       cwd=d)

    def one(name, *sign):
        ssl_tool("req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                 f"{name}.key", "-out", f"{name}.crt", "-days", "2",
                 "-subj", f"/CN={name}.example.test", *sign)
        with open(f"{d}/{name}.pem", "w", encoding="ascii") as f:
            os.fchmod(f.fileno(), 0o600)
            for part in ("key", "crt"):
                with open(f"{d}/{name}.{part}", encoding="ascii") as p:
                    f.write(p.read())

    with open(f"{d}/main.cf", "w", encoding="ascii"):
        pass
    one("root")
    for name in ("mail", "ca"):
        one(name, "-CA", "root.crt", "-CAkey", "root.key", "-addext",
            f"subjectAltName=DNS:{name}.example.test", "-addext",
            "basicConstraints=critical,CA:FALSE")
    one("own")
    one("bad")


def prints(d, name, algorithm="sha256"):
    """(of the certificate, of its public key), as Postfix writes them."""
    def der(*args):
        return subprocess.run(["openssl", *args], check=True, cwd=d,
                              capture_output=True).stdout

    key = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], check=True,
        input=der("x509", "-in", f"{name}.crt", "-pubkey", "-noout"),
        capture_output=True).stdout
    out = []
    for data in (der("x509", "-in", f"{name}.crt", "-outform", "DER"), key):
        h = hashlib.new(algorithm, data).hexdigest().upper()
        out.append(":".join(h[i:i + 2] for i in range(0, len(h), 2)))
    return out


def make_tables(d, postmap):
    with open(f"{d}/access", "w", encoding="ascii") as f:
        f.write(f"{prints(d, 'own')[0]} OK\n"
                f"{prints(d, 'ca')[1]} 450 not today\n"
                f"{prints(d, 'bad')[0]} 554 5.7.9 never\n")
    with open(f"{d}/relay", "w", encoding="ascii") as f:
        f.write(f"{prints(d, 'own')[1]} own.example.test\n")
    for t in ("access", "relay"):
        subprocess.run([*postmap, f"hash:{d}/{t}"], check=True)


def settings(d):
    return {
        "smtpd_tls_chain_files": f"{d}/mail.pem",
        "smtpd_tls_CAfile": f"{d}/root.crt",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_ask_ccert": "yes",
        "smtpd_tls_loglevel": "1",
        "smtpd_tls_fingerprint_digest": "sha256",
        "relay_clientcerts": f"hash:{d}/relay",
        "mynetworks": "192.0.2.0/24",
        "transport_maps": "static:discard:",
    }


def services(d, ports, flags):
    """A service for each case; "{" begins a value with spaces."""
    return "".join(
        f"127.0.0.1:{port} inet n - {flags} - - smtpd\n"
        "  -o { smtpd_relay_restrictions = "
        f"{case.replace('{d}', d)}, {END} }}\n"
        for port, case in zip(ports, CASES))


def context(d, kind):
    c = ssl.create_default_context(cafile=f"{d}/root.crt")
    if kind is not None:
        c.load_cert_chain(f"{d}/{kind}.pem")
    return c


def ask(d, port, kind):
    """The answers to RCPT, for a fresh TLS session and a resumed one."""
    s = smtplib.SMTP("127.0.0.1", port, timeout=60)
    s.ehlo("client.example")
    s._host = "mail.example.test"
    s.starttls(context=context(d, kind))
    s.ehlo("client.example")
    s.mail("a@client.example")
    code, text = s.rcpt("x@elsewhere.example")
    s.quit()
    return f"{code} {text.decode().split(' ')[0]}"


def answers(d, ports):
    return {case: tuple(ask(d, port, k) for k in KINDS)
            for case, port in zip(CASES, ports)}


def ours(d):
    make_tables(d, OUR_POSTMAP + (d,))
    ports = [free_port() for _ in CASES]
    with Instance(settings(d), services="keyd unix - - - - 1 keyd\n" +
                  services(d, ports, "-")) as m:
        got = answers(d, ports)
        # Untrusted, and nevertheless with its fingerprint in the log.
        m.wait_log("Untrusted: subject_CN=own.example.test, "
                   "issuer_CN=own.example.test, fingerprint=" +
                   prints(d, "own")[0] + ", pkey_fingerprint=" +
                   prints(d, "own")[1])
    return got


def digests(d):
    """smtpd_tls_fingerprint_digest; and what req_ccert does to strangers."""
    with open(f"{d}/relay512", "w", encoding="ascii") as f:
        f.write(f"{prints(d, 'own', 'sha512')[0]} x\n")
    subprocess.run([*OUR_POSTMAP, d, f"hash:{d}/relay512"], check=True)
    strict = free_port()
    extra = {"smtpd_tls_fingerprint_digest": "sha512",
             "relay_clientcerts": f"hash:{d}/relay, hash:{d}/relay512",
             "smtpd_relay_restrictions": "permit_tls_clientcerts, " + END}
    with Instance({**settings(d), **extra}, services="keyd unix - - - - 1 "
                  "keyd\n" f"127.0.0.1:{strict} inet n - - - - smtpd\n"
                  "  -o smtpd_tls_security_level=encrypt\n"
                  "  -o smtpd_tls_req_ccert=yes\n") as m:
        assert ask(d, m.smtp_port, "own") == YES
        assert ask(d, m.smtp_port, "ca") == RELAY
        assert ask(d, strict, "ca") == RELAY
        for kind in ("own", "bad", None):
            try:
                ask(d, strict, kind)
                raise AssertionError(f"{kind} was let in")
            except (smtplib.SMTPException, OSError):
                pass
        # Each time it shows its certificate, or is known from a ticket.
        c = context(d, "own")
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        session = None
        for resumed in (False, True):
            s = smtplib.SMTP("127.0.0.1", m.smtp_port, timeout=60)
            s.ehlo("x")
            assert s.docmd("STARTTLS")[0] == 220
            s.sock = c.wrap_socket(s.sock, session=session,
                                   server_hostname="mail.example.test")
            s.file = None
            assert s.sock.session_reused == resumed
            session = s.sock.session
            s.ehlo("x")
            s.mail("a@client.example")
            assert s.rcpt("x@elsewhere.example")[0] == 250
            s.quit()


def theirs(d):
    port = free_port()
    ports = [free_port() for _ in CASES]
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o755)
        make_tables(d, ("postmap",))
        p = postfix.Postfix(base, port, 1)
        with open(f"{base}/etc/main.cf", "a", encoding="ascii") as f:
            f.writelines(f"{k} = {v}\n" for k, v in settings(d).items())
        with open(f"{base}/etc/master.cf", "a", encoding="ascii") as f:
            f.write(services(d, ports, "n"))
        p.start()
        try:
            return answers(d, ports)
        finally:
            p.stop()


def main():
    need_root()
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        make_certs(d)
        got = ours(d)
        for case, want in CASES.items():
            assert got[case] == want, (case, got[case], want)
        digests(d)
        if not postfix.available():
            print("skip: no Postfix to compare with")
            return
        for case, answer in theirs(d).items():
            assert got[case] == answer, (case, got[case], answer)


main()
