#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp logs in to Postfix, whose passwords are Dovecot's: each mechanism."""
import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../proto/smtp")]
import saslpostfix  # noqa: E402
from instance import first_user, free_port  # noqa: E402
from peerlib import (DNS, need_root, sender, skip, wait_rcpt)  # noqa: E402

MECHS = ("plain", "login", "scram-sha-1", "scram-sha-256", "xoauth2",
         "oauthbearer")
USER = "alice@example.test"
KEY = b"a key that only the test knows, of more than 32 bytes"
DOVECOT = """\
base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/log
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-1 scram-sha-256 xoauth2 oauthbearer
auth_failure_delay = 0
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 1
service auth {{
  unix_listener {base}/auth {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {base}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login scram-sha-1 scram-sha-256
  args = password=wonderland
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/home
}}
"""
OAUTH2 = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={base}/keys/
username_attribute = sub
force_introspection = no
"""


def part(x):
    data = x if isinstance(x, bytes) else json.dumps(x).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(key=KEY):
    now = int(time.time())
    text = part({"alg": "HS256", "typ": "JWT"}) + "." + part({
        "sub": USER, "iat": now - 10, "nbf": now - 10, "exp": now + 3600})
    return text + "." + part(hmac.digest(key, text.encode(), hashlib.sha256))


class Dovecot:
    def __init__(self, base):
        self.base, self.conf = base, f"{base}/dovecot.conf"
        who = first_user("vmail", "nobody")
        os.makedirs(f"{base}/home")
        os.makedirs(f"{base}/keys/default/HS256")
        for name, text in (
                ("dovecot.conf", DOVECOT.format(
                    base=base, uid=who.pw_uid, gid=who.pw_gid)),
                ("oauth2.conf", OAUTH2.format(base=base)),
                ("keys/default/HS256/default",
                 base64.b64encode(KEY).decode())):
            with open(f"{base}/{name}", "w", encoding="ascii") as f:
                f.write(text)

    def __enter__(self):
        subprocess.run(["dovecot", "-c", self.conf], check=True)
        end = time.monotonic() + 20
        while not os.path.exists(f"{self.base}/auth"):
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        subprocess.run(["dovecot", "-c", self.conf, "stop"], check=False,
                       capture_output=True)

    def log(self):
        with open(f"{self.base}/log", encoding="utf-8") as f:
            return f.read()[-3000:]


def attempts(dns, d, port, secret, want):
    """One transport for each mechanism."""
    hop = f"[127.0.0.1]:{port}"
    routes = ", ".join(f"{m}.test=try-{m}:{hop}" for m in MECHS)
    services = "".join(
        f"try-{m} unix - - - - - smtp\n"
        f"  -o smtp_sasl_mechanism_filter={m}\n" for m in MECHS)
    # Opened while rewrite is still root.
    with open(f"{d}/secret", "w", encoding="ascii") as f:
        f.write(f"{hop} {USER}:{secret}\n")
    with sender(dns, 9, {
            "transport_maps": f"inline:{{{{{routes}}}}}",
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_security_options": "noanonymous",
            "smtp_tls_security_level": "none",
            "smtp_sasl_password_maps": f"texthash:{d}/secret"},
            services=services) as m:
        for mech in MECHS:
            m.send(f"joe@{mech}.test", "Subject: x\r\n\r\nx\r\n")
            line = wait_rcpt(m, f"joe@{mech}.test", timeout=60)
            assert want(mech) in line, (mech, line)


def main():
    need_root()
    if not saslpostfix.available() or shutil.which("dovecot") is None:
        skip("no Postfix or no Dovecot")
    with tempfile.TemporaryDirectory(prefix="mansio-test-") as d:
        os.chmod(d, 0o755)
        os.makedirs(f"{d}/dovecot")
        port = free_port()
        with DNS({}) as dns, Dovecot(f"{d}/dovecot") as box, \
                saslpostfix.SaslPostfix(
                    f"{d}/postfix", port, f"{d}/dovecot/auth",
                    "smtpd_client_restrictions = "
                    "permit_sasl_authenticated, reject\n") as p:
            try:
                oauth = ("xoauth2", "oauthbearer")
                # A password is no token, and a token no password.
                attempts(dns, d, port, "wonderland", lambda mech:
                         "SASL authentication failed" if mech in oauth
                         else "status=sent")
                attempts(dns, d, port, token(), lambda mech: "status=sent"
                         if mech in oauth else "SASL authentication failed")
                attempts(dns, d, port, token(b"another"), lambda mech:
                         "SASL authentication failed")
                log = p.log()
                for mech in MECHS:
                    assert f"sasl_method={mech.upper()}, sasl_username=" \
                        f"{USER}" in log, (mech, log[-3000:])
            except BaseException:
                print(box.log())
                raise
    print("1 passed, 0 failed, 0 skipped")


main()
