# SPDX-License-Identifier: ISC
"""Mansio from the build directory, as a server to measure."""
import time

from instance import Instance


class Mansio:
    """store is "maildir", "packed" or "mbox"."""

    def __init__(self, base, users, store="packed"):
        self.name = f"mansio ({store})"
        self.users = users
        settings = {"smtpd_client_connection_count_limit": "unlimited"}
        if store == "packed":
            settings["store_format"] = "packed"
        # A path that ends in "/" is of store_format; any other is an mbox.
        self.instance = Instance(
            settings, base=base, users=[f"u{i}" for i in range(users)],
            maildir=store != "mbox")
        self.port = self.instance.smtp_port
        self.removed = 0
        self.log_at = 0
        self.pid = None

    def start(self):
        self.instance.start()
        self.pid = self.instance.master_pid()

    def stop(self):
        self.instance.stop()

    def count_removed(self):
        """Messages that have left the queue: all recipients durable."""
        with open(self.instance.logfile, "rb") as f:
            f.seek(self.log_at)
            data = f.read()
        cut = data.rfind(b"\n") + 1
        self.log_at += cut
        self.removed += data[:cut].count(b": removed\n")
        return self.removed

    def wait_done(self, total, timeout):
        """Until total messages in all have left the queue."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.count_removed() >= total:
                return
            time.sleep(0.05)
        raise TimeoutError(f"{self.name}: {self.removed} of {total} done")
