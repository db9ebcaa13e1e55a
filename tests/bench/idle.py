#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""IMAP clients in IDLE: what so many users cost, and how soon they hear.

usage: tests/bench/idle.py [--users N] [--tls N] [--pushes N]

Each client is another user's; all of them log in, select INBOX, say IDLE and
hibernate.  Then memory is counted (PSS of all processes of the suite, the
kernel's part not included), and mail comes for some of them: the time from the
end of DATA's reply to the client's EXISTS, with the user's process there and
with none.  Needs root.
"""
import argparse
import os
import re
import resource
import select
import smtplib
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import bench  # noqa: E402
from mailusers import Users  # noqa: E402


class Idlers(Users):
    """users is their number; their password costs no time."""

    def __init__(self, users, settings=None, **kw):
        self.count = users
        have = {"imapd_hibernate_time": "1s", "session_process_limit": "20000",
                "imapd_client_connection_limit": "0",
                "authd_password_rehash": "no", "client_limit": "30000",
                "master_service_nofile": "65536"}
        known = self.known()
        have = {k: v for k, v in have.items() if k in known}
        have.update(settings or {})
        super().__init__(settings=have, users=["u0"], **kw)

    def known(self):
        path = os.path.join(HERE, "../../lib/conf/params.def")
        with open(path, encoding="utf-8") as f:
            return set(re.findall(r"^P_\w+\((\w+),", f.read(), re.M))

    def start(self):
        with open(f"{self.etc}/vmailbox", "w", encoding="ascii") as f:
            for i in range(self.count):
                f.write(f"u{i}@example.test example.test/u{i}/\n")
        self.command("postmap", f"{self.etc}/vmailbox")
        path = self.command("postconf", "-h", "authd_password_file"
                            ).stdout.strip()
        path = path.replace("$config_directory", self.etc)
        with open(path, "w", encoding="ascii") as f:
            for i in range(self.count):
                f.write(f"u{i}@example.test:{{PLAIN}}secret\n")
        return super().start()


class Idler:
    def __init__(self, m, n, context=None):
        port = m.imaps_port if context else m.imap_port
        self.s = socket.create_connection(("127.0.0.1", port), 30)
        if context:
            self.s = context.wrap_socket(self.s, server_hostname="localhost")
        self.line()
        self.s.sendall(b"a LOGIN u%d@example.test secret\r\n" % n)
        self.until(b"a OK")
        self.s.sendall(b"b SELECT INBOX\r\n")
        self.until(b"b OK")
        self.s.sendall(b"c IDLE\r\n")
        self.until(b"+ ")

    def line(self):
        data = b""
        while not data.endswith(b"\r\n"):
            got = self.s.recv(4096)
            if not got:
                raise EOFError(data)
            data += got
        return data

    def until(self, mark):
        data = b""
        while mark not in data or not data.endswith(b"\r\n"):
            got = self.s.recv(4096)
            if not got:
                raise EOFError(data)
            data += got
        if b" NO " in data or b" BAD " in data:
            raise RuntimeError(data)


def wait_asleep(m, limit=120):
    end = time.monotonic() + limit
    while m.session_pids():
        if time.monotonic() > end:
            raise TimeoutError(f"{len(m.session_pids())} processes left")
        time.sleep(0.2)


def log_in(m, count, first=0, context=None):
    begin = time.monotonic()
    found = []
    for n in range(first, first + count):
        found.append(Idler(m, n, context))
    return found, time.monotonic() - begin


def show_memory(m, what, before, users):
    pids = bench.family(m.master_pid())
    total = bench.memory_kib(pids)
    each = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/comm", encoding="latin-1") as f:
                name = f.read().strip()
        except OSError:
            continue
        each[name] = each.get(name, 0) + bench.memory_kib([pid])
    parts = ", ".join(f"{k} {v / 1024:.1f}" for k, v in
                      sorted(each.items(), key=lambda kv: -kv[1])[:5])
    print(f"{users} idle users {what}: {total / 1024:.1f} MiB of all "
          f"processes ({before / 1024:.1f} before; "
          f"{(total - before) * 1024 / users:.0f} bytes each): {parts}",
          flush=True)
    return total


def push(m, clients, pause):
    """Milliseconds from the reply to DATA to EXISTS, one client at a time."""
    took = []
    with smtplib.SMTP("127.0.0.1", m.smtp_port, timeout=30) as s:
        for n, c in clients:
            s.mail("x@example.org")
            s.rcpt(f"u{n}@example.test")
            s.data("Subject: push\r\n\r\nbody\r\n")
            begin = time.monotonic()
            if not isinstance(c.s, ssl.SSLSocket):
                select.select([c.s], [], [], 10)
            c.until(b"EXISTS")
            took.append((time.monotonic() - begin) * 1000)
            time.sleep(pause)
    return sorted(took)


def show_push(what, took, cpu):
    print(f"push, {what}: median {took[len(took) // 2]:.2f} ms, 90 % "
          f"{took[len(took) * 9 // 10]:.2f} ms, worst {took[-1]:.2f} ms; "
          f"{cpu / len(took) * 1e3:.2f} ms CPU each, delivery and all "
          "processes", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--users", type=int, default=10000)
    p.add_argument("--tls", type=int, default=None, help="default: as --users")
    p.add_argument("--pushes", type=int, default=100)
    args = p.parse_args()
    if args.tls is None:
        args.tls = args.users
    # A front with TLS has two descriptors for each client.
    want = 2 * max(args.users, args.tls) + 4096
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(limit, want)))
    except ValueError:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        print(f"at most {limit} open files a process here")
    for tls, count in ((False, args.users), (True, args.tls)):
        if count == 0:
            continue
        with Idlers(count, tls=tls) as m:
            context = ssl.create_default_context(cafile=m.ca) if tls else None
            before = bench.memory_kib(bench.family(m.master_pid()))
            cpu = bench.cpu_of(m.master_pid())
            clients, seconds = log_in(m, count, 0, context)
            wait_asleep(m)
            cpu = bench.cpu_of(m.master_pid()) - cpu
            print(f"{count} logins{' with TLS' if tls else ''}, one after the "
                  f"other: {count / seconds:.0f}/s, {cpu / count * 1e3:.2f} ms"
                  " CPU each until hibernated", flush=True)
            show_memory(m, "with TLS" if tls else "in the clear", before,
                        count)
            if not tls:
                # Each wakes for its push, and sleeps again; then once more
                # at once, when the process is still there.
                asleep, awake = [], []
                cpus = [bench.cpu_of(m.master_pid())]
                some = list(enumerate(clients))[:args.pushes]
                asleep = push(m, some, 0.02)
                time.sleep(3)
                cpus.append(bench.cpu_of(m.master_pid()))
                show_push("hibernated", asleep, cpus[1] - cpus[0])
                for one in some[:20]:
                    awake += push(m, [one] * 5, 0.01)[:4]
                show_push("awake", sorted(awake),
                          bench.cpu_of(m.master_pid()) - cpus[1])
            for c in clients:
                c.s.close()


main()
