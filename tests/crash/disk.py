# SPDX-License-Identifier: ISC
"""A file system on a disk whose writes and flushes are logged (logdisk.c).

    disk = LoggedDisk(workdir, logdisk_program)
    disk.mount()                 # the file system under test, at disk.mnt
    disk.start_log()             # what lies there now is the base of all cuts
    disk.mark(b"ack 17")         # at the moment a client saw the reply
    disk.unmount()
    for cut in disk.cuts(1000):  # the disk as a power cut may have left it
        with cut.mounted() as mnt:
            ...

A real disk may write anything it was given since the last flush it completed,
in any order, and tear a write at a sector.  A cut therefore has every write up
to the last flush, and none, all, or a random torn part of those after it.
"""
import contextlib
import ctypes
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

ENTRY = struct.Struct("<IIQQ")
MAGIC = 0x4B534944
SECTOR = 512
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}


def run(*argv):
    """Run a command; its output, or an exception that shows it."""
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout.strip()


LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, PR_SET_PDEATHSIG = 0x00020000, 1


def own_mounts():
    """Mount where nobody else sees it.

    Whoever makes a mount namespace gets a copy of all mounts, and while it is
    there a disk that we have unmounted stays in use: its loop device holds
    the file, and the file system of logdisk is busy.
    """
    with open("/proc/self/mountinfo", encoding="utf8") as f:
        places = [line.split(" ")[4] for line in f]
    if "/" not in places:
        print("skip: no mounts of our own: / is no mount point here (chroot)")
        sys.exit(77)
    if LIBC.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    run("mount", "--make-rprivate", "/")


def die_with_parent():
    """logdisk has our output: left alone, it would keep a reader waiting."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def retry(*argv):
    """For umount and losetup -d, which may be busy for a moment."""
    for _ in range(50):
        if subprocess.run(argv, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    run(*argv)


def lacking():
    """Why no such disk can be had on this machine, or None."""
    for program in ("mkfs.ext4", "losetup", "mount", "umount"):
        if shutil.which(program, path=os.environ.get("PATH", "") +
                        ":/usr/sbin:/sbin") is None:
            return f"no {program} here"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as e:
        return f"no FUSE here: {e}"
    top = tempfile.mkdtemp(prefix="mansio-probe-")
    loop = None
    try:
        image = f"{top}/image"
        run("truncate", "-s", "4M", image)
        run(*MKFS["ext4"], image)
        loop = run("losetup", "-f", "--show", image)
        run("mount", loop, top)
        retry("umount", top)
        return None
    except RuntimeError as e:
        return f"no loop device can be mounted here: {e}"
    finally:
        if loop:
            retry("losetup", "-d", loop)
        shutil.rmtree(top, ignore_errors=True)


class LoggedDisk:
    def __init__(self, work, logdisk, fs="ext4", size="400M"):
        self.work = os.path.abspath(work)
        self.program = logdisk
        self.image = f"{self.work}/image"
        self.base = f"{self.work}/base"
        self.log = f"{self.work}/log"
        self.fuse = f"{self.work}/fuse"
        self.mnt = f"{self.work}/mnt"
        self.proc = self.loop = None
        self.private = False    # our mounts are
        for path in (self.work, self.fuse, self.mnt):
            os.makedirs(path, exist_ok=True)
        run("truncate", "-s", size, self.image)
        run(*MKFS[fs], self.image)

    def mount(self):
        """Attach and mount; writes go to a log that start_log() discards."""
        if not self.private:
            own_mounts()
            self.private = True
        self.proc = subprocess.Popen(
            [self.program, self.image, self.log, self.fuse, "-f", "-s"],
            preexec_fn=die_with_parent)
        for _ in range(100):
            if os.path.exists(f"{self.fuse}/disk"):
                break
            time.sleep(0.05)
        self.loop = run("losetup", "-f", "--show", f"{self.fuse}/disk")
        run("mount", "-o", "noatime",
            self.loop, self.mnt)

    def unmount(self):
        """Tear down whatever is up; safe to call twice."""
        if self.proc is None:
            return
        if os.path.ismount(self.mnt):
            retry("umount", self.mnt)
        if self.loop:
            retry("losetup", "-d", self.loop)
            self.loop = None
        if os.path.ismount(self.fuse):
            retry("umount", self.fuse)
        self.proc.wait(timeout=10)
        self.proc = None

    def start_log(self):
        """What is on the disk now becomes the base: remount on a new log."""
        self.unmount()
        run("cp", "--sparse=always", self.image, self.base)
        self.mount()

    def mark(self, text):
        with open(f"{self.fuse}/mark", "wb", buffering=0) as f:
            f.write(text)

    def operations(self):
        """[(kind, offset, bytes)] of the log."""
        ops = []
        with open(self.log, "rb") as f:
            data = f.read()
        at = 0
        while at < len(data):
            magic, kind, off, n = ENTRY.unpack_from(data, at)
            assert magic == MAGIC, "damaged log"
            at += ENTRY.size
            ops.append((chr(kind), off, data[at:at + n]))
            at += n
        return ops

    def cuts(self, n, seed):
        """n crash points; every third drops, tears or keeps the tail."""
        ops = self.operations()
        rng = random.Random(seed)
        for i in range(n):
            yield Cut(self, ops, rng.randrange(len(ops) + 1),
                      ("none", "torn", "all")[i % 3], rng)

    def remove(self):
        self.unmount()
        shutil.rmtree(self.work, ignore_errors=True)


class Cut:
    def __init__(self, disk, ops, at, mode, rng):
        self.disk, self.ops, self.at = disk, ops, at
        self.mode, self.rng = mode, rng
        self.marks = [data for kind, _, data in ops[:at] if kind == "M"]

    def __str__(self):
        return f"cut at {self.at} of {len(self.ops)} ({self.mode})"

    def build(self, path):
        run("cp", "--sparse=always", self.disk.base, path)
        last_flush = max((i for i in range(self.at)
                          if self.ops[i][0] == "F"), default=-1)
        fd = os.open(path, os.O_RDWR)
        try:
            for i in range(self.at):
                kind, off, data = self.ops[i]
                if kind != "W":
                    continue
                if i < last_flush or self.mode == "all":
                    os.pwrite(fd, data, off)
                elif self.mode == "torn" and self.rng.random() < 0.5:
                    keep = len(data)
                    if self.rng.random() < 0.5:
                        keep = SECTOR * self.rng.randrange(
                            len(data) // SECTOR + 1)
                    os.pwrite(fd, data[:keep], off)
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def mounted(self, at=None):
        """Mount the rebuilt disk, by default where the live one was."""
        path = f"{self.disk.work}/cut"
        mnt = at or self.disk.mnt
        self.build(path)
        loop = run("losetup", "-f", "--show", path)
        try:
            try:
                run("mount", "-o", "noatime", loop, mnt)
            except RuntimeError:
                # A torn superblock: the file system's own, and what a
                # machine does when it starts.  1 and 2: mended.
                fsck = subprocess.run(["fsck", "-y", loop],
                                      capture_output=True, text=True)
                if fsck.returncode & ~3:
                    raise
                run("mount", "-o", "noatime", loop, mnt)
            try:
                yield mnt
            finally:
                retry("umount", mnt)
        finally:
            retry("losetup", "-d", loop)
