#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtp and resolver: DANE (RFC 7672) with a zone that is really signed."""
import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peerlib import free_port, need_root, sender, skip, wait_rcpt  # noqa: E402
from tlslib import TLSPeer, make_certs  # noqa: E402

TEXT = "Subject: hello\r\n\r\nhi\r\n"

ZONE = """\
$TTL 60
@ IN SOA ns root 1 60 60 600 60
@ IN NS ns
ns IN A 127.0.0.1
"""
HOSTS = {				# TLSA record
    "good": "3 1 1 {spki}",
    "wrong": "3 1 1 " + "00" * 32,
    "many": "3 1 1 " + "00" * 32 + "\n{tlsa} 3 1 1 {spki}",
    "none": None,
    "unusable": "0 0 1 " + "11" * 32,
    "forged": "3 1 1 {spki}",
}

UNBOUND = """\
server:
  interface: 127.0.0.1
  port: {port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{d}"
  pidfile: ""
  use-syslog: no
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
  do-not-query-localhost: no
  local-zone: "test." nodefault
auth-zone:
  name: "signed.test."
  zonefile: "{d}/signed"
  for-downstream: yes
  for-upstream: yes
auth-zone:
  name: "plain.test."
  zonefile: "{d}/plain"
  for-downstream: yes
  for-upstream: yes
"""


def run(*args, **kw):
    return subprocess.run(args, check=True, capture_output=True, text=True,
                          **kw).stdout


def make_zones(d, port, spki):
    text, plain = ZONE, ZONE
    for name, record in HOSTS.items():
        tlsa = f"_{port}._tcp.mx.{name}"
        text += f"{name} IN MX 10 mx.{name}\nmx.{name} IN A 127.0.0.1\n"
        plain += f"{name} IN MX 10 mx.{name}\nmx.{name} IN A 127.0.0.1\n"
        if record:
            record = record.format(spki=spki, tlsa=f"{tlsa} IN TLSA")
            text += f"{tlsa} IN TLSA {record}\n"
            plain += f"{tlsa} IN TLSA {record}\n"
    with open(f"{d}/zone", "w", encoding="ascii") as f:
        f.write(text)
    with open(f"{d}/plain", "w", encoding="ascii") as f:
        f.write(plain)
    run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK",
        "signed.test", cwd=d)
    run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "signed.test", cwd=d)
    run("dnssec-signzone", "-q", "-S", "-O", "full", "-o", "signed.test", "-f", "signed",
        "zone", cwd=d)
    anchor = ""
    for key in glob.glob(f"{d}/K*.key"):
        with open(key, encoding="ascii") as f:
            anchor += "".join(line for line in f
                              if " 257 " in line and line[0] != ";")
    with open(f"{d}/anchor", "w", encoding="ascii") as f:
        f.write(anchor)
    # Changed after it was signed.
    with open(f"{d}/signed", encoding="ascii") as f:
        lines = f.read().splitlines()
    for i, line in enumerate(lines):
        if "mx.forged.signed.test." in line and re.search(r"\sTLSA\s+3 1 1",
                                                          line):
            lines[i] = re.sub("[0-9A-F]{8}", "DEADBEEF", line, count=1)
            break
    else:
        raise AssertionError("no record to forge")
    with open(f"{d}/signed", "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")


def start_unbound(d, port):
    with open(f"{d}/unbound.conf", "w", encoding="ascii") as f:
        f.write(UNBOUND.format(d=d, port=port))
    p = subprocess.Popen([shutil.which("unbound") or "/usr/sbin/unbound",
                          "-d", "-c", f"{d}/unbound.conf"],
                         stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return p
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("unbound does not start")


class Server:
    def __init__(self, port):
        self.port = port


def check(m, p, domain, want, secured=None):
    p.secured = 0
    m.send(f"a@{domain}", TEXT)
    line = wait_rcpt(m, f"a@{domain}")
    assert want in line, (want, line)
    if secured is not None:
        assert bool(p.secured) == secured, line
    return line


def test_dane(m, p):
    p.starttls()
    check(m, p, "good.signed.test", "status=sent", True)
    assert "Verified TLS connection established to mx.good.signed.test" in \
        m.log()
    assert p.names[-1] == "mx.good.signed.test"
    check(m, p, "many.signed.test", "status=sent", True)
    check(m, p, "wrong.signed.test", "dsn=4.7.5, status=deferred (Server "
          "certificate not trusted")
    check(m, p, "forged.signed.test", "dsn=4.7.5, status=deferred (TLSA "
          "lookup error for ")
    check(m, p, "none.signed.test", "status=sent", True)
    check(m, p, "unusable.signed.test", "status=sent", True)
    # Records that nobody has signed prove nothing, and demand nothing.
    check(m, p, "wrong.plain.test", "status=sent", True)
    # A host whose offer is taken out gets nothing where DANE says so.
    p.on.clear()
    for domain, want in [
            ("good.signed.test", "dsn=4.7.4, status=deferred (TLS is "
             "required, but was not offered"),
            ("unusable.signed.test", "dsn=4.7.4, status=deferred"),
            ("none.signed.test", "status=sent"),
            ("wrong.plain.test", "status=sent")]:
        m.send(f"b@{domain}", TEXT)
        line = wait_rcpt(m, f"b@{domain}")
        assert want in line, (want, line)


def main():
    need_root()
    for tool in ("dnssec-signzone", "dnssec-keygen", "unbound", "openssl"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            skip(f"no {tool}")
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        make_certs(d)
        der = subprocess.run(
            f"openssl x509 -in {d}/mx.plain.test.pem -noout -pubkey | "
            "openssl pkey -pubin -outform DER | sha256sum", shell=True,
            check=True, capture_output=True, text=True).stdout.split()[0]
        port = free_port()
        with TLSPeer(d) as p:
            make_zones(d, p.port, der)
            unbound = start_unbound(d, port)
            try:
                with sender(Server(port), p.port, {
                        "smtp_tls_security_level": "dane",
                        "resolver_dnssec": "validate",
                        "resolver_trust_anchor_file": f"{d}/anchor"}) as m:
                    test_dane(m, p)
            finally:
                unbound.terminate()
                unbound.wait()
    print("1 passed, 0 failed, 0 skipped")


main()
