# SPDX-License-Identifier: ISC
"""A policy service (Postfix's policy delegation protocol) that does as a test
tells it, on a port of 127.0.0.1 or a UNIX socket."""
import os
import socket
import threading


class PolicyService:
    """answer(attributes, how many requests this connection had before) returns
    what is sent; None closes the connection.  seen has [(connection number,
    [(name, value), ...])]."""

    def __init__(self, answer=None, path=None):
        self.answer = answer or (lambda a, n: "action=DUNNO\n\n")
        self.seen, self.opened, self.closed = [], 0, 0
        self.lock = threading.Lock()
        self.conns = set()
        if path:
            self.ls = socket.socket(socket.AF_UNIX)
            self.ls.bind(path)
            os.chmod(path, 0o666)
            self.spec = f"unix:{path}"
        else:
            self.ls = socket.socket()
            self.ls.bind(("127.0.0.1", 0))
            self.spec = f"inet:127.0.0.1:{self.ls.getsockname()[1]}"
        self.ls.listen(100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.ls.accept()
            except OSError:
                return
            with self.lock:
                self.opened += 1
                self.conns.add(s)
                number = self.opened
            threading.Thread(target=self.serve, args=(s, number),
                             daemon=True).start()

    def serve(self, s, number):
        try:
            self.talk(s, number)
        except OSError:
            pass
        with self.lock:
            self.closed += 1
            self.conns.discard(s)
        s.close()

    def talk(self, s, number):
        got, n = b"", 0
        while True:
            while b"\n\n" not in got:
                more = s.recv(65536)
                if not more:
                    return
                got += more
            request, got = got.split(b"\n\n", 1)
            attrs = [tuple(line.split("=", 1))
                     for line in request.decode().split("\n")]
            with self.lock:
                self.seen.append((number, attrs))
            said = self.answer(dict(attrs), n)
            n += 1
            if said is None:
                return
            parts = [said] if isinstance(said, (str, bytes)) else said
            for part in parts:
                s.sendall(part.encode() if isinstance(part, str) else part)

    def take(self):
        with self.lock:
            seen, self.seen = self.seen, []
        return seen

    def close(self):
        """The port is free, and connections are closed."""
        try:
            self.ls.shutdown(socket.SHUT_RDWR)      # wakes accept()
        except OSError:
            pass
        self.ls.close()
        with self.lock:
            conns = list(self.conns)
        for s in conns:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
