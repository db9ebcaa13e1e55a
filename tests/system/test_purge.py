#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A user's process purges the account after the last connection, once in
store_purge_interval.  (What is given back, tests/unit/store looks at: mail is
kept longer than a test takes.)"""
import imaplib
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mailusers import PASSWORDS, Users  # noqa: E402


def visit(m):
    c = imaplib.IMAP4("127.0.0.1", m.imap_port)
    c.login("alice@example.test", PASSWORDS["alice"])
    assert c.select("INBOX")[0] == "OK"
    c.logout()


def wait_for_purge(path, after):
    end = time.monotonic() + 30
    while True:
        try:
            at = os.stat(path).st_mtime_ns
        except FileNotFoundError:
            at = 0
        if at > after:
            return at
        assert time.monotonic() < end, "no purge"
        time.sleep(0.1)


def main():
    with Users(maildir=False, settings={"store_purge_interval": "1s"}) as m:
        stamp = f"{m.mail}/example.test/alice/purge.lock"
        # The interval begins with the first process that ends.
        visit(m)
        first = wait_for_purge(stamp, 0)
        time.sleep(1.1)
        visit(m)
        wait_for_purge(stamp, first)
        visit(m)


if __name__ == "__main__":
    main()
