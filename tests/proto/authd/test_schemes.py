#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""authd: every kind of hash with every mechanism, before and after the login
that replaces it by a better one."""
import base64
import crypt
import hashlib
import hmac
import os
import shutil
import subprocess
import sys
import time
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import WRONG, Client, Instance, need_root  # noqa: E402

PASSWORD = "pass wörd,=x"
P = PASSWORD.encode()
SALT = b"saltsaltsalt"


def b64(x):
    return base64.b64encode(x).decode()


def salted(name):
    return b64(hashlib.new(name, P + SALT).digest() + SALT)


def plain(name):
    return b64(hashlib.new(name, P).digest())


def scram(name, iterations=4096):
    key = hashlib.pbkdf2_hmac(name, P, SALT, iterations)
    stored = hashlib.new(name, hmac.digest(key, b"Client Key", name)).digest()
    return (f"{iterations},{b64(SALT)},{b64(stored)},"
            + b64(hmac.digest(key, b"Server Key", name)))


def hashes(m):
    """{scheme: hash}; what our own tool makes, and what others do."""
    found = {
        "PLAIN": PASSWORD, "CLEARTEXT": PASSWORD, "CLEAR": PASSWORD,
        "SHA": plain("sha1"), "SHA1": plain("sha1"),
        "SHA256": plain("sha256"), "SHA512": plain("sha512"),
        "SSHA": salted("sha1"), "SSHA256": salted("sha256"),
        "SSHA512": salted("sha512"), "SMD5": salted("md5"),
        "LDAP-MD5": plain("md5"), "PLAIN-MD5": hashlib.md5(P).hexdigest(),
        "SHA256.HEX": hashlib.sha256(P).hexdigest(),
        "SSHA.HEX": base64.b64decode(salted("sha1")).hex(),
        "SSHA512.b64": salted("sha512"), "ssha256.BASE64": salted("sha256"),
        "PBKDF2": "$1$salt$1000$" + hashlib.pbkdf2_hmac(
            "sha1", P, b"salt", 1000).hex(),
        "SCRAM-SHA-256": scram("sha256"), "SCRAM-SHA-1": scram("sha1"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, method in (("SHA512-CRYPT", crypt.METHOD_SHA512),
                             ("SHA256-CRYPT", crypt.METHOD_SHA256),
                             ("BLF-CRYPT", crypt.METHOD_BLOWFISH),
                             ("MD5-CRYPT", crypt.METHOD_MD5)):
            rounds = {"rounds": 16} if name == "BLF-CRYPT" else {}
            found[name] = crypt.crypt(PASSWORD, crypt.mksalt(method, **rounds))
        found["yescrypt"] = crypt.crypt(PASSWORD, "$y$j75$saltsaltsalt$")
    found["CRYPT"], found["MD5"] = found["SHA512-CRYPT"], found["MD5-CRYPT"]
    return {k: v for k, v in found.items() if v}


def from_doveadm():
    """{scheme: hash} by Dovecot's tool, where it is installed."""
    if shutil.which("doveadm") is None:
        print("skip: no doveadm to make hashes")
        return {}
    found = {}
    for scheme in ("SSHA", "SSHA256", "SSHA512", "SHA256", "SHA512", "SHA1",
                   "SMD5", "PLAIN-MD5", "LDAP-MD5", "MD5", "PBKDF2",
                   "ARGON2ID", "ARGON2I", "BLF-CRYPT", "SHA512-CRYPT",
                   "SHA256-CRYPT", "MD5-CRYPT", "CRYPT", "SCRAM-SHA-1",
                   "SCRAM-SHA-256", "PLAIN", "SSHA256.HEX", "SHA512.b64"):
        done = subprocess.run(
            ["doveadm", "-O", "pw", "-s", scheme, "-p", PASSWORD],
            capture_output=True, text=True, check=True, timeout=60)
        scheme, _, text = done.stdout.strip().partition("}")
        found[scheme[1:]] = text
    return found


def user(kind, scheme):
    return kind + scheme.lower().replace(".", "-dot-") + "@example.test"


def put(m, kind, all_of_them):
    with open(f"{m.etc}/users", "a", encoding="utf-8") as f:
        f.writelines(f"{user(kind, s)}:{{{s}}}{h}\n"
                     for s, h in all_of_them.items() if ":" not in h)
    with open(f"{m.etc}/passwd-file", "a", encoding="utf-8") as f:
        f.writelines(f"{user('pf' + kind, s)}:{{{s}}}{h}:5001:5002::/home/x\n"
                     for s, h in all_of_them.items() if ":" not in h)


def has_keys(scheme, hash_name):
    return scheme.upper() == {"sha256": "SCRAM-SHA-256",
                              "sha1": "SCRAM-SHA-1"}[hash_name]


def one(m, c, name, scheme, renewed):
    """All mechanisms, right and wrong."""
    for hash_name in ("sha256", "sha1"):
        # Without stored keys a SCRAM login fails as a wrong one does.
        want = "ok" if has_keys(scheme, hash_name) else "fail"
        assert c.scram(name, PASSWORD, hash_name)[0] == want, (
            name, hash_name)
    for wrong in ("", PASSWORD + "x", PASSWORD[:-1], PASSWORD.upper()):
        if wrong:
            assert c.plain(name, wrong)[:2] == ("fail", WRONG), (name, wrong)
    assert c.login(name, PASSWORD)[0] == "ok", name
    assert c.plain(name, PASSWORD)[0] == "ok", name
    if not renewed:
        return
    end = time.monotonic() + 60
    while not line(m, name).startswith("{ARGON2ID}"):
        assert time.monotonic() < end, line(m, name)
        time.sleep(0.05)
    assert c.plain(name, PASSWORD)[0] == "ok", name
    assert c.plain(name, PASSWORD + "x")[:2] == ("fail", WRONG), name
    for hash_name in ("sha256", "sha1"):
        assert c.scram(name, PASSWORD, hash_name)[0] == "ok", name
        assert c.scram(name, "wrong", hash_name)[:2] == ("fail", WRONG)


def line(m, name):
    with open(f"{m.etc}/users", encoding="utf-8") as f:
        for text in f:
            if text.startswith(name + ":"):
                return text.rstrip("\n").partition(":")[2]
    return ""


def kept(m, c, scheme):
    """authd_password_scheme: what new hashes are, and what is made better."""
    name = user("", scheme)
    want = {"argon2id": "{ARGON2ID}", "yescrypt": "{yescrypt}$y$",
            "sha512-crypt": "{SHA512-CRYPT}$6$",
            "bcrypt": "{BLF-CRYPT}$2b$"}[scheme]
    m.command("mansio", "user", "add", name, input=PASSWORD + "\n")
    first = line(m, name)
    assert first.startswith(want), first
    for how in (c.plain, c.login, c.scram):
        assert how(name, PASSWORD)[0] == "ok", (scheme, how)
        assert how(name, "wrong")[:2] == ("fail", WRONG)
    time.sleep(0.5)
    assert line(m, name) == first       # nothing to make better


def not_known(m, c):
    """A hash of another kind lets nobody in, and says so in the log."""
    odd = {"CRAM-MD5": "x", "DIGEST-MD5": "x", "NOPE": "x", "SHA256.X": "x",
           "SHA": "not base64!", "SSHA": "", "PLAIN-MD5": "zz",
           "PBKDF2": "$1$salt$0$00", "PBKDF2 ": "x", "MD5": "",
           "PBKDF2.x": "$9$a$b$c", "ARGON2ID": "$argon2id$v=19$m=1", "": "x"}
    with open(f"{m.etc}/users", "a", encoding="utf-8") as f:
        for i, (scheme, text) in enumerate(odd.items()):
            f.write(f"odd{i}@example.test:{{{scheme}}}{text}\n")
    for i in range(len(odd)):
        for tried in ("x", "", PASSWORD, "{NOPE}x"):
            if tried:
                assert c.plain(f"odd{i}@example.test", tried)[:2] == (
                    "fail", WRONG), (i, tried)
    assert "a hash of an unknown kind" in m.log()


def main():
    need_root()
    base = {"authd_failure_delay": "0s", "authd_cache_time": "0s",
            "authd_failure_ban_threshold": "100000",
            "authd_password_maps": "passwd-file:{base}/etc/passwd-file"}
    inst = Instance(settings=base)
    ours, dovecot = hashes(inst), from_doveadm()
    with open(f"{inst.etc}/users", "w", encoding="utf-8"):
        pass
    put(inst, "o-", ours)
    put(inst, "d-", dovecot)
    n = 0
    with inst:
        c = Client(inst.base)
        for kind, which in (("o-", ours), ("d-", dovecot)):
            for scheme, text in which.items():
                if ":" in text:
                    continue
                # Both places: a line of ours is made better, others' never.
                one(inst, c, user("pf" + kind, scheme), scheme, False)
                light = scheme != "ARGON2ID"
                one(inst, c, user(kind, scheme), scheme, light)
                n += 2
        not_known(inst, c)
    for scheme in ("argon2id", "yescrypt", "sha512-crypt", "bcrypt"):
        with Instance(settings={**base, "authd_password_scheme":
                                scheme}) as inst:
            kept(inst, Client(inst.base), scheme)
            n += 1
    print(f"{n + 1} passed, 0 failed, 0 skipped")


main()
