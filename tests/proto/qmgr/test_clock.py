#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""qmgr when somebody sets the clock: mail is neither forgotten for days nor
lost, and the log says what happened.  Needs libfaketime."""
# timeout: 240
import glob
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import qmgrlib  # noqa: E402
from qmgrlib import *  # noqa: E402,F403

LIB = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") or [None])[0]
DAY = 86400


FAKE = ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE",
        "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT")


class Rig(qmgrlib.Rig):
    def __init__(self, conf):
        super().__init__({"import_environment": " ".join(FAKE), **conf})

    def set_clock(self, seconds):
        """From now on qmgr's clock is off by so much.  The file lies where
        qmgr may read."""
        path = self.path("corrupt/clock")
        with open(f"{path}.new", "w", encoding="ascii") as f:
            f.write(f"{seconds:+d}s\n")
        os.rename(f"{path}.new", path)

    def qstart(self, wait=True):
        if not os.path.exists(self.path("corrupt/clock")):
            self.set_clock(0)
        os.environ.update(zip(FAKE, (LIB, self.path("corrupt/clock"), "1", "1",
                               "1")))
        try:
            super().qstart(wait)
        finally:
            for name in FAKE:
                del os.environ[name]


tests = []


def test(**conf):
    def add(fn):
        tests.append((fn, conf))
        return fn
    return add


def deferred(r, a):
    """A message that waits for its next attempt in five minutes."""
    i = r.send("a@ok.test")
    d = a.next()
    assert d.id == i
    d.status(DEFERRED)
    r.wait_files("deferred", 1)
    a.none()
    return i


@test()
def set_back(r):
    """By its new clock the next attempt would be days away."""
    a = r.agent("ok")
    i = deferred(r, a)
    r.set_clock(-3 * DAY)
    r.wait_log("the clock was set back by")
    a.none()
    # What is left of its five minutes, and not maximal_backoff_time.
    r.set_clock(-3 * DAY + 300)
    d = a.next()
    assert d.id == i
    d.status(DELIVERED)
    r.wait_empty()


@test(minimal_backoff_time="10s", maximal_backoff_time="1h")
def waits_as_long_as_it_would_have(r):
    """Nobody touches the clock again: the attempt comes all the same."""
    a = r.agent("ok")
    i = deferred(r, a)
    began = time.monotonic()
    r.set_clock(-1800)
    r.wait_log("the clock was set back by")
    d = a.next(60)
    assert d.id == i
    assert time.monotonic() - began < 60
    d.status(DELIVERED)
    r.wait_empty()


@test()
def set_forward(r):
    """An hour later than it thought it is: the attempt is due."""
    a = r.agent("ok")
    i = deferred(r, a)
    r.set_clock(3600)
    r.wait_log("the clock was set forward by")
    d = a.next()
    assert d.id == i and d.attempt == 2
    d.status(DELIVERED)
    r.wait_empty()


@test()
def set_far_forward_and_back(r):
    """Past maximal_queue_lifetime an attempt is made before it is returned,
    and the notice is asked for once."""
    a = r.agent("ok")
    i = deferred(r, a)
    r.set_clock(30 * DAY)
    d = a.next()
    assert d.id == i
    d.status(DEFERRED)
    n = r.notice()
    r.set_clock(0)
    n.answer()
    r.wait_log(f"{i}: removed")
    r.wait_empty()
    assert r.notices.empty()


@test()
def started_with_a_clock_that_is_slow(r):
    """Files whose next attempt lies far in the future."""
    a = r.agent("ok")
    i = deferred(r, a)
    r.qkill()
    a.drop()
    r.set_clock(-100 * DAY)
    r.qstart()
    end = time.time() + 30
    while r.numbers()["deferred"] != 1:
        assert time.time() < end
        time.sleep(0.05)
    # What it was to wait counts from the start.
    r.set_clock(-100 * DAY + 300 + 30)
    d = a.next()
    assert d.id == i
    d.status(DELIVERED)
    r.wait_empty()


@test(minimal_backoff_time="10s", maximal_backoff_time="1h")
def set_back_while_it_was_stopped(r):
    """By less than maximal_backoff_time, which no limit can tell."""
    a = r.agent("ok")
    i = deferred(r, a)
    r.qkill()
    a.drop()
    r.set_clock(-1800)
    r.qstart()
    d = a.next(60)
    assert d.id == i
    d.status(DELIVERED)
    r.wait_empty()


if __name__ == "__main__":
    if LIB is None:
        print("skip: no libfaketime")
        sys.exit(77)
    if "/san-" in os.path.abspath(os.environ.get("BUILD_DIR", "")):
        print("skip: sanitizers and libfaketime do not go together")
        sys.exit(77)
    qmgrlib.Rig = Rig
    sys.exit(qmgrlib.run(tests))
