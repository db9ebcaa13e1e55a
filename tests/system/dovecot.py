# SPDX-License-Identifier: ISC
"""A Dovecot 2.3 of one's own, with one password for all users.

    with Dovecot(f"maildir:{d}/mail") as dove:
        poplib.POP3("127.0.0.1", dove.pop3_port)

Its mail belongs to nobody, or to uid and gid.  Needs root and Debian's
packages dovecot-imapd and dovecot-pop3d.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import free_port  # noqa: E402

PASSWORD = "wonderland"
CONF = """\
base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/log
protocols = {protocols}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
default_internal_user = dovecot
default_login_user = dovenull
mail_location = {location}
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
mail_max_userip_connections = 100
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/home/%n
}}
{settings}
"""
LISTENER = """\
service {0}-login {{
  inet_listener {0} {{
    port = {1}
  }}
}}
"""


def have_dovecot(*protocols):
    """Whether it is here, with these protocols."""
    return shutil.which("dovecot") is not None and os.geteuid() == 0 and \
        all(os.path.exists(f"/usr/lib/dovecot/{p}") for p in protocols)


class Dovecot:
    """location may have {base}, a directory of the server's own."""

    def __init__(self, location, protocols=("imap", "pop3"), uid=None,
                 gid=None, settings=""):
        self.base = tempfile.mkdtemp(prefix="mansio-dovecot-")
        os.chmod(self.base, 0o755)
        self.location = location.format(base=self.base)
        self.protocols = protocols
        self.owner = ("nobody", "nogroup") if uid is None else (uid, gid)
        self.conf = f"{self.base}/dovecot.conf"
        self.imap_port, self.pop3_port = free_port(), free_port()
        for sub in ("mail", "home"):
            os.makedirs(f"{self.base}/{sub}")
            shutil.chown(f"{self.base}/{sub}", *self.owner)
        self.configure(settings)

    def configure(self, settings=""):
        """Other settings, for the next start."""
        ports = {"imap": self.imap_port, "pop3": self.pop3_port}
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(CONF.format(
                base=self.base, location=self.location, password=PASSWORD,
                protocols=" ".join(self.protocols), uid=self.owner[0],
                gid=self.owner[1], settings=settings))
            f.writelines(LISTENER.format(p, ports[p])
                         for p in self.protocols)

    def start(self):
        subprocess.run(["dovecot", "-c", self.conf], check=True)
        for _ in range(200):
            if os.path.exists(f"{self.base}/run/master.pid"):
                return
            time.sleep(0.05)
        raise AssertionError("Dovecot does not start")

    def root(self):
        """Its process id."""
        with open(f"{self.base}/run/master.pid", encoding="ascii") as f:
            return int(f.read())

    def doveadm(self, *args, check=True):
        return subprocess.run(["doveadm", "-c", self.conf, *args],
                              check=check, capture_output=True, text=True)

    def import_messages(self, user, messages):
        """Put messages (bytes, with CRLF) into user's INBOX."""
        box = tempfile.mkdtemp(prefix="import-", dir=self.base)
        for sub in ("cur", "new", "tmp"):
            os.makedirs(f"{box}/{sub}")
        for n, m in enumerate(messages):
            with open(f"{box}/new/{1000000 + n}.x", "wb") as f:
                f.write(m.replace(b"\r\n", b"\n"))
        subprocess.run(["chown", "-R", ":".join(map(str, self.owner)), box],
                       check=True)
        self.doveadm("import", "-u", user, f"maildir:{box}", "", "ALL")
        shutil.rmtree(box)

    def stop(self):
        pid = self.root() if os.path.exists(f"{self.base}/run/master.pid") \
            else 0
        if not pid:
            return
        self.doveadm("stop", check=False)
        for _ in range(200):
            if not os.path.exists(f"/proc/{pid}"):
                return
            time.sleep(0.05)

    def close(self):
        self.stop()
        time.sleep(0.3)         # its children write a last line
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()
