#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""authd in Dovecot's protocol: by hand and by hostile hands.  A Postfix asks it
in system/test_postfix_auth.py."""
import base64
import os
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import Instance, accounts, need_root  # noqa: E402


def b64(s):
    return base64.b64encode(s if isinstance(s, bytes) else s.encode()).decode()


class Dovecot:
    def __init__(self, m, hello=True):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(30)
        self.s.connect(f"{m.base}/auth-dovecot")
        self.f = self.s.makefile("r", newline="\n")
        self.mechs = []
        self.first = []
        while True:
            line = self.f.readline().rstrip("\n")
            self.first.append(line)
            if line.startswith("MECH\t"):
                self.mechs.append(line.split("\t")[1])
            if line == "DONE":
                break
        if hello:
            self.send("VERSION\t1\t2", "CPID\t1234")

    def send(self, *lines):
        self.s.sendall("".join(line + "\n" for line in lines).encode())

    def line(self):
        return self.f.readline().rstrip("\n").split("\t")

    def ask(self, *lines):
        self.send(*lines)
        return self.line()

    def broken(self, data):
        self.s.sendall(data)
        try:
            while self.s.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


GOOD = b64("\0alice@example.test\0wonderland")


def protocol(m):
    d = Dovecot(m)
    assert d.first[0] == "VERSION\t1\t2"
    assert {"PLAIN", "LOGIN", "SCRAM-SHA-256"} <= set(d.mechs)
    assert not any(x.endswith("PLUS") for x in d.mechs), d.mechs
    assert d.ask(f"AUTH\t1\tPLAIN\tservice=smtp\trip=192.0.2.1\tsecured\t"
                 f"resp={GOOD}") == ["OK", "1", "user=alice@example.test"]
    bad = d.ask("AUTH\t2\tPLAIN\tservice=smtp\tresp="
                + b64("\0alice@example.test\0x"))
    assert bad[:2] == ["FAIL", "2"] and "user=alice@example.test" in bad
    assert not any(x == "temp" for x in bad)
    assert d.ask("AUTH\t3\tLOGIN\tservice=imap") == [
        "CONT", "3", b64("Username:")]
    assert d.ask("CONT\t3\t" + b64("alice@example.test")) == [
        "CONT", "3", b64("Password:")]
    assert d.ask("CONT\t3\t" + b64("wonderland"))[0] == "OK"
    # Two at a time, one given up.
    d.send("AUTH\t4\tPLAIN\tservice=smtp", "AUTH\t5\tPLAIN\tservice=smtp")
    assert {d.line()[1], d.line()[1]} == {"4", "5"}
    d.send("CANCEL\t4")
    assert d.ask(f"CONT\t5\t{GOOD}")[:2] == ["OK", "5"]
    assert d.ask("AUTH\t6\tNOPE\tservice=smtp")[:2] == ["FAIL", "6"]
    assert d.ask("AUTH\t7\tPLAIN\tservice=smtp\tresp=!!")[:2] == ["FAIL", "7"]
    # As Exim says that there is no initial response.
    assert d.ask("AUTH\t20\tLOGIN\tservice=smtp\tresp=") == [
        "CONT", "20", b64(b"Username:")]
    assert d.ask("AUTH\t21\tPLAIN\tservice=smtp\tresp=")[:2] == ["CONT",
                                                                "21"]


def external(m):
    """The certificate's name counts only where the client says that it is
    valid, which Postfix never does."""
    d = Dovecot(m)
    head = "AUTH\t{}\tEXTERNAL\tservice=imap\tsecured=tls\t"
    name = "cert_username=alice@example.test\t"
    assert d.ask(head.format(1) + name + "valid-client-cert\tresp=") == [
        "OK", "1", "user=alice@example.test"]
    assert d.ask(head.format(2) + name + "resp=")[:2] == ["FAIL", "2"]
    assert d.ask(head.format(3) + "valid-client-cert\tresp=")[:2] == [
        "FAIL", "3"]
    assert d.ask(head.format(4) + name + "valid-client-cert\tresp=" +
                 b64("bob@example.test"))[:2] == ["FAIL", "4"]


def doveadm(m):
    """Dovecot's own client of this protocol."""
    if shutil.which("doveadm") is None:
        print("skip: no doveadm here")
        return
    with tempfile.TemporaryDirectory(prefix="mansio-doveadm-") as base:
        with open(f"{base}/dovecot.conf", "w", encoding="ascii") as f:
            f.write(f"base_dir = {base}\nlog_path = /dev/stderr\n")
        for password, code in (("wonderland", 0), ("wrong", 77)):
            for service in ("imap", "smtp"):
                done = subprocess.run(
                    ["doveadm", "-c", f"{base}/dovecot.conf", "auth", "test",
                     "-a", f"{m.base}/auth-dovecot", "-x",
                     f"service={service}", "-x", "rip=192.0.2.9",
                     "alice@example.test", password],
                    capture_output=True, text=True, check=False, timeout=60)
                assert done.returncode == code, done
                assert ("auth succeeded" in done.stdout) == (code == 0), done
    m.wait_log("login: service=imap method=PLAIN user=<alice@example.test> "
               "client=192.0.2.9[0]")


def hostile(m):
    for data in (b"AUTH\tx\tPLAIN\n", b"CONT\tx\n", b"CONT\t1\t!!\n",
                 b"VERSION\t1\t2\n", b"A" * 40000,
                 b"AUTH\t1\tPLAIN\tservice=s\nAUTH\t1\tPLAIN\tservice=s\n"):
        assert Dovecot(m).broken(data), data
    for data in (b"VERSION\t2\t0\n", b"VERSION\n", b"AUTH\t1\tPLAIN\n",
                 b"\n", b"\0\n"):
        assert Dovecot(m, False).broken(data), data
    # Cut off in the middle of an attempt.
    d = Dovecot(m)
    d.ask("AUTH\t1\tLOGIN\tservice=smtp")
    d.s.close()
    assert Dovecot(m).ask(f"AUTH\t1\tPLAIN\tservice=smtp\tresp={GOOD}")[0] \
        == "OK"


need_root()
inst = Instance(settings={
    "authd_failure_delay": "0s", "authd_failure_ban_threshold": "100000",
    "authd_mechanism_filter": "static:rest",
    "authd_dovecot_socket": "{base}/auth-dovecot",
    "authd_dovecot_socket_owner":
        "postfix" if shutil.which("postfix") else ""})
accounts(inst, alice="wonderland")
with inst:
    protocol(inst)
    external(inst)
    doveadm(inst)
    hostile(inst)
print("4 passed, 0 failed, 0 skipped")
