#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pop3d: STLS and implicit TLS, and the pump behind it."""
import os
import signal
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../system"))
from mailusers import Pop3, Users  # noqa: E402

passed = 0


def case(fn):
    global passed
    fn()
    passed += 1


def stls():
    with m.pop3() as c:
        assert "STLS" in c.many("CAPA")
        c.ok("USER alice@example.test")
        c.ok("STLS")
        c.tls(m.ca)
        assert "STLS" not in c.many("CAPA")
        c.err("STLS")
        c.err("PASS wonderland")    # what was said before does not count
        c.login("alice")
        c.ok("STAT")
        c.ok("QUIT")
        assert c.at_end()
    m.wait_log("TLSv1.3 with cipher ")
    m.wait_log("Anonymous TLS connection established: TLSv1.3 with cipher ")


def injected_commands():
    """RFC 2595 4, RFC 3207 6: nothing of before the handshake is kept."""
    with m.pop3() as c:
        c.send("STLS\r\nCAPA\r\n")
        assert c.line() == "+OK Begin TLS negotiation now"
        assert c.at_end()
    m.wait_log("bytes of plain text after the command that begins TLS")


def broken_handshakes():
    for data in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x40\x00" +
                 b"x" * 100, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"):
        with m.pop3() as c:
            c.ok("STLS")
            c.send(data)
            c.s.shutdown(socket.SHUT_WR)
            try:
                while c.s.recv(1000):
                    pass
            except ConnectionError:
                pass
        with socket.create_connection(("127.0.0.1", m.pop3s_port), 20) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            try:
                while s.recv(1000):
                    pass
            except ConnectionError:
                pass


def implicit():
    with Pop3(m.pop3s_port, ca=m.ca) as c:
        assert c.greeting.startswith("+OK")
        capa = c.many("CAPA")
        assert "STLS" not in capa and "USER" in capa
        # -PLUS is accepted, and not announced (authd_mechanism_quiet).
        assert any("SCRAM-SHA-256" in line.split() for line in capa), capa
        assert not any("-PLUS" in line for line in capa), capa
        c.login("alice")
        c.ok("QUIT")
    ctx = ssl.create_default_context(cafile=m.ca)
    ctx.set_alpn_protocols(["pop3"])
    with ctx.wrap_socket(socket.create_connection(
            ("127.0.0.1", m.pop3s_port), 20), server_hostname="localhost") \
            as s:
        assert s.selected_alpn_protocol() == "pop3"


def much_mail():
    """More than any buffer, pipelined, to a slow and a quick client."""
    for rcvbuf in (0, 4096):
        with Pop3(m.pop3s_port, ca=m.ca, rcvbuf=rcvbuf) as c:
            c.login("bob")
            c.send("RETR 1\r\n" * 12 + "QUIT\r\n")
            time.sleep(0.3)
            for _ in range(12):
                size = int(c.line().split()[1])
                assert sum(len(x) + 2 for x in c.lines()) == size > 900000
            assert c.line().startswith("+OK")
            assert c.at_end()


def only_with_tls():
    m.reload("mua_cleartext_networks=")
    with m.pop3() as c:
        capa = c.many("CAPA")
        sasl = [x for x in capa if x.startswith("SASL ")]
        assert not sasl or "PLAIN" not in sasl[0].split()
        c.err("USER alice@example.test", "[AUTH]")
        c.err("PASS wonderland", "[AUTH]")
        c.err("AUTH PLAIN AGEAYg==", "[AUTH]")
        c.ok("STLS")
        c.tls(m.ca)
        c.login("alice")
        c.ok("QUIT")
    log = m.log()
    assert "wonderland" not in log


def reload_and_death():
    """Sessions outlive a reload of the front; its death ends them."""
    with Pop3(m.pop3s_port, ca=m.ca) as c:
        c.login("alice")
        m.command("mansio", "reload")
        for _ in range(5):
            time.sleep(0.1)
            c.ok("NOOP")
        for pid, name in m.children().items():
            if name == "pop3d":
                os.kill(pid, signal.SIGKILL)
        assert c.at_end()
    for _ in range(100):
        if not m.session_pids():
            return
        time.sleep(0.1)
    raise AssertionError("the session has not noticed")


with Users({"pop3d_tls_loglevel": "2"}, tls=True) as m:
    m.send("bob", "Subject: big\r\n\r\n" + ("." * 76 + "\r\n") * 12000)
    m.wait_idle()
    case(stls)
    case(injected_commands)
    case(broken_handshakes)
    case(implicit)
    case(much_mail)
    case(only_with_tls)
    case(reload_and_death)
    bad = [x for x in m.log().splitlines() if "panic" in x or "fatal" in x]
    assert not bad, bad
print(f"{passed} passed, 0 failed, 0 skipped")
