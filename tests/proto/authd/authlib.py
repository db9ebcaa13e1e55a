# SPDX-License-Identifier: ISC
"""A client of authd (lib/ipc/msg_auth.h), and SASL mechanisms for it."""
import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
import instance  # noqa: E402

Instance, free_port = instance.Instance, instance.free_port
need_root, skip = instance.need_root, instance.skip

(HELLO, START, CONTINUE, CANCEL, CHALLENGE, OK, FAIL, REDEEM, LOOKUP, USER,
 REFUSED, BAN, UNBAN, BANS, ENTRY, RESULT, CAME) = range(17)
(WRONG, NOT_FOR_YOU, DISABLED, EXPIRED, MALFORMED, NO_MECHANISM, TOO_WEAK,
 NEED_TLS, BANNED, UNAVAILABLE) = range(1, 11)


def blob(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<I", len(s)) + s


def u32(n):
    return struct.pack("<I", n)


def frame(kind, tag, body=b""):
    return struct.pack("<IHHI", len(body), kind, 0, tag) + body


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u32(self):
        self.at += 4
        return struct.unpack_from("<I", self.data, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from("<Q", self.data, self.at - 8)[0]

    def bool(self):
        self.at += 1
        return self.data[self.at - 1] == 1

    def blob(self):
        n = self.u32()
        self.at += n
        return self.data[self.at - n:self.at]

    def str(self):
        return self.blob().decode()


def a_client(address="127.0.0.1"):
    """Both ends of a connection from there."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        c = socket.create_connection(s.getsockname(), 10, (address, 0))
        return c, s.accept()[0]


class Client:
    def __init__(self, base, path=None):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30)
        self.s.connect(path or f"{base}/spool/private/auth")
        self.s.sendall(frame(HELLO, 0, blob("auth") + u32(1)))
        self.tag = 0

    def close(self):
        self.s.close()

    def read(self, n):
        out = b""
        while len(out) < n:
            more = self.s.recv(n - len(out))
            if not more:
                raise EOFError
            out += more
        return out

    def recv(self):
        while True:
            n, kind, _, tag = struct.unpack("<IHHI", self.read(12))
            body = self.read(n)
            if kind != HELLO:
                return kind, tag, Reader(body)

    def start(self, mech, initial=None, service="smtp", client="192.0.2.1",
              tls=True, exporter=b"", endpoint=b"", cert="", ticket=False,
              realm="", show=None):
        """show: the client's socket; root need not show one."""
        self.tag += 1
        body = (blob(service) + blob(mech) + bytes([initial is not None])
                + blob(initial or b"") + blob(client) + u32(1234)
                + blob("192.0.2.9") + u32(587) + bytes([tls])
                + blob(exporter) + blob(endpoint) + blob(cert)
                + blob(realm) + blob("trace0") + bytes([ticket]))
        if show is None:
            self.s.sendall(frame(START, self.tag, body))
        else:
            head = struct.pack("<IHHI", len(body), START, 1, self.tag)
            socket.send_fds(self.s, [head + body], [show.fileno()])
        return self.tag

    def respond(self, data, tag=None):
        self.s.sendall(frame(CONTINUE, tag or self.tag, blob(data)))

    def answer(self):
        """("challenge", data), ("ok", user, login, ticket), ("fail",
        reason, text)."""
        kind, tag, r = self.recv()
        assert tag == self.tag, (kind, tag, self.tag)
        if kind == CHALLENGE:
            return "challenge", r.blob()
        if kind == OK:
            return "ok", r.str(), r.str(), r.blob()
        if kind == FAIL:
            return "fail", r.u32(), r.str()
        raise AssertionError(kind)

    def plain(self, user, password, authzid="", **kw):
        self.start("PLAIN", f"{authzid}\0{user}\0{password}".encode(), **kw)
        return self.answer()

    def login(self, user, password, **kw):
        self.start("LOGIN", **kw)
        assert self.answer() == ("challenge", b"Username:")
        self.respond(user.encode())
        assert self.answer() == ("challenge", b"Password:")
        self.respond(password.encode())
        return self.answer()

    def scram(self, user, password, hash_name="sha256", plus="", authzid="",
              binding=b"", tamper=None, **kw):
        """plus: "tls-exporter" ...; binding: its data."""
        return scram(self, user, password, hash_name, plus, authzid, binding,
                     tamper, kw)

    def ask(self, kind, body=b""):
        self.tag += 1
        self.s.sendall(frame(kind, self.tag, body))
        kind, tag, r = self.recv()
        assert tag == self.tag
        return kind, r

    def user(self, kind, r):
        if kind == REFUSED:
            return None
        assert kind == USER, kind
        return {"user": r.str(), "login": r.str(), "uid": r.u32(),
                "gid": r.u32(), "home": r.str(), "base": r.str(),
                "path": r.str(), "format": r.u32(), "detect": r.bool(),
                "virtual": r.bool()}

    def redeem(self, service, ticket):
        kind, r = self.ask(REDEEM, blob(service) + blob(ticket))
        self.came = None
        if kind == CAME:
            self.came = r.str(), r.u32()
            kind, tag, r = self.recv()
            assert (kind, tag) == (USER, self.tag), (kind, tag)
        return self.user(kind, r)

    def lookup(self, name):
        return self.user(*self.ask(LOOKUP, blob(name)))

    def ban(self, kind, what, seconds=0):
        _, r = self.ask(kind, blob(what) + struct.pack("<Q", seconds))
        return r.bool(), r.u32(), r.str()

    def bans(self):
        self.tag += 1
        self.s.sendall(frame(BANS, self.tag))
        found = {}
        while True:
            kind, _, r = self.recv()
            if kind == RESULT:
                return found
            what = r.str()
            found[what] = (r.bool(), r.u64(), r.u32())

    def broken(self, data):
        """True when authd ends the connection because of data."""
        self.s.sendall(data)
        try:
            while self.s.recv(65536):
                pass
        except (ConnectionResetError, socket.timeout) as e:
            return not isinstance(e, socket.timeout)
        return True


def scram(c, user, password, name, plus, authzid, binding, tamper, kw):
    mech = {"sha256": "SCRAM-SHA-256", "sha1": "SCRAM-SHA-1"}[name]
    if plus:
        mech += "-PLUS"
        kw.setdefault("exporter", b"e" * 32)
        kw.setdefault("endpoint", b"p" * 32)
        binding = binding or {"tls-exporter": kw["exporter"],
                              "tls-server-end-point": kw["endpoint"]}[plus]
    flag = f"p={plus}" if plus else "n"
    header = f"{flag},{'a=' + authzid if authzid else ''},"
    nonce = base64.b64encode(os.urandom(18)).decode()
    bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    c.start(mech, (header + bare).encode(), **kw)
    got = c.answer()
    if got[0] != "challenge":
        return got
    first = got[1].decode()
    fields = dict(f.split("=", 1) for f in first.split(","))
    assert fields["r"].startswith(nonce)
    salted = hashlib.pbkdf2_hmac(name, password.encode(),
                                 base64.b64decode(fields["s"]),
                                 int(fields["i"]))

    def mac(key, text):
        return hmac.new(key, text.encode(), name).digest()

    client = mac(salted, "Client Key")
    stored = hashlib.new(name, client).digest()
    cb = base64.b64encode(header.encode() + binding).decode()
    final = f"c={cb},r={fields['r']}"
    if tamper == "nonce":
        final += "x"
    auth = f"{bare},{first},{final}"
    proof = bytes(a ^ b for a, b in zip(client, mac(stored, auth)))
    c.respond(f"{final},p={base64.b64encode(proof).decode()}".encode())
    got = c.answer()
    if got[0] != "challenge":
        return got
    want = base64.b64encode(mac(mac(salted, "Server Key"), auth)).decode()
    assert got[1] == b"v=" + want.encode(), got
    c.respond(b"")
    return c.answer()


def accounts(m, **users):
    for name, password in users.items():
        m.command("mansio", "user", "add", f"{name}@example.test",
                  input=password + "\n")


# --- access tokens ---------------------------------------------------------------

def b64u(data):
    data = data if isinstance(data, bytes) else data.encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True,
                          capture_output=True).stdout


class Key:
    def __init__(self, m, name, kind):
        self.path, self.kind, self.kid = f"{m.base}/{name}.pem", kind, name
        if kind == "RS256":
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt",
                    "rsa_keygen_bits:2048", "-out", self.path)
        else:
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-out", self.path)

    def jwk(self):
        if self.kind == "RS256":
            n = openssl("rsa", "-in", self.path, "-noout",
                        "-modulus").decode().strip().split("=")[1]
            return {"kty": "RSA", "use": "sig", "kid": self.kid,
                    "n": b64u(bytes.fromhex(n)), "e": "AQAB"}
        der = openssl("ec", "-in", self.path, "-pubout", "-outform", "DER",
                      "-conv_form", "uncompressed")
        return {"kty": "EC", "crv": "P-256", "kid": self.kid,
                "x": b64u(der[-64:-32]), "y": b64u(der[-32:])}

    def token(self, header=None, **claims):
        head = {"alg": self.kind, "typ": "JWT", "kid": self.kid}
        head.update(header or {})
        body = {"iss": "https://id.test", "aud": ["mail", "x"],
                "scope": "openid mail", "email": "alice@example.test",
                "exp": int(time.time()) + 300}
        body.update(claims)
        body = {k: v for k, v in body.items() if v is not None}
        text = f"{b64u(json.dumps(head))}.{b64u(json.dumps(body))}"
        sig = openssl("dgst", "-sha256", "-sign", self.path,
                      data=text.encode())
        if self.kind == "ES256":
            # DER to two numbers of 32 bytes.
            at, out = 2, b""
            for _ in range(2):
                n = sig[at + 1]
                out += sig[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0")
                at += 2 + n
            sig = out
        return f"{text}.{b64u(sig)}"
