#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Where a client is the kernel says, not the front: one that was taken over
can neither guess unseen nor have others banned; and those who may speak for
others are believed."""
import base64
import os
import smtplib
import socket
import struct
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import (BANNED, CANCEL, UNAVAILABLE, WRONG,  # noqa: E402
                     Client, a_client, free_port, need_root)
from mailusers import Users  # noqa: E402

ALICE, VICTIM = "alice@example.test", "198.51.100.99"
passed = 0


def as_front(fn):
    """fn in a process with a front's rights."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(m.owner.pw_gid)
            os.setuid(m.owner.pw_uid)
            fn()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0, fn


def broken(**kw):
    """authd hangs up on such a START."""
    c = Client(m.base)
    try:
        c.plain(ALICE, "wonderland", **kw)
        raise AssertionError(kw)
    except (EOFError, ConnectionError):
        c.close()


def what_is_no_client():
    """No descriptor, or one that is not of the network."""
    broken()
    ours, theirs = socket.socketpair()
    broken(show=theirs)
    broken(show=theirs, client="127.0.0.1")
    with open("/dev/null", "rb") as null:
        broken(show=null)
    with socket.create_server(("127.0.0.1", 0)) as s:
        c = Client(m.base)
        # Not connected: as if the client had gone.
        assert c.plain(ALICE, "wonderland", show=s)[1] == UNAVAILABLE
        client, served = a_client("127.0.0.1")
        assert c.plain(ALICE, "wonderland", show=served,
                       client="127.0.0.1")[0] == "ok"
        # With anything but START it is out of place.
        socket.send_fds(c.s, [struct.pack("<IHHI", 0, CANCEL, 1, 1)],
                        [served.fileno()])
        try:
            while c.s.recv(1000):
                pass
        except ConnectionError:
            pass
        client.close(), served.close(), ours.close()


def the_kernel_is_believed():
    """Guesses count where they came from, whatever is claimed."""
    client, served = a_client("127.0.0.66")
    c = Client(m.base)
    for i in range(5):
        assert c.plain(ALICE, f"guess{i}", show=served,
                       client=VICTIM)[:2] == ("fail", WRONG)
    for claim in (VICTIM, "127.0.0.1", "", "junk", "127.0.0.66"):
        assert c.plain(ALICE, "wonderland", show=served,
                       client=claim)[1] == BANNED, claim
    # A client that has gone away is as good as it was.
    client.close()
    assert c.plain(ALICE, "wonderland", show=served)[1] == BANNED
    served.close()


def who_is_it():
    """What bans and tickets know of it."""
    c = Client(m.base)
    bans = c.bans()
    assert VICTIM not in bans and bans["127.0.0.66"][0], bans
    assert f"its client is {VICTIM}, but it came from 127.0.0.66" in m.log()
    client, served = a_client("127.0.0.70")
    got = c.plain(ALICE, "wonderland", show=served, client=VICTIM,
                  service="pop3", ticket=True)
    assert got[0] == "ok"
    assert c.redeem("pop3", got[3])["user"] == ALICE
    assert c.came == ("127.0.0.70", client.getsockname()[1]), c.came
    client.close(), served.close()


def who_shows():
    """The real fronts, in the clear."""
    with m.pop3("alice"):
        out = m.command("mansio", "who").stdout
        assert "127.0.0.1" in out, out


def guess(port, hello=b"", xclient="", source="127.0.0.1"):
    class Proxied(smtplib.SMTP):
        def _get_socket(self, host, port, timeout):
            s = super()._get_socket(host, port, timeout)
            s.sendall(hello)
            return s

    with Proxied("127.0.0.1", port, timeout=30,
                 source_address=(source, 0)) as s:
        s.ehlo()
        if xclient:
            assert s.docmd("XCLIENT", f"ADDR={xclient}")[0] == 220
            s.ehlo()
        text = base64.b64encode(b"\0" + ALICE.encode() + b"\0wrong").decode()
        assert s.docmd("AUTH", "PLAIN " + text)[0] == 535


def who_may_speak_for_others():
    guess(proxied, b"PROXY TCP4 198.51.100.71 192.0.2.1 4711 25\r\n")
    guess(proxied, b"PROXY TCP6 2001:db8:7::1 2001:db8::1 4711 25\r\n")
    guess(named, xclient="198.51.100.72")
    guess(plain, source="127.0.0.73")
    c = Client(m.base)
    bans = c.bans()
    for net in ("198.51.100.71", "2001:db8:7::/64", "198.51.100.72",
                "127.0.0.73"):
        assert bans[net][2] == 1, (net, bans)
    c.close()


def again_after_a_reload():
    """The settings are new, and so is who is believed."""
    m.command("postconf", "-e",
              "smtpd_authorized_xclient_hosts=127.0.0.74")
    m.command("mansio", "reload")
    end = time.monotonic() + 30
    while True:
        try:
            guess(plain, xclient="198.51.100.74", source="127.0.0.74")
            break
        except AssertionError:      # a process with the old settings
            assert time.monotonic() < end
            time.sleep(0.2)
    c = Client(m.base)
    bans = c.bans()
    assert "198.51.100.74" in bans and "127.0.0.74" not in bans, bans
    c.close()


need_root()
proxied, named, plain = free_port(), free_port(), free_port()
AUTH = "  -o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=no\n"
with Users({"authd_failure_delay": "0s", "authd_failure_ban_threshold": "5",
            "authd_ban_exceptions": "127.0.0.1/32",
            "smtpd_peername_lookup": "no"}, services=f"""\
127.0.0.1:{proxied} inet n - - - - smtpd
  -o smtpd_upstream_proxy_protocol=haproxy
{AUTH}127.0.0.1:{named} inet n - - - - smtpd
  -o smtpd_authorized_xclient_hosts=127.0.0.0/8
{AUTH}127.0.0.1:{plain} inet n - - - - smtpd
{AUTH}""") as m:
    for case in (what_is_no_client, the_kernel_is_believed):
        as_front(case)
        passed += 1
    for case in (who_is_it, who_shows, who_may_speak_for_others,
                 again_after_a_reload):
        case()
        passed += 1
print(f"{passed} passed, 0 failed, 0 skipped")
