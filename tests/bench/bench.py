# SPDX-License-Identifier: ISC
"""What the benchmarks share: a journaled file system, CPU and flush counters.

Figures to trust on a noisy machine: CPU per message, flushes per message, and
ratios between servers measured in turn in the same run.
"""
import contextlib
import os
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def run(*argv, **kw):
    done = subprocess.run(argv, capture_output=True, text=True, **kw)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


@contextlib.contextmanager
def journaled_ext4(work, size="32G"):
    """An ext4 with a journal on a loop device: (mount point, device name).

    The root file system of a virtual machine may have none, and then creating
    files is up to 15 times dearer than anywhere else.
    """
    image, mnt = f"{work}/bench.img", f"{work}/fs"
    os.makedirs(mnt, exist_ok=True)
    run("truncate", "-s", size, image)
    run("mkfs.ext4", "-q", "-F", "-J", "size=256",
        "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    loop = run("losetup", "-f", "--show", "--direct-io=on", image)
    try:
        run("mount", "-o", "noatime", loop, mnt)
        try:
            yield mnt, os.path.basename(loop)
        finally:
            for _ in range(50):
                if subprocess.run(["umount", mnt],
                                  capture_output=True).returncode == 0:
                    break
                time.sleep(0.2)
    finally:
        run("losetup", "-d", loop)
        os.unlink(image)


def own_cpu(pid, stat):
    """CPU seconds of a process's threads, those that have ended by ticks."""
    ticks = sum(map(int, stat[11:13])) / TICK
    try:
        total = 0
        for t in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{t}/schedstat",
                      encoding="ascii") as f:
                total += int(f.read().split()[0])
    except OSError:
        return ticks
    exact = total / 1e9
    return exact if abs(exact - ticks) < 2 / TICK else ticks


def process_table():
    """{pid: (ppid, cpu seconds, its own and reaped children's)}.

    Its own is the scheduler's figure, in nanoseconds; that of the reaped is
    in ticks.
    """
    table = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                rest = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        table[int(name)] = (int(rest[1]), own_cpu(name, rest) +
                            sum(map(int, rest[13:15])) / TICK)
    return table


def family(root):
    """The pids of root and all below it."""
    table = process_table()
    pids, grown = {root}, True
    while grown:
        more = {p for p, (pp, _) in table.items() if pp in pids} - pids
        pids |= more
        grown = bool(more)
    return pids


def cpu_of(root):
    """CPU seconds of a server: its process tree and what that has reaped."""
    table = process_table()
    return sum(table[p][1] for p in family(root) if p in table)


def kernel_cpu(device):
    """CPU seconds of the journal thread of a device."""
    total = 0.0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                head, _, rest = f.read().rpartition(")")
        except OSError:
            continue
        if f"(jbd2/{device}" in head or f"({device}" in head:
            total += sum(map(int, rest.split()[11:13])) / TICK
    return total


def flushes(device):
    """Flush requests the block device has completed."""
    with open(f"/sys/block/{device}/stat", encoding="ascii") as f:
        return int(f.read().split()[15])


def memory_kib(pids, field="Pss"):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                for line in f:
                    if line.startswith(field + ":"):
                        total += int(line.split()[1])
        except OSError:
            pass
    return total


def median(values):
    values = sorted(values)
    return values[len(values) // 2]
