# SPDX-License-Identifier: ISC
"""A /dev of our own with a fake syslogd, in a mount namespace.

    own_dev()                       # first of all: runs the script again there
    with Syslogd() as s: ...        # listens at /dev/log
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

from instance import need_root, skip

LOG = "/dev/log"
IN_OWN_DEV = "MANSIO_TEST_DEV"


def own_dev():
    """Run this script again where /dev can be changed without harm."""
    need_root()
    if IN_OWN_DEV not in os.environ:
        if not shutil.which("unshare") or subprocess.run(
                ["unshare", "-m", "true"], check=False,
                capture_output=True).returncode != 0:
            skip("no mount namespaces here")
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private",
                              "env", f"{IN_OWN_DEV}=1", sys.executable]
                  + sys.argv)
    with tempfile.TemporaryDirectory() as old:
        subprocess.run(["mount", "--rbind", "/dev", old], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "dev",
                        "/dev"], check=True)
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            with open(f"/dev/{name}", "wb"):
                pass
            subprocess.run(["mount", "--bind", f"{old}/{name}",
                            f"/dev/{name}"], check=True)
        os.symlink("/proc/self/fd", "/dev/fd")
        os.mkdir("/dev/shm", 0o1777)
        subprocess.run(["umount", "-l", old], check=True)


class Syslogd:
    """Keeps the lines it gets; as a context it goes away at the end."""

    def __init__(self, kind=socket.SOCK_DGRAM, path=LOG, unlink=True):
        self.kind, self.path, self.unlink = kind, path, unlink
        self.lines = []
        self.peers = []

    def start(self):
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        self.sock = socket.socket(socket.AF_UNIX, self.kind)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.stopping = False
        if self.kind == socket.SOCK_STREAM:
            self.sock.listen(20)
        self.sock.settimeout(0.1)
        self.threads = [threading.Thread(target=self.run)]
        self.threads[0].start()
        return self

    def run(self):
        while not self.stopping:
            try:
                if self.kind == socket.SOCK_DGRAM:
                    self.lines.append(self.sock.recv(65536).decode())
                    continue
                peer = self.sock.accept()[0]
            except TimeoutError:
                continue
            peer.settimeout(0.1)
            self.peers.append(peer)
            self.threads.append(threading.Thread(target=self.serve,
                                                 args=(peer,)))
            self.threads[-1].start()

    def serve(self, peer):
        data = b""
        while not self.stopping:
            try:
                got = peer.recv(65536)
            except TimeoutError:
                continue
            if not got:
                break
            *whole, data = (data + got).split(b"\0")
            self.lines += [w.decode() for w in whole]

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join()
        # What was sent until now has been taken by this syslogd.
        self.sock.setblocking(False)
        while self.kind == socket.SOCK_DGRAM:
            try:
                self.lines.append(self.sock.recv(65536).decode())
            except BlockingIOError:
                break
        for p in self.peers + [self.sock]:
            p.close()
        if self.unlink:
            os.unlink(self.path)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
