#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What settings name is within reach of the daemons that need it, wherever it
is: tables of pickup's, mailboxes below store_directory."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance, need_root  # noqa: E402


def main():
    need_root()
    settings = {
        "virtual_mailbox_base": "", "store_format": "packed",
        "store_directory": "{base}/elsewhere/mail",
        "local_login_sender_maps":
            "proxy:hash:{base}/tables/senders, static:nobody@example.test",
    }
    m = Instance(settings, maildir=False)
    os.makedirs(f"{m.base}/elsewhere/mail")
    os.chown(f"{m.base}/elsewhere/mail", m.vmail.pw_uid, m.vmail.pw_gid)
    os.makedirs(f"{m.base}/tables")
    with open(f"{m.base}/tables/senders", "w", encoding="ascii") as f:
        f.write("root alice@example.test\n")
    m.command("postmap", f"{m.base}/tables/senders")
    with m:
        m.send("alice", "Subject: hello\n\nhi\n")
        m.wait_idle()
        assert "status=sent (delivered to mailbox)" in m.log()
        assert os.listdir(f"{m.base}/elsewhere/mail/example.test/alice")
        text = "Subject: local\n\nhi\n"

        def sendmail(sender):
            return subprocess.run(
                [m.program("sendmail"), "-C", m.etc, "-f", sender,
                 "bob@example.test"], input=text, text=True, timeout=60,
                capture_output=True, check=False)
        done = sendmail("alice@example.test")
        assert done.returncode == 0, done
        m.wait_idle()
        assert m.log().count("status=sent") == 2, m.log()
        done = sendmail("carol@example.test")
        assert done.returncode != 0 and "carol" in done.stderr, done


if __name__ == "__main__":
    main()
