#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""testssl.sh finds nothing to mend at the defaults, on any port: protocols
everywhere; ciphers, certificate and known weaknesses where it is quick."""
# timeout: 900
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BUILD, skip  # noqa: E402
from mailusers import Users  # noqa: E402

TESTSSL = shutil.which("testssl") or shutil.which("testssl.sh")
if not TESTSSL:
    skip("testssl.sh is not installed")
if "/san-" in BUILD:
    skip("slow under a sanitizer")
FINE = {"OK", "INFO", "DEBUG", "WARN"}     # WARN: could not be tried


def run(m, name, port, *options):
    report = f"{m.base}/{name}.json"
    done = subprocess.run(
        [TESTSSL, "--quiet", "--color", "0", "--warnings", "off",
         "--add-ca", m.ca, "--jsonfile", report, *options,
         f"localhost:{port}"],
        cwd=m.base, capture_output=True, text=True, timeout=800, check=False,
        stdin=subprocess.DEVNULL)
    assert os.path.exists(report), (name, done)
    with open(report, encoding="utf-8") as f:
        found = json.load(f)
    seen = {x["id"] for x in found}
    assert "TLS1_3" in seen, (name, done)
    bad = [f"{name}: {x['id']}: {x['severity']}: {x['finding']}"
           for x in found if x["severity"] not in FINE]
    return bad


with Users(tls=True) as m:
    # Port 25 has settings of its own, for those who speak worse TLS.
    jobs = [("imaps", m.imaps_port, "-p", "-s", "-S", "-U"),
            ("smtp", m.smtp_port, "-p", "-s", "--starttls", "smtp")]
    jobs += [(name, port, "-p", "--starttls", name)
             for name, port in (("imap", m.imap_port), ("pop3", m.pop3_port),
                                ("lmtp", m.lmtp_port))]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = sum(pool.map(lambda job: run(m, *job), jobs), [])
    # A private CA has no list of what it revoked, and a test no DNS.
    wrong = [x for x in wrong if ": cert_revocation" not in x and
             ": DNS_CAA" not in x]
    assert not wrong, "\n".join(wrong)
print(f"{len(jobs)} passed, 0 failed, 0 skipped")
