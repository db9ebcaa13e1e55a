#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The queue tools while very many messages wait.

QUEUE_TOOLS_N messages (2,000; try 100,000) are deferred, listed, held,
released, removed and put on hold again, survive a restart, and are delivered
when the configuration allows it: every one exactly once.  Prints the figures:
times, memory of qmgr.

With 100,000 on two cores that had thirteen to do at the time: mailq begins
after 46 ms and ends after 3.6 s, postqueue -j 6.7 s; postsuper -h ALL 8.1 s,
-H ALL 6.5 s; ETRN is answered after 15 ms, and looking at all messages takes
qmgr 1.2 s of CPU, in pieces: what else is asked meanwhile waits 0.2 s.
"""
# timeout: 280
import json
import os
import re
import subprocess
import sys
import time

from instance import BUILD, Instance

N = int(os.environ.get("QUEUE_TOOLS_N", "2000"))
SLOW = max(1, N // 2000)		# how much longer a step may take
LOAD = f"{BUILD}/tests/bench/smtpload"
USERS = 20


def figure(what, value, unit="s"):
    print(f"{what:<44} {value:10.2f} {unit}", flush=True)


def timed(what, call, *args, **kw):
    t = time.monotonic()
    result = call(*args, **kw)
    figure(what, time.monotonic() - t)
    return result


def tool(m, name, *args, stdin=None, check=True):
    return m.command(name, *args, input=stdin, check=check,
                     timeout=60 + 30 * SLOW)


def qmgr_kib(m):
    """Resident and highest memory of qmgr."""
    pids = [p for p, name in m.children().items() if name == "qmgr"]
    assert len(pids) == 1, m.children()
    with open(f"/proc/{pids[0]}/status", encoding="ascii") as f:
        text = f.read()
    return [int(re.search(rf"^{key}:\s*(\d+)", text, re.M)[1])
            for key in ("VmRSS", "VmHWM")]


def listing(m):
    """postqueue -j: every line an object with the documented members."""
    out = tool(m, "postqueue", "-j").stdout
    found = {}
    for line in out.splitlines():
        entry = json.loads(line)
        for key in ("queue_name", "queue_id", "arrival_time", "message_size",
                    "forced_expire", "sender", "recipients"):
            assert key in entry, (key, entry)
        assert entry["queue_id"] not in found, entry
        found[entry["queue_id"]] = entry
    return found


def names(entries):
    count = {}
    for entry in entries.values():
        count[entry["queue_name"]] = count.get(entry["queue_name"], 0) + 1
    return count


def wait(m, want, what, timeout=60):
    """Until the queues hold exactly so many messages."""
    t = time.monotonic()
    end = t + timeout * SLOW
    while time.monotonic() < end:
        seen = names(listing(m))
        if seen == want:
            figure(what, time.monotonic() - t)
            return
        time.sleep(0.2 * min(SLOW, 5))
    raise TimeoutError(f"{what}: {seen}, not {want}\n" + m.log()[-2000:])


def first_byte(m):
    """How long mailq needs to begin, and to end."""
    t = time.monotonic()
    p = subprocess.Popen([m.program("postqueue"), "-c", m.etc, "-p"],
                         stdout=subprocess.PIPE, env=m.env)
    p.stdout.read(1)
    first = time.monotonic() - t
    lines = p.stdout.read().decode().splitlines()
    assert p.wait() == 0
    figure("mailq: first byte", first * 1000, "ms")
    figure("mailq: all", time.monotonic() - t)
    return first, lines


def load(m):
    out = subprocess.run(
        [LOAD, "-s", "10", "-p", "-n", str(N), "-l", "2048", "-u", str(USERS),
         "127.0.0.1", str(m.smtp_port)],
        capture_output=True, text=True, timeout=240 * SLOW)
    assert out.returncode == 0, out.stdout + out.stderr + m.log()[-2000:]
    assert json.loads(out.stdout)["refused"] == 0, out.stdout


def select(m):
    """Hold, release, delete, requeue: by id, by list, all, by filter."""
    before = listing(m)
    ids = sorted(before)

    done = tool(m, "postsuper", "-h", ids[0])
    assert "Placed on hold: 1 message" in done.stderr, done.stderr
    assert listing(m)[ids[0]]["queue_name"] == "hold"
    done = tool(m, "postsuper", "-H", ids[0])
    assert "Released from hold: 1 message" in done.stderr, done.stderr

    some = ids[:N // 10]
    done = timed(f"postsuper -h - ({len(some)} ids)", tool, m, "postsuper",
                 "-h", "-", stdin="\n".join(some) + "\n")
    assert f"Placed on hold: {len(some)} messages" in done.stderr
    seen = listing(m)
    assert {i for i, e in seen.items() if e["queue_name"] == "hold"} \
        == set(some)
    assert set(seen) == set(before)

    done = timed("postsuper -h ALL", tool, m, "postsuper", "-h", "ALL")
    assert f"Placed on hold: {N - len(some)} messages" in done.stderr, \
        done.stderr
    assert names(listing(m)) == {"hold": N}
    done = timed("postsuper -H ALL", tool, m, "postsuper", "-H", "ALL")
    assert f"Released from hold: {N} messages" in done.stderr, done.stderr
    assert "hold" not in names(listing(m))

    gone = set(ids[::100])
    done = timed(f"postsuper -d - ({len(gone)} ids)", tool, m, "postsuper",
                 "-d", "-", stdin="\n".join(gone) + "\n")
    assert f"Deleted: {len(gone)} message" in done.stderr, done.stderr
    assert set(listing(m)) == set(before) - gone
    # One that is not there is no error, and nothing else is touched.
    done = tool(m, "postsuper", "-d", ids[0], check=False)
    assert "Deleted: 0 messages" in done.stderr, done.stderr
    # A queue that is not named is left alone.
    done = tool(m, "postsuper", "-d", "ALL", "hold")
    assert "Deleted: 0 messages" in done.stderr, done.stderr
    assert set(listing(m)) == set(before) - gone
    return sorted(set(before) - gone)


def qmgr_cpu(m):
    """Seconds of CPU that qmgr has used."""
    pid, = [p for p, name in m.children().items() if name == "qmgr"]
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def by_site(m, n):
    """ETRN and postqueue -s: each message is looked at; the client of ETRN
    does not wait for that, nor do others."""
    before = qmgr_cpu(m)
    timed("postqueue -s, no message for it", tool, m, "postqueue", "-s",
          "other.test")
    figure("qmgr: CPU of that", qmgr_cpu(m) - before)
    assert names(listing(m)) == {"deferred": n}
    with m.smtp() as s:
        s.ehlo()
        t = time.monotonic()
        assert s.docmd("ETRN", "other.test")[0] == 250
        figure("ETRN: answered", (time.monotonic() - t) * 1000, "ms")
        t = time.monotonic()
        tool(m, "postqueue", "-i", "0")
        figure("postqueue -i meanwhile", (time.monotonic() - t) * 1000, "ms")
    # Every one is tried again, and comes back: its transport is deferred.
    before = qmgr_cpu(m)
    timed("postqueue -s, all messages", tool, m, "postqueue", "-s",
          "example.test")
    wait(m, {"deferred": n}, "until all are deferred again")
    figure("qmgr: CPU of that", qmgr_cpu(m) - before)


def main():
    settings = {
        "defer_transports": "virtual",
        "minimal_backoff_time": "3h", "maximal_backoff_time": "4h",
        "delay_warning_time": "0",
        "virtual_mailbox_maps": "static:" + "example.test/all/",
        "qmgr_message_active_limit": "20000",
        "fast_flush_domains": "example.test, other.test",
    }
    with Instance(settings) as m:
        empty = qmgr_kib(m)[0]
        timed(f"accept {N} messages", load, m)
        wait(m, {"deferred": N}, "until all are deferred")
        rss, high = qmgr_kib(m)
        figure("qmgr: bytes a message", (rss - empty) * 1024 / N, "B")
        figure("qmgr: resident, highest", high / 1024, "MiB")

        first, lines = first_byte(m)
        assert first < 2, first
        assert re.search(rf" {N} Requests\.$", lines[-1]), lines[-1]
        assert sum(bool(re.match(r"[0-9A-Za-z]+[*!#]? +\d+ ", line))
                   for line in lines) == N, lines[:5]
        entries = timed("postqueue -j", listing, m)
        assert names(entries) == {"deferred": N}
        some = next(iter(entries.values()))
        assert some["recipients"][0]["delay_reason"], some

        left = select(m)
        n = len(left)
        by_site(m, n)

        timed("stop", m.stop)
        timed("start to first banner", m.start)
        first_byte(m)
        wait(m, {"deferred": n}, "restart: all are listed")
        assert sorted(listing(m)) == left
        rss, high = qmgr_kib(m)
        figure("restart: qmgr resident", rss / 1024, "MiB")
        figure("restart: qmgr highest", high / 1024, "MiB")

        # Flush by id, while the transport is still deferred, moves nothing.
        tool(m, "postqueue", "-i", left[0])
        m.command("postconf", "-e", "defer_transports=")
        m.command("mansio", "reload")
        tool(m, "postqueue", "-i", left[1])
        end = time.monotonic() + 20
        while left[1] in listing(m):
            assert time.monotonic() < end, m.log()[-2000:]
            time.sleep(0.2)
        assert len(m.maildir("all")) <= 2
        timed("postqueue -f", tool, m, "postqueue", "-f")
        wait(m, {}, "until all are delivered", 120)

        box = m.maildir("all")
        assert len(box) == n, (len(box), n)
        ids = {re.search(rb"^\tby \S+ .* id ([0-9A-Za-z]+)", b, re.M)[1]
               for b in box}
        assert ids == {i.encode() for i in left}, "not the same messages"
        for bad in ("panic:", "fatal:", "error:"):
            assert bad not in m.log(), \
                [line for line in m.log().splitlines() if bad in line][:5]
    return 0


if __name__ == "__main__":
    sys.exit(main())
