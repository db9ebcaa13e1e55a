#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp: access tokens as passwords (XOAUTH2, OAUTHBEARER), renewed in their
table while it runs; at a scripted server and at our own."""
import base64
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../authd"))
from authlib import Key, accounts  # noqa: E402
from peerlib import DNS, Instance, Peer, need_root, sender, \
    wait_rcpt  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"
ZONES = {"plain.test": {"MX": ["10 mx.plain.test"]},
         "mx.plain.test": {"A": ["127.0.0.1"]}}
CLIENT = {"smtp_sasl_auth_enable": "yes", "smtp_sasl_security_options": "",
          "smtp_tls_security_level": "none",
          "smtp_sasl_password_maps": "texthash:{base}/etc/token",
          "smtp_connection_cache_on_demand": "no"}


def renew(m, token, user="alice@example.test"):
    """What a program does that gets a new token now and then: the file is
    for mail_owner to read, who is asked when it has changed."""
    with open(f"{m.etc}/token.new", "w", encoding="ascii") as f:
        os.fchmod(f.fileno(), 0o640)
        os.fchown(f.fileno(), 0, m.owner.pw_gid)
        f.write(f"mx.plain.test {user}:{token}\n")
    os.rename(f"{m.etc}/token.new", f"{m.etc}/token")
    time.sleep(1.2)             # tables are looked at once a second


def begin(m, token):
    m.stop()
    renew(m, token)
    m.start()


def send(m, to, want):
    m.send(to, TEXT)
    line = wait_rcpt(m, to)
    assert want in line, (want, line, m.log()[-1500:])


class Server(Peer):
    """Takes one token; a wrong one gets the challenge of RFC 7628 3.2.2."""

    def __init__(self, mech):
        super().__init__()
        self.good, self.said = "", []
        self.on["EHLO"] = f"250-peer.test\n250 AUTH {mech}"
        self.on["AUTH"] = self.auth

    def auth(self, s, arg):
        first = base64.b64decode(arg.split()[1]).decode()
        self.said.append((arg.split()[0], first))
        if f"auth=Bearer {self.good}\1\1" in first:
            return "235 2.7.0 ok"
        error = json.dumps({"status": "invalid_token"}).encode()
        s.s.sendall(b"334 " + base64.b64encode(error) + b"\r\n")
        self.said.append(s.f.readline().rstrip(b"\r\n"))
        return "535 5.7.8 no"


def scripted(mech, first, last):
    with DNS(ZONES) as dns, Server(mech.upper()) as p, sender(
            dns, p.port, {**CLIENT, "smtp_sasl_mechanism_filter": mech}) as m:
        p.good = "one"
        begin(m, "one")
        send(m, "a@plain.test", "status=sent")
        assert p.said == [(mech.upper(), first)], p.said
        del p.said[:]
        p.good = "two"
        send(m, "b@plain.test", "dsn=4.7.8, status=deferred (SASL "
             "authentication failed; server mx.plain.test[127.0.0.1] said: "
             "535 5.7.8 no)")
        assert p.said[-1] == last, p.said
        renew(m, "two")
        send(m, "c@plain.test", "status=sent")
        assert "Bearer" not in m.log()


def ours():
    with Instance(settings={
            "myhostname": "mx.plain.test",
            "smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "no",
            "smtpd_client_restrictions": "permit_sasl_authenticated, reject",
            "authd_oauth_jwks_file": "{base}/etc/jwks.json",
            "authd_oauth_issuer": "https://id.test",
            "authd_failure_delay": "0s",
            "virtual_alias_domains": "plain.test",
            "virtual_alias_maps": "inline:{{ {{bob@plain.test = "
                "bob@example.test}} }}"}) as b:
        b.stop()
        key = Key(b, "r1", "RS256")
        with open(f"{b.etc}/jwks.json", "w", encoding="ascii") as f:
            json.dump({"keys": [key.jwk()]}, f)
        accounts(b, alice="wonderland")
        b.start()
        for mech in ("xoauth2", "oauthbearer"):
            with DNS(ZONES) as dns, sender(dns, b.smtp_port, {
                    **CLIENT, "smtp_sasl_mechanism_filter": mech}) as m:
                begin(m, key.token())
                send(m, "bob@plain.test", "status=sent")
                renew(m, key.token(exp=1000))
                send(m, "carol@plain.test", "status=deferred")
        log = b.log()
        for mech in ("XOAUTH2", "OAUTHBEARER"):
            assert f"sasl_method={mech}, sasl_username=alice@example.test" \
                in log, log[-3000:]


def main():
    need_root()
    scripted("xoauth2", "user=alice@example.test\1auth=Bearer one\1\1", b"")
    scripted("oauthbearer", "n,a=alice@example.test,\1auth=Bearer one\1\1",
             base64.b64encode(b"\1"))
    ours()
    print("3 passed, 0 failed, 0 skipped")


main()
