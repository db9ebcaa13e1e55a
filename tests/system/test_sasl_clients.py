#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Each mechanism as programs of others speak it: gsasl, msmtp, mpop; what is
right is let in and what is wrong is not."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mailusers import PASSWORDS, TIMEOUT  # noqa: E402
from sasltarget import SaslTarget  # noqa: E402

ALICE, RIGHT = "alice@example.test", PASSWORDS["alice"]
PASSWORD_MECHS = ("plain", "login", "scram-sha-1", "scram-sha-256")


def run(*command, stdin=""):
    return subprocess.run(command, input=stdin, capture_output=True,
                          text=True, timeout=2 * TIMEOUT, check=False)


def gsasl(m):
    """-PLUS is bound to TLS as GnuTLS sees it (RFC 9266).  Without, gsasl
    2.2.0 has to be told that there is nothing to bind to: where there is, it
    fails before it says a word, with every server (Dovecot, too)."""
    for protocol in ("smtp", "imap"):
        for mech in PASSWORD_MECHS + ("scram-sha-1-plus", "scram-sha-256-plus",
                                      None):
            for password in (RIGHT, "x" + RIGHT):
                more = [] if mech is None else ["-m", mech.upper()]
                if mech and not mech.endswith("-plus"):
                    more.append("--no-cb")
                done = run("gsasl", "--client", f"--{protocol}", "--connect",
                           f"localhost:{m.plain[protocol]}", "-a", ALICE,
                           "-p", password, f"--x509-ca-file={m.ca}", *more)
                assert (done.returncode == 0) == (password == RIGHT), (
                    protocol, mech, password, done)
    # Of all, it took the one that is bound, where it saw one.
    assert "method=SCRAM-SHA-256-PLUS user=<" + ALICE in m.log()


def gsasl_quiet(m):
    """What is not announced is there for who asks for it."""
    for protocol in ("smtp", "imap"):
        for mech in ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"):
            done = run("gsasl", "--client", f"--{protocol}", "--verbose",
                       "--connect", f"localhost:{m.plain[protocol]}", "-a",
                       ALICE, "-p", RIGHT, f"--x509-ca-file={m.ca}", "-m",
                       mech)
            assert done.returncode == 0, (protocol, mech, done)
            assert "-PLUS" not in done.stdout.replace(
                f"AUTH {mech}", "").replace(f"AUTHENTICATE {mech}", ""), done


def secrets(m, mech):
    """What is right, and what is not."""
    if mech in ("oauthbearer", "xoauth2"):
        return m.key.token(), m.key.token(exp=1)
    return RIGHT, "x" + RIGHT


def msmtp(m):
    for mech in PASSWORD_MECHS + ("oauthbearer", "xoauth2"):
        for starttls, ports in (("on", m.plain), ("off", m.implicit)):
            for n, secret in enumerate(secrets(m, mech)):
                done = run("msmtp", "--host=localhost",
                           f"--port={ports['smtp']}", "--tls=on",
                           f"--tls-starttls={starttls}",
                           f"--tls-trust-file={m.ca}", f"--auth={mech}",
                           f"--user={ALICE}", f"--passwordeval=echo {secret}",
                           f"--from={ALICE}", "bob@example.test",
                           stdin="Subject: x\n\nx\n")
                assert (done.returncode == 0) == (n == 0), (
                    mech, starttls, n, done)


def mpop(m):
    path = f"{m.base}/mpoprc"
    for mech in PASSWORD_MECHS + ("oauthbearer", "xoauth2"):
        for starttls, ports in (("on", m.plain), ("off", m.implicit)):
            for n, secret in enumerate(secrets(m, mech)):
                with open(path, "w", encoding="ascii") as f:
                    os.fchmod(f.fileno(), 0o600)
                    f.write(f"""\
account default
host localhost
port {ports["pop3"]}
user {ALICE}
passwordeval echo {secret}
auth {mech}
tls on
tls_starttls {starttls}
tls_trust_file {m.ca}
uidls_file {m.base}/uidls
delivery mbox {m.base}/got
""")
                done = run("mpop", "-C", path)
                assert (done.returncode == 0) == (n == 0), (
                    mech, starttls, n, done)


def main():
    passed = 0
    with SaslTarget() as m:
        for case in (gsasl, msmtp, mpop):
            if not shutil.which(case.__name__):
                print(f"skip: {case.__name__}: no {case.__name__} here")
                continue
            case(m)
            passed += 1
    if shutil.which("gsasl"):
        with SaslTarget(authd_mechanism_quiet="scram-sha-256-plus, "
                        "scram-sha-1-plus") as m:
            gsasl_quiet(m)
        passed += 1
    print(f"{passed} passed, 0 failed, 0 skipped")


main()
