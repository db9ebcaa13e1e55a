#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""qmgr and the message log: segments are given back, a backlog that does not
fit into memory is read again, old segments are emptied, starts find what was
left."""
# timeout: 240
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from qmgrlib import *  # noqa: E402,F403

tests = []


def test(**conf):
    def add(fn):
        tests.append((fn, conf))
        return fn
    return add


def send_many(r, n, to="ok", size=1000):
    c, ids = Client(r), []
    for at in range(0, n, 50):
        k = min(50, n - at)
        for i in range(k):
            c.submit("Subject: x\n\n" + "z\n" * (size // 2),
                     rcpts=[f"u{at + i}@{to}.test"])
        for _ in range(k):
            res = c.result()[1]
            assert res.code.startswith("2"), res
            ids.append(res.queue_id)
    c.close()
    return ids


@test(queue_segment_size="262144")
def segments_are_used_again(r):
    r.agent("ok", lambda d: d.status(DELIVERED))
    for _ in range(4):
        send_many(r, 500, size=2000)	# 4 or 5 segments each time
        r.wait_empty()
    end = time.monotonic() + 60
    while len([x for x in os.listdir(r.path("log"))
               if x.endswith(".seg")]) > 12:
        assert time.monotonic() < end, os.listdir(r.path("log"))
        time.sleep(0.05)
    r.qkill()
    r.qstart()
    r.wait_log("0 messages in the log, 0 deferred", 2)
    r.cleanup_kill()
    r.start()
    time.sleep(1)
    i = send_many(r, 1)[0]
    r.wait_log(f"{i}: removed")


@test(qmgr_message_active_limit="10", qmgr_backlog_limit="20",
      queue_segment_size="65536")
def a_backlog_that_does_not_fit_is_read_again(r):
    a = r.agent("ok")
    ids = send_many(r, 300, size=500)
    r.wait_numbers(active=10)
    seen = []
    for _ in range(150):
        d = a.next()
        seen.append(d.id)
        d.status(DELIVERED)
    time.sleep(0.5)
    # A start in the middle of it: all that is left, once.
    r.qkill()
    while True:
        try:
            a.got.get(timeout=0.3)
        except Exception:
            break
    r.qstart()
    again = set()
    deadline = time.time() + 40
    while time.time() < deadline:
        try:
            d = a.got.get(timeout=1)
        except Exception:
            break
        if d.id in seen:
            assert d.recovered
            again.add(d.id)
        else:
            seen.append(d.id)
        d.status(DELIVERED)
    assert sorted(seen) == sorted(ids), (len(seen), len(ids))
    assert len(again) <= 10, len(again)
    r.wait_empty()


@test(qmgr_message_active_limit="10", qmgr_backlog_limit="20")
def orders_reach_the_backlog(r):
    a = r.agent("ok")
    ids = send_many(r, 100)
    ok, n, _, _ = r.ctl(DELETE, ids[70])
    assert ok and n == 1
    r.wait_log(f"{ids[70]}: removed")
    ok, n, _, _ = r.ctl(HOLD, ids[60])
    assert ok and n == 1
    assert r.wait_files("hold", 1) == [ids[60]]
    end = time.time() + 60		# until its file is durable
    while r.numbers()["in_memory"] > 10:
        assert time.time() < end
        time.sleep(0.05)
    entries = r.ctl(LIST)[3]
    assert len(entries) == 98, len(entries)
    assert sorted({q for q, _ in entries}) == ["active", "incoming"]
    ok, n, _, _ = r.ctl(HOLD, "ALL")
    assert ok and n == 98, n
    # Those that an agent had already, or is just being given.
    a.handle = lambda d: d.status(DEFERRED)
    while not a.got.empty():
        a.next().status(DEFERRED)
    r.wait_files("hold", 99)
    a.handle = lambda d: d.status(DELIVERED)
    ok, n, _, _ = r.ctl(RELEASE, "ALL")
    assert ok and n == 99, n
    r.wait_empty()
    r.wait_files("deferred", 0)


@test(initial_destination_concurrency="20")
def released_before_it_lies_in_hold(r):
    """Orders about messages that are only on their way into hold/."""
    a = r.agent("ok")
    ids = send_many(r, 20)
    for order in ((RELEASE, "ALL"), (REQUEUE, "ALL hold"),
                  (RELEASE, None)):
        got = [a.next() for _ in ids]
        ok, n, _, _ = r.ctl(HOLD, "ALL")
        assert ok and n == 20, n
        for d in got[:10]:		# files are being written for these
            d.status(DEFERRED)
        if order[1]:
            ok, n, _, _ = r.ctl(*order)
            assert ok and n == 20, n
        else:
            assert all(r.ctl(RELEASE, i)[1] == 1 for i in ids)
        for d in got[10:]:
            d.status(DEFERRED)
    got = [a.next() for _ in ids]
    assert sorted(d.id for d in got) == sorted(ids)
    ok, n, _, _ = r.ctl(HOLD, "ALL")
    for d in got[:10]:
        d.status(DEFERRED)
    ok, n, _, _ = r.ctl(DELETE, "ALL hold")
    assert ok and n == 20, n
    for d in got[10:]:
        d.status(DEFERRED)
    r.wait_empty()
    assert r.files("hold") == r.files("deferred") == []


@test(queue_segment_size="65536", queue_segment_hold_time="1s")
def a_message_does_not_keep_a_segment_for_ever(r):
    slow = r.agent("slow")
    r.agent("ok", lambda d: d.status(DELIVERED))
    i = send_many(r, 1, to="slow")[0]
    d = slow.next()
    send_many(r, 400, size=1000)
    # The next tick makes a file of it; the agent still reads the segment.
    assert r.wait_files("deferred", 1) == [i]
    end = time.time() + 60
    while r.numbers()["in_log"] > 0:
        assert time.time() < end
        time.sleep(0.05)
    r.qkill()
    slow.drop()
    r.qstart()
    d = slow.next()
    assert d.id == i and d.recovered
    assert d.content.endswith(b"z\n")
    d.status(DELIVERED)
    r.wait_files("deferred", 0)


@test()
def held_mail_waits(r):
    a = r.agent("ok")
    i = r.send("a@ok.test", flags=1 << 5)
    assert r.wait_files("hold", 1) == [i]
    a.none()
    r.qkill()
    r.qstart()
    a.none()
    assert r.files("hold") == [i]
    r.ctl(RELEASE, i)
    a.next().status(DELIVERED)
    r.wait_files("hold", 0)
    r.wait_empty()


@test()
def damaged_files_go_to_corrupt(r):
    a = r.agent("ok")
    i = r.send("a@ok.test")
    a.next().status(DEFERRED)
    r.wait_files("deferred", 1)
    end = time.time() + 60
    while r.numbers()["in_log"] > 0:
        assert time.time() < end
        time.sleep(0.05)
    r.qkill()
    for root, _, fs in os.walk(r.path("deferred")):
        for f in fs:
            with open(f"{root}/{f}", "r+b") as fh:
                fh.seek(60)
                fh.write(b"\xff" * 20)
    r.qstart()
    r.ctl(FLUSH_ALL)
    r.wait_files("corrupt", 1)
    assert i in r.files("corrupt")[0]
    r.wait_empty()


@test()
def a_gap_in_the_feed_is_read_from_the_log(r):
    """qmgr is stopped while more comes than cleanup keeps for it."""
    seen = {}

    def deliver(d):
        seen[d.id] = seen.get(d.id, 0) + 1
        d.status(DELIVERED)
    r.agent("ok", deliver)
    ids = send_many(r, 5)
    r.wait_empty()
    r.qmgr.send_signal(signal.SIGSTOP)
    c = Client(r)
    notes = [(f"note{i}", "x" * 4000) for i in range(60)]
    try:
        for i in range(120):        # 240 KB of envelope each
            ids.append(c.message("Subject: x\n\nbody\n", rcpts=[
                f"u{i}@ok.test"], attrs=notes).queue_id)
    finally:
        r.qmgr.send_signal(signal.SIGCONT)
        c.close()
    r.wait_log("behind cleanup: reading the log from")
    ids += send_many(r, 20)         # and the feed goes on
    r.wait_empty()
    assert seen == dict.fromkeys(ids, 1), len(seen)


if __name__ == "__main__":
    sys.exit(run(tests))
