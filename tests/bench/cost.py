#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a message costs: the tables of ARCHITECTURE.md, measured.

    cost.py [--store FORMAT] [--only NAME] [--calls]

For each size of message, twenty pipelined sessions: CPU of each process, the
system calls it makes, the bytes it moves through them (each a copy made by
the kernel), and what reaches the disk, told apart by what it is for.  Calls
and writes are read from tracefs, in an instance of our own; the run that
counts calls is another than the one that measures CPU, for counting costs
time, too.
"""
import argparse
import collections
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import bench  # noqa: E402
from instance import need_root, skip  # noqa: E402
from mansio import Mansio  # noqa: E402
from run import USERS, measure  # noqa: E402

TRACING = "/sys/kernel/tracing"
UNISTD = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
# What moves bytes, by its result.
MOVES = ("read", "write", "pread64", "pwrite64", "readv", "writev", "preadv",
         "pwritev", "pwritev2", "preadv2", "recvfrom", "sendto", "recvmsg",
         "sendmsg", "splice", "copy_file_range", "sendfile")
CASES = (
    ("4 KiB", 4096, 10000),
    ("1 MiB", 1 << 20, 1000),
)


def put(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


@contextlib.contextmanager
def tracing(events):
    """An instance of the kernel's tracing; events: {name: filter}."""
    inst = f"{TRACING}/instances/mansio-cost-{os.getpid()}"
    try:
        os.mkdir(inst)
    except OSError as e:
        skip(f"no tracing: {e}")
    try:
        put(f"{inst}/buffer_size_kb", str(128 << 10))
        for name, only in events.items():
            if only:
                put(f"{inst}/events/{name}/filter", only)
            put(f"{inst}/events/{name}/enable", "1")
        yield inst
    finally:
        put(f"{inst}/tracing_on", "0")
        os.rmdir(inst)


def lines_of(inst):
    put(f"{inst}/tracing_on", "0")
    for cpu in os.listdir(f"{inst}/per_cpu"):
        with open(f"{inst}/per_cpu/{cpu}/stats", encoding="ascii") as f:
            lost = re.search(r"overrun: (\d+)", f.read())
        if lost and int(lost[1]):
            print(f"  ({lost[1]} events lost on {cpu})")
    with open(f"{inst}/trace", encoding="utf-8", errors="replace") as f:
        yield from f


# --- what is written, and where ---------------------------------------------

def area(path):
    """What a file is for, by its path below the mount point."""
    if re.search(r"/spool/log/.*\.seg", path):
        return "log"
    for part, name in (("/spool/large/", "large"), ("/spool/state", "state"),
                       ("/spool/", "spool"), ("/log/", "log file"),
                       ("/mail/", "mailbox")):
        if part in path:
            if name == "mailbox" and not path.endswith(".seg") and \
                    "/new/" not in path:
                return "mailbox journal"
            return name
    return "other"


def extents(mnt, device):
    """[(first 512-byte sector, end, what it is for)] of all there is."""
    found = []
    for top, _, files in os.walk(mnt):
        paths = [f"{top}/{name}" for name in files]
        for i in range(0, len(paths), 200):
            out = subprocess.run(
                ["filefrag", "-v", *paths[i:i + 200]], capture_output=True,
                text=True, check=False).stdout
            what = "other"
            for line in out.splitlines():
                m = re.match(r"File size of (.*) is \d+", line)
                if m:
                    what = area(m[1])
                m = re.match(r"\s*\d+:\s+\d+\.\.\s*\d+:\s+(\d+)\.\.\s*(\d+):",
                             line)
                if m:
                    found.append((int(m[1]) * 8, int(m[2]) * 8 + 8, what))
    out = subprocess.run(["debugfs", "-R", "stat <8>", f"/dev/{device}"],
                         capture_output=True, text=True, check=False).stdout
    for m in re.finditer(r"\(\d+-\d+\):(\d+)-(\d+)", out):
        found.append((int(m[1]) * 8, int(m[2]) * 8 + 8, "ext4 journal"))
    return sorted(found)


def written(inst, spans, count):
    """KiB a message by area, requests a message."""
    total, requests = collections.Counter(), 0
    for line in lines_of(inst):
        m = re.search(r"block_rq_issue: \S+ (\w+) (\d+) \(.*?\) (\d+) \+ (\d+)",
                      line)
        if not m or "W" not in m[1]:
            continue
        at, end = int(m[3]), int(m[3]) + int(m[4])
        requests += 1
        for first, last, what in spans:
            if first >= end:
                break
            if last > at:
                share = min(last, end) - max(first, at)
                total[what] += share
        known = sum(max(0, min(s[1], end) - max(s[0], at)) for s in spans
                    if s[0] < end and s[1] > at)
        total["metadata, freed"] += end - at - known
    return {k: v / 2 / count for k, v in total.most_common()}, requests / count


# --- processes ---------------------------------------------------------------

def name_of(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as f:
        return f.read().strip()


def processes(server):
    """{pid: name} of the server's processes."""
    return {p: name_of(p) for p in bench.family(server.pid)}


def cpu_by_name(server):
    table, total = bench.process_table(), collections.Counter()
    for pid, name in processes(server).items():
        if pid in table:
            total[name] += table[pid][1]
    return total


def threads(server):
    """{tid: name of its process}."""
    found = {}
    for pid, name in processes(server).items():
        for tid in os.listdir(f"/proc/{pid}/task"):
            found[int(tid)] = name
    return found


def call_names():
    with open(UNISTD, encoding="ascii") as f:
        return {int(n): name for name, n in
                re.findall(r"#define __NR_(\w+) (\d+)", f.read())}


def count_calls(server, device, args, count):
    """{process: {call: [number, bytes]}} a message."""
    names = call_names()
    tids = threads(server)
    found = collections.defaultdict(
        lambda: collections.defaultdict(lambda: [0, 0]))
    with tracing({}) as inst:
        put(f"{inst}/set_event_pid", " ".join(map(str, tids)))
        put(f"{inst}/options/event-fork", "1")
        put(f"{inst}/events/raw_syscalls/sys_exit/enable", "1")
        measure(server, device, args, count)
        tids.update(threads(server))
        for line in lines_of(inst):
            m = re.search(r"-(\d+)\s+\[.*sys_exit: NR (\d+) = (-?\d+)", line)
            if not m:
                continue
            call = names.get(int(m[2]), m[2])
            row = found[tids.get(int(m[1]), "ended")][call]
            row[0] += 1 / count
            if call in MOVES:
                row[1] += max(int(m[3]), 0) / count
    return found


# --- the tables ----------------------------------------------------------------

def show_calls(found):
    print(f"  {'process':<10}{'calls':>9}{'KiB moved':>12}  of which")
    for name, calls in sorted(found.items()):
        total = sum(n for n, _ in calls.values())
        moved = sum(b for _, b in calls.values()) / 1024
        if total < 0.005:
            continue
        top = sorted(calls.items(), key=lambda c: -c[1][0])
        text = ", ".join(
            f"{c} {n:.2f}" + (f" ({b / 1024:.0f} KiB)" if b > 1024 else "")
            for c, (n, b) in top if n > 0.03)
        print(f"  {name:<10}{total:>9.2f}{moved:>12.1f}  {text}")


def run_case(server, device, mnt, case, calls):
    name, size, count = case
    args = ["-s", "20", "-p", "-l", str(size)]
    measure(server, device, args, count // 2)
    time.sleep(1.2)		# the last checkpoint of what came before
    print(f"\n{name}, {server.name}")
    before = cpu_by_name(server)
    dev = os.stat(f"/dev/{device}").st_rdev
    number = (os.major(dev) << 20) | os.minor(dev)
    with tracing({"block/block_rq_issue": f"dev == {number}"}) as inst:
        got = measure(server, device, args, count)
        time.sleep(1.2)
        after = cpu_by_name(server)
        kib, requests = written(inst, extents(mnt, device), count)
    print(f"  {got['rate']:.0f}/s, flushes {got['flushes']:.3f}, "
          f"write requests {requests:.2f}, all CPU {got['cpu_us']:.0f} us")
    print("  KiB written: " + ", ".join(
        f"{k} {v:.1f}" for k, v in kib.items()) + f"; {sum(kib.values()):.1f}")
    print("  CPU us: " + ", ".join(
        f"{k} {(after[k] - before[k]) / count * 1e6:.1f}"
        for k in sorted(after) if after[k] - before[k] > count * 2e-7))
    if calls:
        show_calls(count_calls(server, device, args, count))
    sys.stdout.flush()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--store", default="packed",
                   choices=("packed", "maildir", "mbox"))
    p.add_argument("--only", default="", help="cases whose name has this")
    p.add_argument("--calls", action="store_true", help="count calls, too")
    args = p.parse_args()
    need_root()
    with tempfile.TemporaryDirectory(prefix="mansio-bench-") as work, \
            bench.journaled_ext4(work) as (mnt, device):
        os.chmod(work, 0o755)
        os.chmod(mnt, 0o755)
        server = Mansio(f"{mnt}/{args.store}", USERS, args.store)
        try:
            server.start()
            measure(server, device, ["-s", "20", "-p"], 2 * USERS)
            for case in CASES:
                if args.only in case[0]:
                    run_case(server, device, mnt, case, args.calls)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
