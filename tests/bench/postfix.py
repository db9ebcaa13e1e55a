# SPDX-License-Identifier: ISC
"""Postfix from the distribution's package, as the server to compare with."""
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time

from bench import run

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/spool
data_directory = {base}/lib
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example.test
mydestination =
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
alias_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = hash:{base}/etc/vmailbox
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_client_connection_count_limit = 0
message_size_limit = 52428800
virtual_mailbox_limit = 0
mailbox_size_limit = 0
"""


# Without a postlog service "postfix start" refuses to log to a file; nobody
# talks to this one.
LOG_SERVICE = "postlog unix-dgram n - n - 1 postlogd\n"

LOG_MAIN = """\
maillog_file = {base}/log
maillog_file_prefixes = {base}
postlog_service_name = testlog
"""


def available():
    return shutil.which("postfix") is not None


class Postfix:
    name = "postfix"

    def __init__(self, base, port, users, owner="nobody"):
        self.base, self.port, self.users = base, port, users
        who = pwd.getpwnam(owner)
        for d in ("etc", "spool", "lib", "mail"):
            os.makedirs(f"{base}/{d}", exist_ok=True)
        shutil.chown(f"{base}/lib", "postfix")
        os.chown(f"{base}/mail", who.pw_uid, who.pw_gid)
        with open(f"{base}/etc/main.cf", "w", encoding="ascii") as f:
            f.write(MAIN.format(base=base, uid=who.pw_uid, gid=who.pw_gid))
        with open(f"{base}/etc/master.cf", "w", encoding="ascii") as f:
            f.write(MASTER.format(port=port))
        with open(f"{base}/etc/vmailbox", "w", encoding="ascii") as f:
            for i in range(users):
                f.write(f"u{i}@example.test example.test/u{i}/\n")
        run("postmap", f"{base}/etc/vmailbox")
        self.pid = None
        self.removed = 0
        self.log_thread = None

    def keep_log(self):
        """Before start(): what Postfix says is in {base}/log.

        Not by its postlogd: all of Postfix has been seen to wait for that for
        ever.  Here somebody reads before the first line is said.
        """
        with open(f"{self.base}/etc/main.cf", "a", encoding="ascii") as f:
            f.write(LOG_MAIN.format(base=self.base))
        with open(f"{self.base}/etc/master.cf", "a", encoding="ascii") as f:
            f.write(LOG_SERVICE)
        public = f"{self.base}/spool/public"
        os.makedirs(public)
        shutil.chown(public, "postfix", "postdrop")
        os.chmod(public, 0o2710)
        self.log_path = f"{public}/testlog"
        self.log_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log_socket.bind(self.log_path)
        os.chmod(self.log_path, 0o666)
        self.log_thread = threading.Thread(
            target=self.copy_log, args=(open(f"{self.base}/log", "ab"),),
            daemon=True)
        self.log_thread.start()

    def copy_log(self, out):
        with out:
            while line := self.log_socket.recv(65536):
                out.write(line + b"\n")
                out.flush()

    def end_log(self):
        """When everything that was said is in the file."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.log_path)
        self.log_thread.join()
        self.log_thread = None
        self.log_socket.close()
        os.unlink(self.log_path)

    def start(self):
        subprocess.run(["postfix", "-c", f"{self.base}/etc", "start"],
                       check=True, capture_output=True, timeout=60)
        with open(f"{self.base}/spool/pid/master.pid", encoding="ascii") as f:
            self.pid = int(f.read())

    def stop(self):
        subprocess.run(["postfix", "-c", f"{self.base}/etc", "stop"],
                       capture_output=True, timeout=60)
        if self.log_thread is not None:
            self.end_log()
        self.pid = None
        self.removed = 0

    def queued(self):
        """Messages that are not delivered yet."""
        n = 0
        for q in ("maildrop", "incoming", "active", "deferred"):
            for _, _, files in os.walk(f"{self.base}/spool/{q}"):
                n += len(files)
        return n

    def wait_empty(self, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.queued() == 0:
                return
            time.sleep(0.05)
        raise TimeoutError("postfix: queue is not empty")

    def delivered(self):
        n = 0
        for i in range(self.users):
            try:
                n += len(os.listdir(
                    f"{self.base}/mail/example.test/u{i}/new"))
            except FileNotFoundError:
                pass
        return n
