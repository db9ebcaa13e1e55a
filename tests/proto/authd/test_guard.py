#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""authd: delays, bans by address and by user, exceptions, mansio ban; a
flood; the cache of verified passwords."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import (BAN, BANNED, UNAVAILABLE, UNBAN, WRONG,  # noqa: E402
                     Client, Instance, accounts, need_root)
from memory import below  # noqa: E402

ALICE, BOB = "alice@example.test", "bob@example.test"


def by_address(m, c):
    a = {"client": "198.51.100.7"}
    assert c.plain(ALICE, "wonderland", **a)[0] == "ok"
    # One old password again and again is one failure.
    for _ in range(8):
        assert c.plain(ALICE, "old", **a)[:2] == ("fail", WRONG)
    assert c.bans()["198.51.100.7"][2] == 1
    for i in range(4):
        assert c.plain(ALICE, f"guess{i}", **a)[:2] == ("fail", WRONG)
    got = c.plain(ALICE, "wonderland", **a)
    assert got[:2] == ("fail", BANNED), got
    # In all protocols, with every mechanism, for every user.
    assert c.plain(BOB, "builder", service="imap", **a)[1] == BANNED
    assert c.scram(BOB, "builder", service="pop3", **a)[1] == BANNED
    assert c.plain(ALICE, "wonderland", client="198.51.100.8")[0] == "ok"
    assert "ban: client 198.51.100.7 after 5 failed logins" in m.log()
    out = m.command("mansio", "ban").stdout
    assert "198.51.100.7" in out and "banned" in out
    m.command("mansio", "unban", "198.51.100.7")
    assert c.plain(ALICE, "wonderland", **a)[0] == "ok"
    assert m.command("mansio", "unban", "198.51.100.7",
                     check=False).returncode != 0


def by_network(m, c):
    """Of IPv6 the whole /64."""
    for i in range(5):
        c.plain(ALICE, f"guess{i}", client=f"2001:db8:1:2::{i}")
    assert c.plain(ALICE, "wonderland",
                   client="2001:db8:1:2:ffff::1")[1] == BANNED
    assert c.plain(ALICE, "wonderland", client="2001:db8:1:3::1")[0] == "ok"
    assert c.bans()["2001:db8:1:2::/64"][0]
    # Unknown users count like others.
    for i in range(5):
        c.plain(f"nobody{i}@example.test", "x", client="198.51.100.20")
    assert c.plain(ALICE, "wonderland", client="198.51.100.20")[1] == BANNED
    # Exceptions are never banned.
    for i in range(10):
        c.plain(ALICE, f"guess{i}", client="127.0.0.1")
    assert c.plain(ALICE, "wonderland", client="127.0.0.1")[0] == "ok"
    m.command("mansio", "unban", "all")


def by_user(c):
    """Guessing from everywhere: only known places still get in."""
    home = {"client": "203.0.113.1"}
    assert c.plain(BOB, "builder", **home)[0] == "ok"
    for i in range(60):
        c.plain(BOB, f"guess{i}", client=f"198.18.{i}.1")
    assert c.plain(BOB, "builder", client="198.18.200.1")[1] == BANNED
    assert c.plain(BOB, "builder", **home)[0] == "ok"
    assert c.plain(ALICE, "wonderland", client="198.18.200.1")[0] == "ok"
    assert c.ban(UNBAN, "all")[0]


def by_hand(m, c):
    m.command("mansio", "ban", "198.51.100.30", "1h")
    assert c.plain(ALICE, "wonderland", client="198.51.100.30")[1] == BANNED
    m.command("mansio", "ban", ALICE)
    assert c.plain(ALICE, "wonderland", client="198.51.100.31")[1] == BANNED
    assert c.plain(BOB, "builder", client="198.51.100.31")[0] == "ok"
    # By hand also for exceptions; and not for ever.
    assert c.ban(BAN, "127.0.0.1", 1)[0]
    assert c.plain(BOB, "builder", client="127.0.0.1")[1] == BANNED
    time.sleep(1.2)
    assert c.plain(BOB, "builder", client="127.0.0.1")[0] == "ok"
    m.reload()
    assert c.plain(ALICE, "wonderland", client="198.51.100.31")[1] == BANNED
    for bad in ("192.0.2.0/24", "x:y", "", "192.0.2.300", "!!bad", "--",
                "joe smith", "joe@bad..example", "joe@"):
        assert not c.ban(BAN, bad)[0], bad
    said = m.command("mansio", "ban", "192.0.2.0/24", check=False).stderr
    assert '"192.0.2.0/24": only single IPv4 addresses' in said, said
    m.command("mansio", "unban", "all")


def nobody_to_ask(m):
    """Who may ask, and what is to be done when there is no answer."""
    def fails(command, *args, **kw):
        done = m.command("mansio", command, *args, check=False, **kw)
        assert done.returncode == 1, done
        return done.stderr

    for command in (("who",), ("kick", ALICE), ("ban",), ("unban", "all")):
        assert "(is it running?)" in fails(*command), command
        if os.access(m.program("mansio"), os.X_OK):
            said = fails(*command, user=65534, group=65534, extra_groups=[])
            assert "(this command is for root)" in said, said


def keepers(m):
    return [p for p, n in below(m.master_pid()).items()
            if n == "authd-keeper"]


def over_a_restart(m):
    """authd dies: bans, counts and known networks are still there."""
    path = f"{m.base}/lib/authd.bans"

    def text():
        try:
            with open(path, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def again():
        end = time.monotonic() + 30
        while True:
            try:
                c = Client(m.base)
                c.bans()
                return c
            except (OSError, EOFError):
                assert time.monotonic() < end
                time.sleep(0.1)

    def die():
        authd, = [p for p, n in m.children().items() if n == "authd"]
        os.kill(authd, 9)
        while authd in m.children():
            time.sleep(0.05)
        return again()

    def kept(address, there=True):
        """The file is behind, but has all of one moment."""
        end = time.monotonic() + 30
        while (f" {address}" in text()) != there:
            assert time.monotonic() < end, text()
            time.sleep(0.05)

    c = again()
    home = {"client": "203.0.113.77"}
    assert c.plain(BOB, "builder", **home)[0] == "ok"
    m.command("mansio", "ban", "198.51.100.40", "1h")
    for i in range(3):
        c.plain(ALICE, f"guess{i}", client="198.51.100.42")
    for i in range(60):
        c.plain(BOB, f"guess{i}", client=f"198.19.{i}.1")
    m.command("mansio", "ban", "198.51.100.41", "1")
    c.close()
    kept("198.51.100.41")
    time.sleep(1)               # it is over
    c = die()
    bans = c.bans()
    assert bans["198.51.100.40"][0] and 3500 < bans["198.51.100.40"][1] <= \
        3600, bans
    assert "198.51.100.41" not in bans or not bans["198.51.100.41"][0], bans
    assert bans["198.51.100.42"][2] == 3
    assert c.plain(ALICE, "wonderland", client="198.51.100.40")[1] == BANNED
    # The attacked user: from home, and from nowhere else.
    assert c.plain(BOB, "builder", client="198.19.200.1")[1] == BANNED
    assert c.plain(BOB, "builder", **home)[0] == "ok"
    for i in range(3, 5):
        c.plain(ALICE, f"guess{i}", client="198.51.100.42")
    assert c.plain(ALICE, "wonderland", client="198.51.100.42")[1] == BANNED
    m.command("mansio", "unban", "all")
    c.close()
    kept("198.51.100.40", False)
    c = die()
    assert not any(b[0] for b in c.bans().values()), c.bans()
    c.close()
    # A damaged file is a warning.
    assert os.stat(path).st_mode & 0o777 == 0o600
    for damage in (b"\0" * 100, b"key 1 2\na 1 2\nx\nu -1 0 0 0 - n\n",
                 b"key 1\n", b"key 1 2\na 9 1 99999999999 1 - 192.0.2.77"):
        while len(keepers(m)) != 1:
            time.sleep(0.05)
        keeper, = keepers(m)
        os.kill(keeper, signal.SIGSTOP)     # it writes nothing over it
        with open(path, "wb") as f:
            f.write(damage)
        authd, = [p for p, n in m.children().items() if n == "authd"]
        os.kill(authd, signal.SIGKILL)
        os.kill(keeper, signal.SIGKILL)
        while authd in m.children():
            time.sleep(0.05)
        c = again()
        got = c.bans()
        c.close()
    # At most a year, whatever it says.
    assert got["192.0.2.77"][0] and got["192.0.2.77"][1] <= 31622400, got
    assert "lines make no sense" in m.log() and "is damaged" in m.log()


def keeper_dies(m, c):
    """Another one follows, with all that is to be kept."""
    path = f"{m.base}/lib/authd.bans"
    # The process that sees it writes to the log that there is now.
    m.command("mansio", "logrotate")
    time.sleep(0.5)
    first, = keepers(m)
    os.kill(first, 9)
    m.command("mansio", "ban", "198.51.100.50", "1h")
    end = time.monotonic() + 60
    while True:
        with open(path, encoding="utf-8") as f:
            if "198.51.100.50" in f.read():
                break
        assert time.monotonic() < end, m.log()[-2000:]
        time.sleep(0.1)
    assert keepers(m) not in ([], [first])
    m.wait_log(f"process authd-keeper pid {first} killed by signal 9")
    assert c.plain(BOB, "builder")[0] == "ok"
    m.command("mansio", "unban", "all")


def flood(m):
    """A flood from one address waits in its own queue, and is bounded."""
    bad, good = Client(m.base), Client(m.base)
    for i in range(400):
        bad.start("PLAIN", f"\0nobody{i}@example.test\0x".encode(),
                  client="198.51.100.66")
    # Somebody else does not wait for all of them.
    begun = time.monotonic()
    assert good.plain(BOB, "builder", client="203.0.113.9")[0] == "ok"
    waited = time.monotonic() - begun
    kinds = {}
    for _ in range(400):
        kind, _, r = bad.recv()
        assert kind == 6
        reason = r.u32()
        kinds[reason] = kinds.get(reason, 0) + 1
    took = time.monotonic() - begun
    assert kinds[UNAVAILABLE] >= 200 and kinds[WRONG] >= 40, kinds
    print(f"flood: {kinds}, the other waited {waited:.3f} of {took:.3f} s")


def cache(m, c):
    """The second login costs no hash."""
    def cpu():
        pid = [p for p, name in m.children().items() if name == "authd"][0]
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
            main = int(f.read().split()[0])
        total = 0
        for t in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{t}/schedstat",
                      encoding="ascii") as f:
                total += int(f.read().split()[0])
        return max(main, total) / 1e6
    c.plain(ALICE, "wonderland")
    before = cpu()
    for _ in range(200):
        assert c.plain(ALICE, "wonderland")[0] == "ok"
    cost = (cpu() - before) / 200
    print(f"a cached login costs {cost:.3f} ms of CPU")
    assert cost < 2


need_root()
inst = Instance(settings={"authd_failure_delay": "0s",
                          "authd_failure_ban_threshold": "5"})
accounts(inst, alice="wonderland", bob="builder")
with inst:
    C = Client(inst.base)
    by_address(inst, C)
    by_network(inst, C)
    by_user(C)
    by_hand(inst, C)
    flood(inst)
    cache(inst, C)
    keeper_dies(inst, C)
    C.close()
    over_a_restart(inst)
    inst.stop()
    nobody_to_ask(inst)
print("9 passed, 0 failed, 0 skipped")
