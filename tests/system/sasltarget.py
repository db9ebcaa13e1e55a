# SPDX-License-Identifier: ISC
"""An Instance that offers every mechanism in every protocol, for tests of
logins: m.implicit and m.plain are ports by protocol, with TLS from the start
and with STARTTLS only; m.key signs tokens that are taken."""
import json
import os
import ssl
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../proto/authd")]
from authlib import Key  # noqa: E402
from instance import free_port  # noqa: E402
from mailusers import Users  # noqa: E402


class SaslTarget(Users):
    def __init__(self, **settings):
        self.submission, self.open = free_port(), free_port()
        auth = "  -o smtpd_sasl_auth_enable=yes\n" \
            "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n"
        super().__init__(tls=True, settings={
            "authd_oauth_jwks_file": "{base}/etc/jwks.json",
            "authd_oauth_issuer": "https://id.test",
            "authd_oauth_audience": "mail", "authd_mechanism_quiet": "",
            "mua_cleartext_networks": "",
            "smtpd_hard_error_limit": "1000", "smtpd_error_sleep_time": "0s",
            "smtpd_client_auth_rate_limit": "0", **settings},
            services=f"127.0.0.1:{self.submission} inet n - - - - smtpd\n"
            "  -o smtpd_tls_wrappermode=yes\n" + auth +
            f"127.0.0.1:{self.open} inet n - - - - smtpd\n"
            "  -o smtpd_tls_security_level=may\n"
            "  -o smtpd_tls_auth_only=yes\n" + auth)
        self.implicit = {"smtp": self.submission, "imap": self.imaps_port,
                         "pop3": self.pop3s_port}
        self.plain = {"smtp": self.open, "imap": self.imap_port,
                      "pop3": self.pop3_port}
        self.name = "localhost"
        self.context = ssl.create_default_context(cafile=self.ca)
        self.key = Key(self, "k1", "ES256")
        with open(f"{self.etc}/jwks.json", "w", encoding="ascii") as f:
            json.dump({"keys": [self.key.jwk()]}, f)
