#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""After a power cut at any moment an account holds what was acknowledged:
messages, flags, expunges, copies, moves, subscriptions, annotations, rights,
special uses, its quota; mailboxes that were made, renamed, deleted and
undeleted; no UID names another message, no UIDVALIDITY is another, no MODSEQ
goes back.

tests/crash/storeops changes an account on a disk whose writes and flushes are
logged; CRASH_CUTS (default 20, a third of them for each format, of which zstd
is packed and compressed) disks are rebuilt
as a cut may have left them.  CRASH_UNSAFE=1 switches every sync off: then
losses must be found.
"""
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../crash"))
from instance import BUILD, need_root, skip  # noqa: E402
from disk import LoggedDisk, lacking  # noqa: E402

CUTS = int(os.environ.get("CRASH_CUTS", "20"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
SECONDS = float(os.environ.get("CRASH_SECONDS", "3"))
UNSAFE = os.environ.get("CRASH_UNSAFE") == "1"
FORMATS = os.environ.get("CRASH_STORE", "packed maildir zstd").split()
EATMYDATA = "/usr/lib/x86_64-linux-gnu/libeatmydata.so"
PROGRAM = f"{BUILD}/tests/crash/storeops"


def command(epoch, *args):
    env = dict(os.environ, MANSIO_STORE_EPOCH=epoch)
    if UNSAFE and args[0] == "run":
        env["LD_PRELOAD"] = EATMYDATA
    return subprocess.Popen([PROGRAM, *args], env=env, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def record(disk, kind):
    """Every line that storeops says becomes a mark."""
    p = command("before", "run", kind, disk.mnt, str(SEED))
    end = time.monotonic() + SECONDS
    for line in p.stdout:
        disk.mark(line.encode())
        if line.startswith("ack") and time.monotonic() > end:
            break
        p.stdin.write("\n")
        p.stdin.flush()
    p.stdin.close()
    text = p.stderr.read()
    assert p.wait() == 0, text


def parse(words):
    """{box: (uidvalidity, uidnext, modseq, {uid: (flags, tag)})}, and in
    "list" the round, the subscriptions and the state."""
    number, subs, change, quota, third = words[0].split(":")
    state, at = {"list": (int(number), subs, int(change), int(quota),
                          third)}, 1
    while at < len(words):
        box, valid, uidnext, modseq = map(int, words[at:at + 4])
        at += 4
        found = {}
        while at < len(words) and ":" in words[at]:
            uid, flags, tag = words[at].split(":")
            found[int(uid)] = (int(flags, 16), int(tag))
            at += 1
        state[box] = (valid, uidnext, modseq, found)
    return state


def subscribed(rounds):
    """After so many changes of one after the other of seven names."""
    return "".join(str((rounds + 6 - i) // 7 % 2) for i in range(7))


# The third mailbox, before the first round and after each: 0 messages, no use,
# no comment, no rights; 3 and 7 are rights of bob's, 8 is \Flagged.  What was
# deleted comes back with rights and use.
THIRD = ["-", "t,0,0,", "t,1,0,", "t,1,0,,bob=3", "t,1,0,c,bob=3",
         "t2,1,0,c,bob=3", "t2,1,8,c,bob=3", "t2,1,8,c,bob=7", "-",
         "t2,1,8,c,bob=7", "t2,1,8,c", "-"]


def third(rounds):
    return THIRD[rounds % (len(THIRD) - 1)]


class Promises:
    def __init__(self, marks):
        self.state, self.acks = {}, 0
        self.seen, self.touched = {}, set()
        for mark in marks:
            what, *words = mark.decode().split()
            if what == "ack":
                self.state, self.touched = parse(words), set()
                self.acks += 1
            elif what == "touch":
                box = int(words[0])
                self.touched |= {(box, int(u)) for u in words[1:]}
            else:
                box, rest = int(words[0]), [int(w) for w in words[1:]]
                for uid, tag in zip(rest[::2], rest[1::2]):
                    self.seen[box, uid] = tag

    def judge(self, lines):
        """What a dump shows that must not be."""
        wrong, now = [], parse(lines[0].split()[1:])
        number, subs, change, quota, box = now.pop("list")
        least, _, told, _, was = self.state.pop("list",
                                                (0, "", 0, 0, "-"))
        if was != third(least):
            wrong.append(f"round {least}: acknowledged as {was}")
        # Between two acknowledgements is one round.
        if quota not in (least, least + 1):
            wrong.append(f"round {least}: quota of {quota}")
        if box not in (third(least), third(least + 1)):
            wrong.append(f"round {least}: third mailbox {box}")
        if change <= told:
            wrong.append(f"state {change} after {told}")
        if number < least:
            wrong.append(f"round {least} is {number}")
        if subs not in (subscribed(number), subscribed(number + 1)):
            wrong.append(f"round {number}: subscribed to {subs}")
        for box, (valid, _, modseq, had) in self.state.items():
            if box not in now:
                wrong.append(f"mailbox {box} is gone")
                continue
            is_valid, _, is_modseq, has = now[box]
            if is_valid != valid:
                wrong.append(f"{box}: UIDVALIDITY {valid} is {is_valid}")
            if is_modseq < modseq:
                wrong.append(f"{box}: MODSEQ {modseq} is {is_modseq}")
            for uid, what in had.items():
                if (box, uid) not in self.touched and has.get(uid) != what:
                    wrong.append(f"{box}/{uid}: {what} is {has.get(uid)}")
            for uid, (_, tag) in has.items():
                if uid not in had and (box, uid) in self.touched:
                    continue
                if self.seen.get((box, uid), tag) not in (tag, 0) and tag:
                    wrong.append(f"{box}/{uid}: tag {tag}, was "
                                 f"{self.seen[box, uid]}")
                if uid not in had and uid < self.state[box][1] and tag:
                    wrong.append(f"{box}/{uid}: is back")
        for line in lines[1:]:
            words = line.split()
            if words[0] == "new":
                box, uid = int(words[1]), int(words[4])
                if any(b == box and u >= uid for b, u in self.seen):
                    wrong.append(f"{box}: UID {uid} is given out again")
        if lines[-1] != "end":
            wrong.append("no end")
        return wrong


def recover(kind, cut):
    promises = Promises(cut.marks)
    with cut.mounted() as mnt:
        p = command("after", "dump", kind, mnt)
        out, err = p.communicate(timeout=60)
    if p.returncode != 0:
        return promises, [f"dump: {err}"]
    return promises, promises.judge(out.splitlines())


def one_format(kind, cuts):
    work = tempfile.mkdtemp(prefix="mansio-power-")
    disk = LoggedDisk(work, f"{BUILD}/tests/crash/logdisk")
    bad = most = 0
    try:
        disk.mount()
        # The account is there when it begins; making it is not what is cut.
        command("before", "dump", kind, disk.mnt).communicate(timeout=60)
        disk.start_log()
        record(disk, kind)
        disk.unmount()
        for cut in disk.cuts(cuts, SEED):
            promises, wrong = recover(kind, cut)
            most = max(most, promises.acks)
            if wrong:
                bad += 1
                print(f"{kind}: {cut}: {len(wrong)} wrong: {wrong[:4]}")
    finally:
        disk.remove()
    print(f"{kind}: {cuts} cuts, {bad} of them bad; at most {most} "
          "acknowledgements", flush=True)
    return bad, most


def main():
    need_root()
    if not os.path.exists(f"{BUILD}/tests/crash/logdisk"):
        skip("logdisk is not built (libfuse3-dev is missing)")
    reason = lacking()
    if reason:
        skip(reason)
    if UNSAFE and not os.path.exists(EATMYDATA):
        skip("eatmydata is not installed")
    all_bad = 0
    for kind in FORMATS:
        bad, most = one_format(kind, max(CUTS // len(FORMATS), 1))
        all_bad += bad
        if most == 0:
            sys.exit("nothing was acknowledged: nothing was tested")
    sys.exit((all_bad == 0) if UNSAFE else (all_bad != 0))


if __name__ == "__main__":
    main()
