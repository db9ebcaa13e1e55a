#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""Mail goes on while an order is given to all messages of a long queue, and the
order misses none of those that were there."""
import os
import smtplib
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BUILD, Instance  # noqa: E402

N = 4000			# that wait
TRIES = 20			# a slow turn of the machine proves nothing
SETTINGS = {"minimal_backoff_time": "20h", "maximal_backoff_time": "20h",
            "queue_run_delay": "1h",
            "default_transport": "retry:4.4.1 the line is dead"}


class Sender(threading.Thread):
    """Sends mail, one message after the other, until it is told to end."""
    def __init__(self, m):
        super().__init__()
        self.m, self.over, self.sent = m, threading.Event(), 0

    def run(self):
        with smtplib.SMTP("127.0.0.1", self.m.smtp_port, timeout=60) as s:
            while not self.over.is_set():
                s.sendmail("a@example.org", ["alice@example.test"],
                           "Subject: quick\r\n\r\nx\r\n")
                self.sent += 1


def waiting(m, queue):
    """How many of the N are in a queue."""
    return sum(e["queue_name"] == queue and
               e["recipients"][0]["address"].endswith("@later.test")
               for e in m.queue())


def wait(m, queue):
    end = time.monotonic() + 90
    while (n := waiting(m, queue)) != N:
        assert time.monotonic() < end, f"{n} of {N} in {queue}"
        time.sleep(0.2)


def order(m, option, queue, word):
    """Whether mail was delivered between two lines of the order."""
    at = len(m.log().splitlines())
    done = m.command("postsuper", option, "ALL", queue)
    text = m.log().splitlines()[at:]
    ours = [i for i, line in enumerate(text) if word in line]
    assert f": {N} messages" in done.stderr, done.stderr
    assert len(ours) == N, len(ours)
    return any("status=sent" in line for line in text[ours[0]:ours[-1]])


def mail_goes_on(m):
    sender = Sender(m)
    sender.start()
    seen = set()
    try:
        for _ in range(TRIES):
            if order(m, "-h", "deferred", "placed on hold"):
                seen.add("-h")
            if order(m, "-H", "hold", "released from hold"):
                seen.add("-H")
            wait(m, "deferred")		# all have been tried again
            if len(seen) == 2:
                break
    finally:
        sender.over.set()
        sender.join()
    assert seen == {"-h", "-H"}, seen
    end = time.monotonic() + 60
    while (n := len(m.maildir("alice"))) != sender.sent:
        assert time.monotonic() < end, (n, sender.sent)
        time.sleep(0.2)


def none_is_missed(m):
    """While they go from deferred to active and back."""
    m.command("postqueue", "-f")
    m.command("postsuper", "-h", "ALL")
    wait(m, "hold")


def main():
    m = Instance(SETTINGS)
    with m:
        m.stop()
        subprocess.run([f"{BUILD}/tests/qmgr/fill", f"{m.base}/spool",
                        str(m.owner.pw_uid), str(m.owner.pw_gid), str(N),
                        "36000"], check=True)
        m.start()
        wait(m, "deferred")
        mail_goes_on(m)
        none_is_missed(m)


if __name__ == "__main__":
    main()
