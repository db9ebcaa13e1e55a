# SPDX-License-Identifier: ISC
"""tlslib - peers with certificates, for the SMTP client."""
import os
import ssl
import subprocess
import sys
import tempfile

from peerlib import Peer, need_root


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make_certs(d):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9",
            "-keyout", f"{d}/ca.key", "-out", f"{d}/ca.pem", "-subj",
            "/CN=Test CA")
    for name in ("mx.plain.test", "other.test"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout",
                f"{d}/{name}.key", "-out", f"{d}/{name}.csr", "-subj",
                f"/CN={name}")
        with open(f"{d}/ext", "w", encoding="ascii") as f:
            f.write(f"subjectAltName=DNS:{name}")
        openssl("x509", "-req", "-days", "9", "-in", f"{d}/{name}.csr", "-CA",
                f"{d}/ca.pem", "-CAkey", f"{d}/ca.key", "-CAcreateserial",
                "-out", f"{d}/{name}.pem", "-extfile", f"{d}/ext")


class TLSPeer(Peer):
    """With STARTTLS, and the certificate of name."""

    def __init__(self, certs, name="mx.plain.test", wrapped=False, **kw):
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(f"{certs}/{name}.pem", f"{certs}/{name}.key")
        self.wrapped, self.secured = wrapped, 0
        self.ctx.sni_callback = self.got_name
        self.names = []
        super().__init__(**kw)

    def got_name(self, sock, name, ctx):
        self.names.append(name)

    def one(self, x):
        try:
            if self.wrapped:
                self.secure(x)
            x.run()
        except (OSError, ValueError):
            pass

    def secure(self, x):
        x.s = self.ctx.wrap_socket(x.s, server_side=True)
        x.f = x.s.makefile("rb")
        self.secured += 1

    def starttls(self):
        def ehlo(s, arg):
            tls = isinstance(s.s, ssl.SSLSocket)
            return ("250-peer.test\n250-PIPELINING\n"
                    + ("" if tls else "250-STARTTLS\n")
                    + (self.extra if hasattr(self, "extra") else "")
                    + "250 8BITMIME")

        def begin(s, arg):
            s.s.sendall(b"220 go ahead\r\n")
            self.secure(s)
            return b""
        self.on["EHLO"], self.on["STARTTLS"] = ehlo, begin
        return self


def run(tests):
    """All test_... of a module, or those that the command line names, each
    with the folder of make_certs()."""
    need_root()
    only = sys.argv[1:]
    n = 0
    with tempfile.TemporaryDirectory() as certs:
        os.chmod(certs, 0o755)
        make_certs(certs)
        for name, test in list(tests.items()):
            if name.startswith("test_") and (not only or name in only):
                test(certs)
                n += 1
    print(f"{n} passed, 0 failed, 0 skipped")
