#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""No private key and no password hash lies in the memory of any daemon but
the one that keeps it, after logins, handshakes and mail in both directions;
no password lies anywhere once its login is over."""
import base64
import imaplib
import json
import os
import smtplib
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../proto/authd")]
from authlib import Client, Key  # noqa: E402
from instance import BUILD, first_user, free_port, skip  # noqa: E402
from mailusers import PASSWORDS, Users  # noqa: E402
from memory import below, hashes, in_memory, private_parts  # noqa: E402

if "/san-" in BUILD:
    skip("a sanitizer's memory is too much to look through")

KEYS = {"keyd"}
# authd, and the process that writes renewed hashes for it.
HASHES = {"authd", "authd-keeper"}
# It is the program itself that is told a password; its hash comes later.
WANTED = {"master", "smtpd", "lmtpd", "imapd", "pop3d", "session",
          "session-user", "cleanup", "qmgr", "rewrite", "resolver", "smtp",
          "virtual", "bounce", "keyd", "authd", "authd-nurse",
          "authd-keeper", "authd-introspec", "session-spare",
          "quotad", "delegate", "mtasts", "tlsrpt", "verify", "pickup", "showq", "error",
          "retry", "discard", "local", "lmtp", "pipe"}
ASLEEP = ("private/quotad", "private/verify", "private/delegate", "public/pickup",
          "public/showq", "private/error", "private/again=retry",
          "private/discard", "private/local", "private/bounce",
          "private/lmtp", "private/pipe")
SECRET = "a password that is long enough to be looked for"
# As it is, and as PLAIN brings it.
PASSWORD = {SECRET.encode(), base64.b64encode(
    f"\0carol@example.test\0{SECRET}".encode())[:60]}


class Secrets(Users):
    def __init__(self):
        self.submission, self.other = free_port(), free_port()
        PASSWORDS["carol"] = SECRET
        super().__init__(tls=True, settings={
            "relayhost": f"[127.0.0.1]:{self.other}",
            "smtp_tls_security_level": "encrypt",
            "default_process_limit": "5",
            "smtp_tlsrpt_enable": "yes",
            "authd_oauth_introspection_url": "https://localhost:1/",
            "authd_oauth_jwks_file": "{base}/etc/jwks.json",
            "authd_oauth_issuer": "https://id.test",
            "authd_oauth_audience": "mail",
        }, services=f"""\
127.0.0.1:{self.submission} inet n - - - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{self.other} inet n - - - - smtpd
  -o smtpd_relay_restrictions=reject
smtp unix - - - - - smtp
resolver unix - - - - 1 resolver
again unix - - - - - retry
quotad unix - - - - 1 quotad
verify unix - - - - 1 verify
mtasts unix - - - - 1 mtasts
tlsrpt unix - - - - 1 tlsrpt
lmtp unix - - - - - lmtp
pipe unix - n n - - pipe user={self.vmail_name()} argv=/bin/true
""")

    @staticmethod
    def vmail_name():
        return first_user("vmail", "nobody").pw_name

    def make_certificate(self):
        super().make_certificate()
        text = ""
        for kind in ("rsa", "ed25519"):
            path = f"{self.etc}/{kind}.pem"
            self.command("mansio", "cert", "selfsign", "-C",
                         f"{self.etc}/ca-key.pem", "-t", kind, path,
                         "mail.example.test", "localhost", "127.0.0.1")
            with open(path, encoding="ascii") as f:
                text += f.read()
            os.unlink(path)
        with open(f"{self.etc}/server.pem", "a", encoding="ascii") as f:
            f.write(text)


def handshakes(m):
    """Full and resumed, with each key, on each port."""
    for ciphers in ("ECDHE-ECDSA-AES128-GCM-SHA256",
                    "ECDHE-RSA-AES128-GCM-SHA256", ""):
        c = ssl.create_default_context(cafile=m.ca)
        if ciphers:
            c.maximum_version = ssl.TLSVersion.TLSv1_2
            c.set_ciphers(ciphers)
        for _ in range(3):
            with smtplib.SMTP_SSL("localhost", m.submission, context=c,
                                  timeout=30) as s:
                s.login("alice@example.test", PASSWORDS["alice"])
            with smtplib.SMTP("localhost", m.lmtp_port, timeout=30) as s:
                s.ehlo_or_helo_if_needed = lambda: None
                s.putcmd("lhlo", "x.example")
                s.getreply()
                s.ehlo_resp, s.does_esmtp = b"", True
                s.esmtp_features = {"starttls": ""}
                s.starttls(context=c)


def logins(m):
    """A session of each protocol that stays; mail that comes back."""
    c = ssl.create_default_context(cafile=m.ca)
    kept = []
    for user in ("alice", "carol"):
        i = imaplib.IMAP4_SSL("localhost", m.imaps_port, ssl_context=c)
        i.login(f"{user}@example.test", PASSWORDS[user])
        i.select()
        p = m.pop3(user)
        p.ok("STAT")
        with smtplib.SMTP_SSL("localhost", m.submission, context=c,
                              timeout=30) as s:
            s.login(f"{user}@example.test", PASSWORDS[user])
            s.sendmail(f"{user}@example.test", ["bob@elsewhere.test"],
                       "Subject: out\n\nhi\n")
        kept += [i, p]
    return kept


def other_logins(m):
    """Every other way to be let in, and not to be; what was shown for it."""
    app = m.command("mansio", "user", "app-password", "add",
                    "alice@example.test", "phone").stdout.strip()
    token = m.key.token()
    c = ssl.create_default_context(cafile=m.ca)

    def imap(how, data=None):
        i = imaplib.IMAP4_SSL("localhost", m.imaps_port, ssl_context=c)
        try:
            if data is None:
                i.login("alice@example.test", how)
            else:
                i.authenticate(how, lambda _: data)
            i.logout()
            return True
        except imaplib.IMAP4.error:
            i.shutdown()
            return False

    bearer = f"n,a=alice@example.test,\1auth=Bearer {token}\1\1".encode()
    assert imap(app) and not imap(app[:-1] + "!")
    assert imap("OAUTHBEARER", bearer)
    assert not imap("OAUTHBEARER", bearer.replace(b"Bearer ey", b"Bearer ez"))
    a = Client(m.base)
    for name in ("sha1", "sha256"):
        assert a.scram("carol@example.test", SECRET, name)[0] == "ok"
        assert a.scram("carol@example.test", "x" + SECRET,
                       name)[0] == "fail"
    a.close()
    return {app.encode(), token.encode()[-60:],
            base64.b64encode(bearer)[60:120]}


def make_tokens(m):
    m.key = Key(m, "k1", "ES256")
    with open(f"{m.etc}/jwks.json", "w", encoding="ascii") as f:
        json.dump({"keys": [m.key.jwk()]}, f)


inst = Secrets()
make_tokens(inst)
with inst:
    handshakes(inst)
    connections, awake = logins(inst), inst.wake(*ASLEEP)
    PASSWORD |= other_logins(inst)
    inst.wait_idle()
    keys = private_parts(f"{inst.etc}/server.pem") | \
        private_parts(f"{inst.etc}/ca-key.pem")
    own = private_parts(f"{inst.etc}/server.pem")
    stored = hashes(f"{inst.etc}/users")
    assert len(own) > 20 and len(stored) >= 3 * 10, (len(own), len(stored))
    time.sleep(0.5)     # what is wiped at the end of a turn
    seen = below(inst.master_pid())
    missing = WANTED - set(seen.values())
    assert not missing, (missing, seen)
    for pid, name in seen.items():
        has = in_memory(pid, keys)
        if name in KEYS:
            assert has & own, "the test does not see keys"
        else:
            assert not has, (pid, name, "a private key", has)
        has = in_memory(pid, stored)
        if name == "authd":
            assert has, "the test does not see hashes"
        elif name not in HASHES:
            assert not has, (pid, name, "a password's hash", has)
        has = in_memory(pid, PASSWORD)
        assert not has, (pid, name, "a password", has)
    for each in awake:
        each.close()
    for each in connections:
        each.shutdown() if hasattr(each, "shutdown") else each.close()
print(f"{len(seen)} processes looked through")
print("3 passed, 0 failed, 0 skipped")
