#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 180
"""mansio user: add, import, list, delete; wrong input; many at once."""
import json
import os
import smtplib
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from instance import Instance  # noqa: E402


def user(m, *args, text="", **kw):
    return m.command("mansio", "user", *args, check=False, input=text,
                     timeout=120, **kw)


def names(m):
    done = user(m, "list", "--json")
    assert done.returncode == 0, done
    return [x["address"] for x in json.loads(done.stdout)]


def rows(m):
    with open(f"{m.etc}/vmailbox", encoding="utf-8") as f:
        return [x.split()[0] for x in f if x.strip()]


def hashes(m):
    with open(f"{m.base}/passwd", encoding="utf-8") as f:
        return dict(x.split(":")[:2] for x in f)


def send(m, to):
    for _ in range(100):
        try:
            return m.send(to, "Subject: hi\n\nhi\n")
        except smtplib.SMTPRecipientsRefused:
            time.sleep(0.1)
    raise AssertionError(f"no mail for {to} 10 s after the add")


def single(m):
    assert names(m) == []
    assert user(m, "add", "Dave@Example.test", text="wonder\n").returncode == 0
    assert names(m) == ["dave@example.test"]
    assert hashes(m)["dave@example.test"].startswith("{ARGON2ID}$argon2id$v=19$")
    assert os.stat(f"{m.base}/passwd").st_mode & 0o777 in (0o600, 0o640)
    assert rows(m).count("dave@example.test") == 1
    # Running daemons know it soon, without a reload.
    began = time.monotonic()
    send(m, "dave")
    print(f"mail is taken {time.monotonic() - began:.1f} s after the add")
    m.wait_idle()
    assert len(m.maildir("dave")) == 1
    # again: said, and nothing changes
    was = hashes(m)
    done = user(m, "add", "dave@example.test", text="other\n")
    assert done.returncode == 73 and "exists already" in done.stderr, done
    assert hashes(m) == was and rows(m).count("dave@example.test") == 1
    for address, text, says in (
            ("erin@example.test", "", "no password"),
            ("erin@example.test", "\n", "no password"),
            ("erin@example.test", "x" * 600 + "\n", "too long"),
            ("erin@elsewhere.test", "x\n", "not in virtual_mailbox_domains"),
            ("erin", "x\n", "not an address"),
            ("@example.test", "x\n", "not an address"),
            ("erin@", "x\n", "not an address"),
            ("../../etc@example.test", "x\n", "may not contain"),
            ("a/b@example.test", "x\n", "may not contain"),
            ("a:b@example.test", "x\n", "may not contain"),
            ("a b@example.test", "x\n", "may not contain"),
            ("a\nb@example.test", "x\n", "may not contain"),
            (".erin@example.test", "x\n", "may not contain"),
            ("e" * 65 + "@example.test", "x\n", "not a valid address"),
            ("erin@-bad-.test", "x\n", "valid"),
            ("", "x\n", "not an address")):
        done = user(m, "add", address, text=text)
        assert done.returncode not in (0, 1) or says == "too long", done
        assert done.returncode != 0 and says in done.stderr, (address, done)
    assert hashes(m) == was and names(m) == ["dave@example.test"]
    assert user(m, "delete", "DAVE@example.test").returncode == 0
    done = user(m, "delete", "dave@example.test")
    assert done.returncode == 67 and "no account" in done.stderr, done
    assert names(m) == [] and "dave@example.test" not in rows(m)
    # an empty file is a list, too
    assert user(m, "list").stdout == ""
    for bad in ((), ("add",), ("list", "x"), ("nonsense",), ("import",)):
        assert user(m, *bad).returncode == 64, bad


def at_once(m):
    "adds at the same time wait for each other: none is lost"
    ps = []
    for i in range(12):
        p = subprocess.Popen(
            [m.program("mansio"), "-c", m.etc, "user", "add",
             f"p{i}@example.test"], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        p.stdin.write("secret\n")
        p.stdin.close()
        ps.append(p)
    # Some of them the same one: one gets it.
    same = [subprocess.Popen(
        [m.program("mansio"), "-c", m.etc, "user", "add",
         "same@example.test"], stdin=subprocess.PIPE, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(4)]
    for p in same:
        p.stdin.write("secret\n")
        p.stdin.close()
    assert [p.wait(60) for p in ps] == [0] * 12, [p.stdout.read() for p in ps]
    assert sorted(p.wait(60) for p in same) == [0, 73, 73, 73]
    for p in ps + same:
        p.stdout.close()
    want = sorted([f"p{i}@example.test" for i in range(12)] +
                  ["same@example.test"])
    assert names(m) == want, names(m)
    assert sorted(x for x in rows(m) if x in want) == want


def many(m):
    path = f"{m.base}/import"
    before = len(names(m))
    with open(path, "w", encoding="utf-8") as f:
        f.write("# comment\n\n")
        for i in range(10000):
            f.write(f"user{i}@example.test:pass word:{i}\n")
    began, t0 = time.monotonic(), os.times()
    done = user(m, "import", path)
    wall, t1 = time.monotonic() - began, os.times()
    assert done.returncode == 0, done
    assert "10000 accounts added, 0 passwords replaced" in done.stdout, done
    cpu = t1.children_user - t0.children_user
    print(f"10,000 accounts: {wall:.1f} s, {cpu:.1f} s of user CPU, "
          f"{t1.children_system - t0.children_system:.1f} of system")
    # A loaded machine may stretch the wall clock, sanitizers everything.
    slow = 4 if os.environ.get("SAN") or os.environ.get("TEST_SLOW") else 1
    assert cpu < 20 * slow, f"{cpu:.1f} s of CPU"
    assert len(names(m)) == before + 10000
    one = hashes(m)["user77@example.test"]
    assert one.startswith("{SCRAM-SHA-256}4096,"), one
    assert len(set(hashes(m).values())) == before + 10000, "salts"
    send(m, ["user0", "user9999"])
    m.wait_idle()
    assert len(m.maildir("user9999")) == 1
    # Again: replaces, adds none; the mailboxes' rows stay single.
    with open(path, "w", encoding="utf-8") as f:
        for i in range(20):
            f.write(f"USER{i}@example.test:other\n")
    done = user(m, "import", path)
    assert "0 accounts added, 20 passwords replaced" in done.stdout, done
    assert rows(m).count("user3@example.test") == 1
    # A bad line: all bad ones are named, nothing is done.
    was = hashes(m)
    done = user(m, "import", "-", text="new@example.test:x\nnocolon\n"
                "new2@example.test:\nx@elsewhere.test:y\n"
                "new@example.test:again\n")
    assert done.returncode == 65, done
    for n in (2, 3, 4, 5):
        assert f":{n}: " in done.stderr, (n, done.stderr)
    assert hashes(m) == was
    assert "new@example.test" not in rows(m)
    assert user(m, "import", f"{m.base}/nothing").returncode != 0


with Instance({"authd_password_file": "{base}/passwd"}) as inst:
    for test in (single, at_once, many):
        test(inst)
        print("ok:", test.__name__, flush=True)
