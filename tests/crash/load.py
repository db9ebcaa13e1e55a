# SPDX-License-Identifier: ISC
"""Clients that know what was promised to them.

Each message carries a number; acknowledged(number, users) is called at the
moment its 250 is seen.  check() then compares what the mailboxes hold.
"""
import random
import re
import smtplib
import threading
import time

NUMBER = re.compile(rb"^X-Number: (\d+)\r?$", re.M)
END = re.compile(rb"^end of (\d+)\r?$", re.M)


class Load:
    def __init__(self, port, users, acknowledged, threads=6, seed=1,
                 per_connection=12, sizes=(200, 5000, 60000, 400000)):
        self.port, self.users = port, users
        self.acknowledged = acknowledged
        self.sizes, self.per_connection = sizes, per_connection
        self.lock = threading.Lock()
        self.next = 0
        self.sent = {}          # number: users, whatever the answer was
        self.stopping = threading.Event()
        self.threads = [threading.Thread(
            target=self.client, args=(random.Random(seed * 1000 + i),),
            daemon=True) for i in range(threads)]

    def start(self):
        for t in self.threads:
            t.start()

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)

    def message(self, rng):
        with self.lock:
            self.next += 1
            number = self.next
        users = rng.sample(self.users, rng.randint(1, 2))
        size = rng.randrange(rng.choice(self.sizes)) + 1
        line = f"{number:060d}\r\n"
        body = line * (size // len(line))
        return number, users, (
            f"Subject: message {number}\r\nX-Number: {number}\r\n\r\n"
            f"{body}end of {number}\r\n")

    def client(self, rng):
        while not self.stopping.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as s:
                    for _ in range(self.per_connection):
                        if self.stopping.is_set():
                            break
                        number, users, text = self.message(rng)
                        self.sent[number] = users
                        refused = s.sendmail(
                            "sender@example.org",
                            [f"{u}@example.test" for u in users], text)
                        self.acknowledged(number, [
                            u for u in users
                            if f"{u}@example.test" not in refused])
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)


def found_in(messages):
    """{number: how often}, and the messages that are not whole."""
    counts, damaged = {}, []
    for text in messages:
        number, end = NUMBER.search(text), END.search(text)
        if not number or not end or number.group(1) != end.group(1):
            damaged.append(text[:300])
            continue
        n = int(number.group(1))
        body = text[text.index(b"\n\n", number.end()) + 2:end.start()]
        if body.replace(b"%060d\n" % n, b""):
            damaged.append(text[:300])
            continue
        counts[n] = counts.get(n, 0) + 1
    return counts, damaged


def check(promised, mailboxes):
    """What is wrong: promised is {number: users}, mailboxes {user: [bytes]}."""
    wrong = []
    counts = {}
    for user, messages in mailboxes.items():
        counts[user], damaged = found_in(messages)
        wrong += [f"{user}: half a message: {d!r}" for d in damaged]
        wrong += [f"{user}: message {n} is there {c} times"
                  for n, c in counts[user].items() if c > 1]
    for number, users in promised.items():
        for user in users:
            if number not in counts.get(user, {}):
                wrong.append(f"{user}: message {number} was acknowledged "
                             "and is lost")
    return wrong
