#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What was acknowledged is in the log; what qmgr is told; full disks."""
# timeout: 240
import random
import threading

from cleanuplib import *

MSG = b"Message-Id: <m@x>\n\n" + b"body text\n" * 400


def what_is_fed_is_what_was_stored():
    "msg_feed.h: AT, MESSAGE, subscribing again"
    with Instance() as i:
        c, f = Client(i), Feed(i)
        eq(f.subscribe(), 0)
        ids = [c.message(MSG).queue_id for _ in range(5)]
        fed = [f.message() for _ in range(5)]
        eq([m["seq"] for m in fed], [1, 2, 3, 4, 5])
        for q, m in zip(ids, fed):
            e = parse_envelope(m["envelope"])
            eq(e["queue_id"], q)
            eq(len(e["trace_id"]), 16)
            with open(i.path(f"log/{m['slot']:02d}.seg"), "rb") as s:
                s.seek(m["offset"] + 48 + m["skip"])
                content = s.read(m["len"] - m["skip"])
            eq(content, i.messages()[q][1])
            eq(struct.unpack("<Q", e[22])[0], len(content))
        # A second follower begins where it is told.
        f2 = Feed(i)
        eq(f2.subscribe(), 5)
        c.message(MSG)
        eq(f.message()["seq"], 6)
        eq(f2.message()["seq"], 6)
        f.close()
        eq(c.message(MSG).code, "2.0.0")
        eq(f2.message()["seq"], 7)
        i.kill(signal.SIGTERM)
        i.start()
        f = Feed(i)
        eq(f.subscribe(), 7)
        r = Client(i).message(MSG)
        eq(f.message()["seq"], 8)
        assert r.queue_id not in ids
        eq(len(set(i.messages())), 8)


def a_follower_that_does_not_read_gets_a_gap():
    "GAP; the log has it all"
    with Instance() as i:
        c, f = Client(i), Feed(i)
        f.subscribe()
        big = envelope(rcpts=[f"user{n}@example.com" for n in range(5000)])
        n = 0
        while n < 250:
            eq(c.message(MSG, env=big).code, "2.0.0")
            n += 1
        seen, gap = 0, None
        while gap is None:
            t, _, body = f.frame()
            if t == MESSAGE:
                seen += 1
                eq(struct.unpack_from("<Q", body)[0], seen)
            else:
                eq(t, GAP)
                gap = struct.unpack("<Q", body)[0]
        eq(gap, seen + 1)
        at = f.subscribe()
        assert at >= n, (at, n)
        c.message(MSG)
        eq(f.message()["seq"], at + 1)


def slots_are_released():
    "RELEASE and RELEASED; a restart keeps what was not released"
    with Instance({"queue_segment_size": "65536",
                   "queue_segment_limit": "6"}) as i:
        c, f = Client(i), Feed(i)
        f.subscribe()
        fed = []
        while len({m["slot"] for m in fed}) < 3:
            eq(c.message(MSG).code, "2.0.0")
            fed.append(f.message())
        first, cur = fed[0], fed[-1]

        def release(m):
            f.send(RELEASE, 0, struct.pack("<II", m["slot"],
                                           m["generation"]))
        release(cur)                # in use: no answer
        release(first)
        t, _, body = f.frame()
        eq((t, body), (RELEASED, struct.pack("<II", first["slot"],
                                             first["generation"])))
        release(first)              # again: at once
        eq(f.frame()[0], RELEASED)
        want = {m["seq"] for m in fed if m["slot"] != first["slot"]}
        eq(len(i.messages()), len(want))
        i.kill()
        i.start()
        c, f = Client(i), Feed(i)
        eq(f.subscribe(), len(fed))
        eq(len(i.messages()), len(want))
        # All slots in use: 452, and when one is free it goes on.
        more = 0
        while True:
            r = c.message(MSG)
            if r.code != "2.0.0":
                break
            fed.append(f.message())
            more += 1
            assert more < 200
        eq((r.smtp, r.code), (452, "4.3.1"))
        eq(c.busy, (True, 0))
        eq(len(i.messages()), len(want) + more)
        release(next(m for m in fed if m["slot"] != first["slot"]))
        eq(f.frame()[0], RELEASED)
        deadline = time.time() + 10
        while c.message(MSG).code != "2.0.0":
            assert time.time() < deadline
            time.sleep(0.1)


def large_messages_have_a_file():
    "large/, synced before the record"
    with Instance({"cleanup_inline_limit": "100000"}) as i:
        c, f = Client(i), Feed(i)
        f.subscribe()
        body = os.urandom(300000).replace(b"\r", b"\n")
        r = c.message(b"S: x\n\n" + body)
        m = f.message()
        eq((r.code, m["large"], m["len"]), ("2.0.0", True, m["skip"]))
        e, content = i.messages()[r.queue_id]
        assert content.endswith(b"\nS: x\n\n" + body) or \
            content.endswith(b"\nS: x\n\n" + body + b"\n")
        # Small ones pass by; an abort, a refusal, a disconnect leave nothing.
        c.send(BEGIN, 50, envelope())
        for _ in range(20):
            c.send(CONTENT, 50, b"z" * 65000)
        r2 = c.message(MSG)
        eq((r2.code, f.message()["large"]), ("2.0.0", False))
        c.send(ABORT, 50)
        c.send(BEGIN, 51, envelope())
        for _ in range(20):
            c.send(CONTENT, 51, b"z" * 65000)
        c.close()
        c = Client(i)
        eq(c.message(MSG).code, "2.0.0")
        eq(os.listdir(i.path("large")), [r.queue_id])
        # A crash leaves a temporary file; the next start removes it.
        c.send(BEGIN, 52, envelope())
        for _ in range(20):
            c.send(CONTENT, 52, b"z" * 65000)
        c.message(MSG)
        eq(len(os.listdir(i.path("large"))), 2)
        i.kill()
        i.start()
        eq(os.listdir(i.path("large")), [r.queue_id])


def load_slows_the_clients():
    "FEED_LOAD, in_flow_delay"
    with Instance({"in_flow_delay": "2s",
                   "qmgr_message_active_limit": "100"}) as i:
        c, f = Client(i), Feed(i)
        f.subscribe()
        f.send(LOAD, 0, struct.pack("<II", 5, 100))
        eq(c.frame(), (BUSY, 0, b"\0" + struct.pack("<I", 2000)))
        c2 = Client(i)
        eq(c2.frame()[0], BUSY)
        f.send(LOAD, 0, struct.pack("<II", 0, 100))
        eq(c.frame(), (BUSY, 0, b"\0\0\0\0\0"))


def minfree():
    "queue_minfree: 452 4.3.1 (RFC 5321 4.5.3.1.9)"
    with Instance({"queue_minfree": str(1 << 60)}) as i:
        c = Client(i)
        r = c.message(MSG)
        eq((r.smtp, r.code), (452, "4.3.1"))
        eq(c.busy, (True, 0))
        i.reload({"queue_minfree": "0"})
        eq(c.message(MSG).code, "2.0.0")
        eq(c.busy, (False, 0))


def flushes_are_shared():
    "group commit: at most 0.1 a message with 20 streams"
    with Instance({"queue_segment_size": "16777216"}) as i:
        c = Client(i)
        n, done = 0, 0
        for _ in range(20):
            c.submit(MSG)
            n += 1
        while done < n:
            c.result()
            done += 1
            if n < 2000:
                c.submit(MSG)
                n += 1
        # A batch begins a page with its first record's durable field.
        batches, total = set(), 0
        for name in os.listdir(i.path("log")):
            if not re.fullmatch(r"\d+\.seg", name):
                continue
            with open(i.path(f"log/{name}"), "rb") as s:
                data = s.read()
            at = 4096
            while at + 48 <= len(data):
                magic, _, _, _, _, seq, durable, ln = struct.unpack_from(
                    "<IHHIIQQI", data, at)
                if magic != 0x4345524d:
                    nxt = (at + 4095) & ~4095
                    if nxt == at:
                        break
                    at = nxt
                    continue
                batches.add((name, durable))
                total += 1
                at += 48 + (ln + 7 & ~7)
        eq(total, 2000)
        rate = len(batches) / total
        print(f"{rate:.3f} flushes a message")
        assert rate < 0.2, rate     # the rest of the machine may be busy


def kill_again_and_again():
    "kill -9 at random moments: every acknowledged message is there, once"
    rnd = random.Random()
    acked = {}
    i = Instance({"queue_segment_size": "1048576",
                  "cleanup_inline_limit": "100000"})
    lock = threading.Lock()

    def stream(k, stop):
        n = 0
        while not stop.is_set():
            try:
                c = Client(i)
                while not stop.is_set():
                    n += 1
                    size = 200000 if n % 20 == 0 else rnd.randint(0, 9000)
                    body = f"Subject: {k}.{n}\n\n".encode() + b"x" * size
                    r = c.message(body + b"\n")
                    with lock:
                        acked[r.queue_id] = (r.code, body + b"\n")
            except (OSError, AssertionError):
                time.sleep(0.005)

    rounds = 0
    while rounds < 12 or len(acked) <= 100:
        stop = threading.Event()
        threads = [threading.Thread(target=stream, args=(f"{rounds}.{k}",
                                                         stop))
                   for k in range(6)]
        for t in threads:
            t.start()
        time.sleep(rnd.uniform(0.05, 0.5))
        i.kill()
        stop.set()
        for t in threads:
            t.join()
        i.start()
        found = i.messages()
        lost = 0
        for q, (code, body) in acked.items():
            if code != "2.0.0":
                continue
            if q not in found or not found[q][1].endswith(
                    b"\n" + body[:20] + body[20:]):
                lost += 1
                print("lost", q, body[:30])
        eq(lost, 0)
        rounds += 1
    print(f"{len(acked)} acknowledged, {len(found)} in the log")
    eq(Client(i).message(MSG).code, "2.0.0")
    i.stop()


def a_full_disk():
    "ENOSPC: 452 4.3.1, nothing half, and it goes on when there is room"
    if os.geteuid() != 0:
        print("skip: a_full_disk needs root for a tmpfs")
        return
    top = tempfile.mkdtemp(prefix="full.")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755",
                       "none", top], stderr=subprocess.DEVNULL).returncode:
        print("skip: a_full_disk cannot mount a tmpfs")
        os.rmdir(top)
        return
    try:
        with Instance({"queue_segment_size": "2097152",
                       "cleanup_inline_limit": "100000"},
                      spool=f"{top}/spool") as i:
            c = Client(i)
            time.sleep(0.5)         # the spare segments are made
            fd = os.open(f"{top}/filler", os.O_WRONLY | os.O_CREAT)
            try:
                while True:
                    os.write(fd, b"x" * 65536)
            except OSError:
                os.close(fd)
            good, r = [], None
            for n in range(5000):
                r = c.message(MSG)
                if r.code != "2.0.0":
                    break
                good.append(r.queue_id)
            eq((r.smtp, r.code), (452, "4.3.1"))
            assert len(good) > 100, len(good)   # segments hold them
            r = c.message(b"S: x\n\n" + b"y" * 500000)
            eq((r.smtp, r.code), (452, "4.3.1"))
            eq(set(i.messages()), set(good))
            os.unlink(f"{top}/filler")
            deadline = time.time() + 20
            while c.message(MSG).code != "2.0.0":
                assert time.time() < deadline
                time.sleep(0.2)
            r = c.message(b"S: x\n\n" + b"y" * 500000)
            eq(r.code, "2.0.0")
            assert set(good) < set(i.messages())
            eq(os.listdir(f"{top}/spool/large"), [r.queue_id])
    finally:
        subprocess.run(["umount", top])
        os.rmdir(top)


def stopping_finishes_what_is_under_way():
    "SIGTERM"
    with Instance() as i:
        c = Client(i)
        c.send(BEGIN, 1, envelope())
        c.send(CONTENT, 1, MSG)
        # When the second one is answered, the first one has begun.
        c.tag = 1
        eq(c.message(MSG).code, "2.0.0")
        i.proc.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        c.send(END, 1)
        eq(c.result()[1].code, "2.0.0")
        eq(i.proc.wait(20), 0)
        eq(len(i.messages()), 2)
        i.start()


run([what_is_fed_is_what_was_stored,
     a_follower_that_does_not_read_gets_a_gap, slots_are_released,
     large_messages_have_a_file, load_slows_the_clients, minfree,
     flushes_are_shared, kill_again_and_again, a_full_disk,
     stopping_finishes_what_is_under_way])
