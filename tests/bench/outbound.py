#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What sending mail costs: relaying to a sink, beside Postfix.

    outbound.py [--rounds N] [--only WORD]

Scenarios:
    relay       4 KiB messages in over 20 pipelined sessions and out to a sink,
                sessions reused on both sides
    list        one message to 50,000 recipients of one next hop (Mansio only)
    bad         20,000 messages to 2,000 destinations, all well, and with
                half of them refusing or never saying a word: how fast the
                others' mail leaves (Mansio only)
    tls         5,000 sessions with TLS at the same time in one smtp process,
                each with a message under way: its memory (Mansio only)

CPU is that of the server's processes, without client and sink.
"""
import argparse
import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import bench  # noqa: E402
import postfix  # noqa: E402
from instance import BUILD, Instance, free_port, need_root  # noqa: E402

LOAD, SINK = (f"{BUILD}/tests/bench/{n}" for n in ("smtpload", "smtpsink"))
SERVICES = """\
smtp unix - - - - - smtp
relay unix - - - - - smtp
resolver unix - - - - 1 resolver
"""


class Sink:
    def __init__(self, port, *args):
        # pylint: disable=consider-using-with
        self.proc = subprocess.Popen([SINK, *args, str(port)],
                                     stdout=subprocess.PIPE, text=True)
        self.proc.stdout.readline()

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        lines = self.proc.communicate(timeout=10)[0].splitlines()
        return json.loads(lines[-1])


class Mansio:
    name = "mansio"

    def __init__(self, base, settings, services=SERVICES):
        self.instance = Instance(
            {"smtpd_client_connection_count_limit": "unlimited", **settings},
            services=services, base=base)
        self.port = self.instance.smtp_port
        self.pid = None
        self.log_at = self.removed = 0

    def start(self):
        self.instance.start()
        self.pid = self.instance.master_pid()

    def stop(self):
        self.instance.stop()

    def done(self):
        """Messages that have left the queue."""
        with open(self.instance.logfile, "rb") as f:
            f.seek(self.log_at)
            data = f.read()
        cut = data.rfind(b"\n") + 1
        self.log_at += cut
        self.removed += data[:cut].count(b": removed\n")
        return self.removed

    def wait(self, before, count, timeout):
        wait_for(lambda: self.done() - before >= count, timeout)


class Postfix(postfix.Postfix):
    def __init__(self, base, settings):
        super().__init__(base, free_port(), 1)
        with open(f"{base}/etc/main.cf", "a", encoding="ascii") as f:
            for key, value in settings.items():
                f.write(f"{key} = {value}\n")

    def done(self):
        return 0

    def wait(self, before, count, timeout):
        self.wait_empty(timeout)


def wait_for(what, timeout):
    end = time.monotonic() + timeout
    while not what():
        if time.monotonic() > end:
            raise TimeoutError("mail is still in the queue")
        time.sleep(0.02)


def relay(server, count):
    """Messages a second and CPU of each, until all are with the sink."""
    before = server.done()
    cpu, begin = bench.cpu_of(server.pid), time.monotonic()
    subprocess.run([LOAD, "-s", "20", "-p", "-n", str(count), "-d",
                    "remote.test", "127.0.0.1", str(server.port)],
                   check=True, capture_output=True, timeout=600)
    server.wait(before, count, 300)
    seconds = time.monotonic() - begin
    return count / seconds, (bench.cpu_of(server.pid) - cpu) / count * 1e6


def run_relay(mnt, rounds):
    port = free_port()
    settings = {"relayhost": f"[127.0.0.1]:{port}"}
    servers = [Mansio(f"{mnt}/relay", settings)]
    if postfix.available():
        servers.append(Postfix(f"{mnt}/relay-postfix", settings))
    sink = Sink(port)
    rows = {s.name: [] for s in servers}
    try:
        for s in servers:
            s.start()
            relay(s, 500)
        for _ in range(rounds):
            for s in servers:
                rows[s.name].append(relay(
                    s, 10000 if isinstance(s, Mansio) else 2000))
    finally:
        for s in servers:
            s.stop()
        got = sink.stop()
    print("\nrelay of 4 KiB, 20 sessions in")
    med = {}
    for name, r in rows.items():
        med[name] = [bench.median(column) for column in zip(*r)]
        print(f"  {name:<10}{med[name][0]:>8.0f} msg/s{med[name][1]:>8.0f} "
              "us CPU")
    if len(med) == 2:
        (rate, cpu), (prate, pcpu) = med["mansio"], med["postfix"]
        print(f"  {rate / prate:.1f} times the rate, 1/{pcpu / cpu:.1f} of "
              "the CPU")
    print(f"  the sink: {got}")


def send_list(port, count):
    """One message, count recipients, MAIL to the final reply."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        f = s.makefile("rwb", buffering=1 << 20)

        def say(data, replies=1):
            f.write(data)
            f.flush()
            for _ in range(replies):
                line = f.readline()
                while line[3:4] == b"-":
                    line = f.readline()
                if line[:1] not in b"23":
                    raise RuntimeError(line)
        say(b"", 1)
        say(b"EHLO bench.example.org\r\n")
        say(b"MAIL FROM:<list@example.org>\r\n")
        for at in range(0, count, 500):
            say(b"".join(b"RCPT TO:<r%d@remote.test>\r\n" % i
                         for i in range(at, min(at + 500, count))),
                min(500, count - at))
        say(b"DATA\r\n")
        begin = time.monotonic()
        say(b"From: list@example.org\r\nSubject: news\r\n\r\n"
            + b"A line of some length, again and again.\r\n" * 100
            + b".\r\n")
        say(b"QUIT\r\n")
        return begin


def run_list(mnt, rounds):
    port, count = free_port(), 50000
    server = Mansio(f"{mnt}/list", {
        "relayhost": f"[127.0.0.1]:{port}",
        "smtpd_recipient_limit": str(count)})
    sink = Sink(port)
    rates = []
    server.start()
    try:
        for _ in range(rounds):
            before, cpu = server.done(), bench.cpu_of(server.pid)
            begin = send_list(server.port, count)
            server.wait(before, 1, 300)
            rates.append((count / (time.monotonic() - begin),
                          (bench.cpu_of(server.pid) - cpu) / count * 1e6))
    finally:
        server.stop()
        got = sink.stop()
    rate, cpu = (bench.median(column) for column in zip(*rates))
    print(f"\none message to {count} recipients: {rate:.0f} recipients/s from "
          f"the final dot, {cpu:.0f} us CPU each\n  the sink: {got}")


def write_transport(etc, kinds):
    """u<number>@ goes to an address of the loopback network of its own; the
    last digit chooses one of kinds: (digits, network, port)."""
    with open(f"{etc}/transport", "w", encoding="ascii") as f:
        for digit, net, port in kinds:
            for n, to in (("", ".0.1"), ("([0-9])", ".0.1$1"),
                          ("([0-9])([0-9])", ".$1.1$2"),
                          ("([0-9][0-9])([0-9])", ".$1.1$2")):
                f.write(f"/^u{n}({digit})@/ smtp:[127.{net}{to}"
                        f"${n.count('(') + 1}]:{port}\n")


def run_bad(mnt, rounds):
    """2,000 recipients are 2,000 next hops of the loopback network."""
    count, users = 20000, 2000
    good, hang, closed = free_port(), free_port(), free_port()
    for name, bad in (("all well", False), ("half are bad", True)):
        server = Mansio(f"{mnt}/bad{bad}", {
            "transport_maps": "regexp:{base}/etc/transport"})
        write_transport(server.instance.etc, [
            ("[0-4]", 2, good), ("[5-7]", 3 if bad else 2,
                                 hang if bad else good),
            ("[89]", 4 if bad else 2, closed if bad else good)])
        sinks = [Sink(good, "-a", "0.0.0.0"),
                 Sink(hang, "-a", "0.0.0.0", "-n", "1000000")]
        server.start()
        try:
            begin = time.monotonic()
            subprocess.run([LOAD, "-s", "20", "-p", "-n", str(count), "-u",
                            str(users), "-d", "remote.test", "127.0.0.1",
                            str(server.port)], check=True,
                           capture_output=True, timeout=600)
            taken = time.monotonic() - begin
            want = count // 2 if bad else count
            server.wait(0, want, 300)
            seconds = time.monotonic() - begin
        finally:
            server.stop()
            got = [s.stop() for s in sinks]
        print(f"\n{count} messages to {users} destinations, {name}: all "
              f"taken after {taken:.1f} s, {want} sent after {seconds:.1f} s"
              f"\n  sinks: {got}")


async def tls_session(ctx, state, reader, writer):
    """STARTTLS, and then silence after MAIL."""
    state["live"] += 1
    writer.write(b"220 sink\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        if verb == b"EHLO":
            writer.write(b"250-sink\r\n250 STARTTLS\r\n")
        elif verb == b"STAR":
            writer.write(b"220 go\r\n")
            await writer.drain()
            await writer.start_tls(ctx)
        elif verb == b"MAIL":
            state["mail"] += 1
            if state["mail"] % 100 == 0:
                print(state["mail"], flush=True)
        else:
            writer.write(b"250 ok\r\n")


async def tls_sink(cert, port):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(cert)
    state = {"live": 0, "mail": 0}
    server = await asyncio.start_server(
        lambda r, w: tls_session(ctx, state, r, w), "0.0.0.0", port,
        backlog=4096)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


def run_tls(mnt, rounds):
    port, count = free_port(), 5000
    cert = f"{mnt}/sink.pem"
    bench.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
              "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
              "/CN=sink", "-keyout", cert, "-out", f"{cert}.crt")
    with open(cert, "a", encoding="ascii") as f, \
            open(f"{cert}.crt", encoding="ascii") as crt:
        f.write(crt.read())
    server = Mansio(f"{mnt}/tls", {
        "transport_maps": "regexp:{base}/etc/transport",
        "smtp_tls_security_level": "encrypt"}, SERVICES.replace(
            "smtp unix - - - - - smtp", "smtp unix - - - - 1 smtp"))
    write_transport(server.instance.etc, [("[0-9]", 2, port)])
    server.start()
    with subprocess.Popen([sys.executable, __file__, "--sink", cert,
                           str(port)], stdout=subprocess.PIPE,
                          text=True) as sink:
        try:
            sink.stdout.readline()
            subprocess.run([LOAD, "-s", "20", "-p", "-n", str(count), "-u",
                            str(count), "-d", "remote.test", "127.0.0.1",
                            str(server.port)], check=True,
                           capture_output=True, timeout=600)
            for line in sink.stdout:
                if int(line) >= count:
                    break
            pids = [p for p in bench.family(server.pid)
                    if name_of(p) == "smtp"]
            peak = sum(map(peak_kib, pids)) / 1024
            time.sleep(22)  # what handshakes needed goes back
            print(f"\n{count} sessions with TLS: "
                  f"{bench.memory_kib(pids) / 1024:.1f} MiB in {len(pids)} "
                  f"process, {peak:.1f} MiB at most")
        finally:
            sink.kill()
            server.stop()


def peak_kib(pid):
    """The most that was ever resident, with what is shared with others."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f
                    if line.startswith("VmHWM:"))


def name_of(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as f:
        return f.read().strip()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", default="")
    p.add_argument("--sink", nargs=2, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.sink:
        asyncio.run(tls_sink(*args.sink))
    need_root()
    os.nice(-10)
    with tempfile.TemporaryDirectory(prefix="mansio-bench-") as work, \
            bench.journaled_ext4(work) as (mnt, _):
        os.chmod(work, 0o755)
        os.chmod(mnt, 0o755)
        for name, fn in (("relay", run_relay), ("list", run_list),
                         ("bad", run_bad), ("tls", run_tls)):
            if args.only in name:
                fn(mnt, args.rounds)


if __name__ == "__main__":
    main()
