#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 300
"""What an administrator tells the queue: postsuper's filters, -h -H -r -e -s
-d, and postqueue's -i -s -f -j, with some hundred messages that wait."""
import json
import os
import re
import smtplib
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance  # noqa: E402

N = 60				# of each of three kinds
SETTINGS = {
    "virtual_alias_domains": "a.test b.test",
    # To places that are down, which RCPT does not know yet.
    "virtual_alias_maps": "regexp:{{{{/^(.*)@([ab])\\.test$$/ $$1@$$2.down}}}}",
    "default_transport": "retry:4.4.1 the line is dead",
    "minimal_backoff_time": "1h", "maximal_backoff_time": "2h",
    "queue_run_delay": "1h",
    "fast_flush_domains": "b.down",
}


def tool(m, name, *args, stdin=None, code=0):
    done = subprocess.run([m.program(name), "-c", m.etc, *args], env=m.env,
                          input=stdin, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == code, (name, args, done)
    return done


def listing(m):
    out = tool(m, "postqueue", "-j").stdout
    return {e["queue_id"]: e for e in map(json.loads, out.splitlines())}


def total(done):
    """"Deleted: 5 messages" is 5."""
    found = re.findall(r": (\d+) messages?$", done.stderr, re.M)
    assert len(found) <= 1, done.stderr
    return int(found[0]) if found else 0


def wait(what, ready):
    end = time.monotonic() + 90
    while not (got := ready()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return got


def in_queue(m, name):
    return {i for i, e in listing(m).items() if e["queue_name"] == name}


def fill(m):
    kinds = (("x@one.test", "u{}@a.test", 100), ("Y@two.test", "u{}@b.test",
             100), ("", "u{}@a.test", 20000))
    with smtplib.SMTP("127.0.0.1", m.smtp_port, timeout=60) as s:
        for sender, rcpt, size in kinds:
            for i in range(N):
                s.sendmail(sender, [rcpt.format(i)],
                           "Subject: x\r\n\r\n" + "z" * 60 + "\r\n" *
                           (size // 2))
    wait("all are deferred", lambda: len(in_queue(m, "deferred")) == 3 * N)


def filters(m):
    """Each picks what it says, and --dry-run touches nothing."""
    def would(*args):
        return total(tool(m, "postsuper", "-d", "ALL", "--dry-run", *args))

    assert would("--sender=ONE.test") == N
    assert would("--sender=MAILER-DAEMON") == N
    assert would("--recipient=u7@") == 3
    assert would("--site=b.down") == N
    assert would("--site=down") == 0
    assert would("--reason=line is dead") == 3 * N
    assert would("--reason=other") == 0
    assert would("--larger=10000") == N
    assert would("--smaller=10000") == 2 * N
    assert would("--smaller=10000", "--site=a.down") == N
    assert would("--older=1h") == 0
    assert would("--newer=1h") == 3 * N
    assert would("--newer=1h", "hold") == 0
    assert would("deferred") == 3 * N
    tool(m, "postsuper", "-d", "ALL", "--older=soon", code=1)
    assert len(listing(m)) == 3 * N


def hold(m):
    done = tool(m, "postsuper", "-h", "ALL", "--sender=one.test")
    assert total(done) == N, done.stderr
    held = in_queue(m, "hold")
    assert {listing(m)[i]["sender"] for i in held} == {"x@one.test"}
    # A flush leaves them alone.
    tool(m, "postqueue", "-f")
    time.sleep(0.5)
    assert in_queue(m, "hold") == held
    out = tool(m, "postsuper", "-H", "ALL", "--json").stdout
    assert len(out.splitlines()) == N and all(map(json.loads,
                                                  out.splitlines()))
    wait("they are tried again",
         lambda: len(in_queue(m, "deferred")) == 3 * N)


def attempts(m):
    """How often each message was tried."""
    count = {}
    for i in re.findall(r"/error\[\d+\]: (\w+): to=", m.log()) + \
            re.findall(r"/retry\[\d+\]: (\w+): to=", m.log()):
        count[i] = count.get(i, 0) + 1
    return count


def tried(m, before, want):
    """Exactly these have been tried once more."""
    wait("the attempts", lambda: sum(attempts(m).values()) >=
         sum(before.values()) + len(want))
    time.sleep(0.3)
    after = attempts(m)
    assert {i for i in after if after[i] > before.get(i, 0)} == set(want)


def flush(m):
    ids = sorted(listing(m))
    before = attempts(m)
    tool(m, "postqueue", "-i", ids[5])
    tried(m, before, ids[5:6])
    tool(m, "postqueue", "-i", "no/such", code=69)
    before = attempts(m)
    tool(m, "postqueue", "-s", "b.down")
    tried(m, before, [i for i, e in listing(m).items()
                      if e["sender"] == "Y@two.test"])
    before = attempts(m)
    tool(m, "postqueue", "-f")
    tried(m, before, ids)


def requeue(m):
    """-r: where mail goes is asked anew, so a change of routes helps."""
    some = [i for i, e in listing(m).items() if e["sender"] == "x@one.test"]
    tool(m, "postconf", "-e", "default_transport=discard:by the new route")
    m.reload()
    done = tool(m, "postsuper", "-r", "-", stdin="\n".join(some) + "\n")
    assert total(done) == len(some), done.stderr
    wait("they went the new way", lambda: not set(some) & set(listing(m)))
    assert m.log().count("by the new route") == N
    tool(m, "postconf", "-e",
         "default_transport=" + SETTINGS["default_transport"])
    m.reload()
    assert "going on with the old settings" not in m.log()


def expire(m):
    """-e: returned to the sender at its next turn, which is now."""
    big = [i for i, e in listing(m).items() if e["sender"] == "Y@two.test"]
    done = tool(m, "postsuper", "-e", big[0])
    assert total(done) == 1
    wait("it is returned", lambda: big[0] not in listing(m))
    assert f"{big[0]}: from=<Y@two.test>, status=force-expired, " \
        "returned to sender" in m.log(), m.log()[-2000:]


def structure(m):
    """-s: a damaged file is put aside, the rest stays."""
    left = listing(m)
    victim = sorted(i for i, e in left.items()
                    if e["queue_name"] == "deferred")[0]
    paths = [f"{d}/{victim}" for d, _, fs in os.walk(f"{m.base}/spool/deferred")
             if victim in fs]
    assert len(paths) == 1, paths
    with open(paths[0], "r+b") as f:
        f.seek(60)
        f.write(b"\xff" * 20)
    done = tool(m, "postsuper", "-s")
    assert total(done) == 1, done.stderr
    assert os.path.exists(f"{m.base}/spool/corrupt/{victim}")
    done = tool(m, "postsuper", "-s")
    assert total(done) == 0, done.stderr


def delete(m):
    done = tool(m, "postsuper", "-d", "ALL", "--sender=MAILER-DAEMON",
                "deferred")
    assert total(done) >= N - 1, done.stderr
    done = tool(m, "postsuper", "-d", "ALL")
    wait("the queue is empty", lambda: not listing(m))
    assert "Mail queue is empty" in tool(m, "postqueue", "-p").stdout


def main():
    with Instance(SETTINGS) as m:
        fill(m)
        for step in (filters, hold, flush, requeue, expire, structure,
                     delete):
            try:
                step(m)
            except BaseException:
                print(f"in {step.__name__}:")
                raise


if __name__ == "__main__":
    main()
