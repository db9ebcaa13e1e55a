#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""authd: OAUTHBEARER and XOAUTH2 with tokens signed by RSA and P-256 keys;
EXTERNAL; master users; system users through PAM."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import (MALFORMED, NOT_FOR_YOU, UNAVAILABLE,  # noqa: E402
                     WRONG, Client, Instance, Key, accounts, b64u, need_root)

ALICE = "alice@example.test"


def bearer(c, token, user=ALICE):
    c.start("OAUTHBEARER", f"n,a={user},\1host=x\1port=587\1"
            f"auth=Bearer {token}\1\1".encode())
    return end(c)


def xoauth2(c, token, user=ALICE):
    c.start("XOAUTH2", f"user={user}\1auth=Bearer {token}\1\1".encode())
    return end(c)


def end(c):
    got = c.answer()
    if got[0] == "challenge":
        assert json.loads(got[1])["status"] in ("invalid_token", "401"), got
        c.respond(b"\1")
        got = c.answer()
    return got


def good(c, rsa, ec):
    for key in (rsa, ec):
        for how in (bearer, xoauth2):
            assert how(c, key.token()) == ("ok", ALICE, ALICE, b""), key.kind
    assert bearer(c, rsa.token(aud="mail"))[0] == "ok"
    assert bearer(c, rsa.token(nbf=int(time.time())))[0] == "ok"
    assert bearer(c, rsa.token(header={"kid": None}))[0] == "ok"


def bad(c, rsa, ec, other):
    now = int(time.time())
    for token in (
            rsa.token(exp=now - 60), rsa.token(exp=None),
            rsa.token(exp="x"), rsa.token(nbf=now + 600),
            rsa.token(iss="https://evil.test"), rsa.token(iss=None),
            rsa.token(aud="other"), rsa.token(aud=None),
            rsa.token(scope="openid"), rsa.token(email=None),
            rsa.token(email="nobody@example.test"), rsa.token(email=7),
            rsa.token(email=""), rsa.token(email="a\0b"),
            rsa.token(header={"alg": "none"}),
            rsa.token(header={"alg": "HS256"}),
            rsa.token(header={"alg": "ES256"}),
            rsa.token(header={"crit": ["x"]}),
            ec.token(header={"alg": "RS256"}),
            other.token(), other.token(header={"kid": rsa.kid}),
            rsa.token()[:-4], rsa.token().rsplit(".", 1)[0] + ".",
            "a.b.c", "...", "x", ""):
        got = bearer(c, token)
        assert got[:2] == ("fail", WRONG), (token[:40], got)
    # Somebody else's name beside a good token.
    assert bearer(c, rsa.token(), "bob@example.test")[:2] == (
        "fail", NOT_FOR_YOU)
    # Changed in the middle.
    head, body, sig = rsa.token().split(".")
    body = b64u(json.dumps({"email": "bob@example.test",
                            "exp": now + 300}))
    assert bearer(c, f"{head}.{body}.{sig}")[:2] == ("fail", WRONG)
    c.start("OAUTHBEARER", b"n,,\1auth=Bearer x\1")
    assert c.answer()[:2] == ("fail", MALFORMED)


def external(c):
    c.start("EXTERNAL", b"", cert=ALICE)
    assert c.answer() == ("ok", ALICE, ALICE, b"")
    c.start("EXTERNAL", ALICE.encode(), cert=ALICE)
    assert c.answer() == ("ok", ALICE, ALICE, b"")
    c.start("EXTERNAL", b"bob@example.test", cert=ALICE)
    assert c.answer()[:2] == ("fail", NOT_FOR_YOU)
    c.start("EXTERNAL", b"", cert="nobody@example.test")
    assert c.answer()[:2] == ("fail", WRONG)


def masters(c):
    got = c.plain("boss@example.test", "chief", ALICE, service="imap",
                  ticket=True)
    assert got[:3] == ("ok", ALICE, "boss@example.test"), got
    facts = c.redeem("imap", got[3])
    assert facts["user"] == ALICE and facts["login"] == "boss@example.test"
    assert c.scram("boss@example.test", "chief", authzid=ALICE)[0] == "ok"
    for who in ("nobody@example.test", "root", "@"):
        assert c.plain("boss@example.test", "chief", who)[:2] == (
            "fail", NOT_FOR_YOU), who


def pam(m, c):
    if "-lpam" not in subprocess.run(
            ["readelf", "-d", m.program("authd")], capture_output=True,
            text=True).stdout.replace("libpam.so", "-lpam"):
        print("skip: PAM (built without)")
        return
    name = "mansio-pam-test"
    path = f"/etc/pam.d/{name}"
    if os.path.exists(path) or not os.path.isdir("/etc/pam.d"):
        print("skip: PAM (no place for a service of our own)")
        return
    # No password of this machine is tried: one service that says yes to
    # everybody would prove nothing, so "no" and "cannot" are what is seen.
    got = c.plain("daemon", "x", service="imap")
    assert got[:2] in (("fail", WRONG), ("fail", UNAVAILABLE)), got
    assert c.plain("daemon", "x", client="127.0.0.1")[0] == "fail"
    assert re.search("PAM: daemon: ", m.log()), m.log()[-2000:]


def tables(m, c):
    assert c.plain("tab@example.test", "tabpass")[0] == "ok"
    assert c.plain("tab@example.test", "x")[:2] == ("fail", WRONG)
    assert c.plain("pf@elsewhere.test", "pfpass")[0] == "ok"
    got = c.lookup("pf@elsewhere.test")
    assert (got["uid"], got["gid"], got["home"]) == (5001, 5002, "/home/pf")
    with open(f"{m.etc}/passwd-file", "a", encoding="ascii") as f:
        f.write("late@elsewhere.test:{PLAIN}p:5003:5003::/home/late\n")
    assert c.plain("late@elsewhere.test", "p")[0] == "ok"
    assert c.lookup("late@elsewhere.test")["path"] == "late@elsewhere.test"


need_root()
inst = Instance(settings={
    "authd_mechanism_filter": "static:rest",
    "authd_failure_delay": "0s", "authd_failure_ban_threshold": "100000",
    "authd_oauth_jwks_file": "{base}/etc/jwks.json",
    "authd_oauth_issuer": "https://id.test", "authd_oauth_audience": "mail",
    "authd_oauth_scope": "mail", "authd_master_users": "boss@example.test",
    "authd_password_maps": "texthash:{base}/etc/passwords "
                           "passwd-file:{base}/etc/passwd-file pam:other"})
with open(f"{inst.etc}/passwords", "w", encoding="ascii") as out:
    out.write("tab@example.test {PLAIN}tabpass\n")
with open(f"{inst.etc}/passwd-file", "w", encoding="ascii") as out:
    out.write("# users\npf@elsewhere.test:{PLAIN}pfpass:5001:5002::/home/pf\n")
accounts(inst, alice="wonderland", bob="builder", boss="chief")
RSA, EC = Key(inst, "r1", "RS256"), Key(inst, "e1", "ES256")
OTHER = Key(inst, "o1", "RS256")
with open(f"{inst.etc}/jwks.json", "w", encoding="ascii") as out:
    json.dump({"keys": [RSA.jwk(), EC.jwk(), {"kty": "oct", "k": "AAAA"},
                        {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}, out)
with inst:
    C = Client(inst.base)
    good(C, RSA, EC)
    bad(C, RSA, EC, OTHER)
    external(C)
    masters(C)
    pam(inst, C)
    tables(inst, C)
    # A key file that cannot be read any more: the old keys stay.
    with open(f"{inst.etc}/jwks.json", "w", encoding="ascii") as out:
        out.write("{")
    assert bearer(C, RSA.token())[0] == "ok"
    # New keys are taken at once.
    with open(f"{inst.etc}/jwks.json", "w", encoding="ascii") as out:
        json.dump({"keys": [OTHER.jwk()]}, out)
    assert bearer(C, RSA.token())[0] == "fail"
    assert bearer(C, OTHER.token())[0] == "ok"
print("6 passed, 0 failed, 0 skipped")
