#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Hostile clients: frames, limits, disconnects at every byte."""
import random

from cleanuplib import *

MSG = b"Subject: x\n\nbody\n"


def works(i):
    eq(Client(i).message(MSG).code, "2.0.0")


def closed(c):
    "What the other end still said does not matter: it hung up."
    try:
        while c.frame() is not None:
            pass
    except (ConnectionError, OSError) as e:
        assert not isinstance(e, TimeoutError), "connection is still open"


def broken_conversations_end_alone():
    "an unknown frame, a bad body, a wrong hello"
    with Instance() as i:
        good = Client(i)
        good.send(BEGIN, 7, envelope())
        bad = [
            (RESULT, 1, b""), (BUSY, 0, b""), (99, 1, b"x"),
            (BEGIN, 1, b"\x01"), (BEGIN, 1, row(1, b"a\nb")),
            (BEGIN, 1, row(101, b"no recipient yet")),
            (BEGIN, 1, row(4, b"x" * 5000)),
            (BEGIN, 1, row(100, b"r@x.test") * 50001),
            (CONTENT, 1, b"x" * 65537), (END, 1, b"x"), (ABORT, 1, b"x"),
            (0, 0, b""),
        ]
        for f in bad:
            c = Client(i)
            c.send(*f)
            closed(c)
        c = Client(i)               # two messages with one tag
        c.send(BEGIN, 1, envelope())
        c.send(BEGIN, 1, envelope())
        closed(c)
        for hello in (b"", b"\x03\0\0\0xyz\x01\0\0\0",
                      b"\x07\0\0\0cleanup\x02\0\0\0", b"\xff" * 12):
            c = Conn(i.path("private/cleanup"), "", hello=False)
            c.send(0, 0, hello)
            closed(c)
        c = Conn(i.path("private/cleanup"), "", hello=False)
        c.s.sendall(b"\xff\xff\xff\x7f" + b"\0" * 8)
        closed(c)
        c = Conn(i.path("private/cleanup"), "", hello=False)
        c.s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        closed(c)
        # The other connection has not noticed.
        good.send(CONTENT, 7, MSG)
        good.send(END, 7)
        eq(good.result()[1].code, "2.0.0")
        eq(len(i.messages()), 1)
        # Frames of no message are ignored; so is an ABORT.
        c = Client(i)
        c.send(CONTENT, 5, b"x")
        c.send(END, 6)
        c.send(ABORT, 7)
        c.send(BEGIN, 8, envelope())
        c.send(ABORT, 8)
        eq(c.message(MSG).code, "2.0.0")
        eq(len(i.messages()), 2)


def a_client_that_dies_at_any_byte():
    "no half message is ever stored"
    with Instance() as i:
        whole = Conn.make(0, 0, struct.pack("<I", 7) + b"cleanup" +
                          struct.pack("<I", 1)) + \
            Conn.make(BEGIN, 1, envelope()) + \
            Conn.make(CONTENT, 1, MSG) + Conn.make(END, 1)
        for n in range(len(whole)):
            s = socket.socket(socket.AF_UNIX)
            s.connect(i.path("private/cleanup"))
            s.sendall(whole[:n])
            s.close()
        works(i)
        eq(len(i.messages()), 1)
        # With the last byte there, it is stored though nobody waits.
        s = socket.socket(socket.AF_UNIX)
        s.connect(i.path("private/cleanup"))
        s.sendall(whole)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
        s.close()
        works(i)
        eq(len(i.messages()), 3)


def random_frames():
    "mutations of good conversations"
    rnd = random.Random(4711)
    with Instance({"body_checks": "regexp:ETC/b",
                   "header_checks": "regexp:ETC/b"},
                  {"b": "/evil/ REJECT\n"}) as i:
        whole = Conn.make(0, 0, struct.pack("<I", 7) + b"cleanup" +
                          struct.pack("<I", 1)) + \
            Conn.make(BEGIN, 1, envelope(client_addr="192.0.2.1",
                                         attrs=[("a", "b")])) + \
            Conn.make(CONTENT, 1, b"To: <a@b>, \"c\nContent-Type: "
                      b"multipart/mixed; boundary=x\n\n--x\n\n\n--x--\n") + \
            Conn.make(END, 1)
        for n in range(600):
            data = bytearray(whole)
            for _ in range(rnd.randint(1, 8)):
                data[rnd.randrange(23 if n % 2 else 0, len(data))] = \
                    rnd.randrange(256)
            s = socket.socket(socket.AF_UNIX)
            s.connect(i.path("private/cleanup"))
            try:
                s.sendall(data)
            except OSError:
                pass
            s.close()
        works(i)
        f = Feed(i)
        for n in range(100):
            f = Conn(i.path("private/feed"), "feed")
            f.send(rnd.randint(1, 9), 0, rnd.randbytes(rnd.randint(0, 12)))
            f.close()
        works(i)


def limits():
    "message_size_limit, messages under way, memory"
    with Instance({"message_size_limit": "100000",
                   "cleanup_connection_message_limit": "5"}) as i:
        c = Client(i)
        eq(c.message(b"x" * 100000).code, "2.0.0")
        r = c.message(b"x" * 100001)
        eq((r.smtp, r.code), (552, "5.3.4"))
        eq(c.message(MSG).code, "2.0.0")    # what was behind is ignored
        for tag in range(100, 106):
            c.send(BEGIN, tag, envelope())
        tag, r = c.result()
        eq((tag, r.smtp, r.code), (105, 452, "4.3.1"))
        c.send(ABORT, 104)
        eq(c.message(MSG).code, "2.0.0")
        works(i)
        c.close()
    with Instance({"cleanup_memory_limit": "1048576",
                   "cleanup_inline_limit": "1048576",
                   "message_size_limit": "50000000"}) as i:
        # Half messages beyond the bound go to large/, and end well.
        c = Client(i)
        for tag in range(1, 31):
            c.send(BEGIN, tag, envelope())
            for k in range(4):
                c.send(CONTENT, tag, b"y" * 65535 + b"\n")
        for tag in range(1, 31):
            c.send(END, tag)
        codes = [c.result()[1].code for _ in range(30)]
        assert codes.count("2.0.0") > 3, codes
        assert set(codes) <= {"2.0.0", "4.3.1"}, codes
        eq(len(i.messages()), codes.count("2.0.0"))
        with open(f"/proc/{i.proc.pid}/status") as s:
            rss = int(re.search(r"VmHWM:\s+(\d+)", s.read())[1])
        assert os.environ.get("SAN") or rss < 60000, f"{rss} KiB"
        works(i)


def strangers_may_not_connect():
    "peer credentials"
    if os.geteuid() != 0:
        print("skip: strangers_may_not_connect needs root")
        return
    with Instance() as i:
        os.chmod(i.path("private/cleanup"), 0o777)
        os.chmod(i.path("private/feed"), 0o777)
        os.chmod(i.path("private"), 0o777)
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            ok = 0
            for name in ("cleanup", "feed"):
                c = Conn(i.path(f"private/{name}"), "", hello=False)
                ok += c.frame() is None
            os._exit(0 if ok == 2 else 1)
        eq(os.waitpid(pid, 0)[1], 0)
        works(i)


DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"


def make_id(number):
    out = ""
    while number or not out:
        out = DIGITS[number % 51] + out
        number //= 51
    return "4jXGh86666z" + out


def numbers_for_queue_ids():
    "a client names its messages, with numbers that it was given, once each"
    def granted(c):
        c.send(7, 0)
        ftype, tag, body = c.frame()
        eq((ftype, tag), (8, 0))
        return struct.unpack("<QI", body)

    with Instance() as i:
        c = Client(i)
        first, count = granted(c)
        eq(count, 1000)
        second, _ = granted(c)
        assert second >= first + count
        for n in first, first + 2, first + count - 1, second, second + 1:
            eq(c.message(MSG, queue_id=make_id(n)).queue_id, make_id(n))
        eq(len(i.messages()), 5)
        assert make_id(second) in i.messages()
        # The first grant is used up: there may be another one.
        granted(c)
        assert c.message(MSG).queue_id != ""        # ours, then
        c.send(7, 0)                                # a third at a time
        closed(c)
        for bad in (lambda f: f + 1, lambda f: f + 5000, lambda f: 0):
            c = Client(i)
            first, _ = granted(c)
            eq(c.message(MSG, queue_id=make_id(first + 3)).code, "2.0.0")
            c.send(BEGIN, 9, envelope(queue_id=make_id(bad(first))))
            closed(c)
        c = Client(i)               # the same number, written otherwise
        first, _ = granted(c)
        c.send(BEGIN, 9, envelope(
            queue_id=make_id(first).replace("z", "z0")))
        closed(c)
        # Who was given none gets one of ours, whatever it says.
        c = Client(i)
        got = c.message(MSG, queue_id=make_id(first + 1)).queue_id
        assert got != make_id(first + 1), got
        works(i)


def a_silent_client_is_forgotten():
    "ipc_timeout bounds a message"
    # The look-out is once a minute: only that it does no harm is seen here.
    with Instance({"ipc_timeout": "1s"}) as i:
        c = Client(i)
        c.send(BEGIN, 1, envelope())
        time.sleep(1.2)
        works(i)
        c.send(CONTENT, 1, MSG)
        c.send(END, 1)
        eq(c.result()[1].code, "2.0.0")


run([broken_conversations_end_alone, a_client_that_dies_at_any_byte,
     random_frames, limits, strangers_may_not_connect,
     numbers_for_queue_ids, a_silent_client_is_forgotten])
