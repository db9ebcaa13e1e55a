#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Submission: logins over TLS with the clients that people have, bound to
their connection, in nobody else's name, within a quota; and no password hash
in smtpd's memory."""
import base64
import hashlib
import hmac
import os
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance, free_port  # noqa: E402
from memory import hashes, in_memory  # noqa: E402

ALICE, BOB = "alice@example.test", "bob@example.test"


class Submission(Instance):
    def __init__(self):
        self.port, self.tls_port = free_port(), free_port()
        options = ("  -o smtpd_sasl_auth_enable=yes\n"
                   "  -o smtpd_sender_restrictions=$mua_sender_restrictions\n"
                   "  -o smtpd_relay_restrictions=permit_sasl_authenticated,"
                   "reject\n")
        super().__init__(settings={
            "smtpd_tls_chain_files": "{base}/etc/server.pem",
            "authd_failure_delay": "0s",
            "smtpd_sender_login_maps":
                "pcre:{{{{/^([^@+]+)([+][^@]*)?@(.+)$$/ $$1@$$3}}}}",
            "sender_quota_maps": "inline:{{ {{bob@example.test = 5/1h}} }}",
            "sender_domain_quota_maps": "inline:{{ {{example.test = "
                                        "100/1h}} }}",
            "sender_quota_notify_recipient": "carol@example.test",
            "default_transport": "discard",
        }, services="keyd unix - - - - 1 keyd\n"
                    f"127.0.0.1:{self.port} inet n - - - - smtpd\n{options}"
                    "  -o smtpd_tls_security_level=encrypt\n"
                    f"127.0.0.1:{self.tls_port} inet n - - - - smtpd\n"
                    f"{options}  -o smtpd_tls_wrappermode=yes\n")
        self.ca = f"{self.etc}/ca.pem"
        self.command("mansio", "cert", "selfsign", "-A",
                     f"{self.etc}/ca-key.pem", "Test CA")
        with open(self.ca, "w", encoding="ascii") as f:
            f.write(self.command("mansio", "cert", "show", "-p",
                                 f"{self.etc}/ca-key.pem").stdout)
        self.command("mansio", "cert", "selfsign", "-C",
                     f"{self.etc}/ca-key.pem", "-t", "ecdsa",
                     f"{self.etc}/server.pem", "mail.example.test",
                     "127.0.0.1", "localhost")
        for user, password in ((ALICE, "wonderland"), (BOB, "builder")):
            self.command("mansio", "user", "add", user,
                         input=password + "\n")

    def context(self):
        return ssl.create_default_context(cafile=self.ca)

    def implicit(self):
        s = smtplib.SMTP_SSL("127.0.0.1", self.tls_port, timeout=30,
                             context=self.context())
        s.ehlo()
        return s

    def pids(self, program):
        return [p for p, n in self.children().items() if n == program]


def python(m):
    with smtplib.SMTP("127.0.0.1", m.port, timeout=30) as s:
        s.ehlo()
        assert "auth" not in s.esmtp_features
        assert s.docmd("AUTH", "PLAIN AAAA")[0] in (530, 538)
        s.starttls(context=m.context())
        s.ehlo()
        assert "SCRAM-SHA-256" in s.esmtp_features["auth"].split()
        # Accepted all the same, see bound().
        assert "PLUS" not in s.esmtp_features["auth"]
        s.login(ALICE, "wonderland")
        s.sendmail(ALICE, ["x@elsewhere.test", BOB], "Subject: one\n\nhi\n")
        code, text = s.docmd("MAIL", f"FROM:<{BOB}>")
        code, text = s.docmd("RCPT", "TO:<x@elsewhere.test>")
        assert code == 553 and b"not owned by user alice" in text, text
    m.wait_idle()
    text = m.maildir("bob")[-1].decode()
    assert " with ESMTPSA id " in text, text
    for name in ("Date: ", "Message-Id: ", "From: "):
        assert name in text, (name, text)


def scram_plus(m, binding=None, password="wonderland"):
    """The code at the end of SCRAM-SHA-256-PLUS, tls-server-end-point."""
    def b64(x):
        return base64.b64encode(x).decode()
    with m.implicit() as s:
        cert = s.sock.getpeercert(True)
        cb = binding or hashlib.sha256(cert).digest()
        gs2 = b"p=tls-server-end-point,,"
        bare = b"n=" + ALICE.encode() + b",r=" + b64(os.urandom(12)).encode()
        code, text = s.docmd("AUTH", "SCRAM-SHA-256-PLUS " + b64(gs2 + bare))
        assert code == 334, (code, text)
        first = base64.b64decode(text)
        f = dict(x.split(b"=", 1) for x in first.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(),
                                     base64.b64decode(f[b"s"]), int(f[b"i"]))
        key = hmac.new(salted, b"Client Key", "sha256").digest()
        final = b"c=" + b64(gs2 + cb).encode() + b",r=" + f[b"r"]
        auth = bare + b"," + first + b"," + final
        sig = hmac.new(hashlib.sha256(key).digest(), auth, "sha256").digest()
        proof = bytes(a ^ b for a, b in zip(key, sig))
        code, text = s.docmd(b64(final + b",p=" + b64(proof).encode()))
        if code != 334:
            return code
        want = hmac.new(hmac.new(salted, b"Server Key", "sha256").digest(),
                        auth, "sha256").digest()
        assert base64.b64decode(text) == b"v=" + b64(want).encode()
        return s.docmd("")[0]


def bound(m):
    assert scram_plus(m) == 235
    assert scram_plus(m, password="wrong") == 535
    assert scram_plus(m, binding=b"another's".ljust(32)) == 535


def run(*args, **kw):
    return subprocess.run(args, capture_output=True, text=True, timeout=60,
                          **kw)


def swaks(m):
    """STARTTLS and TLS at once, with the mechanisms it has."""
    n = 0
    for port, how in ((m.port, "--tls"), (m.tls_port, "--tls-on-connect")):
        for mech in ("PLAIN", "LOGIN"):
            for password, code in (("wonderland", 0), ("wrong", 28)):
                done = run("swaks", "--server", f"127.0.0.1:{port}", how,
                           "--auth", mech, "--auth-user", ALICE,
                           "--auth-password", password, "--from", ALICE,
                           "--to", BOB)
                if "requires Net::SSLeay" in done.stdout + done.stderr:
                    print("skip: swaks (without TLS)")
                    return 0
                assert done.returncode == code, (mech, password, done)
                n += code == 0
    # It is told to log in without TLS, and does not come to it.
    done = run("swaks", "--server", f"127.0.0.1:{m.port}", "--auth", "PLAIN",
               "--auth-user", ALICE, "--auth-password", "wonderland",
               "--from", ALICE, "--to", BOB)
    assert done.returncode == 28 and "wonderland" not in m.log(), done
    return n


def s_nail(m):
    n = 0
    for scheme, port, more in (("submissions", m.tls_port, []),
                               ("submission", m.port,
                                ["-S", "smtp-use-starttls"])):
        for auth in ("plain", "login"):
            done = run("s-nail", "-:/", "-S", "v15-compat=y", "-S",
                       f"mta={scheme}://alice%40example.test:wonderland@"
                       f"localhost:{port}", *more,
                       "-S", f"tls-ca-file={m.ca}", "-S", "tls-verify=strict",
                       "-S", f"smtp-auth={auth}", "-S",
                       f"DEAD={m.base}/dead", "-S", "sendwait",
                       "-r", ALICE, "-s", f"s-nail {auth}", BOB,
                       input="hi\n", env=dict(os.environ, HOME=m.base))
            assert done.returncode == 0, (scheme, auth, done)
            n += 1
    return n


def clients(m):
    mail = "From: alice@example.test\nTo: bob@example.test\n" \
        "Subject: {}\n\nhi\n"
    before = len(m.maildir("bob"))
    want = 0
    if shutil.which("curl"):
        path = f"{m.base}/mail.txt"
        with open(path, "w", encoding="ascii") as f:
            f.write(mail.format("curl").replace("\n", "\r\n"))
        for url, more in ((f"smtp://127.0.0.1:{m.port}", ["--ssl-reqd"]),
                          (f"smtps://127.0.0.1:{m.tls_port}", [])):
            done = run("curl", "-sS", "--cacert", m.ca, *more, "--url", url,
                       "-u", ALICE + ":wonderland", "--mail-from", ALICE,
                       "--mail-rcpt", BOB, "-T", path)
            assert done.returncode == 0, done
            want += 1
        done = run("curl", "-sS", "--cacert", m.ca, "--url",
                   f"smtps://127.0.0.1:{m.tls_port}", "-u", ALICE + ":wrong",
                   "--mail-from", ALICE, "--mail-rcpt", BOB, "-T", path)
        assert done.returncode == 67, done
    else:
        print("skip: curl (not installed)")
    if shutil.which("msmtp"):
        for auth in ("plain", "login", "scram-sha-256", "scram-sha-1"):
            done = run("msmtp", "--host=127.0.0.1", f"--port={m.tls_port}",
                       "--tls=on", "--tls-starttls=off",
                       f"--tls-trust-file={m.ca}", f"--auth={auth}",
                       f"--user={ALICE}", "--passwordeval=echo wonderland",
                       f"--from={ALICE}", BOB, input=mail.format(auth))
            assert done.returncode == 0, (auth, done)
            want += 1
    else:
        print("skip: msmtp (not installed)")
    if shutil.which("swaks"):
        want += swaks(m)
    else:
        print("skip: swaks (not installed)")
    if shutil.which("s-nail"):
        want += s_nail(m)
    else:
        print("skip: s-nail (not installed)")
    if shutil.which("mutt"):
        with open(f"{m.base}/muttrc", "w", encoding="ascii") as f:
            f.write(f"set ssl_force_tls=yes certificate_file={m.ca}\n"
                    f"set smtp_url=smtps://{ALICE}@127.0.0.1:{m.tls_port}/\n"
                    "set smtp_pass=wonderland use_envelope_from=yes "
                    f"from={ALICE} record='' hostname=example.test\n")
        done = run("mutt", "-n", "-F", f"{m.base}/muttrc", "-s", "mutt",
                   "--", BOB, input="hi\n", env=dict(os.environ, HOME=m.base))
        assert done.returncode == 0, done
        want += 1
    else:
        print("skip: mutt (not installed)")
    m.wait_idle()
    assert len(m.maildir("bob")) == before + want


def held_again(m):
    end = time.monotonic() + 30
    while True:
        try:
            with m.implicit() as s:
                s.login(BOB, "builder")
                s.sendmail(BOB, ["x@elsewhere.test"], "Subject: y\n\nhi\n")
            break
        except (smtplib.SMTPException, OSError):
            assert time.monotonic() < end
            time.sleep(0.2)
    while [q["queue_name"] for q in m.queue()] != ["hold"]:
        assert time.monotonic() < end, m.queue()
        time.sleep(0.1)
    m.command("postsuper", "-d", "ALL")


def quota(m):
    """Five recipients an hour for bob: more is held, and one is told."""
    with m.implicit() as s:
        s.login(BOB, "builder")
        for i in range(5):
            s.sendmail(BOB, ["x@elsewhere.test"], f"Subject: {i}\n\nhi\n")
        for i in range(3):
            s.sendmail(BOB, ["x@elsewhere.test"], f"Subject: {i}\n\nhi\n")
    end = time.monotonic() + 20
    while True:
        held = [q for q in m.queue() if q["queue_name"] == "hold"]
        if len(held) == 3 and len(m.queue()) == 3:
            break
        assert time.monotonic() < end, m.queue()
        time.sleep(0.1)
    assert m.log().count("hold: sender quota of bob@example.test: more than "
                         "5 recipients in 3600 seconds") == 3
    # The postmaster has one notice, with what to do.
    while not m.maildir("carol"):
        assert time.monotonic() < end, m.log()[-3000:]
        time.sleep(0.1)
    notices = [t for t in m.maildir("carol") if b"sending quota" in t]
    assert len(notices) == 1, notices
    assert b"mansio user disable bob@example.test" in notices[0]
    m.command("postsuper", "-H", "ALL")
    m.wait_idle()
    # Neither a restart nor a crash of cleanup gives bob a new quota.
    m.stop()
    m.start()
    held_again(m)
    time.sleep(1.5)
    cleanup, = m.pids("cleanup")
    os.kill(cleanup, signal.SIGKILL)
    held_again(m)
    with open(f"{m.base}/lib/sender_quota", encoding="ascii") as f:
        assert "3600:5 bob@example.test" in f.read()
    # Others go on.
    with m.implicit() as s:
        s.login(ALICE, "wonderland")
        s.sendmail(ALICE, [BOB], "Subject: x\n\nhi\n")
    m.wait_idle()


def no_hash_in_memory(m):
    if os.environ.get("SAN"):
        print("skip: memory (a sanitizer's is too much to look through)")
        return
    needles = hashes(f"{m.etc}/users")
    authd, = m.pids("authd")
    assert in_memory(authd, needles), "the test does not see hashes"
    for program in ("smtpd", "cleanup", "qmgr", "rewrite"):
        for pid in m.pids(program):
            assert not in_memory(pid, needles), (program, pid)
    with open(f"/proc/{authd}/status", encoding="ascii") as f:
        status = dict(x.split(":", 1) for x in f.read().splitlines())
    assert status["Seccomp"].strip() == "2" and \
        int(status["CapEff"], 16) == 0, status
    assert status["Uid"].split()[0] != "0"


with Submission() as inst:
    for test in (python, bound, clients, quota, no_hash_in_memory):
        test(inst)
        print("ok:", test.__name__)
    assert "wonderland" not in inst.log()
print("5 passed, 0 failed, 0 skipped")
