#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The same dialogues with Dovecot's POP3 server and ours, over the same files.

usage: tests/compare/pop3.py [-v]

Compared are +OK and -ERR, response codes, and all lines of longer answers.
What may differ is in EXPLAINED.  Needs root and Dovecot 2.3.
"""
import os
import re
import subprocess
import sys
from itertools import zip_longest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../system")]
import corpus  # noqa: E402
from dovecot import Dovecot, have_dovecot  # noqa: E402
from instance import skip  # noqa: E402
from mailusers import Pop3, Users  # noqa: E402

VERBOSE = "-v" in sys.argv[1:]
USER = "alice@example.test"
# "\0alice@example.test\0wonderland"
PLAIN = "AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXJsYW5k"
LINES = [
    b"Subject: a\n\nbody\n", b"Subject: a\n\nno end", b"Subject: a\r\n\r\nx\r\n",
    b"", b"x", b"\n", b".\n..\n.x\n", b"Subject: only a header\n",
    b"Subject: cr\n\na\rb\r\r\nc\r", b"Subject: nul\n\na\0b\n",
    b"Subject: dots\n\n" + b".\n" * 5000,
    b"Subject: long\n\n" + b"y" * 200000 + b"\n",
    b"Subject: 8 bit \xe4\n\n\xff\xfe\n",
]

# Commands with a longer answer when it is +OK.
MULTI = re.compile(r"CAPA|(LIST|UIDL|AUTH)\s*$|(RETR|TOP)\b", re.I)
IN = [f"USER {USER}", "PASS wonderland"]
DIALOGUES = {
    "wrong password": [f"USER {USER}", "PASS wrong", "PASS wonderland",
                       f"user {USER}", "pass wonderland", "STAT", "QUIT"],
    "user twice": ["USER nobody", f"USER {USER}", "PASS wonderland", "QUIT"],
    "AUTH PLAIN": [f"AUTH PLAIN {PLAIN}", "STAT", "QUIT"],
    "AUTH in two lines": ["AUTH PLAIN", PLAIN, "STAT", "QUIT"],
    "AUTH cancelled": ["AUTH PLAIN", "*", f"AUTH PLAIN {PLAIN}", "QUIT"],
    "AUTH not base64": ["AUTH PLAIN", "!!", f"AUTH PLAIN {PLAIN}", "QUIT"],
    "AUTH LOGIN": ["AUTH LOGIN", "YWxpY2VAZXhhbXBsZS50ZXN0",
                   "d29uZGVybGFuZA==", "STAT", "QUIT"],
    "after the login": IN + [
        "CAPA", "USER x", "PASS x", "AUTH PLAIN", "STLS", "APOP a b", "XYZZY",
        "", "STAT", "stat", "STAT ", "NOOP", "RSET", "LIST", "QUIT"],
    "numbers": IN + [f"{verb} {arg}".rstrip() for verb in
                     ("LIST", "RETR", "DELE", "UIDL") for arg in
                     ("0", "-1", "x", "99999", "4294967296",
                      "18446744073709551617", "1x", "01", "+1")] + [
        "RETR", "DELE", "TOP", "TOP 1", "TOP 1 x", "TOP 1 -1", "TOP 0 1",
        "TOP x 1", "RSET", "QUIT"],
    "deleting": IN + [
        "DELE 1", "DELE 1", "RETR 1", "LIST 1", "UIDL 1", "TOP 1 1", "LIST",
        "STAT", "DELE 3", "STAT", "LIST", "RSET", "LIST", "STAT", "DELE 2"],
    "nothing went": IN + ["STAT", "LIST", "QUIT"],
}
# Dovecot ends the connection after a few errors.
for _command in ("STAT", "LIST", "RETR 1", "DELE 1", "NOOP", "RSET", "UIDL",
                 "TOP 1 1", "XYZZY", "", "PASS x", "USER", "APOP a b",
                 "AUTH NOSUCH", "AUTH", "CAPA x", "CAPA", "QUIT", "STLS"):
    DIALOGUES[f"before the login: {_command}"] = [_command, "QUIT"]
EXPLAINED = {
    1: "a last line without an end is counted as it is sent: LIST and STAT "
       "are what the client will see (RFC 1939 11); Dovecot leaves out 2",
    2: "CAPA says what each has (RFC 2449)",
    3: "an empty message is no line at all; Dovecot sends an empty one, and "
       "says 0 octets",
    4: "a first line that begins with a dot is stuffed, too (RFC 1939 3); "
       "Dovecot's answer ends there when it is \".\"",
    5: "USER wants a name (RFC 1939 7)",
    6: "a line of a lone CR is not the empty line that ends the header (RFC "
       "5322 2.2); TOP begins to count later",
}


def fill(box, uid, gid):
    mails = list(LINES) + [data for _, data in corpus.all_mail()]
    for sub in ("new", "cur", "tmp"):
        os.makedirs(f"{box}/{sub}", exist_ok=True)
    for n, data in enumerate(mails):
        name = f"{box}/cur/{1000000000 + n}.M{n:06d}P1.test:2,"
        with open(name, "wb") as f:
            f.write(data)
        os.utime(name, (1000000000 + n, 1000000000 + n))
    subprocess.run(["chown", "-R", f"{uid}:{gid}", box], check=True)
    return mails


def talk(port, commands):
    """[(first line, [more lines])] for each command."""
    found = []
    with Pop3(port) as c:
        in_auth = 0
        for command in commands:
            try:
                c.send(command + "\r\n")
                first = c.line()
            except (EOFError, ConnectionError):
                found.append(("", []))
                break
            more = []
            if first.startswith("+OK") and MULTI.match(command) and \
                    not in_auth:
                more = c.lines()
            in_auth = first.startswith("+ ")
            found.append((first, more))
    return found


def shape(first):
    m = re.match(r"(\+OK|-ERR|\+)( \[[A-Z/-]+\])?", first)
    return m.group(1) if m else first


def explain_text(data, theirs, ours):
    """RETR and TOP of this message."""
    if not data:
        return [3] if theirs == [""] and ours == [] else [0]
    if data.startswith(b"."):
        return [4]
    if b"\n\r\r\n" in data:
        return [6]
    return [0]


def differences(mails, command, theirs, ours):
    """Numbers of EXPLAINED for what differs; 0 for what nothing explains."""
    verb, _, arg = command.partition(" ")
    verb = verb.upper()
    if shape(theirs[0]) != shape(ours[0]):
        if verb == "TOP" and mails[int(arg.split()[0]) - 1][:1] == b".":
            return [4]      # what was left of RETR's
        return [5] if command == "USER" else [0]
    if verb == "CAPA":
        return [2] if theirs[1] != ours[1] else []
    if verb == "AUTH":
        return []
    if verb == "UIDL":      # UID and UIDVALIDITY, whose value differs
        cut = [[line[:-8] for line in x[1]] for x in (theirs, ours)]
        return [] if cut[0] == cut[1] else [0]
    if verb == "LIST" and theirs[1] != ours[1]:
        if len(theirs[1]) != len(ours[1]):
            return [0]
        for a, b in zip(theirs[1], ours[1]):
            n, size = map(int, a.split())
            if mails[n - 1] and not mails[n - 1].endswith(b"\n"):
                size += 2
            if b != f"{n} {size}":
                return [0]
        return [1]
    if verb == "STAT" and ours[0].startswith("+OK"):
        a, b = (list(map(int, x[0].split()[1:3])) for x in (theirs, ours))
        return [] if a == b else [1] if a[0] == b[0] and a[1] < b[1] else [0]
    if theirs[1] != ours[1]:
        return explain_text(mails[int(arg.split()[0]) - 1], theirs[1],
                            ours[1])
    return []


def compare(mails, dove, us, name, commands):
    theirs, ours = talk(dove.pop3_port, commands), talk(us.pop3_port, commands)
    bad, seen = 0, set()
    for n, command in enumerate(commands):
        if n >= len(theirs) or n >= len(ours):
            if len(theirs) != len(ours):
                print(f"{name}: {command!r}: only one of them answers")
                bad += 1
            break
        why = differences(mails, command, theirs[n], ours[n])
        seen.update(why)
        if VERBOSE:
            print(f"{name}: {command!r}\n   {theirs[n][0]}\n   {ours[n][0]}")
        if 0 in why:
            bad += 1
            print(f"{name}: {command!r}:\n  dovecot {theirs[n][0]}\n"
                  f"  mansio  {ours[n][0]}")
            rows = [(a, b) for a, b in zip_longest(
                theirs[n][1], ours[n][1], fillvalue="") if a != b]
            print(f"  lines: {len(theirs[n][1])}, {len(ours[n][1])}")
            unexplained = [(a, b) for a, b in rows if command != "LIST" or
                           0 in differences(mails, command,
                                            ("+OK", [a]), ("+OK", [b]))]
            for a, b in unexplained[:3]:
                print(f"    {a[:100]!r}\n    {b[:100]!r}")
    return bad, seen


def main():
    if not have_dovecot("pop3"):
        skip("no dovecot here")
    bad, answers, seen = 0, 0, set()
    with Users({"pop3d_uidl_compat": "dovecot",
                "pop3d_hard_error_limit": "1000"}, maildir=True) as us:
        uid, gid = us.vmail.pw_uid, us.vmail.pw_gid
        with Dovecot("maildir:{base}/mail", protocols=("pop3",), uid=uid,
                     gid=gid) as dove:
            mails = fill(f"{dove.base}/mail", uid, gid)
            fill(f"{us.mail}/example.test/alice", uid, gid)
            subprocess.run(["chown", "-R", f"{uid}:{gid}",
                            f"{us.mail}/example.test"], check=True)
            work = dict(DIALOGUES)
            for n in range(len(mails)):
                work[f"message {n + 1}"] = IN + [
                    f"RETR {n + 1}", f"TOP {n + 1} 0", f"TOP {n + 1} 3",
                    f"TOP {n + 1} 100000", f"LIST {n + 1}"]
            for name, commands in work.items():
                b, s = compare(mails, dove, us, name, commands)
                bad += b
                seen |= s
                answers += len(commands)
                dead = us.log().count("killed by signal")
                assert not dead, us.log()[-2000:]
    print(f"{answers} answers, {bad} differ without a reason; reasons seen: "
          f"{sorted(seen - {0})}")
    sys.exit(bad > 0)


main()
