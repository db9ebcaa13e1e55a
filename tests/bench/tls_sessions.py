#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""TLS once the handshake is done: what an idle session costs, a message of
50 MB in and out, and a short one with a login, beside Postfix and Dovecot where
they are installed.

    tls_sessions.py [--sessions N] [--rounds N] [--only WORD]

Idle: so many clients of each front that have said one command (EHLO, CAPA,
CAPABILITY) and then nothing; PSS of all of the server's processes, before and
after, a client.  Postfix and Dovecot have a process for each client by default:
a tenth of the clients is enough to see it; Dovecot's login processes are also
measured as its documentation has it for many clients (service_count = 0).

Bulk: CPU of the server's processes, a MiB: a message in by SMTP, until the
answer to DATA, and out by FETCH BODY[]; with TLS and in the clear.

Calls: system calls of all processes for one client with TLS that sends a short
message and goes, until it is in the mailbox; after AUTH PLAIN, but Postfix,
which needs somebody else for that, without.  Needs strace.
"""
import argparse
import base64
import collections
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import bench  # noqa: E402
import postfix  # noqa: E402
from instance import free_port, need_root  # noqa: E402
from mailusers import Users  # noqa: E402

SIZE = 50_000_000
MIB = SIZE / (1 << 20)
SETTLE = 12             # seconds; memory of handshakes has gone back then


class Mansio(Users):
    name = "Mansio"

    def __init__(self):
        self.smtps_port = free_port()
        super().__init__(
            settings={"smtpd_sasl_auth_enable": "yes",
                      "smtpd_client_connection_count_limit": "unlimited",
                      "message_size_limit": str(2 * SIZE),
                      "process_client_limit": "10000"},
            services=f"127.0.0.1:{self.smtps_port} inet n - - - - smtpd\n"
            "  -o smtpd_tls_wrappermode=yes\n", tls=True)

    def root(self):
        return self.master_pid()

    ports = property(lambda self: {
        "smtp": (self.smtp_port, self.smtps_port),
        "imap": (self.imap_port, self.imaps_port),
        "pop3": (self.pop3_port, self.pop3s_port)})
    login = b"alice@example.test wonderland"


class Postfix(postfix.Postfix):
    name = "Postfix"

    def __init__(self, base, pem):
        port = free_port()
        super().__init__(base, port, 1)
        secure = free_port()
        self.ports = {"smtp": (port, secure)}
        with open(f"{base}/etc/master.cf", "a", encoding="ascii") as f:
            f.write(f"127.0.0.1:{secure} inet n - n - 1000 smtpd\n"
                    "  -o smtpd_tls_wrappermode=yes\n"
                    f"  -o smtpd_tls_chain_files={pem}\n")

    def root(self):
        return self.pid


class Dovecot:
    def __init__(self, base, pem, each):
        self.name = "Dovecot" if each else "Dovecot, many a process"
        self.base = base
        self.ports = {"imap": (free_port(), free_port()),
                      "pop3": (free_port(), free_port())}
        os.makedirs(f"{base}/mail/alice")
        shutil.chown(f"{base}/mail/alice", "nobody", "nogroup")
        services = "".join(f"""
service {name}-login {{
  {"" if each else "service_count = 0"}
  client_limit = 5000
  process_limit = 5000
  inet_listener {name} {{
    port = {ports[0]}
  }}
  inet_listener {name}s {{
    port = {ports[1]}
    ssl = yes
  }}
}}
""" for name, ports in self.ports.items())
        with open(f"{base}/dovecot.conf", "w", encoding="ascii") as f:
            f.write(f"""base_dir = {base}/run
state_dir = {base}/state
protocols = imap pop3
listen = 127.0.0.1
log_path = {base}/log
ssl = yes
ssl_cert = <{pem}
ssl_key = <{pem}
disable_plaintext_auth = no
mail_max_userip_connections = 0
mail_location = mdbox:{base}/mail/%u
first_valid_uid = 1
default_client_limit = 6000
passdb {{
  driver = static
  args = password=wonderland
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={base}/mail/%u
}}
{services}""")
        self.proc = None
    login = b"alice wonderland"

    def start(self):
        # pylint: disable=consider-using-with
        self.proc = subprocess.Popen(
            ["dovecot", "-F", "-c", f"{self.base}/dovecot.conf"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def root(self):
        return self.proc.pid

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


def dial(port, secure):
    end = time.monotonic() + 20
    while True:
        try:
            s = socket.create_connection(("127.0.0.1", port), 60)
            s = CONTEXT.wrap_socket(s) if secure else s
            line(s)
            return s
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def line(s, end=rb"\r\n$"):
    """What comes, until it ends so."""
    data = b""
    while not re.search(end, data[-4000:]):
        got = s.recv(65536)
        if not got:
            raise EOFError(data[-200:])
        data += got
    return data


FIRST = {"smtp": (b"EHLO me.example.org\r\n", rb"(^|\n)250 [^\n]*\n$"),
         "imap": (b"a CAPABILITY\r\n", rb"a OK [^\n]*\n$"),
         "pop3": (b"CAPA\r\n", rb"\n\.\r\n$")}


def idle(server, proto, secure, count):
    """KiB of all processes for each of so many clients."""
    port = server.ports[proto][secure]
    ask, end = FIRST[proto]
    dial(port, secure).close()
    time.sleep(1)
    before = bench.memory_kib(bench.family(server.root()))
    clients = []
    for _ in range(count):
        s = dial(port, secure)
        s.sendall(ask)
        line(s, end)
        clients.append(s)
    time.sleep(SETTLE)
    after = bench.memory_kib(bench.family(server.root()))
    for s in clients:
        s.close()
    time.sleep(1)
    return (after - before) / count


def body():
    one = b"The same line of some length again and again, with a number: %d\r\n"
    text = b"".join(one % i for i in range(20000))
    return (text * (SIZE // len(text) + 1))[:SIZE - 2] + b"\r\n"


def converse(s, commands):
    for command in commands:
        s.sendall(command + b"\r\n")
        got = line(s, rb"(^|\n)\d\d\d [^\n]*\n$")
        if got[:1] not in b"23":
            raise RuntimeError((command, got))


def put(server, secure, rcpt, text):
    """CPU seconds from MAIL to the answer to the message."""
    s = dial(server.ports["smtp"][secure], secure)
    converse(s, [b"EHLO me.example.org"])
    cpu = bench.cpu_of(server.root())
    converse(s, [b"MAIL FROM:<x@example.org>", b"RCPT TO:<" + rcpt + b">",
                 b"DATA"])
    s.sendall(b"Subject: large\r\n\r\n")
    s.sendall(text)
    converse(s, [b"."])
    cpu = bench.cpu_of(server.root()) - cpu
    s.close()
    return cpu


def imap(server, secure):
    s = dial(server.ports["imap"][secure], secure)
    s.sendall(b"a LOGIN " + server.login + b"\r\n")
    if b"a OK" not in line(s, rb"a \w+ [^\n]*\n$"):
        raise RuntimeError("LOGIN")
    s.sendall(b"b SELECT INBOX\r\n")
    line(s, rb"b OK [^\n]*\n$")
    return s


def get(server, secure):
    """CPU seconds of FETCH 1 BODY[]."""
    s = imap(server, secure)
    room = bytearray(1 << 20)
    cpu = bench.cpu_of(server.root())
    s.sendall(b"c FETCH 1 BODY.PEEK[]\r\n")
    tail, total = b"", 0
    while b"\nc OK" not in tail:
        n = s.recv_into(room)
        if n == 0:
            raise EOFError
        total += n
        tail = (tail + bytes(room[max(0, n - 100):n]))[-200:]
    cpu = bench.cpu_of(server.root()) - cpu
    if total < SIZE:
        raise RuntimeError(f"only {total} bytes: {tail}")
    s.close()
    return cpu


def append(server, text):
    s = imap(server, 0)
    s.sendall(b"d APPEND INBOX {%d}\r\n" % (len(text) + 18))
    line(s, rb"\+ [^\n]*\n$")
    s.sendall(b"Subject: large\r\n\r\n" + text + b"\r\n")
    if b"d OK" not in line(s, rb"d \w+ [^\n]*\n$"):
        raise RuntimeError("APPEND")
    s.close()


def submit(server, login):
    s = dial(server.ports["smtp"][1], 1)
    rcpt = b"alice" if login else b"u0"
    converse(s, [b"EHLO me.example.org"])
    if login:
        converse(s, [b"AUTH PLAIN " + base64.b64encode(
            b"\0alice@example.test\0wonderland")])
    converse(s, [b"MAIL FROM:<alice@example.test>",
                 b"RCPT TO:<" + rcpt + b"@example.test>", b"DATA",
                 b"Subject: short\r\n\r\nhello\r\n.", b"QUIT"])
    s.close()


def calls(server, count, work):
    """{process name: system calls a message}."""
    for _ in range(3):
        submit(server, server.name == "Mansio")
    time.sleep(2)
    tracers = []
    for pid in bench.family(server.root()):
        with open(f"/proc/{pid}/comm", encoding="latin-1") as f:
            name = f.read().strip()
        out = f"{work}/strace.{pid}"
        # pylint: disable=consider-using-with
        tracers.append((name, out, subprocess.Popen(
            ["strace", "-f", "-c", "-o", out, "-p", str(pid)],
            stderr=subprocess.DEVNULL)))
    time.sleep(3)
    for _ in range(count):
        submit(server, server.name == "Mansio")
    time.sleep(2)
    found = collections.Counter()
    for name, out, p in tracers:
        p.send_signal(signal.SIGINT)
        p.wait()
        with open(out, encoding="ascii") as f:
            for text in f:
                words = text.split()
                if len(words) >= 5 and words[-1] != "total" and \
                        words[3].isdigit():
                    found[name] += int(words[3])
    return {name: n / count for name, n in found.items() if n >= count}


def show_calls(servers, count, work):
    print(f"system calls of a client with TLS and a short message ({count})")
    for server in servers:
        if "smtp" in server.ports:
            each = calls(server, count, work)
            print(f"  {server.name:<10}{sum(each.values()):7.1f}: " + ", ".join(
                f"{name} {n:.1f}" for name, n in sorted(
                    each.items(), key=lambda x: -x[1])), flush=True)


def show_idle(servers, count):
    print(f"idle sessions, KiB each ({count}; a tenth where each is a process)")
    for server in servers:
        n = count if server.name not in ("Postfix", "Dovecot") else count // 10
        for proto in server.ports:
            plain, secure = (idle(server, proto, i, n) for i in (0, 1))
            print(f"  {server.name:<24}{proto:<6}{plain:8.1f} plain"
                  f"{secure:8.1f} TLS", flush=True)


def show_bulk(servers, rounds):
    text = body()
    rows = {}
    for server in servers:
        if "imap" in server.ports:
            append(server, text)
    for _ in range(rounds):
        for server in servers:
            for secure in (0, 1):
                row = rows.setdefault((server.name, secure), ([], []))
                if "smtp" in server.ports:
                    rcpt = (b"alice" if server.name == "Mansio" else b"u0")
                    row[0].append(put(server, secure, rcpt + b"@example.test",
                                      text))
                if "imap" in server.ports:
                    row[1].append(get(server, secure))
    print("a message of 50 MB, CPU ms a MiB")
    for (name, secure), row in rows.items():
        print(f"  {name:<24}{'TLS' if secure else 'plain':<6}" + "".join(
            f"{statistics.median(r) / MIB * 1e3:8.2f} {what}" if r else
            f"{'':8} {'':{len(what)}}" for r, what in zip(row, ("in", "out"))))


def main():
    need_root()
    ap = argparse.ArgumentParser()
    ap.add_argument("--sessions", type=int, default=2000)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--only", default="")
    opt = ap.parse_args()
    files = 2 * opt.sessions + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(
        files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with tempfile.TemporaryDirectory(prefix="mansio-bench-") as work, \
            Mansio() as m:
        os.chmod(work, 0o755)
        servers = [m]
        pem = f"{m.etc}/server.pem"
        if postfix.available():
            os.makedirs(f"{work}/p")
            servers.append(Postfix(f"{work}/p", pem))
        if shutil.which("dovecot"):
            servers += [Dovecot(f"{work}/{n}", pem, n == "d1")
                        for n in ("d1", "d2")]
        try:
            for s in servers[1:]:
                s.start()
            if opt.only in "idle":
                show_idle(servers, opt.sessions)
            if opt.only in "bulk":
                show_bulk(servers[:3], opt.rounds)
            if opt.only in "calls" and shutil.which("strace"):
                show_calls(servers, 20, work)
        finally:
            for s in servers[1:]:
                s.stop()
    with open("/proc/loadavg", encoding="ascii") as f:
        print("load:", f.read().split()[0])


main()
