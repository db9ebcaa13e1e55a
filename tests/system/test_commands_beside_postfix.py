#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The administrator's commands beside Postfix's, on the same input: every
option of its manual pages, the exit code, all of the output, and how many
lines of which severity stand on standard error.

With an argument ("postmap"), only the scenarios with that name; with -v the
texts on standard error are shown where they differ.
"""
# timeout: 900
import difflib
import json
import os
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../bench"))
from instance import (BUILD, Instance, free_port,  # noqa: E402
                      need_root, skip)
import postfix  # noqa: E402

WORD = re.compile(r"^\w+: (fatal|error|warning|panic)?")
OURS, THEIRS = "ours", "theirs"
ALL = ("code", "out", "err")
# Wrong usage of sendmail is EX_USAGE, EX_DATAERR or EX_CONFIG here, and
# always EX_TEMPFAIL there.
USAGE = ("code", "err")


def without_sleep(base):
    """What makes Postfix's commands end at once: each sleeps for a second
    before a fatal error ends it, which is most of what is tried here."""
    made = f"{base}/nosleep.so"
    done = subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-o", made, "-"], check=False,
        input=b"unsigned sleep(unsigned s) { return s - s; }\n")
    return {"LD_PRELOAD": made} if done.returncode == 0 else {}


class Side:
    """One of the two: a directory with its files, and how to run there."""

    def __init__(self, base, name):
        self.name, self.dir = name, f"{base}/{name}"
        os.mkdir(self.dir, 0o755)
        self.main = (f"command_directory = {BUILD}/bin\n" if name == OURS
                     else "compatibility_level = 3.6\n")
        self.write("main.cf", self.main)
        self.write("master.cf", "")
        self.etc = self.dir
        self.env = {} if name == OURS else without_sleep(base)

    def write(self, name, text, mode=0o644):
        data = text if isinstance(text, bytes) else text.encode()
        with open(f"{self.dir}/{name}", "wb") as f:
            f.write(data)
        os.chmod(f"{self.dir}/{name}", mode)
        # Not of this second: Postfix reads such a file again and again, with
        # a sleep in between, until it is older.
        os.utime(f"{self.dir}/{name}", (time.time() - 10,) * 2)

    def close(self):
        pass

    def run(self, args, stdin=b"", env=None):
        program = (f"{BUILD}/bin/{args[0]}" if self.name == OURS
                   else shutil.which(args[0]))
        done = subprocess.run(
            [args[0], *map(self.own, args[1:])], executable=program,
            input=self.own(stdin.decode("latin-1")).encode("latin-1"),
            cwd=self.dir, capture_output=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], "MAIL_CONFIG": self.etc,
                 **self.env, **(env or {})})
        return (done.returncode, self.neutral(done.stdout),
                self.neutral(done.stderr))

    def own(self, arg):
        return arg.replace("DIR", self.dir).replace("ETC", self.etc)

    def neutral(self, data):
        text = data.decode("utf-8", "backslashreplace")
        return text.replace(self.dir, "DIR")


class Queue(Side):
    """A mail system that runs, with four messages that wait: M0 to M3."""

    SETTINGS = {
        "virtual_alias_domains": "x.test",
        "virtual_alias_maps": "inline:{{{{a@x.test = a@one.example}} "
                              "{{b@x.test = b@two.example}}}}",
        "default_transport": "retry:4.4.1 the line is dead",
        "fast_flush_domains": "one.example",
        # What was tried stays where it is.
        "minimal_backoff_time": "1000s", "queue_run_delay": "300s",
    }
    MESSAGES = (("a",), ("a", "b"), ("b",), ("b",))

    def __init__(self, base, name):
        super().__init__(base, name)
        self.names = {}
        if name == OURS:
            self.system = Instance(self.SETTINGS)
            self.port, self.etc = self.system.smtp_port, self.system.etc
        else:
            self.port = free_port()
            self.system = postfix.Postfix(self.dir, self.port, 1)
            self.etc = f"{self.dir}/etc"
            with open(f"{self.etc}/main.cf", "a", encoding="ascii") as f:
                for key, value in self.SETTINGS.items():
                    f.write(f"{key} = {value.format()}\n")
                f.write("enable_long_queue_ids = yes\n")
        self.system.start()

    def fill(self):
        for i, to in enumerate(self.MESSAGES):
            with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as s:
                s.sendmail(f"s{i}@y.test" if i < 3 else "",
                           [f"{x}@x.test" for x in to],
                           f"Subject: {i}\nFrom: <f@y.test>\n"
                           f"Message-ID: <{i}>\nDate: Thu, 1 Jan 1970 "
                           f"00:00:00 +0000\n\nbody {i}\n.\nend\n")

    def queued(self):
        """Entries of postqueue -j; and which queue id is whose."""
        done = subprocess.run(
            [f"{BUILD}/bin/postqueue" if self.name == OURS else "postqueue",
             "-c", self.etc, "-j"], capture_output=True, text=True,
            check=True, timeout=60)
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        for e in entries:
            found = re.fullmatch(r"s(\d)@y.test", e["sender"])
            self.names[e["queue_id"]] = f"M{found[1] if found else 3}"
            e["queue_id"] = self.names[e["queue_id"]]
        return entries

    def settle(self, want=None):
        """Until so many messages wait, and none is tried."""
        end = time.monotonic() + 60
        while True:
            entries = self.queued()
            if want in (None, len(entries)) and not any(
                    e["queue_name"] in ("active", "incoming", "maildrop")
                    for e in entries):
                return
            assert time.monotonic() < end, entries
            time.sleep(0.1)

    def own(self, arg):
        for queue_id, name in self.names.items():
            arg = arg.replace(name, queue_id)
        return super().own(arg)

    def neutral(self, data):
        text = super().neutral(data)
        for queue_id, name in self.names.items():
            text = text.replace(queue_id, name)
        text = re.sub(r"(\bM\d[*!#]?) +\d+ \w{3} \w{3} [ \d]\d [\d:]{8}",
                      r"\1 SIZE TIME", text)
        text = re.sub(r"-- \d+ Kbytes", "-- N Kbytes", text)
        if text.startswith("{"):
            return "\n".join(sorted(map(self.plain, text.splitlines())))
        # They are found in no order.
        text = re.sub(r"(Sender/Recipient-+\n)", r"\1\n", text)
        return "\n\n".join(sorted(text.split("\n\n")))

    @staticmethod
    def plain(line):
        e = json.loads(line)
        for key in ("trace_id", "arrival_time", "message_size"):
            e.pop(key, None)
        for r in e["recipients"]:
            r.pop("orig_address", None)
        e["recipients"].sort(key=lambda r: r["address"])
        return json.dumps(e, sort_keys=True)

    def stop(self):
        self.system.stop()

    def close(self):
        if self.name == OURS:
            self.system.__exit__(None, None, None)
        else:
            self.system.stop()


def severities(text):
    """"BDB...": what the library says there in front of the line that counts;
    text without one is getopt's, who complains twice there."""
    said = [(WORD.match(x) or [None, None])[1] for x in text.splitlines()
            if not x.startswith("BDB")]
    return [x for x in said if x]


class Compare:
    def __init__(self, sides, verbose):
        self.sides, self.verbose = sides, verbose
        self.passed = self.failed = 0
        self.shown = set()

    def write(self, name, text, mode=0o644):
        for side in self.sides:
            side.write(name, text, mode)

    def each(self, act):
        for side in self.sides:
            act(side.dir)

    def same(self, what, got, told=("", "")):
        ok = got[0] == got[1]
        self.passed += ok
        self.failed += not ok
        if not ok:
            print(f"FAIL {what}")
            for name, part in zip((OURS, THEIRS), got):
                print(f"  {name}: {part!r}")
        if told[0] != told[1] and (self.verbose or not ok) and \
                told not in self.shown:
            self.shown.add(told)
            print(f"  {what}")
            print("\n".join("    " + x for x in difflib.unified_diff(
                told[1].splitlines(), told[0].splitlines(), THEIRS, OURS,
                lineterm="", n=0) if not x.startswith("@@")))

    def main(self, text):
        """Settings of both."""
        for side in self.sides:
            side.write("main.cf", side.main +
                       text.replace("DIR", side.dir) + "\n")

    def run(self, line, stdin="", env=None, but=()):
        """One command on both sides.  but: what is another way with us, for
        a reason: "code", which has to be an error all the same, "out", "err",
        or ALL."""
        args = line.split() if isinstance(line, str) else line
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        got = [s.run(args, data, env) for s in self.sides]
        if but is ALL:
            return
        parts = [(code > 0 if "code" in but else code,
                  None if "out" in but else out,
                  None if "err" in but else severities(err))
                 for code, out, err in got]
        self.same(args, parts, (got[0][2], got[1][2]))

    def files(self, *names):
        """What lies in files, and who may read them."""
        def look(side, name):
            path = f"{side.dir}/{name}"
            if not os.path.exists(path):
                return None
            with open(path, "rb") as f:
                text = None if name.endswith(".db") else f.read()
            return text, oct(os.stat(path).st_mode & 0o7777)
        for name in names:
            self.same(name, [look(s, name) for s in self.sides])


# --- postmap, postalias --------------------------------------------------------

TABLE = """\
# a comment
a b
  c
"x y" z
"q \\" r" s
noval
key: val
A upper
dup 1
dup 2

   # indented comment
Mixed Case Value
 continued
trail value   \t
tab\ttabbed
"unclosed value
\\back slash
"a"b c
@domain.example  x
user@domain.example y, z
"""


def postmap(c):
    c.write("h", TABLE)
    c.run("postmap hash:h")
    c.files("h.db")
    keys = ("a", "A", "x y", '"x y"', 'q " r', '"q \\" r"', "noval", "key",
            "key:", "dup", "mixed", "Mixed", "trail", "tab", '"unclosed',
            "unclosed", "\\back", '"a"b', "ab", "@domain.example",
            "user@DOMAIN.example", "zz", "")
    for options in "-q", "-fq":
        c.run(f"postmap {options} - hash:h", "\n".join(keys))
        c.run(f"postmap {options} A hash:h")
    c.run(["postmap", "-q", "", "hash:h"])
    c.run("postmap -s hash:h", but=["out"])
    c.run("postmap h")
    c.run("postmap -q a h")
    c.run("postmap btree:h")
    c.run("postmap -s btree:h")
    c.run("postmap -q a btree:h")
    c.run("postmap -q a hash:h")
    c.run("postmap -w hash:h")
    c.run("postmap -r hash:h")
    c.run("postmap -q dup hash:h")
    c.run("postmap -f hash:h")
    c.run("postmap -q A hash:h")
    c.run("postmap -fq A hash:h")
    c.run("postmap -q a hash:h")
    c.run("postmap hash:h hash:nofile")
    c.run("postmap hash:nofile hash:h")
    for options in ("", "-n", "-N", "-o", "-p", "-u", "-U", "-nN", "-F"):
        c.run(f"postmap {options} hash:h")
        c.run(f"postmap {options} -q a hash:h")
    c.run("postmap hash:h")
    incremental(c)
    delete(c)
    usage(c, "postmap")
    types(c)
    messages(c)
    values(c)
    modes(c, "postmap")
    encodings(c)


def incremental(c):
    c.run("postmap -i hash:h", "new value\n# no\n\nnovalue\n")
    c.run("postmap -i hash:h", "new other\n")
    c.run("postmap -iw hash:h", "new third\n")
    c.run("postmap -q new hash:h")
    c.run("postmap -ir hash:h", "new fourth\nNEW fifth\n")
    c.run("postmap -q new hash:h")
    c.run("postmap -i hash:fresh", "one 1\n")
    c.files("fresh.db")
    c.run("postmap -q one hash:fresh")
    c.run("postmap -i hash:fresh")
    c.run("postmap -q - hash:fresh hash:h", "one\nnew\nnone\n\nA\n")
    c.run("postmap -q - hash:h hash:fresh", "none\n")
    c.run("postmap -q - hash:h", "")
    c.run("postmap -q - hash:h", "a")


def delete(c):
    for args, stdin in (("-d one hash:fresh", ""), ("-d one hash:fresh", ""),
                        ("-d ONE hash:fresh", ""), ("-fd A hash:h", ""),
                        ("-d A hash:h", ""), ("-d - hash:h", "dup\nnone\n"),
                        ("-d - hash:h", "none\n"), ("-d - hash:h", ""),
                        ("-d new hash:fresh hash:h", ""),
                        ("-d a hash:nofile", ""), ("-d a regexp:h", ""),
                        ("-d a nosuch:h", ""), ("-d a texthash:h", "")):
        c.run("postmap " + args, stdin)
    c.run("postmap -q dup hash:h")


def usage(c, name):
    for args in ("", "-q a", "-z hash:h", "-q a -d b hash:h",
                 "-s -q a hash:h", "-q a -s hash:h", "-d a -s hash:h",
                 "-q", "-c", "-c /nonexistent hash:h", "-q a nosuch:h",
                 "nosuch:h", "hash:", ":h", "hash:nofile", "nofile",
                 "-q a hash:nofile", "-s hash:nofile", "-s -i hash:h",
                 "hash:subdir", "hash:empty", "-q a hash:empty",
                 "-s hash:empty", "-i -q a hash:h", "--", "--help"):
        c.run(f"{name} {args}")
    c.each(lambda d: os.path.isdir(f"{d}/subdir") or os.mkdir(f"{d}/subdir"))
    c.write("empty", "")
    c.write("comments", "# only\n\n")
    for what in ("subdir", "empty", "comments", "subdir/x", "nodir/x"):
        # A directory makes an empty table there.
        but = ALL if what == "subdir" else ["out"] if name == "postalias" \
            else ()
        c.run(f"{name} hash:{what}", but=but)
        c.run(f"{name} -s hash:{what}", but=but)
    c.write("damaged.db", "this is no database\n" * 1000)
    c.write("zero.db", "")
    for what in ("damaged", "zero"):
        for args in ("-q a", "-s", "-d a", "-i"):
            c.run(f"{name} {args} hash:{what}", "")


def types(c):
    c.write("re", "/^a(.*)/ got $1\n!/x/ no-x\nif /q/\n/qq/ inside\nendif\n"
            "/bad(/ x\nnoslash y\n")
    c.write("cidr", "192.0.2.0/24 net\n192.0.2.1 host\n2001:db8::/32 six\n"
            "192.0.2.1/24 bad\n10.0.0.0/8\n!172.16.0.0/12 not\n")
    c.write("th", TABLE)
    for spec, keys in (
            ("regexp:re", "abc xyz qq"),
            ("cidr:cidr", "192.0.2.1 192.0.2.9 2001:db8::1 172.16.0.1 "
             "10.1.1.1 name"), ("texthash:th", "a A dup key: tab"),
            ("static:all", "a"), ("static:", "a"), ("fail:x", "a"),
            ("inline:{a=b,{c=d_e}}", "a c d"), ("inline:{}", "a"),
            ("inline:x", "a"), ("inline:{a}", "a"), ("inline:{a=}", "a"),
            ("unionmap:{static:a,static:b}", "x"), ("unionmap:x", "a"),
            ("unionmap:{static:a,inline:{x=y}}", "x z"),
            ("pipemap:{inline:{a=b},inline:{b=c}}", "a b"),
            ("pipemap:{}", "a"), ("pipemap:{nosuch:x}", "a"),
            ("randmap:{one}", "a b"), ("randmap:{}", "a"),
            ("environ:x", "NOMARK"), ("environ:", "a"), ("unix:passwd.byname", "root no-"),
            ("unix:group.byname", "root no-"), ("unix:nothing", "root"),
            ("unix:passwd.byuid", "0"), ("regexp:nofile", "a"),
            ("cidr:nofile", "a"), ("texthash:nofile", "a")):
        # It warns of empty values there; we can show all that environ: has.
        but = ["err"] if spec == "inline:{a=}" else ()
        c.run(["postmap", "-q", "-", spec], keys.replace(" ", "\n"), but=but)
        c.run(["postmap", spec], but=but)
        c.run(["postmap", "-s", spec], but=ALL if spec == "environ:x" else
              ["out"] if spec.startswith(("texthash:th", "inline:{a=b,"))
              else but)
    c.run("postmap -q A texthash:th")
    c.run("postmap -fq A texthash:th")


MESSAGE = """\
From: ax
Subject: one
 x two
Content-Type: multipart/mixed; boundary=b

From: preamble x
--b
Content-Type: text/plain; name=x
From: bx

From: cx
plain x
--b
Content-Type: message/rfc822

From: dx
Subject: inner x

inner body x
--b--
epilogue x
"""


def messages(c):
    c.write("any", "/x/ WARN\n")
    for args in ("-h -q -", "-b -q -", "-hb -q -", "-hm -q -", "-bm -q -",
                 "-hbm -q -", "-m -q -", "-h -q a", "-b -q a", "-h", "-b",
                 "-hm", "-U -h -q -", "-u -h -q -"):
        c.run(f"postmap {args} regexp:any", MESSAGE)
        c.run(f"postmap {args} regexp:any", "")
        c.run(f"postmap {args} regexp:any", "no header x\nFrom: x\n\nbody x")


def values(c):
    c.write("f", "one first\ntwo first second\nthree first,second\n"
            "none\nmissing nofile\n")
    c.write("first", "hello\n")
    c.write("second", "world")
    for args in ("-F hash:f", "-q one hash:f", "-Fq one hash:f",
                 "-Fq two hash:f", "-Fq three hash:f", "-Fs btree:f",
                 "-Fq missing hash:f"):
        c.run(f"postmap {args}")
    c.write("f", "one first\n")
    for args in ("-F btree:f", "-F -s btree:f", "-s btree:f"):
        c.run(f"postmap {args}")
    c.write("plain", "k not-base64!\n")
    for args in ("hash:plain", "-Fq k hash:plain", "-F -s hash:plain"):
        c.run(f"postmap {args}", but=["err"])


def modes(c, name):
    c.each(lambda d: [os.unlink(f"{d}/{f}") for f in os.listdir(d)
                      if f.startswith("mode")])
    for mode in (0o600, 0o640, 0o444, 0o666):
        c.write(f"mode{mode:o}", "a: b\n" if name == "postalias" else "a b\n",
                mode)
        c.run(f"{name} hash:mode{mode:o}")
        c.files(f"mode{mode:o}.db")
        c.run(f"{name} -p hash:mode{mode:o}")
        c.files(f"mode{mode:o}.db")
    # Of another user: made as that user.
    c.write("mode600", "a: b\n" if name == "postalias" else "a b\n", 0o600)
    c.each(lambda d: os.chown(f"{d}/mode600", 65534, 65534))
    c.run(f"{name} hash:mode600", but=["err"])
    c.run(f"{name} -o hash:mode600")


def encodings(c):
    c.write("utf8", "ÄÖ straße\nplain x\n".encode())
    c.write("latin1", "\xe4 x\nplain \xe4\nok fine\n".encode("latin-1"))
    for enable in ("yes", "no"):
        c.main(f"smtputf8_enable = {enable}")
        for options in ("", "-u", "-U"):
            c.run(f"postmap {options} hash:utf8")
            c.run(f"postmap {options} hash:latin1")
            # Only letters of ASCII are folded here.
            for name in "utf8", "latin1":
                c.run(f"postmap {options} -q - hash:{name}", "ÄÖ\nplain\nok")
    c.main("")


ALIASES = """\
# people
postmaster: root
Root:  alice , "|/bin/cmd a b"
  , carol
"Joe Smith": joe
nocolon x
list:
dup: a
DUP: b
inc: :include:/etc/list
file: /dev/null
two@example.test: c
"a:b": d
sp ace: e
quoted: "joe \\" smith"@x, (comment) f
many: a,b,c,
   d, e
 # comment between
   f
colon : g
bad: "unclosed
: empty
"""


def postalias(c):
    c.write("al", ALIASES)
    c.run("postalias al")
    c.files("al.db")
    for key in ("postmaster", "ROOT", "joe smith", "Joe Smith", "nocolon",
                "list", "dup", "inc", "file", "two@example.test", "a:b",
                "sp ace", "space", "quoted", "many", "colon", "bad", "@",
                "YP_LAST_MODIFIED", "yp_last_modified", "", "none"):
        c.run(["postalias", "-q", key, "hash:al"],
              but=["out"] if key.startswith("YP") else ())
    for args in ("-w hash:al", "-r hash:al", "-q dup hash:al", "-f hash:al",
                 "-fq Root hash:al", "btree:al", "-n hash:al", "-N hash:al",
                 "-o hash:al", "-p hash:al", "-u hash:al", "-U hash:al",
                 "-q - hash:al"):
        c.run("postalias " + args, "postmaster\nnone\nmany\n")
    c.run("postalias -i hash:al", "fresh: one\nfresh: two\n")
    c.run("postalias -ir hash:al", "fresh: three\n")
    c.run("postalias -iw hash:al", "fresh: four\n")
    c.run("postalias -q fresh hash:al")
    c.run("postalias -d fresh hash:al")
    c.run("postalias -d fresh hash:al")
    c.run("postalias -d - hash:al", "many\nnone\n")
    c.run("postalias -q many hash:al")
    usage(c, "postalias")
    modes(c, "postalias")


def newaliases(c):
    c.write("one", "a: b\n")
    c.write("two", "c: d\nwrong\nc: e\n")
    c.write("big", "".join(f"user{i}: someone{i}\n" for i in range(20000)))
    c.each(lambda d: os.path.isdir(f"{d}/dir") or os.mkdir(f"{d}/dir"))
    for value in ("hash:DIR/one", "DIR/one", "hash:DIR/one, hash:DIR/two",
                  "hash:DIR/one btree:DIR/two", "hash:DIR/nofile",
                  "hash:DIR/nofile hash:DIR/one", "nosuch:DIR/one",
                  "regexp:DIR/one", "", "hash:DIR/dir", "hash:DIR/big",
                  "texthash:DIR/one", "hash:DIR/one,,hash:DIR/two"):
        c.main(f"alias_database = {value}")
        # A directory makes an empty table there.
        c.run("newaliases", but=ALL if value.endswith("/dir") else ())
        c.run("postalias -q a hash:one")
        c.run("postalias -q c hash:two")
        if "big" in value:
            c.run("postalias -q user19999 hash:big")
        c.each(lambda d: [os.unlink(f"{d}/{f}") for f in os.listdir(d)
                          if f.endswith(".db")])
    c.main("alias_database = hash:DIR/one")
    c.run("sendmail -bi")
    c.run("sendmail -I")
    for args in ("-oAhash:DIR/two", "-oADIR/two", "-C DIR", "-C DIR/main.cf"):
        c.run(f"newaliases {args}")
        c.files("one.db", "two.db")
    for args in ("-C nodir", "extra", "-t", "-z", "-oA", "-oA two"):
        c.run(f"newaliases {args}", but=USAGE)
    # Wrong settings elsewhere are no reason.
    c.main("alias_database = hash:DIR/one\nqueue_run_delay = 5parsecs")
    c.run("newaliases", but=["err"])
    c.files("one.db")


# --- postlog, sendmail: what needs no mail system --------------------------------

def postlog(c):
    # It tells nobody at a terminal of its errors but the log.
    for args in ("hello", "-p info hello", "-p warn hello",
                 "-p warning hello", "-p error hello", "-p fatal hello",
                 "-p panic hello", "-p nosuch hello", "-p", "-t tag hello",
                 "-t", "-i hello", "-z hello", "", "-c nodir hello",
                 "-p INFO hello", "-pwarn -t x a b  c", "--"):
        c.run(f"postlog {args}", "one\ntwo\n", but=["err"])


def sendmail(c):
    for args in ("", "-bz", "-b", "-z", "-bm", "-bp x", "-bi x", "-bd x",
                 "-q x", "-t -bp", "-t -bi", "-Bbad a@b", "-B", "-Nbad",
                 "-Rbad", "-f", "-qS", "-qSsite", "-qR",
                 "-qI", "-qX", "-V", "-N", "-o", "-bv", "-bv -t -bp",
                 "-F", "-C", "-r", "-bt", "-bt a", "-i", "-oi", "-G", "-I x",
                 "-Xv", "-L", "-h", "-hx -bz", "-A", "-Ax", "-Ac", "-p"):
        c.run(f"sendmail {args}", "", but=USAGE)
    c.run("sendmail -t", "Subject: nobody\n\nx\n", but=USAGE)
    c.run("sendmail -t", "", but=USAGE)


# --- the queue --------------------------------------------------------------------

def queue(c):
    for side in c.sides:
        side.fill()
    settle(c, 4)
    for line in ("postqueue -p", "postqueue -j", "mailq", "sendmail -bp",
                 "postqueue -c ETC -p", "mailq -C ETC"):
        c.run(line)
    for line in ("postqueue", "postqueue -x", "postqueue -pj", "postqueue -p x",
                 "postqueue -f x", "postqueue -i", "postqueue -s",
                 "postqueue -c nodir -p", "postqueue -fp",
                 "postqueue -i M0 -i M1", "postqueue -s a -i M0",
                 "postqueue -i nosuch!", "postqueue -i ../x", "postqueue -i",
                 "postqueue -s other.example", "postqueue -s bad!name",
                 "postqueue -s [192.0.2.1]", "postqueue -s"):
        c.run(line)
    c.run(["postqueue", "-i", ""])
    c.run(["postqueue", "-s", ""])
    for line in ("mailq extra", "sendmail -qRother.example",
                 "sendmail -qInosuch!"):
        c.run(line, but=USAGE)
    inside(c)
    for line in ("postqueue -s one.example", "sendmail -qRone.example",
                 "postqueue -i M2", "sendmail -qIM2", "postqueue -f",
                 "sendmail -q", "postqueue -i 0123456789"):
        c.run(line)
    settle(c, 4)
    superuser(c)
    for side in c.sides:
        side.stop()
    down(c)


def inside(c):
    """postcat."""
    for options in ("-bq", "-q -b"):
        for name in "M0", "M1", "M3":
            c.run(f"postcat {options} {name}")
    for line in ("postcat -hq M0", "postcat -q M0", "postcat -eq M0",
                 "postcat -bhq M0", "postcat -oq M0", "postcat -dq M0",
                 "postcat -rq M0", "postcat -q M0 M1"):
        c.run(line, but=["out"])
    for line in ("postcat -q nosuch", "postcat -q nosuch!", "postcat nofile",
                 "postcat -q M0 nosuch", "postcat -z", "postcat -c", "postcat",
                 "postcat -q", "postcat DIR/text", "postcat DIR"):
        c.write("text", "not a queue file\n" * 100)
        c.run(line, "nothing that is in a queue\n",
              but=ALL if line == "postcat DIR" else ("out", "err"))


def superuser(c):
    """postsuper: what it says and what becomes of the queue."""
    steps = (
        ("-h M0",), ("-h M0",), ("-H M1",), ("-h M1 -h M2",), ("-H M0",),
        ("-h -", "M0\nM3\n"), ("-H -", "M0\nM1\n\nnosuch\nbad id\n"),
        ("-d nosuch",), ("-d bad!id",), ("-d M0 hold",), ("-h M0 deferred",),
        ("-h M0 hold",), ("-d M0 deferred",), ("-d M2 active incoming",),
        ("-d ALL incoming",), ("-d ALL maildrop",), ("-d ALL nosuchqueue",),
        ("-d all",), ("-d",), ("-x",), ("-H ALL",), ("-h ALL",), ("-h ALL",),
        ("-H ALL hold",), ("-H ALL deferred",), ("-h ALL deferred",),
        # What is released comes back at once here, and soon there.
        ("-e M0",), ("-d M0",), ("-s",), ("-p",), ("-S",), ("-psS",), ("",),
        ("-s deferred",), ("-s nosuchqueue",), ("-c nodir -s",),
        ("-d - hold", "M1\n"), ("-d M2",), ("-d M2",), ("-d ALL",),
        ("-d ALL",),
    )
    for args, *stdin in steps:
        c.run(f"postsuper {args}", *stdin)
        settle(c)               # what is released is tried at once here
        c.run("postqueue -j")


def down(c):
    """Nobody is there to be asked."""
    for line in ("postqueue -p", "postqueue -j", "mailq", "postqueue -f",
                 "postqueue -i M0", "postqueue -s one.example",
                 "sendmail -q", "sendmail -qRone.example", "sendmail -bp"):
        c.run(line, but=["err"])


def settle(c, want=None):
    for side in c.sides:
        side.settle(want)


SCENARIOS = {f.__name__: f for f in (postmap, postalias, newaliases, postlog,
                                     sendmail, queue)}


def main():
    need_root()
    if not postfix.available():
        skip("no Postfix to compare with")
    verbose = "-v" in sys.argv
    names = [a for a in sys.argv[1:] if a != "-v"] or list(SCENARIOS)
    passed = failed = 0
    for name in names:
        base, sides = tempfile.mkdtemp(prefix="mansio-beside-"), []
        os.chmod(base, 0o755)
        try:
            kind = Queue if name == "queue" else Side
            for which in OURS, THEIRS:
                sides.append(kind(base, which))
            c = Compare(sides, verbose)
            SCENARIOS[name](c)
        finally:
            for side in sides:
                side.close()
            shutil.rmtree(base, ignore_errors=True)
        passed += c.passed
        failed += c.failed
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
