#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Logins: how many a second authd takes from parallel fronts, what one costs
it, and how long others wait while somebody guesses passwords.

    login.py [--seconds N] [--fronts N]

Clients keep what they have derived from the password, as mail programs do, so
that the time is the server's: SCRAM's exchange has three round trips.
"""
import argparse
import base64
import hashlib
import hmac
import multiprocessing
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../proto/authd")]
from authlib import (Client, Instance, a_client, accounts,  # noqa: E402
                     need_root)

ALICE, PASSWORD = "alice@example.test", "wonderland"
AT_ONCE = 8             # logins under way in a front


def cpu(pid):
    """CPU seconds of all threads."""
    total = 0
    for t in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{t}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


class Keys:
    """SCRAM-SHA-256 with the salted password at hand."""

    def __init__(self):
        self.known = {}

    def final(self, bare, first):
        f = dict(x.split(b"=", 1) for x in first.split(b","))
        if f[b"s"] not in self.known:
            salted = hashlib.pbkdf2_hmac(
                "sha256", PASSWORD.encode(), base64.b64decode(f[b"s"]),
                int(f[b"i"]))
            key = hmac.digest(salted, b"Client Key", "sha256")
            self.known[f[b"s"]] = key, hashlib.sha256(key).digest()
        key, stored = self.known[f[b"s"]]
        final = b"c=biws,r=" + f[b"r"]
        sig = hmac.digest(stored, bare + b"," + first + b"," + final,
                          "sha256")
        proof = (int.from_bytes(key, "big") ^
                 int.from_bytes(sig, "big")).to_bytes(32, "big")
        return final + b",p=" + base64.b64encode(proof)


def front(base, seconds, out):
    """As many logins as there is time for, some at once."""
    c, keys, bare, done = Client(base), Keys(), {}, 0
    mine, served = a_client()

    def begin():
        nonce = base64.b64encode(os.urandom(12))
        text = b"n=" + ALICE.encode() + b",r=" + nonce
        bare[c.start("SCRAM-SHA-256", b"n,," + text, client="127.0.0.1",
                     show=served)] = text

    for _ in range(AT_ONCE):
        begin()
    end = time.monotonic() + seconds
    while bare:
        kind, tag, r = c.recv()
        if kind == 4:                           # CHALLENGE
            data = r.blob()
            c.respond(b"" if data.startswith(b"v=") else
                      keys.final(bare[tag], data), tag)
            continue
        assert kind == 5, kind                  # OK
        del bare[tag]
        done += 1
        if time.monotonic() < end:
            begin()
    mine.close()
    with out.get_lock():
        out.value += done


def rate(base, fronts, seconds):
    out = multiprocessing.Value("q", 0)
    all_of_them = [multiprocessing.Process(target=front,
                                           args=(base, seconds, out))
                   for _ in range(fronts)]
    for p in all_of_them:
        p.start()
    for p in all_of_them:
        p.join()
    return out.value


def flood(base, stop):
    """Guesses from many networks, as many at once as are taken."""
    c, n = Client(base), 0
    while not stop.is_set():
        for _ in range(50):
            n += 1
            c.start("PLAIN", f"\0alice@example.test\0guess{n}".encode(),
                    client=f"198.18.{n % 250}.{n // 250 % 250}")
        for _ in range(50):
            c.recv()


def latency(base, n, how):
    c = Client(base)
    took = []
    for _ in range(n):
        begun = time.perf_counter()
        assert how(c)[0] == "ok"
        took.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(took), max(took)


def main():
    need_root()
    ap = argparse.ArgumentParser()
    ap.add_argument("--seconds", type=float, default=5)
    ap.add_argument("--fronts", type=int, default=2)
    opt = ap.parse_args()
    m = Instance(settings={"authd_failure_delay": "0s",
                           "authd_failure_ban_threshold": "1000000"})
    accounts(m, alice=PASSWORD)
    with m:
        authd, = [p for p, n in m.children().items() if n == "authd"]
        Client(m.base).plain(ALICE, PASSWORD)
        before, begun = cpu(authd), time.monotonic()
        n = rate(m.base, opt.fronts, opt.seconds)
        took = time.monotonic() - begun
        print(f"SCRAM-SHA-256, {opt.fronts} fronts: {n / took:.0f} logins/s, "
              f"{(cpu(authd) - before) / n * 1e6:.0f} us of CPU each in authd")

        def plain(c):
            return c.plain(ALICE, PASSWORD, client="203.0.113.9")

        median, worst = latency(m.base, 500, plain)
        print(f"PLAIN, cached: median {median:.2f} ms, worst {worst:.2f} ms")
        stop = multiprocessing.Event()
        p = multiprocessing.Process(target=flood, args=(m.base, stop))
        p.start()
        time.sleep(1)
        median, worst = latency(m.base, 200, plain)
        print(f"the same during a flood of guesses: median {median:.2f} ms, "
              f"worst {worst:.2f} ms")
        stop.set()
        p.join()
    with open("/proc/loadavg", encoding="ascii") as f:
        print("load:", f.read().split()[0])


main()
