#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make bench: Mansio beside Postfix, in turn, on one journaled ext4.

    run.py [--rounds N] [--quick] [--json FILE]

Each scenario is run by both in turn, ROUNDS times; medians are shown.  CPU is
that of all of the server's processes together, from the first connection
until the last message is durable in its mailbox.  A server is warmed up before
it is measured: every mailbox has had mail.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import bench  # noqa: E402
import postfix  # noqa: E402
from instance import BUILD, need_root  # noqa: E402
from mansio import Mansio  # noqa: E402

USERS = 1000
LOAD = f"{BUILD}/tests/bench/smtpload"

# name, arguments of smtpload, messages for Mansio, for Postfix
SCENARIOS = (
    ("4 KiB, 20 sessions, pipelined", ["-s", "20", "-p"], 40000, 3000),
    ("4 KiB, 20 sessions, lockstep", ["-s", "20"], 20000, 2000),
    ("4 KiB, a connection each", ["-s", "20", "-1"], 10000, 1500),
    ("4 KiB, one session, one at a time", ["-s", "1"], 2000, 500),
    ("1 MiB, 20 sessions", ["-s", "20", "-p", "-l", "1048576"], 2000, 300),
)


def measure(server, device, args, count):
    cpu, jbd = bench.cpu_of(server.pid), bench.kernel_cpu(device)
    flush, begin = bench.flushes(device), time.monotonic()
    before = server.removed if isinstance(server, Mansio) else 0
    done = subprocess.run(
        [LOAD, "-u", str(USERS), "-n", str(count), *args, "127.0.0.1",
         str(server.port)], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"smtpload: {done.stdout}{done.stderr}")
    load = json.loads(done.stdout)
    if isinstance(server, Mansio):
        server.wait_done(before + count, 120)
    else:
        server.wait_empty(120)
    seconds = time.monotonic() - begin
    return {
        "rate": count / seconds,
        "cpu_us": (bench.cpu_of(server.pid) - cpu) / count * 1e6,
        "journal_us": (bench.kernel_cpu(device) - jbd) / count * 1e6,
        "flushes": (bench.flushes(device) - flush) / count,
        "p50_ms": load["p50_ms"], "p99_ms": load["p99_ms"],
    }


def warm_up(server, device):
    """Mailboxes are made, processes started and caches filled before."""
    measure(server, device, ["-s", "20", "-p"], 2 * USERS)


def start_time(server):
    """Seconds from the start command to the first banner."""
    server.stop()
    begin = time.monotonic()
    server.start()
    with server.instance.smtp():
        return time.monotonic() - begin


def idle_memory(server, sessions):
    """MiB of all processes with so many idle sessions, and without."""
    before = bench.memory_kib(bench.family(server.pid))
    load = subprocess.Popen(
        [LOAD, "-s", str(sessions), "-i", "60", "127.0.0.1",
         str(server.port)], stdout=subprocess.PIPE, text=True)
    try:
        load.stdout.readline()
        after = bench.memory_kib(bench.family(server.pid))
    finally:
        load.kill()
        load.wait()
    return after / 1024, before / 1024


def show(name, results):
    print(f"\n{name}")
    print(f"  {'':<18}{'msg/s':>9}{'CPU us':>9}{'jbd2 us':>9}"
          f"{'flushes':>9}{'p50 ms':>9}{'p99 ms':>9}")
    med = {}
    for server, rows in results.items():
        m = {k: bench.median([r[k] for r in rows]) for k in rows[0]}
        med[server] = m
        print(f"  {server:<18}{m['rate']:>9.0f}{m['cpu_us']:>9.0f}"
              f"{m['journal_us']:>9.0f}{m['flushes']:>9.3f}"
              f"{m['p50_ms']:>9.2f}{m['p99_ms']:>9.2f}")
    if "postfix" in med:
        for server, m in med.items():
            if server != "postfix":
                print(f"  {server}: {m['rate'] / med['postfix']['rate']:.1f}"
                      f" times the rate, 1/"
                      f"{med['postfix']['cpu_us'] / m['cpu_us']:.1f} of the "
                      "CPU")
    sys.stdout.flush()
    return med


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int)
    p.add_argument("--quick", action="store_true",
                   help="a quarter of the messages, one round")
    p.add_argument("--only", help="scenarios whose name has this")
    p.add_argument("--json")
    args = p.parse_args()
    need_root()
    if args.rounds is None:
        args.rounds = 1 if args.quick else 3
    # What else the machine does is to disturb neither of them: a server of
    # fifty processes gets more of a busy machine than one of six.
    os.nice(-10)
    report = {}
    with tempfile.TemporaryDirectory(prefix="mansio-bench-") as work, \
            bench.journaled_ext4(work) as (mnt, device):
        os.chmod(work, 0o755)
        os.chmod(mnt, 0o755)
        servers = [Mansio(f"{mnt}/packed", USERS, "packed"),
                   Mansio(f"{mnt}/maildir", USERS, "maildir")]
        if postfix.available():
            servers.append(postfix.Postfix(f"{mnt}/postfix", 12599, USERS))
        else:
            print("postfix is not installed: nothing to compare with")
        try:
            for s in servers:
                s.start()
                warm_up(s, device)
            for name, load, mine, theirs in SCENARIOS:
                if args.only and args.only not in name:
                    continue
                results = {s.name: [] for s in servers}
                for _ in range(args.rounds):
                    for s in servers:
                        count = mine if isinstance(s, Mansio) else theirs
                        if args.quick:
                            count //= 4
                        results[s.name].append(
                            measure(s, device, load, count))
                report[name] = show(name, results)
            if not args.only:
                starts = [start_time(servers[0]) for _ in range(5)]
                report["start_s"] = bench.median(starts)
                print(f"\nstart to first banner: {report['start_s']:.3f} s")
                full, empty = idle_memory(servers[0], 10000)
                report["idle_mib"] = full
                print(f"10,000 idle SMTP sessions: {full:.1f} MiB (PSS of "
                      f"all processes; {empty:.1f} MiB before)")
        finally:
            for s in servers:
                s.stop()
    if args.json:
        with open(args.json, "w", encoding="ascii") as f:
            json.dump(report, f, indent=1)


if __name__ == "__main__":
    main()
