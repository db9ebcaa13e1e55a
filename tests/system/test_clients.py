#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Programs that people use deliver into Maildir, packed and mbox."""
import os
import shutil
import smtplib
import subprocess
import sys
import time
from email.message import EmailMessage

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import BUILD, Instance, first_user, need_root  # noqa: E402

passed = failed = skipped = 0
FROM = "sender@else.test"
SMALL = "plain text\n.starts with a dot\nFrom here on\n"


def check(name, ok, detail=""):
    global passed, failed
    if ok:
        passed += 1
        return
    failed += 1
    print(f"FAIL {name}: {detail}")


class Boxes:
    """The three kinds of mailbox, and how to see that text is in one."""

    def __init__(self, m, owner):
        self.files = {
            "alice@example.test": f"{m.mail}/example.test/alice",
            "bob@example.test": f"{m.mail}/example.test/bob",
            "carol@example.test": f"{m.mail}/example.test/carol",
            f"{owner}@mail.example.test": f"{m.base}/spoolmail/{owner}",
        }

    def has(self, rcpt, text):
        path = self.files[rcpt]
        found = []
        for top, _, names in os.walk(path):
            found += [f"{top}/{n}" for n in names]
        for name in found or [path]:
            try:
                with open(name, "rb") as f:
                    if text.encode() in f.read():
                        return True
            except (FileNotFoundError, IsADirectoryError):
                pass
        return False

    def wait(self, rcpt, text):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.has(rcpt, text):
                return True
            time.sleep(0.05)
        return False


def run(args, text=""):
    return subprocess.run(args, input=text.encode(), capture_output=True,
                          timeout=60, check=False)


def client_swaks(m, rcpt, tag):
    return run(["swaks", "--server", f"127.0.0.1:{m.smtp_port}", "--to", rcpt,
                "--from", FROM, "--body", f"{tag}\n{SMALL}"])


def client_swaks_lmtp(m, rcpt, tag):
    return run(["swaks", "--server", f"127.0.0.1:{m.lmtp_port}",
                "--protocol", "LMTP", "--to", rcpt, "--from", FROM,
                "--body", f"{tag}\n{SMALL}"])


def client_swaks_pipe(m, rcpt, tag):
    return run(["swaks", "--pipe", f"{BUILD}/bin/sendmail -C {m.etc} -bs",
                "--to", rcpt, "--from", FROM, "--body", f"{tag}\n{SMALL}"])


def client_curl(m, rcpt, tag):
    return run(["curl", "-sS", f"smtp://127.0.0.1:{m.smtp_port}",
                "--mail-from", FROM, "--mail-rcpt", rcpt, "-T", "-"],
               f"Subject: curl\n\n{tag}\n{SMALL}")


def client_msmtp(m, rcpt, tag):
    return run(["msmtp", "--host=127.0.0.1", f"--port={m.smtp_port}",
                f"--from={FROM}", "--", rcpt],
               f"Subject: msmtp\n\n{tag}\n{SMALL}")


def client_mutt(m, rcpt, tag):
    return run(["mutt", "-F", "/dev/null",
                "-e", f"set sendmail='{BUILD}/bin/sendmail -C {m.etc} -oem "
                "-oi'", "-e", "set copy=no", "-s", "mutt", rcpt],
               f"{tag}\n{SMALL}")


def client_mutt_smtp(m, rcpt, tag):
    return run(["mutt", "-F", "/dev/null", "-e",
                f"set smtp_url=smtp://127.0.0.1:{m.smtp_port}/",
                "-e", "set ssl_starttls=no", "-e", "set ssl_force_tls=no",
                "-e", f"set from={FROM}", "-e", "set copy=no",
                "-s", "mutt", rcpt], f"{tag}\n{SMALL}")


def client_sendmail(m, rcpt, tag):
    return run([f"{BUILD}/bin/sendmail", "-C", m.etc, "-i", "-t"],
               f"To: {rcpt}\nSubject: sendmail\n\n{tag}\n{SMALL}")


def wrapper(m):
    """sendmail for programs that take no options with it."""
    path = f"{m.base}/wrapper"
    with open(path, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nexec {BUILD}/bin/sendmail -C {m.etc} \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def client_mailx(m, rcpt, tag):
    # bsd-mailx and mailutils
    return run(["mail", "-S", f"sendmail={wrapper(m)}", "-s", "mailx", rcpt],
               f"{tag}\n{SMALL}")


def client_s_nail(m, rcpt, tag):
    return run(["s-nail", "-:/", "-S", "v15-compat",
                "-S", f"mta={wrapper(m)}", "-s", "s-nail", rcpt],
               f"{tag}\n{SMALL}")


def python_smtplib(m, rcpt, tag):
    msg = EmailMessage()
    msg["From"], msg["To"], msg["Subject"] = FROM, rcpt, "smtplib"
    msg.set_content(f"{tag}\n{SMALL}")
    with m.smtp() as s:
        s.send_message(msg)


def python_large(m, rcpt, tag):
    """A message of 20 MB: in pieces all the way."""
    with m.smtp() as s:
        s.sendmail(FROM, [rcpt], f"Subject: large\n\n{tag}\n" +
                   ("x" * 76 + "\n") * 260000 + "end\n")


def python_utf8(m, rcpt, tag):
    with smtplib.SMTP("127.0.0.1", m.smtp_port, timeout=30) as s:
        s.ehlo()
        s.sendmail("j\u00f6rg@else.test", [rcpt],
                   f"Subject: \u00fc\n\n{tag}\n".encode(),
                   mail_options=["SMTPUTF8", "BODY=8BITMIME"])


PROGRAMS = (
    ("swaks", client_swaks), ("swaks", client_swaks_lmtp),
    ("swaks", client_swaks_pipe), ("curl", client_curl),
    ("msmtp", client_msmtp), ("mutt", client_mutt),
    ("mutt", client_mutt_smtp), ("mail", client_mailx),
    ("s-nail", client_s_nail),
    (None, client_sendmail), (None, python_smtplib), (None, python_large),
    (None, python_utf8),
)


def each(m, boxes):
    global skipped
    n = 0
    for program, client in PROGRAMS:
        name = client.__name__
        if program is not None and shutil.which(program) is None:
            print(f"skip: {name}: no {program} here")
            skipped += 1
            continue
        for rcpt in boxes.files:
            n += 1
            tag = f"tag-{os.getpid()}-{n}-"
            done = client(m, rcpt, tag)
            ok = done is None or done.returncode == 0
            check(f"{name} {rcpt}", ok and boxes.wait(rcpt, tag), done)


need_root()
OWNER = first_user("games", "daemon").pw_name
with Instance(settings={
        "mail_spool_directory": "{base}/spoolmail",
        "mailbox_delivery_lock": "fcntl",
        "mydestination": "$myhostname, localhost",
        "local_recipient_maps": "unix:passwd.byname",
        "message_size_limit": "50000000",
        "virtual_mailbox_maps":
            "inline:{{ alice@example.test=example.test/alice/, "
            "bob@example.test=packed:example.test/bob, "
            "carol@example.test=example.test/carol }}",
        }) as inst:
    spool = f"{inst.base}/spoolmail"
    os.mkdir(spool)
    os.chmod(spool, 0o1777)
    each(inst, Boxes(inst, OWNER))
    inst.wait_idle()
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(failed > 0)
