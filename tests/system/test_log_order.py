#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Lines of one message stand in the order that analysers of Postfix's log
read them in: client, message-id, from, to, removed."""
import os
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance  # noqa: E402

LINE = re.compile(r"mansio/\w+\[\d+\]: (4\w+): "
                  r"(client=|message-id=|from=|to=|removed)")
WANT = ["client=", "message-id=", "from=", "to=", "to=", "removed"]


def main():
    with Instance({"smtpd_client_connection_count_limit": "200"}) as m:
        # Until then cleanup makes the ids.
        m.send("carol", "Subject: first\n\nhi\n")

        def work():
            for _ in range(100):
                m.send(["alice", "bob"], "Subject: x\n\nhi\n")
        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        m.wait_idle()
        seen = {}
        for line in m.log().splitlines():
            if found := LINE.search(line):
                seen.setdefault(found[1], []).append(found[2])
        assert len(seen) == 801, len(seen)
        wrong = [(k, v) for k, v in seen.items() if v != WANT]
        assert len(wrong) <= 1, wrong[:5]       # carol's
        before_hello(m)


def before_hello(m):
    """A new smtpd has a message before cleanup has said a word."""
    pids = {name: pid for pid, name in m.children().items()}
    os.kill(pids["smtpd"], signal.SIGKILL)
    os.kill(pids["cleanup"], signal.SIGSTOP)
    try:
        sender = threading.Thread(
            target=m.send, args=("carol", "Subject: second\n\nhi\n"))
        sender.start()
        end = time.monotonic() + 20
        while time.monotonic() < end and "smtpd" not in \
                m.children().values():
            time.sleep(0.05)
        time.sleep(0.5)
    finally:
        os.kill(pids["cleanup"], signal.SIGCONT)
    sender.join()
    for i in range(3):
        m.send("carol", f"Subject: {i}\n\nhi\n")
    m.wait_idle()
    assert len(m.maildir("carol")) == 5
    assert "broke the conversation" not in m.log()


if __name__ == "__main__":
    main()
