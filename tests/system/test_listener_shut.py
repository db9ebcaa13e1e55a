#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A listener that master has shut down is ready for ever: daemons that still
have it wait to be told to go, and do not turn round meanwhile."""
import ctypes
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance, need_root, skip  # noqa: E402

PIDFD_OPEN, PIDFD_GETFD = 434, 438      # the same on every architecture
TICK = os.sysconf("SC_CLK_TCK")


def listeners(pid):
    """Copies of a process' listening sockets."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = libc.syscall(PIDFD_OPEN, pid, 0)
    if pidfd < 0:
        skip("pidfd_open is not to be had")
    for name in os.listdir(f"/proc/{pid}/fd"):
        fd = libc.syscall(PIDFD_GETFD, pidfd, int(name), 0)
        if fd < 0:
            continue
        try:
            s = socket.socket(fileno=fd)
        except OSError:
            os.close(fd)
            continue
        if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            yield s
        s.close()
    os.close(pidfd)


def used(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        t = f.read().rsplit(")", 1)[1].split()
    return (int(t[11]) + int(t[12])) / TICK


def test(m, name):
    pids = [p for p, program in m.children().items() if program == name]
    assert len(pids) == 1, (name, pids)
    n = 0
    for s in listeners(pids[0]):
        s.shutdown(socket.SHUT_RD)
        n += 1
    assert n > 0, name
    time.sleep(0.2)
    before = used(pids[0])
    time.sleep(1)
    spent = used(pids[0]) - before
    assert spent < 0.3, (name, spent)


def main():
    need_root()
    # smtpd and pickup run a loop, showq and virtual are workers.
    with Instance() as m:
        m.send("alice", "Subject: x\n\nx\n")
        m.wait_idle()
        subprocess.run([m.program("sendmail"), "-C", m.etc, "-t"], check=True,
                       input=b"To: alice@example.test\n\nx\n", env=m.env)
        m.wait_idle()
        for name in ("smtpd", "pickup", "showq", "virtual"):
            test(m, name)
    print("4 passed, 0 failed, 0 skipped")


main()
