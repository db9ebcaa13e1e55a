#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""
The nth call that changes the disk fails, or kills the process, n = 1, 2, 3,
... until all goes well: what was acknowledged is there, nothing is half.
"""
# timeout: 240
# fault
from cleanuplib import *

CONF = {"queue_segment_size": "131072", "cleanup_inline_limit": "4096"}
SMALL = b"Subject: small\n\n" + b"x" * 1500 + b"\n"
LARGE = b"Subject: large\n\n" + b"y" * 20000 + b"\n"


def one(n, how):
    """One run; whether the fault was met."""
    spool = tempfile.mkdtemp(prefix="fault.")
    os.chmod(spool, 0o755)
    acked, met, i = {}, False, None
    try:
        i = Instance(CONF, spool=spool, env={"MANSIO_FAULT": f"{n}:{how}"})
    except RuntimeError:
        met = True
    try:
        if i is not None:
            c = Client(i)
            for k in range(60):
                content = LARGE if k % 10 == 3 else SMALL
                r = c.message(content)
                if r.code == "2.0.0":
                    acked[r.queue_id] = content
                else:
                    assert r.code in ("4.3.0", "4.3.1"), r
                    met = True
    except (OSError, AssertionError) as e:
        if isinstance(e, AssertionError) and "closed" not in str(e):
            raise
        met = True
    if i is not None:
        i.kill()
        # A thread that makes segments in advance tries again, and says nothing.
        met |= "fault: a call fails" in i.log_text()
        shutil.rmtree(i.top, ignore_errors=True)
    with Instance(CONF, spool=spool) as i:
        found = i.messages()
        for q, content in acked.items():
            assert q in found, f"{how} at {n}: {q} is lost"
        for q, (e, content) in found.items():
            assert content.endswith((b"\n" + SMALL, b"\n" + LARGE)), \
                f"{how} at {n}: {q} is half"
        eq(Client(i).message(SMALL).code, "2.0.0")
        left = [x for x in os.listdir(f"{spool}/large") if "tmp" in x]
        eq(left, [])
    shutil.rmtree(spool, ignore_errors=True)
    return met


def every_call():
    "EIO, ENOSPC, and death"
    for how in ("EIO", "ENOSPC", "KILL"):
        n, clean, hits = 1, 0, 0
        while clean < 6 and n < 400:
            if one(n, how):
                clean, hits = 0, hits + 1
            else:
                clean += 1
            # The later calls are all alike.
            n += 1 if n < 25 else 7
        print(f"{how}: {hits} faults met, the last before call {n}")
        assert hits > 10


try:
    Instance(CONF, env={"MANSIO_FAULT": "2:EIO"}).stop()
    print("skip: the programs are not built with FAULT=1")
    sys.exit(77)
except RuntimeError:
    pass
run([every_call])
