#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""fail2ban's filter of ours finds who fails to log in, and nobody else."""
import os
import re
import shutil
import smtplib
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from instance import need_root, skip  # noqa: E402
from mailusers import Pop3, Users  # noqa: E402

OURS = os.path.join(HERE, "../../etc/mansio.fail2ban")
THEIRS = "/etc/fail2ban/filter.d/common.conf"
# Somebody who wants another to be banned.
EVIL = "x> client=192.0.2.66[1] reason=no trace=1"


def found(m, mode="auth"):
    """{address: times}, and all lines that matched."""
    # It lies beside what it includes.
    name = f"{m.base}/mansio.conf"
    shutil.copy(OURS, name)
    shutil.copy(THEIRS, m.base)
    done = subprocess.run(
        ["fail2ban-regex", "--print-all-matched", m.logfile,
         f"{name}[mode={mode}]"], timeout=60, check=False,
        capture_output=True, text=True)
    assert done.returncode == 0, done
    lines = re.findall(r"^\|  (.*/(?:authd|smtpd)\[.*)$", done.stdout, re.M)
    count = re.search(r"(\d+) matched, ", done.stdout)
    assert int(count[1]) == len(lines), done.stdout
    who = subprocess.run(
        ["fail2ban-regex", "-o", "ip", m.logfile, f"{name}[mode={mode}]"],
        timeout=60, check=True, capture_output=True, text=True)
    got = {}
    for ip in who.stdout.split():
        got[ip] = got.get(ip, 0) + 1
    return got, lines


def smtp(m, user, password):
    with smtplib.SMTP("127.0.0.1", m.smtp_port, timeout=60) as s:
        try:
            s.login(user, password)
        except smtplib.SMTPAuthenticationError:
            return False
        return True


def main():
    need_root()
    if shutil.which("fail2ban-regex") is None:
        skip("no fail2ban")
    with Users({"smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "no",
                "smtpd_relay_restrictions": "reject_unauth_destination"}) as m:
        assert smtp(m, "alice@example.test", "wonderland")
        assert not smtp(m, "alice@example.test", "wrong")
        assert not smtp(m, EVIL, "wrong")
        for user in ("alice", "nobody@example.test"):
            with m.pop3() as c:
                c.ok(f"USER {user}")
                c.err("PASS wrong")
        with Pop3(m.imap_port, "127.0.0.1") as c:
            c.send("a LOGIN alice wrong\r\n")
            assert c.line().startswith("a NO ")
        with smtplib.SMTP("127.0.0.1", m.smtp_port, timeout=60) as s:
            s.ehlo("client.example")
            s.mail("x@elsewhere.example")
            assert s.rcpt("y@elsewhere.example")[0] == 554
        failed = re.findall("login failed: .*", m.log())
        # smtplib tries LOGIN after PLAIN.
        assert len(failed) == 7, (failed, m.log())
        got, lines = found(m)
        assert got == {"127.0.0.1": 7}, (got, lines, m.log())
        got, lines = found(m, "more")
        assert got == {"127.0.0.1": 8}, (got, lines, m.log())
    print("1 passed, 0 failed, 0 skipped")


main()
