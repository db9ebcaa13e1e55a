#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a long queue costs: N messages wait in deferred/.

    queue_load.py [N]		100,000 without an argument

Shows how long the queue manager takes to know them, its memory, how quickly
new mail goes through meanwhile and after, and what mailq and postsuper take.
"""
import os
import smtplib
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import bench  # noqa: E402
from instance import BUILD, Instance, need_root  # noqa: E402


def one_message(m, smtp):
    """Milliseconds from MAIL until a new message has been delivered."""
    at = os.path.getsize(m.logfile)
    begin = time.monotonic()
    smtp.sendmail("a@example.org", ["alice@example.test"],
                  "Subject: quick\n\nx\n")
    while True:
        with open(m.logfile, "rb") as f:
            f.seek(at)
            if b"status=sent" in f.read():
                return (time.monotonic() - begin) * 1000
        time.sleep(0.001)


def latency(m, n=20):
    with smtplib.SMTP("127.0.0.1", m.smtp_port) as s:
        return bench.median([one_message(m, s) for _ in range(n)])


class Meanwhile(threading.Thread):
    """Milliseconds that new mail takes while something else goes on."""
    def __init__(self, m):
        super().__init__()
        self.m, self.over, self.took = m, threading.Event(), []

    def run(self):
        with smtplib.SMTP("127.0.0.1", self.m.smtp_port) as s:
            while not self.over.is_set() or not self.took:
                self.took.append(one_message(self.m, s))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def __str__(self):
        return (f"{bench.median(self.took):.1f} ms, at most "
                f"{max(self.took):.1f} of {len(self.took)}")


def command(m, *argv):
    """Seconds to the first byte and to the end."""
    begin = time.monotonic()
    with subprocess.Popen(
            [f"{BUILD}/bin/{argv[0]}", "-c", m.etc, *argv[1:]],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as p:
        p.stdout.read(1)
        first = time.monotonic() - begin
        rest = p.stdout.read()
    return first, time.monotonic() - begin, rest


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    need_root()
    with tempfile.TemporaryDirectory(prefix="mansio-bench-") as work, \
            bench.journaled_ext4(work) as (mnt, _):
        os.chmod(work, 0o755)
        os.chmod(mnt, 0o755)
        m = Instance({"minimal_backoff_time": "40000s",
                      "maximal_backoff_time": "40000s",
                      "queue_run_delay": "300s"}, base=f"{mnt}/m")
        m.start()
        print(f"new mail, queue empty: {latency(m):.1f} ms")
        m.stop()
        begin = time.monotonic()
        subprocess.run(
            [f"{BUILD}/tests/qmgr/fill", f"{mnt}/m/spool",
             str(m.owner.pw_uid), str(m.owner.pw_gid), str(n), "36000"],
            check=True)
        print(f"{n} messages made in {time.monotonic() - begin:.0f} s")
        begin = time.monotonic()
        m.start()
        print(f"start: {time.monotonic() - begin:.2f} s; new mail at once: "
              f"{latency(m):.1f} ms")
        pids = bench.family(m.master_pid())
        quiet, cpu = 0, -1.0
        while quiet < 3:
            time.sleep(1)
            now = bench.cpu_of(m.master_pid())
            quiet, cpu = (quiet + 1 if now - cpu < 0.05 else 0), now
        print(f"known after {time.monotonic() - begin - 3:.1f} s, "
              f"{cpu:.1f} s of CPU; all processes: "
              f"{bench.memory_kib(pids) / 1024:.1f} MiB")
        print(f"new mail then: {latency(m):.1f} ms")
        for argv in (("postqueue", "-p"),
                     ("postsuper", "-h", "ALL", "deferred"),
                     ("postsuper", "-H", "ALL"),
                     ("postsuper", "-r", "ALL", "deferred")):
            with Meanwhile(m) as new:
                first, whole, rest = command(m, *argv)
            print(f"{' '.join(argv):<25} first byte {first * 1000:8.1f} ms, "
                  f"all {whole:6.1f} s, {len(rest)} bytes; new mail "
                  f"meanwhile {new}; after {latency(m, 5):.1f} ms")
        m.stop()


if __name__ == "__main__":
    main()
