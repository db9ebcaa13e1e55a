#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""Exim asks our authd who its clients are, in Dovecot's protocol (its driver
"dovecot")."""
import os
import smtplib
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from foreign import Box, Unavailable  # noqa: E402
from instance import Instance, free_port, need_root, skip  # noqa: E402
from saslpostfix import ALICE, attempt  # noqa: E402

MECHS = ("PLAIN", "LOGIN", "SCRAM-SHA-256")
EXIM = """\
primary_hostname = mx.exim.test
spool_directory = {d}/spool
log_file_path = {d}/log/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
auth_advertise_hosts = *
acl_smtp_mail = accept
acl_smtp_rcpt = rcpt
never_users =
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
begin acl
rcpt:
  accept authenticated = *
  deny message = relay not permitted
begin authenticators
"""
AUTHENTICATOR = """\
{name}:
  driver = dovecot
  public_name = {mech}
  server_socket = {socket}
  server_set_id = $auth1
"""


def start(box, port, socket):
    text = EXIM.format(d=box.d, port=port) + "".join(
        AUTHENTICATOR.format(name=m.lower().replace("-", "_"), mech=m,
                             socket=socket) for m in MECHS)
    os.makedirs(f"{box.etc}/exim4", exist_ok=True)
    with open(f"{box.etc}/exim4/exim4.conf", "w", encoding="ascii") as f:
        f.write(text)
    for d in ("spool", "log"):
        os.makedirs(f"{box.d}/{d}", exist_ok=True)
        os.chown(f"{box.d}/{d}", 64000, 64000)
    os.chown(socket, 64000, 64000)
    box.start("/usr/sbin/exim4", "-bdf")
    end = time.monotonic() + 60
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=10) as s:
                s.ehlo()
                return s.esmtp_features.get("auth", "")
        except OSError:
            if box.process.poll() is not None:
                raise Unavailable(box.output()[-500:]) from None
            assert time.monotonic() < end, box.output()[-3000:]
            time.sleep(0.1)


def logins(m, box, port):
    for mech in MECHS:
        assert attempt(port, mech, ALICE, "wonderland") == 235, (
            mech, box.output()[-3000:], m.log()[-2000:])
        for user, password in ((ALICE, "wrong"),
                               ("nobody@example.test", "wonderland")):
            assert attempt(port, mech, user, password) == 535, (mech, user)
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as s:
        s.ehlo()
        for junk in ("AAAA", "!!!", "A" * 3000):
            code = s.docmd("AUTH", "PLAIN " + junk)[0]
            assert 400 <= code < 600, (junk, code)
    log = m.log()
    assert log.count("login: service=smtp") == 3, log[-3000:]
    # An address, so that failures count against it.
    assert "client=127.0.0.1" in log, log[-3000:]


def authd_away(m, port):
    authd, = [p for p, n in m.children().items() if n == "authd"]
    os.kill(authd, 9)
    end = time.monotonic() + 60
    while True:
        try:            # a new socket, which is root's at first
            os.chown(f"{m.base}/dovecot-auth", 64000, 64000)
            if attempt(port, "PLAIN", ALICE, "wonderland") == 235:
                return
        except OSError:
            pass
        assert time.monotonic() < end, m.log()[-3000:]
        time.sleep(0.2)


def main():
    need_root()
    passed = 0
    with Instance(settings={
            "authd_dovecot_socket": "{base}/dovecot-auth",
            "authd_failure_delay": "0s",
            "authd_ban_exceptions": "127.0.0.0/8"}) as m:
        m.command("mansio", "user", "add", ALICE, input="wonderland\n")
        port = free_port()
        try:
            box = Box(["exim4-daemon-heavy", "exim4-base", "libspf2-2"],
                      ["Debian-exim", "peer"])
        except Unavailable as e:
            skip(f"Exim: {e}")
        try:
            offered = start(box, port, f"{m.base}/dovecot-auth")
            assert set(MECHS) <= set(offered.split()), offered
            for case in (lambda: logins(m, box, port),
                         lambda: authd_away(m, port)):
                case()
                passed += 1
        except Unavailable as e:
            skip(f"Exim: {e}")
        finally:
            box.close()
    print(f"{passed} passed, 0 failed, 0 skipped")


main()
