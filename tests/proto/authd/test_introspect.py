#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""authd: tokens that their issuer judges (RFC 7662), with an endpoint that
answers well, badly, late and not at all."""
import base64
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import types
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import (UNAVAILABLE, WRONG, Client, Instance,  # noqa: E402
                     Key, accounts, free_port, need_root)

ALICE, BOB = "alice@example.test", "bob@example.test"
TIMEOUT = 2			# of the endpoint, where it is not to answer
PARALLEL = 16			# questions at the endpoint at a time


class Endpoint:
    """Answers by the token: what self.say has for it, or a function."""

    def __init__(self, base, cert):
        self.say, self.asked, self.begun = {}, [], 0
        self.release = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.answer(self, body.decode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.daemon_threads = True
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(f"{base}/{cert}.pem")
        self.server.socket = c.wrap_socket(self.server.socket,
                                           server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def answer(self, h, body):
        form = urllib.parse.parse_qs(body, strict_parsing=True)
        token, = form["token"]
        self.asked.append((token, dict(h.headers), form, h.path))
        say = self.say.get(token, {"active": False})
        if say == "hang":
            self.begun += 1
            self.release.wait(30)
            return
        if callable(say):
            say(h)
            return
        data = say if isinstance(say, bytes) else json.dumps(say).encode()
        h.send_response(200)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data)

    def count(self, token):
        return sum(a[0] == token for a in self.asked)


def status(code, headers=()):
    def say(h):
        h.send_response(code)
        for name, value in headers:
            h.send_header(name, value)
        h.send_header("Content-Length", "0")
        h.end_headers()
    return say


def begin(c, token, mech="OAUTHBEARER", user=ALICE, **kw):
    text = (f"n,a={user},\1auth=Bearer {token}\1\1" if mech == "OAUTHBEARER"
            else f"user={user}\1auth=Bearer {token}\1\1")
    return c.start(mech, text.encode(), **kw)


def login(c, token, *args, **kw):
    begin(c, token, *args, **kw)
    return end(c)


def patient(c, token):
    """Until there is an answer."""
    until = time.monotonic() + 60
    while (got := login(c, token)) == ("fail", UNAVAILABLE):
        assert time.monotonic() < until
        time.sleep(0.1)
    return got


def end(c):
    got = c.answer()
    if got[0] == "challenge":
        c.respond(b"\1")
        got = c.answer()
    return got[:2] if got[0] == "fail" else got


GOOD = {"active": True, "email": ALICE, "iss": "https://id.test",
        "aud": ["mail", "web"], "scope": "openid mail"}
OK = ("ok", ALICE, ALICE, b"")


def good(c, e):
    strange = "a+b/c~d==&x"
    for token in ("plain", strange):
        e.say[token] = dict(GOOD, exp=int(time.time()) + 3600,
                            token_type="bearer")
        assert login(c, token, "XOAUTH2") == OK, token
    token, headers, form, path = e.asked[-1]
    assert token == strange and path == "/introspect?x=1"
    assert form["token_type_hint"] == ["access_token"]
    # RFC 6749 2.3.1: each half is encoded as in a form.
    assert headers["Authorization"] == "Basic " + base64.b64encode(
        b"mail:server%3As%2Bcret%3A%20%25").decode()
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    # Not again within the time, in whatever mechanism.
    for mech in ("XOAUTH2", "OAUTHBEARER"):
        assert login(c, "plain", mech) == OK
    assert e.count("plain") == 1
    # Somebody else's name beside it.
    assert login(c, "plain", user=BOB)[0] == "fail"


def bad(c, e):
    now = int(time.time())
    for i, change in enumerate((
            {"active": False}, {"exp": now - 60}, {"exp": "soon"},
            {"nbf": now + 600}, {"iss": "https://evil.test"}, {"iss": None},
            {"aud": "other"}, {"aud": None}, {"scope": "openid"},
            {"scope": 1}, {"email": None}, {"email": ""}, {"email": 7},
            {"email": "x" * 2000}, {"email": "no:body"},
            {"email": "nobody@example.test"}, {"token_type": "DPoP"},
            {"cnf": {"jkt": "x"}})):
        e.say[f"bad{i}"] = {k: v for k, v in {**GOOD, **change}.items()
                            if v is not None}
        assert login(c, f"bad{i}") == ("fail", WRONG), change
    assert login(c, "never-heard-of") == ("fail", WRONG)
    assert login(c, "never-heard-of") == ("fail", WRONG)
    assert e.count("never-heard-of") == 1


def broken(c, e):
    """What is no answer is nobody's fault who logs in: 454."""
    for i, say in enumerate((
            {}, dict(GOOD, email="a\0b"), {"active": "true"}, {"active": 1}, [], b"", b"nonsense",
            b'{"active": true', b'{"active": true, "active": true}',
            b"[" * 60000, b"x" * 70000, status(401), status(403),
            status(500), status(204),
            status(302, [("Location", "https://evil.test/")]),
            lambda h: h.wfile.write(b"garbage\r\n\r\n"),
            lambda h: h.connection.close(),
            lambda h: h.wfile.write(
                b"HTTP/1.1 200 OK\r\nX: " + b"y" * 50000 + b"\r\n\r\n"),
            lambda h: h.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"))):
        e.say[f"broken{i}"] = say
        assert login(c, f"broken{i}") == ("fail", UNAVAILABLE), (i, say)
    # It is asked again: such an answer is not kept.
    e.say["broken0"] = GOOD
    assert login(c, "broken0") == OK


def cached(c, e):
    """Not beyond its own end, nor beyond the time for all, 3 s here."""
    for life in 2, 10, 40:
        token = f"short{life}"
        until = int(time.time()) + life
        e.say[token] = dict(GOOD, exp=until)
        got = login(c, token)
        if time.time() < until:         # else the machine was too slow
            assert got == OK, got
            break
    e.say[token] = {"active": False}
    e.say["long"] = GOOD
    assert login(c, "long") == OK
    time.sleep(max(until - time.time(), 3) + 0.5)
    assert login(c, token) == ("fail", WRONG)
    e.say["long"] = {"active": False}
    assert login(c, "long") == ("fail", WRONG)


def local(c, e, key):
    """A JSON web token needs no question, unless the setting says so."""
    token = key.token()
    assert login(c, token) == OK
    assert e.count(token) == 0
    assert login(c, key.token(exp=1)) == ("fail", WRONG)
    assert login(c, token[:-4]) == ("fail", WRONG)
    assert e.count(token[:-4]) == 0
    e.say["a.b.c"] = GOOD            # no JSON in it: opaque
    assert login(c, "a.b.c") == OK


def hanging(m, e):
    """Many tokens at an endpoint that hangs: nobody else waits, and each is
    told after a while."""
    e.begun = 0
    clients = [Client(m.base) for _ in range(40)]
    start = time.monotonic()
    for i, c in enumerate(clients):
        e.say[f"hang{i}"] = "hang"
        begin(c, f"hang{i}")
    other = Client(m.base)
    assert other.plain(BOB, "builder")[0] == "ok"
    cancelled = clients.pop()
    cancelled.s.close()
    for c in clients:
        assert end(c) == ("fail", UNAVAILABLE)
    took = time.monotonic() - start
    assert took > TIMEOUT * 0.9
    # As many rounds as there was time for.
    assert e.begun <= PARALLEL * (1 + int(took / TIMEOUT)), (e.begun, took)
    e.release.set()
    assert patient(other, "plain2") == ("fail", WRONG)


def jailed(m):
    nurses = [p for p in processes("authd-nurse") if parent(p) in authds(m)]
    pid, = [p for p in processes("authd-introspec") if parent(p) in nurses]
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        s = dict(x.rstrip("\n").split(":\t", 1) for x in f)
    assert s["Uid"].split()[0] != "0" and int(s["CapEff"], 16) == 0
    if not os.environ.get("SAN"):
        assert s["Seccomp"] == "2", s
    assert os.readlink(f"/proc/{pid}/root").endswith("/jail/authd-introspect")
    # And authd has nothing that leads out.
    for p in (*authds(m), pid):
        for fd in os.listdir(f"/proc/{p}/fd"):
            try:
                link = os.readlink(f"/proc/{p}/fd/{fd}")
            except FileNotFoundError:       # closed meanwhile
                continue
            if p != pid:
                assert link[8:-1] not in inet_sockets(), link
    return int(pid)


def again_and_again(m, c, e, helper):
    """The process is gone: tokens have to wait, passwords do not, and after
    half a second, a second and so on there is another one."""
    for n in range(3):
        token = f"again{n}"
        e.say[token] = GOOD
        asked = Client(m.base)
        e.say[f"lost{n}"] = "hang"
        begin(asked, f"lost{n}")
        os.kill(helper, signal.SIGKILL)
        assert end(asked)[0] == "fail"
        assert c.plain(BOB, "builder")[0] == "ok"
        m.wait_log(f"process authd-introspect pid {helper} killed by "
                   "signal 9")
        m.wait_log("lost the process authd-introspect; another one follows")
        got = patient(c, token)
        assert got == OK, got
        assert jailed(m) != helper
        helper = jailed(m)


def inet_sockets():
    found = set()
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/net/{kind}", encoding="ascii") as f:
            found |= {line.split()[9] for line in f.readlines()[1:]}
    return found - {"0"}


def processes(called):
    return [p for p in os.listdir("/proc") if p.isdigit()
            and name(p) == called]


def name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="latin-1") as f:
            return f.read().rstrip("\n")
    except OSError:
        return ""


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
        return f.read().rpartition(")")[2].split()[1]


def authds(m):
    return [str(p) for p, n in m.children().items() if n == "authd"]


def make_certs(base):
    def one(name, *more):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
             "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN={name}",
             *more], check=True, capture_output=True, cwd=base)
        with open(f"{base}/{name}.pem", "w", encoding="ascii") as f:
            for part in ("key", "crt"):
                with open(f"{base}/{name}.{part}", encoding="ascii") as p:
                    f.write(p.read())

    one("root")
    one("id", "-CA", "root.crt", "-CAkey", "root.key", "-addext",
        "subjectAltName=DNS:localhost", "-addext",
        "basicConstraints=critical,CA:FALSE")
    one("stranger", "-addext", "subjectAltName=DNS:localhost")


def has_curl(m):
    return "libcurl" in subprocess.run(
        ["readelf", "-d", m.program("authd")], capture_output=True,
        text=True, check=True).stdout


def instance(e, **settings):
    m = Instance(settings={
        "authd_failure_delay": "0s", "authd_failure_ban_threshold": "100000",
        "authd_oauth_introspection_url":
            f"https://localhost:{e.port}/introspect?x=1",
        # Long, so that a slow machine is no endpoint that hangs.
        "authd_oauth_introspection_timeout": "60s",
        "authd_oauth_introspection_cache_time": "1h",
        "authd_oauth_introspection_tls_CAfile": f"{BASE}/root.crt",
        "authd_oauth_introspection_credentials_file": f"{BASE}/secret",
        "authd_oauth_issuer": "https://id.test",
        "authd_oauth_audience": "mail", "authd_oauth_scope": "mail",
        **settings}, services="resolver unix - - - - 1 resolver\n")
    accounts(m, alice="wonderland", bob="builder")
    return m


def main():
    need_root()
    make_certs(BASE)
    with open(f"{BASE}/secret", "w", encoding="ascii") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write("mail:server:s+cret: %\n")
    e = Endpoint(BASE, "id")
    m = instance(e)
    if not has_curl(m):
        print("skip: built without libcurl")
        return
    key = Key(types.SimpleNamespace(base=BASE), "e1", "ES256")
    with m:
        c = Client(m.base)
        good(c, e)
        bad(c, e)
        broken(c, e)
        helper = jailed(m)
        log = m.log()
        assert "s+cret" not in log and "s%2Bcret" not in log
        assert "(authd_oauth_introspection_credentials_file)" in log
        again_and_again(m, c, e, helper)
    with instance(e, authd_oauth_introspection_cache_time="3s") as m:
        cached(Client(m.base), e)
    with instance(e, authd_oauth_introspection_timeout=f"{TIMEOUT}s") as m:
        hanging(m, e)
    with instance(e, authd_oauth_jwks_file="{base}/etc/jwks.json") as m:
        with open(f"{m.etc}/jwks.json", "w", encoding="ascii") as out:
            json.dump({"keys": [key.jwk()]}, out)
        local(Client(m.base), e, key)
    with instance(e, authd_oauth_jwks_file="{base}/etc/jwks.json",
                  authd_oauth_introspection="always") as m:
        with open(f"{m.etc}/jwks.json", "w", encoding="ascii") as out:
            json.dump({"keys": [key.jwk()]}, out)
        c, token = Client(m.base), key.token()
        assert login(c, token) == ("fail", WRONG)    # revoked
        assert login(c, key.token(exp=1)) == ("fail", WRONG)
        token = key.token(jti="2")
        e.say[token] = GOOD
        assert login(c, token) == OK
    # Another who says that he is it, and nobody at all.
    stranger = Endpoint(BASE, "stranger")
    stranger.say["x"] = GOOD
    with instance(stranger) as m:
        assert login(Client(m.base), "x") == ("fail", UNAVAILABLE)
        assert not stranger.asked
    stranger.port = free_port()
    with instance(stranger) as m:
        assert login(Client(m.base), "x") == ("fail", UNAVAILABLE)
    # What cannot be used is told at once.
    for bad_url in ("http://localhost/", "https://", "https://a b/"):
        m = instance(e, authd_oauth_introspection_url=bad_url)
        done = m.command("mansio", "check", check=False)
        assert "authd_oauth_introspection_url" in done.stdout + done.stderr
    print("12 passed, 0 failed, 0 skipped")


BASE = os.environ["TMPDIR"]
os.chmod(BASE, 0o755)
main()
