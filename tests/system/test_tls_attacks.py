#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Attacks on TLS and on what surrounds it, on every protocol: commands in
front of the handshake, old protocols, renegotiation, slow and broken handshakes,
tickets that were changed, names that are none, browsers."""
import base64
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import free_port  # noqa: E402
from mailusers import TIMEOUT, Users  # noqa: E402

NAME = "mail.example.test"
# How each protocol begins TLS: its greeting's end, the command, the go-ahead.
PLAIN = {
    "smtp": (b"220 ", b"EHLO x.example\r\n", b"250 ", b"STARTTLS\r\n",
             b"220 "),
    "imap": (b"* OK", b"", b"", b"a STARTTLS\r\n", b"a OK"),
    "pop3": (b"+OK", b"", b"", b"STLS\r\n", b"+OK"),
    "lmtp": (b"220 ", b"LHLO x.example\r\n", b"250 ", b"STARTTLS\r\n",
             b"220 "),
}
# A command that only somebody in the clear could have put there, and what an
# answer to it would look like.
INJECTED = {"smtp": (b"RSET\r\n", b"250 2.0.0"),
            "imap": (b"b NOOP\r\n", b"b OK"),
            "pop3": (b"CAPA\r\n", b"USER"),
            "lmtp": (b"RSET\r\n", b"250 2.0.0")}
BYE = {"smtp": b"QUIT\r\n", "imap": b"z LOGOUT\r\n", "pop3": b"QUIT\r\n",
       "lmtp": b"QUIT\r\n"}


class Attacked(Users):
    def __init__(self):
        self.smtps_port = free_port()
        super().__init__(tls=True, settings={
            "imapd_login_timeout": "4s", "pop3d_login_timeout": "4s",
            "smtpd_starttls_timeout": "4s", "lmtpd_tls_security_level": "may",
            "tls_server_sni_maps": "inline:{{ {{one.example.test = "
                                   "{base}/etc/server.pem}} }}",
        }, services=f"127.0.0.1:{self.smtps_port} inet n - - - - smtpd\n"
                    "  -o smtpd_tls_wrappermode=yes\n")
        self.plain = {"smtp": self.smtp_port, "imap": self.imap_port,
                      "pop3": self.pop3_port, "lmtp": self.lmtp_port}
        self.implicit = {"smtp": self.smtps_port, "imap": self.imaps_port,
                         "pop3": self.pop3s_port}

    def connect(self, port):
        return socket.create_connection(("127.0.0.1", port), TIMEOUT)

    def context(self):
        return ssl.create_default_context(cafile=self.ca)

    def wrap(self, sock, context=None, name=NAME):
        return (context or self.context()).wrap_socket(sock,
                                                       server_hostname=name)

    def tls(self, protocol, context=None, name=NAME):
        return self.wrap(self.connect(self.implicit[protocol]), context, name)

    def ready(self, protocol):
        """A connection that is about to be told to begin TLS."""
        s = self.connect(self.plain[protocol])
        greeting, hello, answer = PLAIN[protocol][:3]
        until(s, greeting)
        if hello:
            s.sendall(hello)
            until(s, answer)
        return s

    def starttls(self, protocol, context=None):
        s = self.ready(protocol)
        s.sendall(PLAIN[protocol][3])
        until(s, PLAIN[protocol][4])
        return self.wrap(s, context)

    def served(self):
        """All protocols answer an honest client."""
        for protocol in self.implicit:
            with self.tls(protocol) as s:
                until(s, PLAIN[protocol][0])


def until(s, start):
    """Read lines until one begins with start."""
    data = b""
    while True:
        got = s.recv(1)
        assert got, (start, data)
        data += got
        if data.endswith(b"\n") and \
                data.splitlines()[-1].startswith(start):
            return data


def rest(s):
    data = b""
    try:
        while got := s.recv(65536):
            data += got
    except (ConnectionError, ssl.SSLError):
        pass
    return data


def injection(m):
    """RFC 3207 6, RFC 9051 6.2.1: what came in the clear is not obeyed, in
    one packet with the command or behind the go-ahead."""
    for protocol in PLAIN:
        command, answer = INJECTED[protocol]
        with m.ready(protocol) as s:
            s.sendall(PLAIN[protocol][3] + command + BYE[protocol])
            got = rest(s)
            assert answer not in got, (protocol, got)
        with m.ready(protocol) as s:
            s.sendall(PLAIN[protocol][3])
            until(s, PLAIN[protocol][4])
            s.sendall(command)
            got = rest(s)
            assert answer not in got, (protocol, got)
        # The same with a handshake to follow: it is not completed, or what
        # was injected has no answer behind it.
        with m.ready(protocol) as s:
            s.sendall(PLAIN[protocol][3] + command)
            until(s, b"")
            try:
                with m.wrap(s) as t:
                    t.sendall(BYE[protocol])
                    got = rest(t)
                    assert answer not in got, (protocol, got)
            except (OSError, ssl.SSLError):
                pass


def no_second_tls(m):
    for protocol, code in (("smtp", b"554 "), ("imap", b"a BAD"),
                           ("pop3", b"-ERR"), ("lmtp", b"554 ")):
        with m.starttls(protocol) as t:
            if protocol in ("smtp", "lmtp"):
                t.sendall(PLAIN[protocol][1])
                got = until(t, b"250 ")
                assert b"STARTTLS" not in got
            t.sendall(PLAIN[protocol][3])
            until(t, code)


def client(m, port, *args, stdin=b"", wait=None):
    """openssl s_client; wait: until its output has this."""
    p = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile",
         m.ca, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    out = b""
    end = time.monotonic() + TIMEOUT
    while wait and wait not in out and time.monotonic() < end:
        if select.select([p.stdout], [], [], 1)[0]:
            got = os.read(p.stdout.fileno(), 65536)
            if not got:
                break
            out += got
    out += p.communicate(stdin, timeout=TIMEOUT)[0]
    return out


def renegotiation(m):
    """TLS 1.2: it ends the connection, so that there is no flood of them."""
    for protocol, port in m.implicit.items():
        out = client(m, port, "-tls1_2", stdin=b"R\n" * 3,
                     wait=PLAIN[protocol][0])
        assert b"RENEGOTIATING" in out, out
        assert b"error" in out.lower() or b"closed" in out, out
        assert out.count(b"RENEGOTIATING") <= 3
    m.served()


def key_updates(m):
    """TLS 1.3's heir of it: a thousand new keys, each to be answered in kind,
    hold nobody up."""
    for protocol, port in m.implicit.items():
        out = client(m, port, "-tls1_3", stdin=b"K\n" * 1000,
                     wait=PLAIN[protocol][0])
        assert b"KEYUPDATE" in out, out
        m.served()


def old_hello(version, ciphers=b"\xc0\x09\xc0\x0a\xc0\x13\xc0\x14\x00\x2f"
              b"\x00\x35\x00\x0a\x00\x05\x00\xff"):
    """A ClientHello of SSL 3 to TLS 1.2, with what they have of curves."""
    extensions = b""
    if version > 0x0300:
        extensions = (b"\x00\x0a\x00\x06\x00\x04\x00\x17\x00\x1d"
                      b"\x00\x0b\x00\x02\x01\x00")
    if version >= 0x0303:
        extensions += b"\x00\x0d\x00\x06\x00\x04\x04\x03\x08\x04"
    body = version.to_bytes(2, "big") + os.urandom(32) + b"\0" + \
        len(ciphers).to_bytes(2, "big") + ciphers + b"\x01\x00"
    if extensions:
        body += len(extensions).to_bytes(2, "big") + extensions
    shake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03" + min(version & 255, 1).to_bytes(1, "big") + \
        len(shake).to_bytes(2, "big") + shake


def alert(s, hello):
    """The server's alert on a hello, or 0: it has answered."""
    s.sendall(hello)
    s.shutdown(socket.SHUT_WR)
    got = rest(s)
    assert got[:1] in (b"\x15", b"\x16"), got
    return got[6] if got[0] == 0x15 else 0


def downgrades(m):
    """Nobody is talked into less than both can: SSL 3 to TLS 1.1 are not
    spoken (RFC 8996), a client that fell back is told that it need not have
    (RFC 7507), and one that was made to believe that there is only TLS 1.2
    sees that there is more (RFC 8446 4.1.3)."""
    aead = b"\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\x00\xff"
    ways = [lambda p=p: m.connect(m.implicit[p]) for p in m.implicit]

    def starting(protocol):
        s = m.ready(protocol)
        s.sendall(PLAIN[protocol][3])
        until(s, PLAIN[protocol][4])
        return s

    ways += [lambda p=p: starting(p) for p in PLAIN]
    for way in ways:
        for version in (0x0300, 0x0301, 0x0302):
            with way() as s:
                assert alert(s, old_hello(version)) in (40, 70), version
        with way() as s:
            assert alert(s, old_hello(0x0303, b"\x56\x00" + aead)) == 86
        # No secrecy, no encryption, export, RC4, 3DES, anonymous.
        weak = b"\x00\x2f\x00\x02\x00\x3b\x00\x08\x00\x05\xc0\x11" \
            b"\x00\x0a\xc0\x12\xc0\x18\x00\x18\x00\xff"
        with way() as s:
            assert alert(s, old_hello(0x0303, weak)) == 40
        with way() as s:
            s.sendall(old_hello(0x0303, aead))
            got = b""
            while len(got) < 50:
                got += s.recv(50 - len(got))
            # Record, handshake, version, and the random's last bytes.
            assert got[0] == 0x16 and got[9:11] == b"\x03\x03", got
            assert got[35:43] == b"DOWNGRD\x01", got
    m.served()


def changed_ticket(m):
    """A session goes on with its ticket, and not with a changed one."""
    for version in ("-tls1_2", "-tls1_3"):
        path = f"{m.base}/session.pem"
        out = client(m, m.imaps_port, version, "-sess_out", path,
                     stdin=b"a LOGOUT\nQ\n", wait=b"* OK")
        assert os.path.exists(path), out
        out = client(m, m.imaps_port, version, "-sess_in", path,
                     stdin=b"a LOGOUT\nQ\n", wait=b"* OK")
        assert b"Reused, TLSv1" in out, out
        with open(path, encoding="ascii") as f:
            der = bytearray(base64.b64decode(
                "".join(f.read().splitlines()[1:-1])))
        # [10] is the ticket; its first 16 bytes name the key.
        at = [x.start() for x in re.finditer(rb"\xaa\x81.\x04\x81", der)][-1]
        for offset in (6, 6 + 20, 6 + 60, 6 + 100):
            bad = bytearray(der)
            bad[at + offset] ^= 1
            with open(path, "w", encoding="ascii") as f:
                f.write("-----BEGIN SSL SESSION PARAMETERS-----\n" +
                        base64.encodebytes(bytes(bad)).decode() +
                        "-----END SSL SESSION PARAMETERS-----\n")
            out = client(m, m.imaps_port, version, "-sess_in", path,
                         stdin=b"a LOGOUT\nQ\n", wait=b"* OK")
            assert b"Reused" not in out and b"New, TLSv1" in out, out
        os.unlink(path)


def slow(m):
    """Handshakes that never end hold nobody up, and are ended."""
    hello = client_hello()
    held = []
    for protocol, port in m.implicit.items():
        for n in (0, 1, 5, len(hello) // 2, len(hello) - 1, len(hello)):
            s = m.connect(port)
            s.sendall(hello[:n])
            held.append((protocol, s))
    for protocol in PLAIN:
        s = m.ready(protocol)
        s.sendall(PLAIN[protocol][3])
        until(s, PLAIN[protocol][4])
        s.sendall(hello[:50])
        held.append((protocol, s))
    # A byte now and then does not make it longer.
    drip = m.connect(m.imaps_port)
    begun = time.monotonic()
    m.served()
    for byte in hello:
        try:
            drip.sendall(bytes([byte]))
            if select.select([drip], [], [], 0.2)[0]:
                break
        except OSError:
            break
    assert time.monotonic() - begun < 4 + TIMEOUT
    rest(drip)
    for protocol, s in held:
        s.settimeout(TIMEOUT)
        rest(s)                 # a timeout of ours would raise
        s.close()


def client_hello():
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    o = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=NAME)
    try:
        o.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def broken(m):
    """Handshakes that are cut off or make no sense."""
    hello = client_hello()
    samples = [hello[:n] for n in range(0, len(hello), 37)]
    samples += [b"\x16\x03\x01\x40\x00" + b"x" * 20000,     # over the limit
                b"\x16\x03\x01\x00\x00" * 100,              # empty records
                b"\x15\x03\x03\x00\x02\x01\x00" * 50,       # warnings
                b"\x17\x03\x03\x00\x10" + b"y" * 16,        # data before it
                b"\x80\x2e\x01\x00\x02" + b"z" * 41,        # SSL 2
                hello[:9] + os.urandom(len(hello) - 9),
                hello + hello]
    # More ClientHello than anybody needs.
    samples.append(b"\x16\x03\x01\x40\x00\x01\x02\x00\x00" + b"h" * 16380 +
                   (b"\x16\x03\x03\x40\x00" + b"h" * 16384) * 9)
    for port in m.implicit.values():
        for data in samples:
            with m.connect(port) as s:
                try:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                rest(s)
    m.served()


def names(m):
    """Names in the handshake (SNI) that are none, or not ours."""
    loose = m.context()
    loose.check_hostname = False
    for name in ("unknown.example.org", "a" * 63 + ".example", "127.0.0.1",
                 "xn--nxasmq6b.example", "under_score.example", "a"):
        for protocol in m.implicit:
            with m.tls(protocol, loose, name) as s:
                until(s, PLAIN[protocol][0])
    hello = client_hello()
    for name in (b"../../etc/passwd", b"server.pem\0x", b"a/b", b"%s%n",
                 b"\xff\xfe", b" " * 17):
        bad = hello.replace(NAME.encode(),
                            name.ljust(len(NAME), b".")[:len(NAME)])
        for port in m.implicit.values():
            with m.connect(port) as s:
                s.sendall(bad)
                s.shutdown(socket.SHUT_WR)
                rest(s)
    m.served()


def other_protocols(m):
    """Whoever offers a protocol that is not ours is served; a browser's
    request ends the connection before what it carries is read (ALPACA)."""
    web = m.context()
    web.set_alpn_protocols(["h2", "http/1.1"])
    for protocol in m.implicit:
        with m.tls(protocol, web) as s:
            until(s, PLAIN[protocol][0])
            assert s.selected_alpn_protocol() is None
        own = m.context()
        own.set_alpn_protocols(["x-none", protocol])
        with m.tls(protocol, own) as s:
            assert s.selected_alpn_protocol() == protocol
    script = (b"POST / HTTP/1.1\r\nHost: mail.example.test\r\n\r\n"
              b"<script>alert(1)</script> NOOP\r\n")
    long = b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n<script> NOOP\r\n"
    for protocol in m.implicit:
        for request in (script, script.replace(b"POST", b"GET"), long):
            for s in (m.tls(protocol, web), m.starttls(protocol, web)):
                try:
                    s.sendall(request)
                except OSError:
                    pass
                got = rest(s)
                assert b"script" not in got, (protocol, got)
                s.close()


def truncated(m):
    """An end without close_notify is an end, and nothing is taken for
    whole that was cut off."""
    with m.tls("imap") as s:
        until(s, b"* OK")
        s.sendall(b"a LOGIN alice@example.test wonderland\r\n")
        until(s, b"a OK")
        s.sendall(b"b APPEND INBOX {1000}\r\n")
        until(s, b"+ ")
        s.sendall(b"Subject: half\r\n\r\n")
        s.shutdown(socket.SHUT_RDWR)
    with m.tls("smtp") as s:
        until(s, b"220 ")
        for line, code in ((b"EHLO x", b"250 "), (b"MAIL FROM:<>", b"250 "),
                           (b"RCPT TO:<alice@example.test>", b"250 "),
                           (b"DATA", b"354 ")):
            s.sendall(line + b"\r\n")
            until(s, code)
        s.sendall(b"Subject: half\r\n\r\nhalf\r\n.")
        s.shutdown(socket.SHUT_RDWR)
    m.wait_idle()
    with m.tls("imap") as s:
        until(s, b"* OK")
        s.sendall(b"a LOGIN alice@example.test wonderland\r\n"
                  b"b STATUS INBOX (MESSAGES)\r\n")
        assert b"MESSAGES 0)" in until(s, b"b OK")


if not shutil.which("openssl"):
    print("skip: renegotiation and tickets (no openssl)")
passed = 0
with Attacked() as inst:
    for case in (injection, no_second_tls, downgrades, renegotiation,
                 key_updates, changed_ticket, slow, broken, names,
                 other_protocols, truncated):
        if case in (renegotiation, key_updates, changed_ticket) and \
                not shutil.which("openssl"):
            continue
        case(inst)
        passed += 1
    bad = [x for x in inst.log().splitlines() if "panic" in x or "fatal" in x
           or "killed by signal" in x or "broke its conv" in x]
    assert not bad, bad
print(f"{passed} passed, 0 failed, 0 skipped")
