# SPDX-License-Identifier: ISC
"""Courier's POP3 and IMAP servers on loopback ports, each client logged in.

Its daemons are not started: each connection gets a server process on a Maildir,
as Courier's login programs make one.  COURIER_ROOT is where its packages were
unpacked, when they are not installed.
"""
import os
import socket
import subprocess
import threading

ROOT = os.environ.get("COURIER_ROOT", "")
POP3 = f"{ROOT}/usr/lib/courier/courier/courierpop3d"
IMAP = f"{ROOT}/usr/bin/imapd"


def have_courier():
    return os.access(POP3, os.X_OK) and os.access(IMAP, os.X_OK)


class Courier:
    """In the parent folder of the Maildir, as the user that it belongs to."""

    def __init__(self, home, uid, gid):
        self.home, self.ids = home, {"user": uid, "group": gid,
                                     "extra_groups": []}
        self.env = {"AUTHENTICATED": "alice", "IMAPLOGINTAG": "*",
                    "PROTOCOL": "IMAP", "TCPREMOTEIP": "127.0.0.1",
                    "TCPREMOTEPORT": "1", "HOME": home,
                    "PATH": "/usr/bin:/bin", "IMAP_KEYWORDS": "1",
                    "IMAP_CAPABILITY": "IMAP4rev1 UIDPLUS",
                    "IMAP_OBSOLETE_CLIENT": "1"}
        if ROOT:
            self.env["LD_LIBRARY_PATH"] = \
                f"{ROOT}/usr/lib:{ROOT}/usr/lib/x86_64-linux-gnu"
        self.sockets, self.servers = [], []
        self.pop3_port = self.listen(POP3)
        self.imap_port = self.listen(IMAP)

    def listen(self, program):
        s = socket.create_server(("127.0.0.1", 0))
        self.sockets.append(s)
        threading.Thread(target=self.serve, args=(s, program),
                         daemon=True).start()
        return s.getsockname()[1]

    def serve(self, s, program):
        while True:
            try:
                c, _ = s.accept()
            except OSError:
                return
            with c:
                self.servers.append(subprocess.Popen(
                    [program, "Maildir"], stdin=c, stdout=c,
                    stderr=subprocess.DEVNULL, cwd=self.home, env=self.env,
                    **self.ids))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.shutdown(socket.SHUT_RDWR)
            s.close()
        for p in self.servers:
            p.kill()
            p.wait()
