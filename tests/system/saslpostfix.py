# SPDX-License-Identifier: ISC
"""A scratch Postfix that asks a server of Dovecot's auth protocol who its
clients are.

    with SaslPostfix(base, port, "/path/of/the/socket"):
        smtplib.SMTP("127.0.0.1", port) ...
"""
import os
import smtplib
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../bench"))
import postfix  # noqa: E402

available = postfix.available
MAIN = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {socket}
smtpd_sasl_security_options = noanonymous
mynetworks =
smtpd_relay_restrictions = permit_sasl_authenticated, reject
default_transport = discard
local_transport = discard
maillog_file = {base}/log
maillog_file_prefixes = {base}
"""


class SaslPostfix:
    def __init__(self, base, port, socket, more=""):
        """base: a directory that is made; more: lines of main.cf."""
        self.base, self.port = base, port
        self.postfix = postfix.Postfix(base, port, 1)
        with open(f"{base}/etc/main.cf", "a", encoding="ascii") as f:
            f.write(MAIN.format(base=base, socket=socket) + more)
        with open(f"{base}/etc/master.cf", "a", encoding="ascii") as f:
            f.write("postlog unix-dgram n - n - 1 postlogd\n")

    def log(self):
        with open(f"{self.base}/log", encoding="utf-8") as f:
            return f.read()

    def __enter__(self):
        self.postfix.start()
        end = time.monotonic() + 30
        while True:
            try:
                smtplib.SMTP("127.0.0.1", self.port, timeout=30).quit()
                return self
            except OSError:
                if time.monotonic() > end:
                    self.postfix.stop()
                    raise TimeoutError(self.log()[-3000:]) from None
                time.sleep(0.1)

    def __exit__(self, *_):
        self.postfix.stop()
