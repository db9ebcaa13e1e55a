#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""authd: SCRAM with and without channel binding, hostile exchanges, users
who are not there, hashes of many kinds and what a login makes of them."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import (DISABLED, EXPIRED, MALFORMED, NO_MECHANISM,  # noqa: E402
                     WRONG, Client, Instance, accounts, need_root)

ALICE = "alice@example.test"
OK = ("ok", ALICE, ALICE, b"")


def good(c):
    for name in ("sha256", "sha1"):
        assert c.scram(ALICE, "wonderland", name) == OK
        assert c.scram("ALICE@example.test", "wonderland", name) == OK
        for plus in ("tls-exporter", "tls-server-end-point"):
            assert c.scram(ALICE, "wonderland", name, plus) == OK
    assert c.scram(ALICE, "wonderland", authzid=ALICE) == OK


def bad(c):
    for name in ("sha256", "sha1"):
        got = c.scram(ALICE, "wrong", name)
        assert got[:2] == ("fail", WRONG), got
        assert c.scram("nobody@example.test", "x", name) == got
        assert c.scram(ALICE, "wonderland", name,
                       tamper="nonce")[:2] == ("fail", WRONG)
        # Another connection's binding: somebody in the middle.
        for plus in ("tls-exporter", "tls-server-end-point"):
            assert c.scram(ALICE, "wonderland", name, plus,
                           binding=b"m" * 32)[:2] == ("fail", WRONG)
    assert c.scram(ALICE, "wonderland", plus="tls-exporter",
                   exporter=b"")[:2] == ("fail", MALFORMED)
    # "y": he could bind, and was told that we cannot.
    c.start("SCRAM-SHA-256", b"y,,n=alice@example.test,r=abc",
            exporter=b"e" * 32)
    assert c.answer()[:2] == ("fail", WRONG)
    for first in (b"", b"n", b"n,,", b"n,,n=a", b"n,,r=x,n=a", b"n,,n=,r=x",
                  b"n,,n=a=,r=x", b"n,,n=a=2x,r=x", b"n,,n=a,r=",
                  b"n,,n=a,r=x y", b"x,,n=a,r=x", b"n,b,n=a,r=x",
                  b"n,,m=x,n=a,r=x", b"n,,n=a\0,r=x", b"n,,n=\xff,r=x",
                  b"p=tls-exporter,,n=a,r=x", b"n,,n=a,r=" + b"x" * 600):
        c.start("SCRAM-SHA-256", first)
        assert c.answer()[:2] == ("fail", MALFORMED), first
    for last in (b"", b"c=biws", b"c=biws,r=x", b"c=biws,p=x,r=x",
                 b"c=biws,r=x,p=!", b"c=biws,r=x,p=YQ==", b"\0",
                 b"c=biws,r=x,m=x"):
        c.start("SCRAM-SHA-256", b"n,,n=alice@example.test,r=abc")
        assert c.answer()[0] == "challenge"
        c.respond(last)
        assert c.answer()[:2] == ("fail", MALFORMED), last
    c.start("SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=a,r=x",
            exporter=b"e" * 32)
    assert c.answer()[:2] == ("fail", MALFORMED)


def made_up(c):
    """A user who is not there has a salt of his own, always the same."""
    salts = {}
    for name in ("one", "two", "one", "two"):
        c.start("SCRAM-SHA-256", f"n,,n={name}@example.test,r=abc".encode())
        salt = re.search(rb",s=([^,]*),i=\d+$", c.answer()[1])[1]
        assert salts.setdefault(name, salt) == salt
        c.respond(b"c=biws,r=x,p=" + b"A" * 43 + b"=")
        c.answer()
    assert salts["one"] != salts["two"]


def line(m, user):
    with open(f"{m.etc}/users", encoding="ascii") as f:
        for text in f:
            if text.startswith(user + ":"):
                return text.rstrip("\n")
    return None


def wait_line(m, user, pattern):
    end = time.monotonic() + 15
    while not re.match(pattern, line(m, user)):
        assert time.monotonic() < end, line(m, user)
        time.sleep(0.1)


def dovecot_hash(scheme, password):
    try:
        return subprocess.run(["doveadm", "pw", "-s", scheme, "-p", password],
                              check=True, capture_output=True,
                              text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def hashes(m, c):
    """Hashes that Dovecot made; a login replaces them."""
    tried = 0
    for scheme in ("ARGON2ID", "ARGON2I", "SHA512-CRYPT", "SHA256-CRYPT",
                   "BLF-CRYPT", "SCRAM-SHA-256", "SCRAM-SHA-1", "SSHA256",
                   "SSHA512", "SSHA", "SHA256", "SHA512", "SHA", "PLAIN"):
        text = dovecot_hash(scheme, "pass " + scheme)
        if text is None:
            continue
        tried += 1
        user = f"h{tried}@example.test"
        with open(f"{m.etc}/users", "a", encoding="ascii") as f:
            f.write(f"{user}:{text}:keep=me\n")
        assert c.plain(user, "wrong")[:2] == ("fail", WRONG), scheme
        if scheme.startswith("SCRAM"):
            assert c.scram(user, "pass " + scheme, "sha256" if "256" in scheme
                           else "sha1")[0] == "ok", scheme
        assert c.plain(user, "pass " + scheme)[0] == "ok", scheme
        wait_line(m, user, re.escape(user) + r":\{ARGON2ID\}\$argon2id\$v=19"
                  r"\$m=19456,t=2,p=1\$.*:keep=me:scram256=32768,.*:scram1=.")
        assert c.plain(user, "pass " + scheme)[0] == "ok", scheme
        assert c.scram(user, "pass " + scheme)[0] == "ok", scheme
        assert c.plain(user, "wrong")[:2] == ("fail", WRONG), scheme
    if tried == 0:
        print("skip: hashes of Dovecot's (no doveadm)")
    for text in ("", "*", "{NOSUCH}x", "{ARGON2ID}junk", "{SCRAM-SHA-256}1,2",
                 "{SSHA256}!!", "$argon2id$v=19$m=99999999,t=2,p=1$YWJj$YQ"):
        user = f"e{len(text)}@example.test"
        with open(f"{m.etc}/users", "a", encoding="ascii") as f:
            f.write(f"{user}:{text}:\n")
        for password in ("*", "x", text or "y"):
            assert c.plain(user, password)[:2] == ("fail", WRONG), text
        assert c.scram(user, "x")[:2] == ("fail", WRONG), text


def states(m, c):
    """Disabled, app passwords, changed passwords: at once, cache or not."""
    bob = "bob@example.test"
    assert c.plain(bob, "builder")[0] == "ok"
    m.command("mansio", "user", "disable", bob)
    assert c.plain(bob, "builder")[:2] == ("fail", DISABLED)
    assert c.scram(bob, "builder")[:2] == ("fail", DISABLED)
    assert c.plain(bob, "wrong")[:2] == ("fail", WRONG)
    m.command("mansio", "user", "enable", bob)
    assert c.plain(bob, "builder")[0] == "ok"
    m.command("mansio", "user", "password", bob, input="changed\n")
    assert c.plain(bob, "builder")[:2] == ("fail", WRONG)
    assert c.scram(bob, "builder")[:2] == ("fail", WRONG)
    assert c.plain(bob, "changed")[0] == "ok"
    assert c.scram(bob, "changed")[0] == "ok"
    secret = m.command("mansio", "user", "app-password", "add", bob, "phone",
                       "--scope", "imap,smtp").stdout.strip()
    assert re.fullmatch(r"[a-z2-7-]{24,40}", secret), secret
    assert c.plain(bob, secret, service="imap")[0] == "ok"
    wait_line(m, bob, r".*:app=phone,imap\+smtp,\d+,0,[1-9]\d+,\{SSHA256\}")
    assert c.plain(bob, secret, service="smtp")[0] == "ok"
    assert c.plain(bob, secret, service="pop3")[:2] == ("fail", WRONG)
    assert c.plain(bob, secret, ALICE, service="imap")[0] == "fail"
    assert c.plain(bob, "changed", service="pop3")[0] == "ok"
    shown = m.command("mansio", "user", "show", bob).stdout
    assert "phone" in shown and secret not in shown, shown
    for never in ("0", "0d", "-1d", "soon"):
        done = m.command("mansio", "user", "app-password", "add", bob, "unmade",
                         "--expires", never, check=False)
        assert done.returncode == 65 and "no time" in done.stderr, done
    assert "unmade" not in m.command("mansio", "user", "show", bob).stdout
    old = m.command("mansio", "user", "app-password", "add", bob, "old",
                    "--expires", "1s").stdout.strip()
    time.sleep(2)
    assert c.plain(bob, old)[:2] == ("fail", EXPIRED)
    m.command("mansio", "user", "app-password", "delete", bob, "phone")
    assert c.plain(bob, secret, service="imap")[:2] == ("fail", WRONG)


need_root()
inst = Instance(settings={"authd_failure_delay": "0s",
                          "authd_mechanism_quiet": "",
                          "authd_failure_ban_threshold": "100000"})
accounts(inst, alice="wonderland", bob="builder")
with inst:
    C = Client(inst.base)
    C.start("CRAM-MD5")
    assert C.answer()[:2] == ("fail", NO_MECHANISM)
    good(C)
    bad(C)
    made_up(C)
    hashes(inst, C)
    states(inst, C)
    assert "wonderland" not in inst.log()
print("5 passed, 0 failed, 0 skipped")
