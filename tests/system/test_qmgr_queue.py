#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A long queue: listed at once, held, released, flushed and deleted as a
whole, and read back quickly after a kill -9.  QUEUE_N says how long."""
# timeout: 300
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BUILD, Instance  # noqa: E402

N = int(os.environ.get("QUEUE_N", "3000"))
CONF = {
    "transport_maps": "inline:{{ {{ later.test = retry:4.3.2 not today }} }}",
    "relay_domains": "later.test",
    "smtpd_reject_unlisted_recipient": "no",
    "minimal_backoff_time": "4000s", "maximal_backoff_time": "4000s",
}


def timed(m, name, *args):
    start = time.monotonic()
    p = subprocess.Popen([m.program(name), "-c", m.etc, *args],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True)
    first = p.stdout.readline()
    t1 = time.monotonic() - start
    rest = p.stdout.read()
    assert p.wait() == 0, first + rest[-500:]
    print(f"{name} {' '.join(args)}: first line after {t1:.3f} s, "
          f"all after {time.monotonic() - start:.3f} s")
    return t1, first + rest


def files(m, q):
    return sum(len(f) for _, _, f in os.walk(f"{m.base}/spool/{q}"))


def wait(what, fn, timeout=60):
    end = time.monotonic() + timeout
    while not fn():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def listed(m, mark):
    out = timed(m, "postqueue", "-p")[1]
    assert f"in {N} Requests." in out, out[-200:]
    assert out.count("u1@later.test") >= 1
    if mark is not None:
        ids = [x.split()[0] for x in out.splitlines()
               if x and x[0] not in " -"]
        assert len(ids) == N and len(set(ids)) == N, len(ids)
        assert all(i.endswith("!") == mark for i in ids)


def main():
    with Instance(settings=CONF) as m:
        m.stop()
        subprocess.run([f"{BUILD}/tests/qmgr/fill", f"{m.base}/spool",
                        str(m.owner.pw_uid), str(m.owner.pw_gid), str(N),
                        "3900"], check=True)
        m.start()
        m.wait_log(f"{N} deferred")
        listed(m, False)
        assert f"{N} " in timed(m, "postsuper", "-h", "ALL")[1]
        wait("held", lambda: files(m, "hold") == N)
        assert files(m, "deferred") == 0
        listed(m, True)
        assert f"{N} " in timed(m, "postsuper", "-H", "ALL")[1]
        # All are due at once now, and tried.
        wait("tried", lambda: m.log().count("(not today)") >= N)
        for pid, name in m.children().items():
            if name == "qmgr":
                os.kill(pid, 9)
        start = time.monotonic()
        wait("restart", lambda: m.log().count(f"{N} deferred") >= 2)
        print(f"restart: {time.monotonic() - start:.2f} s")
        listed(m, None)
        timed(m, "postqueue", "-f")
        assert f"{N} " in timed(m, "postsuper", "-d", "ALL")[1]
        wait("deleted", lambda: files(m, "deferred") == 0)
        assert timed(m, "postqueue", "-p")[1] == "Mail queue is empty\n"
        assert m.log().count(": removed") == N
        bad = [x for x in m.log().splitlines() if "panic" in x]
        assert not bad, bad
    print("1 passed, 0 failed, 0 skipped")


if __name__ == "__main__":
    main()
