#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A power cut at any moment loses and doubles nothing that was acknowledged.

The suite runs on a disk whose writes and flushes are logged (tests/crash).
CRASH_CUTS (default 15) disks are rebuilt as a cut may have left them; on each
the suite is started and must deliver every acknowledged message exactly once.

CRASH_UNSAFE=1 runs the same under eatmydata, which switches every sync off:
then losses must be found, or the rig proves nothing (exit 0 when found).
CRASH_STORE is maildir (default) or packed; messages are of up to CRASH_SIZES
bytes ("200,5000,60000,300000"), for CRASH_USERS (12) mailboxes, which are made
by their first mail.
"""
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../crash"))
from instance import BUILD, Instance, need_root, skip  # noqa: E402
from disk import LoggedDisk, lacking  # noqa: E402
from load import Load, check  # noqa: E402

CUTS = int(os.environ.get("CRASH_CUTS", "15"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
SECONDS = float(os.environ.get("CRASH_SECONDS", "4"))
STORE = os.environ.get("CRASH_STORE", "maildir")
UNSAFE = os.environ.get("CRASH_UNSAFE") == "1"
USERS = [f"u{i}" for i in range(int(os.environ.get("CRASH_USERS", "12")))]
SIZES = tuple(map(int, os.environ.get(
    "CRASH_SIZES", "200,5000,60000,300000").split(",")))
FS = os.environ.get("CRASH_FS", "ext4")
EATMYDATA = "/usr/lib/x86_64-linux-gnu/libeatmydata.so"


def record(disk, m):
    """Run a load, stop the machine in the middle of it; the log has it all."""
    def acknowledged(number, users):
        disk.mark(f"ack {number} {' '.join(users)}\n".encode())
    load = Load(m.smtp_port, list(m.users), acknowledged, threads=4,
                sizes=SIZES, seed=SEED)
    m.start()
    load.start()
    time.sleep(SECONDS)
    load.stop()
    stop(m)
    return load


def promises(cut):
    found = {}
    for mark in cut.marks:
        _, number, *users = mark.decode().split()
        found[int(number)] = users
    return found


def processes(m):
    """What those of the instance do, for when they should have ended."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        told = {}
        for name in "cmdline", "status", "wchan", "stack":
            try:
                with open(f"/proc/{pid}/{name}", encoding="latin-1") as f:
                    told[name] = f.read().replace("\0", " ")
            except OSError:
                told[name] = ""
        if m.base in told["cmdline"]:
            state = [line for line in told["status"].splitlines()
                     if line.startswith(("State", "SigCgt", "ShdPnd"))]
            found.append(f"{pid} {told['cmdline']}: {state} "
                         f"{told['wchan']} {told['stack']}")
    return "\n".join(found)


def stop(m):
    """A process that waits for the logged disk cannot even be killed: how
    long that takes is the machine's affair, and is not what is tested."""
    for last in False, False, True:
        try:
            m.stop()
            return
        except (RuntimeError, subprocess.TimeoutExpired) as e:
            print(f"{e}\n{processes(m)}", flush=True)
            if last or "not running" in str(e):
                raise
            m.running = True


def recover(m, cut):
    """Start on the cut disk, deliver what is queued: what is wrong."""
    wrong, boxes = [], None

    def step(what, act, *args):
        try:
            act(*args)
            return True
        except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as e:
            wrong.append(f"recovery failed: {what}: {e}\n{m.log()[-4000:]}")
            return False

    with cut.mounted():
        if step("start", m.start):
            step("deliver", m.wait_idle, 60)
        step("stop", stop, m)
        if not wrong:
            boxes = {u: m.mailbox(u) for u in m.users}
    return wrong or check(promises(cut), boxes)


def main():
    need_root()
    logdisk = f"{BUILD}/tests/crash/logdisk"
    if not os.path.exists(logdisk):
        skip("logdisk is not built (libfuse3-dev is missing)")
    reason = lacking()
    if reason:
        skip(reason)
    if UNSAFE and not os.path.exists(EATMYDATA):
        skip("eatmydata is not installed")
    work = tempfile.mkdtemp(prefix="mansio-power-")
    os.chmod(work, 0o755)
    disk = LoggedDisk(work, logdisk, fs=FS)
    bad = promised = 0
    try:
        disk.mount()
        os.chmod(disk.mnt, 0o755)
        settings = {
            "minimal_backoff_time": "1s", "maximal_backoff_time": "2s",
            "queue_run_delay": "1s", "transport_retry_time": "1s",
            "queue_segment_size": "4194304", "store_format": STORE,
            "import_environment": "LD_PRELOAD MANSIO_STORE_EPOCH TZ",
        }
        env = {"MANSIO_STORE_EPOCH": "before the cut"}
        if UNSAFE:
            env["LD_PRELOAD"] = EATMYDATA
        m = Instance(settings, base=f"{disk.mnt}/m", env=env, users=USERS,
                     maildir=STORE == "maildir")
        m.start()
        m.stop()
        disk.start_log()
        load = record(disk, m)
        disk.unmount()
        m.env.pop("LD_PRELOAD", None)
        m.env["MANSIO_STORE_EPOCH"] = "after the cut"
        for cut in disk.cuts(CUTS, SEED):
            promised = max(promised, len(cut.marks))
            wrong = recover(m, cut)
            if wrong:
                bad += 1
                print(f"{cut}: {len(wrong)} wrong, as: {wrong[:3]}")
                if not UNSAFE and os.environ.get("CRASH_KEEP"):
                    print(m.log()[-3000:])
        print(f"{CUTS} cuts, {bad} of them bad; at most {promised} "
              f"acknowledged of {len(load.sent)} messages")
    finally:
        disk.remove()
    if promised == 0:
        print("nothing was acknowledged: nothing was tested")
        sys.exit(1)
    sys.exit((bad == 0) if UNSAFE else (bad != 0))


if __name__ == "__main__":
    main()
