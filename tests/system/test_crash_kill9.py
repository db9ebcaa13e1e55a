#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""kill -9 of every daemon at random moments under load loses and doubles nothing.

CRASH_SECONDS (default 8) is how long daemons are killed.  Every message that
was answered with 250 must be in its mailboxes exactly once.  CRASH_STORE is
maildir (default) or packed.
"""
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../crash"))
from instance import Instance  # noqa: E402
from load import Load, check  # noqa: E402

SECONDS = float(os.environ.get("CRASH_SECONDS", "8"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
STORE = os.environ.get("CRASH_STORE", "maildir")


def overtake(rng, children):
    """qmgr is killed while an agent stands still with what it was sent, and
    goes on when another one may have the same."""
    agents = [p for p, name in children.items() if name == "virtual"]
    qmgr = [p for p, name in children.items() if name == "qmgr"]
    if not agents or not qmgr:
        return 0
    agent = rng.choice(agents)

    def send(pid, what):
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            pass            # it has ended by itself
    send(agent, signal.SIGSTOP)
    time.sleep(rng.uniform(0.05, 0.2))
    send(qmgr[0], signal.SIGKILL)
    time.sleep(rng.uniform(0.2, 0.8))
    send(agent, signal.SIGCONT)
    return 1


def main():
    rng = random.Random(SEED)
    promised, kills = {}, {}
    settings = {
        "minimal_backoff_time": "1s", "maximal_backoff_time": "2s",
        "queue_run_delay": "1s", "service_throttle_time": "1s",
        "transport_retry_time": "1s",
        "smtpd_client_connection_count_limit": "200",
    }
    settings["store_format"] = STORE
    with Instance(settings, maildir=STORE == "maildir") as m:
        load = Load(m.smtp_port, list(m.users), promised.__setitem__,
                    seed=SEED)
        load.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.02, 0.2))
            children = m.children()
            if rng.random() < 0.1:
                n = overtake(rng, children)
                kills["qmgr"] = kills.get("qmgr", 0) + n
            elif children:
                pid = rng.choice(sorted(children))
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue            # it has ended by itself
                kills[children[pid]] = kills.get(children[pid], 0) + 1
        load.stop()
        m.wait_idle(120)
        time.sleep(0.2)
        wrong = check(promised, {u: m.mailbox(u) for u in m.users})
    print(f"{len(promised)} messages acknowledged of {len(load.sent)} sent; "
          f"killed {sum(kills.values())}: {kills}")
    if not promised or not kills:
        wrong.append("nothing was tested")
    for line in wrong[:20]:
        print(line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
