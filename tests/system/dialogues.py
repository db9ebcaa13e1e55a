# SPDX-License-Identifier: ISC
"""Dialogues that are held with our smtpd and with Postfix's: reply code and
enhanced code of every answer must be equal, but for differences that the test
lists with their reasons."""
import os
import re
import socket
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../bench"))
from instance import Instance, free_port, need_root, skip  # noqa: E402
import postfix  # noqa: E402

USERS = ("u0", "u1", "u2")
COMMON = {
    "mynetworks": "192.0.2.0/24",
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "smtpd_authorized_xforward_hosts": "127.0.0.1",
    "message_size_limit": "100000",
    "smtpd_recipient_limit": "5",
    "smtpd_error_sleep_time": "0s",
    "smtpd_soft_error_limit": "1000",
    "smtpd_hard_error_limit": "1000",
    "smtpd_junk_command_limit": "1000",
    "recipient_delimiter": "+",
    "mydestination": "localhost",
    "local_recipient_maps": "unix:passwd.byname",
}
EHLO = "EHLO client.example"
MAIL = "MAIL FROM:<a@client.example>"
RCPT = "RCPT TO:<u0@example.test>"


def text(name, data, answers=1):
    """Bytes that are sent as they are, and how many answers they get."""
    return (name, data, answers)


class Client:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.f = self.s.makefile("rb")

    def line(self):
        """With its end; "" when there is no more, whether the other side
        closed or reset, which is a matter of who was faster."""
        try:
            return self.f.readline().decode("latin1")
        except TimeoutError:
            return "waits"
        except OSError:
            return ""

    def answer(self):
        """"250 2.1.0", or what there is of it."""
        while True:
            line = self.line()
            if line == "waits":
                return line
            if line[3:4] != "-":
                break
        m = re.match(r"(\d{3})( \d\.\d+\.\d+)?(?= |$)", line)
        return m[0] if m else line.strip() or "closed"

    def say(self, what):
        data = what[1] if isinstance(what, tuple) else what + "\r\n"
        if isinstance(data, str):
            data = data.encode()
        try:
            self.s.sendall(data)
        except OSError:
            pass


def hold(port, dialogue):
    """[(what, answer)], to the end of the connection.  None at first: the
    client talks before it is greeted."""
    c = Client(port)
    got = []
    if dialogue[0] is None:
        dialogue = dialogue[1:]
    else:
        got.append(("connect", c.answer()))
    for what in dialogue:
        c.say(what)
        if got and got[-1][1] == "waits":
            break
        name, n = (what[0], what[2]) if isinstance(what, tuple) else (what, 1)
        for _ in range(n):
            got.append((name, c.answer()))
            if got[-1][1] in ("closed", "waits"):
                break
    c.f.close()
    c.s.close()
    return got


def compare(ours, theirs, dialogues, different):
    """What is different and should not be, and what should be and is not.
    different: {pattern of what was said: (our answer, Postfix's, why)}; a
    pattern with " > " in it has what was said before in front."""
    wrong, seen = [], set()
    for d in dialogues:
        last = "connect"
        for (what, a), (_, b) in zip(hold(ours, d), hold(theirs, d)):
            last, before = what, last
            if a == b:
                continue
            for key, row in different.items():
                said = f"{before} > {what}" if " > " in key else what
                if row[:2] == (a, b) and re.fullmatch(key, said, re.S):
                    seen.add(key)
                    break
            else:
                wrong.append((before[:60], what[:80], a, b))
            break               # what follows is another state
    return wrong, set(different) - seen


def beside_postfix(dialogues, different, settings=None):
    """The exit status."""
    need_root()
    if not postfix.available():
        skip("no Postfix")
    both = {**COMMON, **(settings or {})}
    port = free_port()
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        p = postfix.Postfix(d, port, len(USERS))
        # No postlogd: see test_dns_restrictions.
        with open(f"{d}/etc/main.cf", "a", encoding="ascii") as f:
            f.writelines(f"{k} = {v}\n" for k, v in both.items())
        p.start()
        try:
            with Instance(both, users=USERS) as m:
                wrong, unused = compare(m.smtp_port, port, dialogues,
                                        different)
        finally:
            p.stop()
    for before, what, a, b in wrong:
        print(f"{before!r}, {what!r}: we say {a}, Postfix {b}")
    for what in unused:
        print(f"{str(what)[:80]!r}: no difference any more")
    return bool(wrong or unused)
