# SPDX-License-Identifier: ISC
"""A scratch Postfix that asks a server of Dovecot's auth protocol who its
clients are.

    with SaslPostfix(base, port, "/path/of/the/socket"):
        smtplib.SMTP("127.0.0.1", port) ...

attempt() is a client of such a server.
"""
import base64
import hashlib
import hmac
import os
import smtplib
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../bench"))
import postfix  # noqa: E402

available = postfix.available
ALICE = "alice@example.test"
MAIN = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {socket}
smtpd_sasl_security_options = noanonymous
mynetworks =
smtpd_relay_restrictions = permit_sasl_authenticated, reject
default_transport = discard
local_transport = discard
"""


class SaslPostfix:
    def __init__(self, base, port, socket, more=""):
        """base: a directory that is made; more: lines of main.cf."""
        self.base, self.port = base, port
        self.postfix = postfix.Postfix(base, port, 1)
        with open(f"{base}/etc/main.cf", "a", encoding="ascii") as f:
            f.write(MAIN.format(base=base, socket=socket) + more)
        self.postfix.keep_log()

    def log(self):
        with open(f"{self.base}/log", encoding="utf-8") as f:
            return f.read()

    def __enter__(self):
        self.postfix.start()
        end = time.monotonic() + 30
        while True:
            try:
                smtplib.SMTP("127.0.0.1", self.port, timeout=30).quit()
                return self
            except OSError:
                if time.monotonic() > end:
                    self.postfix.stop()
                    raise TimeoutError(self.log()[-3000:]) from None
                time.sleep(0.1)

    def __exit__(self, *_):
        self.postfix.stop()


def b64(x):
    return base64.b64encode(x).decode()


def scram(s, user, password):
    """SCRAM-SHA-256; the last code."""
    bare = b"n=" + user.encode() + b",r=" + b64(os.urandom(12)).encode()
    code, text = s.docmd("AUTH", "SCRAM-SHA-256 " + b64(b"n,," + bare))
    if code != 334:
        return code
    first = base64.b64decode(text)
    f = dict(x.split(b"=", 1) for x in first.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(),
                                 base64.b64decode(f[b"s"]), int(f[b"i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = b"c=biws,r=" + f[b"r"]
    auth = bare + b"," + first + b"," + final
    sig = hmac.digest(hashlib.sha256(key).digest(), auth, "sha256")
    proof = bytes(a ^ b for a, b in zip(key, sig))
    code, text = s.docmd(b64(final + b",p=" + b64(proof).encode()))
    return s.docmd("")[0] if code == 334 else code


def attempt(port, how, user, password):
    """The code that a login ends with; how: a mechanism, "PLAIN in two"."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as s:
        s.ehlo()
        s.user, s.password = user, password
        if how == "SCRAM-SHA-256":
            code = scram(s, user, password)
        elif how == "PLAIN":
            code = s.docmd("AUTH", "PLAIN " + b64(
                f"\0{user}\0{password}".encode()))[0]
        elif how == "PLAIN in two":
            assert s.docmd("AUTH", "PLAIN")[0] == 334
            code = s.docmd(b64(f"\0{user}\0{password}".encode()))[0]
        else:
            assert s.docmd("AUTH", "LOGIN")[0] == 334
            assert s.docmd(b64(user.encode()))[0] == 334
            code = s.docmd(b64(password.encode()))[0]
        if code == 235:
            assert s.mail(ALICE)[0] == 250
            assert s.rcpt("u0@example.test")[0] in (250, 550, 554)
        return code
