#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Postfix asks our authd who its clients are (smtpd_sasl_type = dovecot)."""
import os
import shutil
import smtplib
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import saslpostfix  # noqa: E402
from saslpostfix import ALICE, attempt  # noqa: E402
from instance import Instance, free_port, need_root, skip  # noqa: E402



def soon(true, log):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, log()[-3000:]
        time.sleep(0.05)


need_root()
if not saslpostfix.available():
    skip("Postfix is not installed")
passed = 0
place = tempfile.mkdtemp(prefix="mansio-test-")
os.chmod(place, 0o755)
inst = Instance(settings={
    "authd_dovecot_socket": "{base}/dovecot-auth",
    "authd_dovecot_socket_owner": "postfix:postfix",
    "authd_failure_delay": "0s", "authd_ban_exceptions": "127.0.0.0/8"})
try:
    smtp = free_port()
    with inst as m, saslpostfix.SaslPostfix(
            f"{place}/postfix", smtp, f"{m.base}/dovecot-auth",
            "smtpd_delay_reject = yes\n") as peer:
        m.command("mansio", "user", "add", ALICE, input="wonderland\n")
        with smtplib.SMTP("127.0.0.1", smtp, timeout=30) as c:
            c.ehlo()
            offered = c.esmtp_features["auth"].split()
            assert {"PLAIN", "LOGIN", "SCRAM-SHA-256"} <= set(offered), \
                offered
        for mech in ("PLAIN", "PLAIN in two", "LOGIN", "SCRAM-SHA-256"):
            assert attempt(smtp, mech, ALICE, "wonderland") == 235, mech
            assert attempt(smtp, mech, ALICE, "wrong") == 535, mech
            assert attempt(smtp, mech, "nobody@example.test",
                           "wonderland") == 535, mech
            passed += 1
        with smtplib.SMTP("127.0.0.1", smtp, timeout=30) as c:
            c.ehlo()
            assert c.docmd("AUTH", "NO-SUCH")[0] == 535
            for junk in ("=", "AAAA", "!!!", "A" * 4000):
                assert c.docmd("AUTH", "PLAIN " + junk)[0] in (
                    501, 535, 500), junk
        soon(lambda: f"sasl_username={ALICE}" in peer.log(), peer.log)
        soon(lambda: m.log().count("login: service=smtp") >= 4, m.log)
        # authd is away for a moment: a temporary failure, then all is well.
        authd, = [p for p, n in m.children().items() if n == "authd"]
        os.kill(authd, 9)
        deadline = time.monotonic() + 60
        while attempt(smtp, "PLAIN", ALICE, "wonderland") != 235:
            assert time.monotonic() < deadline, m.log()[-3000:]
            time.sleep(0.5)
        passed += 1
finally:
    shutil.rmtree(place, ignore_errors=True)
print(f"{passed} passed, 0 failed, 0 skipped")
