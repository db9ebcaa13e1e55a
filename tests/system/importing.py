# SPDX-License-Identifier: ISC
"""What clients know of a mailbox, on the server that it comes from and here
after "mansio import"."""
import contextlib
import imaplib
import os
import poplib
import re
import shutil
import subprocess

ITEMS = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"
imaplib._MAXLINE = 10000000


def mail(n):
    body = [f"body of {n}\r\n", "no end of line", "From here\r\n>From there\r\n",
            "line\r\n" * n, "\r\n\r\n\r\n", ".\r\n..\r\n", "\u00e4 8 bit\r\n"]
    return (f"From: s{n}@example.org\r\nSubject: message {n}\r\n"
            f"Message-ID: <{n}@example.org>\r\n\r\n"
            + body[n % len(body)]).encode()


@contextlib.contextmanager
def imap(port, user, password):
    """password None: who connects is logged in."""
    c = imaplib.IMAP4("127.0.0.1", port)
    try:
        if password is None:
            c.state = "AUTH"
        else:
            c.login(user, password)
        yield c
    finally:
        c.shutdown()


def state(port, user, password, box="INBOX"):
    """What an IMAP client keeps of a mailbox."""
    with imap(port, user, password) as c:
        got = c.status(box, "(MESSAGES UIDNEXT UIDVALIDITY)")[1][0]
        head = [int(re.search(rb"%s (\d+)" % w, got)[1])
                for w in (b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY")]
        assert c.select(box, readonly=True)[0] == "OK"
        found = {}
        for part in c.fetch("1:*", ITEMS)[1] if head[0] else ():
            if not isinstance(part, tuple):
                continue
            m = re.search(rb"UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE "
                          rb'"([^"]*)" RFC822.SIZE (\d+)', part[0])
            assert m, part[0]
            flags = frozenset(m[2].lower().split()) - {b"\\recent"}
            found[int(m[1])] = (flags, imaplib.Internaldate2tuple(
                b'INTERNALDATE "%s"' % m[3]), int(m[4]), part[1])
        return head, found


def unique_ids(port, user, password):
    """{unique id: text} as a POP3 client sees it, in order."""
    c = poplib.POP3("127.0.0.1", port)
    try:
        if password is not None:
            c.user(user)
            c.pass_(password)
        ids = dict(line.split() for line in c.uidl()[1])
        return {ids[n]: b"\r\n".join(c.retr(int(n))[1]) for n in ids}
    finally:
        c.quit()


def run(m, *args, check=True):
    r = m.command("mansio", "import", *args, check=False)
    assert not check or r.returncode == 0, r
    return r


def hand_over(m, path):
    """A copy that the user who imports can read, outside of the server."""
    to = f"{m.base}/source"
    shutil.rmtree(to, ignore_errors=True)
    if os.path.isdir(path):
        shutil.copytree(path, to)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(to)
        shutil.copy2(path, to)
    subprocess.run(["chown", "-R", f"{m.vmail.pw_uid}:{m.vmail.pw_gid}", to],
                   check=True)
    return to
