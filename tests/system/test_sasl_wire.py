#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""SASL as it goes over the wire in every protocol: what a token's failure
says (RFC 7628 3.2), EXTERNAL with a client's certificate, an initial response
or a response of no bytes, "*", lines that are too long, and what SCRAM can be
bound to before TLS 1.3."""
import hashlib
import json
import os
import ssl
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../proto/authd"))
from authlib import scram  # noqa: E402
from mailusers import PASSWORDS  # noqa: E402
from saslclient import Sasl, b64  # noqa: E402
from sasltarget import SaslTarget  # noqa: E402

ALICE = "alice@example.test"
PLAIN = f"\0{ALICE}\0{PASSWORDS['alice']}".encode()


class Target(SaslTarget):
    """With a context of its own for each client: who shows what."""

    def client(self, protocol, context=None, **kw):
        return Sasl(self, protocol, context=context, **kw)

    def shows(self, name):
        """The context of a client that has a certificate for name."""
        path = f"{self.etc}/{name}.pem"
        if not os.path.exists(path):
            self.command("mansio", "cert", "selfsign", "-u", "-C",
                         f"{self.etc}/ca-key.pem", path, name)
        c = ssl.create_default_context(cafile=self.ca)
        c.load_cert_chain(path)
        return c


def token_failures(m):
    """The reason in JSON, the client's dummy, then the failure; and the
    connection is good for another try."""
    good = m.key.token()
    for protocol in m.implicit:
        with m.client(protocol) as c:
            for mechanism, message, dummy in (
                    ("OAUTHBEARER", f"n,a={ALICE},\1auth=Bearer {{}}\1\1",
                     b"\1"),
                    ("XOAUTH2", f"user={ALICE}\1auth=Bearer {{}}\1\1", b"")):
                for bad in (m.key.token(exp=1), "x.y.z"):
                    for initial in (True, False):
                        data = message.format(bad).encode()
                        if initial:
                            c.start(mechanism, data)
                        else:
                            c.begin(mechanism, None)
                            assert c.answer() == ("challenge", b"")
                            c.respond(data)
                        got = c.answer()
                        assert got[0] == "challenge", (protocol, got)
                        said = json.loads(got[1])
                        assert said["status"] in ("invalid_token", "401")
                        # RFC 7628 3.2.3: "AQ=="; some say nothing, or give up.
                        for last in (dummy, b"", None):
                            if last is not dummy:
                                c.start(mechanism, data)
                                assert c.answer()[0] == "challenge"
                            if last is None:
                                c.send(b"*")
                            else:
                                c.respond(last)
                            got = c.answer()
                            assert got[0] == "fail", (protocol, last, got)
            c.start("OAUTHBEARER",
                    f"n,a={ALICE},\1auth=Bearer {good}\1\1".encode())
            assert c.answer() == ("ok",), protocol


def external(m):
    """Who a trusted certificate names, by its address; as nobody else."""
    mine = m.shows(ALICE)
    for protocol in m.implicit:
        for authzid, want in ((b"", "ok"), (ALICE.encode(), "ok"),
                              (b"bob@example.test", "fail")):
            with m.client(protocol, mine) as c:
                assert b"EXTERNAL" in c.capabilities(), protocol
                c.start("EXTERNAL", authzid)
                assert c.answer()[0] == want, (protocol, authzid)
        # Without an initial response there is an empty challenge.
        with m.client(protocol, mine) as c:
            c.begin("EXTERNAL", None)
            assert c.answer() == ("challenge", b""), protocol
            c.respond(b"")
            assert c.answer() == ("ok",), protocol
        # A name that is no account, a certificate of nobody, and none.
        with m.client(protocol, m.shows("nobody@example.test")) as c:
            c.start("EXTERNAL", b"")
            assert c.answer()[0] == "fail"
        m.command("mansio", "cert", "selfsign", "-u",
                  f"{m.etc}/self-{protocol}.pem", ALICE)
        own = ssl.create_default_context(cafile=m.ca)
        own.load_cert_chain(f"{m.etc}/self-{protocol}.pem")
        for context in (own, None):
            with m.client(protocol, context) as c:
                assert b"EXTERNAL" not in c.capabilities(), protocol
                c.start("EXTERNAL", b"")
                assert c.answer()[0] == "fail", protocol


def empty_and_cancelled(m):
    for protocol in m.implicit:
        with m.client(protocol) as c:
            # RFC 4954 4: "=" is a response of no bytes, and PLAIN has some.
            c.begin("PLAIN", b"=")
            assert c.answer()[0] == "fail", protocol
            # RFC 4954 4, 3501 6.2.2, 5034 4: an empty challenge, "*".
            for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
                c.begin(mechanism, None)
                assert c.answer()[0] == "challenge"
                c.send(b"*")
                got = c.answer()
                assert got[0] == "fail", (protocol, mechanism, got)
                if protocol == "smtp":
                    assert got[1].startswith(b"501 5.7.0 "), got
                if protocol == "imap":
                    assert got[1].startswith(b"a BAD "), got
            c.begin("PLAIN", None)
            assert c.answer() == ("challenge", b"")
            c.send(b"")
            assert c.answer()[0] == "fail"
            # LOGIN's name comes first (draft-murchison-sasl-login).
            c.begin("LOGIN", b64(ALICE.encode()))
            assert c.answer() == ("challenge", b"Password:"), protocol
            c.respond(PASSWORDS["alice"].encode())
            assert c.answer() == ("ok",), protocol


def too_long(m):
    """A line beyond all limits is refused or ends the connection, whether it
    is the command or a response; the next client is served."""
    for protocol in m.implicit:
        for step in ("command", "response", "no end"):
            with m.client(protocol) as c:
                try:
                    if step == "command":
                        c.begin("PLAIN", b"A" * 200000)
                    else:
                        c.begin("PLAIN", None)
                        assert c.answer()[0] == "challenge"
                        c.s.sendall(b"A" * 200000 + (
                            b"\r\n" if step == "response" else b""))
                    got = c.answer()
                except (EOFError, ConnectionError, ssl.SSLError):
                    continue
                assert got[0] == "fail", (protocol, step, got[:1])
        with m.client(protocol) as c:
            c.start("PLAIN", PLAIN)
            assert c.answer() == ("ok",), protocol


def bound_before_13(m):
    """tls-unique is not offered (RFC 9266 names what takes its place), the
    server's certificate does as well as in TLS 1.3."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=m.ca)
        context.maximum_version = version
        for protocol in m.implicit:
            with m.client(protocol, context) as c:
                end = hashlib.sha256(
                    c.s.getpeercert(binary_form=True)).digest()
                assert b"SCRAM-SHA-256-PLUS" in c.capabilities()
                got = scram(c, ALICE, PASSWORDS["alice"], "sha256",
                            "tls-server-end-point", "", end, None,
                            {"exporter": b"", "endpoint": end})
                assert got[0] == "ok", (version, protocol, got)
            with m.client(protocol, context) as c:
                unique = c.s.get_channel_binding("tls-unique") or b"x" * 12
                c.start("SCRAM-SHA-256-PLUS",
                        f"p=tls-unique,,n={ALICE},r=abcdefgh".encode())
                got = c.answer()
                assert got[0] == "fail", (version, protocol, got, unique)


def main():
    cases = (token_failures, external, empty_and_cancelled, too_long,
             bound_before_13)
    with Target(smtpd_tls_ask_ccert="yes", mua_tls_ask_ccert="yes",
                smtpd_tls_CAfile="{base}/etc/ca.pem",
                authd_mechanism_filter="static:rest",
                smtpd_sasl_mechanism_filter="static:rest",
                authd_failure_delay="0s",
                authd_failure_ban_threshold="100000") as m:
        for case in cases:
            case(m)
        log = m.log()
        for word in ("panic", "fatal", "killed by signal", "broke its conv",
                     *PASSWORDS.values()):
            assert word not in log, [x for x in log.splitlines()
                                     if word in x][:3]
    print(f"{len(cases)} passed, 0 failed, 0 skipped")


main()
