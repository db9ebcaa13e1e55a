#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""kill -9 of qmgr, cleanup and the agents' connections under load: every
message is delivered, and none a second time unless qmgr said that it might
have been delivered before."""
# timeout: 180
import collections
import os
import random
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from qmgrlib import *  # noqa: E402,F403

SECONDS = float(os.environ.get("KILL9_SECONDS", "12"))
random.seed(int(os.environ.get("SEED", "1")))


def qmgr_of(peer):
    cred = peer.s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return struct.unpack("3i", cred)[0]


class Ledger:
    """An agent with a mailbox: what is written stays, and is recognised.  As
    local (know_qmgr()), it does not act on what a qmgr that has died since has
    sent: the next one may have given out the same, and been answered."""

    def __init__(self):
        self.lock = threading.Lock()
        self.box = collections.Counter()
        self.serial = 0
        self.wrong, self.again, self.peers = [], 0, {}
        self.dead = set()
        # How often it may still die: each death stops a transport for one
        # transport_retry_time, so while draining that has an end.
        self.deaths = sys.maxsize

    def handle(self, d):
        with self.lock:
            if qmgr_of(d.peer) in self.dead:
                return
            for i, to in enumerate(d.rcpts):
                key = (d.id, to)
                if d.nexthop == "late.test" and d.attempt == 1 and \
                        not self.box[key]:
                    d.status(DEFERRED, rcpt=i)
                    continue
                if self.box[key]:
                    self.again += 1
                    if not d.recovered:
                        self.wrong.append(key)
                else:
                    self.box[key] += 1
                if self.deaths > 0 and random.random() < 0.02:
                    self.deaths -= 1
                    d.peer.close()		# it dies before it can say so
                    return
                self.serial += 1
                d.status(DELIVERED, rcpt=i,
                         serial=self.serial if d.nexthop != "now.test" else 0)
                self.peers[d.peer] = (d, self.serial)

    def kill_qmgr(self, rig):
        pid = rig.qmgr.pid
        rig.qkill()
        with self.lock:
            self.dead.add(pid)

    def checkpoints(self, stop):
        while not stop.is_set():
            time.sleep(0.05)
            with self.lock:
                peers, self.peers = self.peers, {}
            for d, serial in peers.values():
                try:
                    d.checkpoint(serial)
                except OSError:
                    pass


def sender(rig, accepted, stop, n):
    c, serial = None, 0
    while not stop.is_set():
        try:
            if c is None:
                c = Client(rig)
            for _ in range(20):
                serial += 1
                k = f"{n}-{serial}"
                c.submit(f"Subject: {k}\n\nbody\n", rcpts=[
                    f"{k}@box.test", f"{k}a@box.test", f"{k}@late.test"]
                    if serial % 5 == 0 else [f"{k}@box.test"])
            for _ in range(20):
                r = c.result()[1]
                if r.code.startswith("2"):
                    accepted.append((r.queue_id, serial))
            # What is queued in the end must not grow with the machine.
            time.sleep(0.2)
        except (OSError, AssertionError):
            if c is not None:
                c.close()
            c = None
            time.sleep(0.05)


def main():
    with Rig({"minimal_backoff_time": "1s", "maximal_backoff_time": "2s",
              "queue_run_delay": "1s", "transport_retry_time": "1s"}) as r:
        led = Ledger()
        for name in ("box", "late"):
            r.agent(name, led.handle)
        accepted, stop, stop2 = [], threading.Event(), threading.Event()
        threads = [threading.Thread(target=sender,
                                    args=(r, accepted, stop, n), daemon=True)
                   for n in range(2)]
        threads.append(threading.Thread(target=led.checkpoints, args=(stop2,),
                                        daemon=True))
        for t in threads:
            t.start()
        end, kills = time.time() + SECONDS, 0
        while time.time() < end:
            time.sleep(random.uniform(0.1, 0.8))
            kills += 1
            if random.random() < 0.75:
                led.kill_qmgr(r)
                r.qstart(wait=False)
            else:
                r.cleanup_kill()
                r.start()
        stop.set()
        for t in threads[:2]:
            t.join(30)
        led.deaths = 15
        led.kill_qmgr(r)
        r.qstart()
        r.wait_empty(60)
        stop2.set()
        ids = {i for i, _ in led.box}
        lost = [i for i, _ in accepted if i not in ids]
        twice = [k for k, n in led.box.items() if n != 1]
        short = [i for i, _ in accepted
                 if sum(1 for k in led.box if k[0] == i) not in (1, 3)] \
            if len(accepted) < 300 else []
        print(f"{kills} kills, {len(accepted)} accepted, {len(led.box)} "
              f"delivered, {led.again} handed out again as recovered")
        assert len(accepted) > 100, len(accepted)
        assert not lost, f"{len(lost)} lost: {lost[:5]}"
        assert not led.wrong, f"again without a word: {led.wrong[:5]}"
        assert not twice and not short, (twice[:5], short[:5])
        per = collections.Counter(i for i, _ in led.box)
        assert not [i for i, _ in accepted if per[i] not in (1, 3)]
        bad = [x for x in r.log_text().splitlines()
               if "panic" in x or "fatal" in x or "anitizer" in x]
        assert not bad, bad[:5]
    print("1 passed, 0 failed, 0 skipped")


if __name__ == "__main__":
    main()
