#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 240
"""check_policy_service: what a service is told in every stage, and what its
answers do, are the same as with Postfix, where that is installed.  Postgrey
greylists, and policyd-spf checks under spawn(8), where they are."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../bench"))
from instance import Instance, free_port, need_root  # noqa: E402
from policyservice import PolicyService  # noqa: E402
import postfix  # noqa: E402

USERS = ("u0", "u1", "u2")
STAGES = ("client", "helo", "sender", "recipient", "data", "end_of_data",
          "etrn")
# Their values are of one connection or message.
OWN = ("client_port", "server_port", "instance", "queue_id")


class Client:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.f = self.s.makefile("rb")
        self.greeting = self.answer()

    def answer(self):
        while True:
            line = self.f.readline().decode().rstrip()
            if line[3:4] != "-":
                return re.sub("queued as .*", "queued", line)

    def say(self, line):
        self.s.sendall(line.encode() + b"\r\n")
        return self.answer()

    def close(self):
        self.f.close()
        self.s.close()


MAIL, R0, R1 = ("MAIL FROM:<a@client.example> SIZE=100 AUTH=<>",
                "RCPT TO:<u0@example.test>", "RCPT TO:<u1+ext@example.test>")
DIALOGUES = (
    "EHLO client.example|{M}|{R0}|{R1}|DATA|Subject: x\r\n\r\nx\r\n.|QUIT",
    "EHLO client.example|{M}|{R0}|DATA|Subject: x\r\n\r\nx\r\n.|{M}|{R1}|QUIT",
    "HELO client.example|MAIL FROM:<>|{R0}|RSET|VRFY u0@example.test|QUIT",
    "EHLO client.example|{M}|{R0}|BDAT 14 LAST\r\nSubject: x\r\n|QUIT",
    "EHLO client.example|ETRN example.test|QUIT",
    'EHLO [127.0.0.1]|MAIL FROM:<"a b"@client.example>|{R0}|QUIT',
    "EHLO client.example|XCLIENT ADDR=192.0.2.9 NAME=foo.example "
    "REVERSE_NAME=bar.example DESTADDR=198.51.100.1 DESTPORT=26|"
    "EHLO foo.example|{M}|{R0}|QUIT",
    "EHLO client.example|XCLIENT ADDR=IPV6:2001:db8::1 NAME=[UNAVAILABLE]|"
    "EHLO foo.example|{M}|RCPT TO:<nobody@example.test>|QUIT",
    "EHLO client.example|MAIL FROM:<\u00e9@client.example> SMTPUTF8|{R0}|QUIT",
)


def common(service):
    conf = {
        "mynetworks": "192.0.2.0/24",
        "smtpd_authorized_xclient_hosts": "127.0.0.1",
        "smtpd_error_sleep_time": "0s", "recipient_delimiter": "+",
        "mydestination": "localhost", "disable_vrfy_command": "no",
        "fast_flush_domains": "example.test",
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_delay_reject": "no",
    }
    for s in STAGES:
        conf[f"smtpd_{s}_restrictions"] = \
            f"check_policy_service {{ {service}, policy_context={s} }}"
    return conf


def talk(port, dialogue):
    c = Client(port)
    got = [c.greeting[:3]]
    for line in dialogue.split("|"):
        got.append(c.say(line.format(M=MAIL, R0=R0, R1=R1)))
    c.close()
    return got


def shape(seen):
    """Requests without what differs from one run to the next."""
    return [[(k, "" if k in OWN and v not in ("", "26") else v)
             for k, v in attrs] for _, attrs in seen]


def attributes(port, service):
    told = []
    talk(port, "QUIT")          # and who looked whether we listen
    service.take()
    for d in DIALOGUES:
        replies = talk(port, d)
        told.append((d, replies, service.take()))
    return told


# Attributes that we say otherwise, and why.
def explained(name, ours, theirs):
    # Postfix opens the queue file for the first recipient: it has an id from
    # the second one on.  We have one when content comes.
    if name == "queue_id":
        return True
    # SMTPD_POLICY_README knows no such state.
    if name == "protocol_state":
        return (ours, theirs) == ("CONNECT", "XCLIENT")
    # It starts to count with the transaction, and we with the connection.
    return name == "instance" and ours == ""


def compare_attributes(ours, theirs):
    bad = 0
    for (d, ra, a), (_, rb, b) in zip(ours, theirs):
        x, y = shape(a), shape(b)
        if [r[:3] for r in ra] != [r[:3] for r in rb]:
            print(f"{d!r}:\n  our answers     {ra}\n  Postfix answers {rb}")
            bad += 1
        if len(x) != len(y):
            print(f"{d!r}: {len(x)} requests, Postfix {len(y)}")
            bad += 1
        for p, q in zip(x, y):
            for (k, v), (l, w) in zip(p, q):
                if k != l or v != w and not explained(k, v, w):
                    print(f"{d!r}, {dict(p)['protocol_state']}: we say "
                          f"{k}={v}, Postfix {l}={w}")
                    bad += 1
            if len(p) != len(q):
                print(f"{len(p)} attributes, Postfix has {len(q)}: "
                      f"{set(dict(p)) ^ set(dict(q))}")
                bad += 1
    return bad


# An action at RCPT, and how it ends: RCPT's answer, and the message's.
ACTIONS = {
    "DUNNO": None, "OK": None, "dunno": None, "permit": None,
    "REJECT": None, "REJECT go away": None, "reject 5.7.9 go away": None,
    "DEFER": None, "DEFER come back": None, "550 no": None,
    "550 5.1.9 no": None, "450 4.2.9 later": None, "421 4.3.2 bye": None,
    "521 5.3.2 bye": None, "DEFER_IF_PERMIT wait": None,
    "DEFER_IF_REJECT wait": None, "defer_if_permit": None,
    "reject_unauth_destination": None, "PREPEND X-Policy: seen": None,
    "WARN careful": None, "INFO careful": None, "HOLD for now": None,
    "DISCARD silently": None, "REDIRECT u2@example.test": None,
    "BCC u2@example.test": None, "FILTER discard:x": None, "": None,
    "FOO": None, "451 4.3.5 Server configuration problem": None,
    "reject_non_fqdn_sender, reject": None, "PREPEND bad": None,
}


def actions(port, service):
    got = {}
    for text in ACTIONS:
        service.answer = lambda a, n, t=text: "action=" + (
            t if a["protocol_state"] == "RCPT" and
            a["policy_context"] == "recipient" else "DUNNO") + "\n\n"
        c = Client(port)
        c.say("EHLO client.example")
        c.say("MAIL FROM:<a@client.example>")
        got[text] = [c.say("RCPT TO:<u0@example.test>")]
        if got[text][0].startswith("250"):
            got[text] += [c.say("DATA")[:3], c.say("Subject: x\r\n\r\nx\r\n.")]
        c.close()
    return got


# Where we answer otherwise, and why.
ACTIONS_EXPLAINED = {
    # Postfix says 5.1.0, a code for a sender's address in a recipient's place;
    # whoever wrote 5.1.9 gets it here, as with tables.
    "550 5.1.9 no": "5.1.9",
}


def compare_actions(ours, theirs):
    bad = 0
    for text, a in ours.items():
        if a != theirs[text] and \
                ACTIONS_EXPLAINED.get(text, "?") not in a[0]:
            print(f"action={text}: we say {a}, Postfix {theirs[text]}")
            bad += 1
    return bad


def with_postfix(d, service):
    port = free_port()
    p = postfix.Postfix(d, port, len(USERS))
    with open(f"{d}/etc/main.cf", "a", encoding="ascii") as f:
        # No postlogd: see test_dns_restrictions.
        f.write("local_recipient_maps =\nmyhostname = mail.example.test\n")
        f.writelines(f"{k} = {v}\n" for k, v in common(service.spec).items())
    p.start()
    try:
        told = attributes(port, service)
        return told, actions(port, service)
    finally:
        p.stop()


def with_us(service):
    conf = {k: v.replace("{", "{{").replace("}", "}}")
            for k, v in common(service.spec).items()}
    conf["local_recipient_maps"] = ""
    with Instance(conf, users=USERS) as m:
        told = attributes(m.smtp_port, service)
        done = actions(m.smtp_port, service)
        m.wait_log("X-Policy: seen")
        m.command("postsuper", "-d", "ALL")
        assert [1 for x in m.maildir("u0") if b"X-Policy: seen" in x]
        return told, done


def beside_postfix():
    with PolicyService() as service:
        ours = with_us(service)
    stages = {dict(a)["protocol_state"] for t in ours[0] for _, a in t[2]}
    assert stages == {"CONNECT", "EHLO", "HELO", "MAIL", "RCPT", "DATA",
                      "END-OF-MESSAGE", "VRFY", "ETRN"}, stages
    if not postfix.available():
        print("skip: no Postfix to compare with")
        return 0
    with tempfile.TemporaryDirectory() as d, PolicyService() as service:
        os.chmod(d, 0o755)
        theirs = with_postfix(d, service)
    return compare_attributes(ours[0], theirs[0]) + \
        compare_actions(ours[1], theirs[1])


# --- services that fail ---------------------------------------------------------

REFUSED = "451 4.3.5 <u0@example.test>: Recipient address rejected: " \
    "Server configuration problem"
OK = "250 2.1.5 Ok"
DUNNO = "action=DUNNO\n\n"
BAD = {
    "closes": lambda a, n: None,
    "no action": "foo=bar\n\n",
    "nothing": "\n",
    "no name": "action\n\n",
    "a value without a name": "=DUNNO\n\n",
    "NUL": "action=DUNNO\0\n\n",
    "no UTF-8": b"action=REJECT \xff\xfe\n\n",
    "too long an action": "action=" + "x" * 3000 + "\n\n",
    "too long an answer": "a=" + "x" * 40000 + "\n\n",
    "many attributes": "a=b\n" * 20000 + "\n",
}
# Only time tells.
SLOW = {
    "never answers": lambda a, n: time.sleep(4),
    "one byte at a time": lambda a, n: drip(),
    "half an answer": "action=DUNNO\n",
}
# They are good enough.
GOOD = {
    "CR LF": "action=DUNNO\r\n\r\n",
    "more attributes": "a=b\naction=DUNNO\nc=d\n\n",
    "the first counts": "action=DUNNO\naction=REJECT\n\n",
    "in pieces": ["act", "ion=DUN", "NO\n", "\n"],
    "two answers": DUNNO + "action=REJECT\n\n",
}


def drip():
    for c in "action=DUNNO":
        time.sleep(0.5)
        yield c


def at_rcpt(port, to=R0):
    c = Client(port)
    c.say("EHLO client.example")
    c.say("MAIL FROM:<a@client.example>")
    got = c.say(to)
    c.close()
    return got


def answers(what):
    return what if callable(what) else lambda a, n: what


def faults(m, service):
    bad = 0
    for name, what in {**BAD, **SLOW, **GOOD}.items():
        service.answer = answers(what)
        user = "u5" if name in SLOW else "u0"
        want = OK if name in GOOD else REFUSED.replace("u0", user)
        got = at_rcpt(m.smtp_port, R0.replace("u0", user))
        if got != want:
            print(f"a service with {name}: {got!r}")
            bad += 1
    # None of them has spoilt what comes after.
    service.answer = answers(DUNNO)
    assert at_rcpt(m.smtp_port) == OK
    m.wait_log("problem talking to server")
    return bad


def nobody_waits(m, service):
    """A service that is slow for one client is not for the others."""
    go_on = threading.Event()

    def answer(a, n):
        if a["sender"] == "slow@client.example":
            go_on.wait(60)
        return DUNNO

    service.answer = answer
    slow = []
    for _ in range(20):
        c = Client(m.smtp_port)
        c.say("EHLO client.example")
        c.say("MAIL FROM:<slow@client.example>")
        c.s.sendall(f"{R0}\r\n".encode())
        slow.append(c)
    for _ in range(5):
        assert at_rcpt(m.smtp_port) == OK
    # Half of them do not wait for the end.
    for c in slow[::2]:
        c.close()
    go_on.set()
    for c in slow[1::2]:
        assert c.answer() == OK
        c.close()
    assert at_rcpt(m.smtp_port) == OK


def killed(m, service):
    """delegate is killed in the midst of a question: it is asked again, and
    the client waits and gets what the service says."""
    asked = threading.Event()
    go_on = threading.Event()

    def answer(a, n):
        asked.set()
        go_on.wait(60)
        return DUNNO

    service.answer = answer
    c = Client(m.smtp_port)
    c.say("EHLO client.example")
    c.say("MAIL FROM:<a@client.example>")
    c.s.sendall(f"{R0}\r\n".encode())
    assert asked.wait(60)
    pids = [p for p, name in m.children().items() if name == "delegate"]
    assert pids
    service.answer = answers("action=DEFER after all\n\n")
    for p in pids:
        os.kill(p, signal.SIGKILL)
    got = c.answer()
    go_on.set()
    c.close()
    assert "after all" in got, got
    service.answer = answers(DUNNO)
    assert at_rcpt(m.smtp_port) == OK


def connections(m, service, limited):
    """They are kept, or not longer than they are said to."""
    service.answer = answers(DUNNO)
    at_rcpt(m.smtp_port)
    before = service.opened
    for _ in range(10):
        assert at_rcpt(m.smtp_port) == OK
    assert service.opened == before, (service.opened, before)
    for i in range(5):
        assert at_rcpt(m.smtp_port, "RCPT TO:<u1@example.test>") == OK
    assert limited.opened == 5, limited.opened
    end = time.monotonic() + 20
    while limited.closed < 5:
        assert time.monotonic() < end
        time.sleep(0.05)
    # One that has ended meanwhile costs no answer and no time.
    service.answer = lambda a, n: DUNNO if n == 0 else None
    for _ in range(3):
        assert at_rcpt(m.smtp_port) == OK


def away(m, service):
    """Nobody is there; the other service's default action is DUNNO, and a
    third one's is a list that asks a fourth that is not there either."""
    service.close()
    assert at_rcpt(m.smtp_port) == REFUSED
    assert at_rcpt(m.smtp_port, "RCPT TO:<u2@example.test>") == OK
    got = at_rcpt(m.smtp_port, "RCPT TO:<u3@example.test>")
    assert got == REFUSED.replace("u0@", "u3@"), got
    # An access table cannot name a service that the settings do not.
    got = at_rcpt(m.smtp_port, "RCPT TO:<u4@example.test>")
    assert got == REFUSED.replace("u0@", "u4@"), got
    m.wait_log("no setting names the policy service")


def without_postfix():
    with tempfile.TemporaryDirectory() as d, PolicyService() as service, \
            PolicyService(path=f"{d}/limited") as limited:
        os.chmod(d, 0o755)
        dead = f"inet:[127.0.0.1]:{free_port()}"
        with open(f"{d}/rcpt", "w", encoding="ascii") as f:
            f.write("""\
u0@example.test first
u5@example.test fifth
u1@example.test second
u2@example.test third
u3@example.test fourth
u4@example.test check_policy_service inet:127.0.0.1:25
""")
        conf = {
            "smtpd_recipient_restrictions":
                f"check_recipient_access texthash:{d}/rcpt",
            "smtpd_restriction_classes": "first second third fourth fifth",
            "first": f"check_policy_service {{{{ {service.spec}, "
                     "timeout=60s, try_limit=1 }}",
            "fifth": f"check_policy_service {{{{ {service.spec}, "
                     "timeout=1s }}",
            "second": f"check_policy_service {{{{ unix:{d}/limited, "
                      "request_limit=1, max_idle=1s, max_ttl=5s }}",
            "third": f"check_policy_service {{{{ {dead}, timeout=1s "
                     "default_action=DUNNO, try_limit=1 }}",
            "fourth": f"check_policy_service {{{{ {dead}, try_limit=1, "
                      f"{{{{ default_action = check_policy_service {dead} }}}}"
                      " }}",
            "smtpd_error_sleep_time": "0s", "local_recipient_maps": "",
        }
        users = USERS + ("u3", "u4", "u5")
        with Instance(conf, users=users) as m:
            bad = faults(m, service)
            nobody_waits(m, service)
            killed(m, service)
            connections(m, service, limited)
            m.reload()
            assert at_rcpt(m.smtp_port) == OK
            away(m, service)
    return bad


def misconfigured():
    """What cannot be right is said with its line, and nothing starts."""
    m = Instance(users=USERS)
    wrong = {
        "127.0.0.1:99": "neither inet nor unix",
        "inet:": "need transport:endpoint",
        "inet:127.0.0.1:0": "is no port",
        "inet:127.0.0.1:99999": "is no port",
        "inet:[::1]99": "is not [address]:port",
        "unix:/" + "x" * 120: "at most 107 bytes",
        "{ inet:127.0.0.1:99, timeout=abc }": "bad value",
        "{ inet:127.0.0.1:99, timeout=0 }": "bad value",
        "{ inet:127.0.0.1:99, foo=1 }": "unknown option",
        "{ inet:127.0.0.1:99, foo }": "is not name=value",
        "{ inet:127.0.0.1:99": "needs an argument",
        "": "needs an argument",
    }
    bad = 0
    with open(f"{m.etc}/main.cf", encoding="utf-8") as f:
        main_cf = f.read()
    for text, says in wrong.items():
        with open(f"{m.etc}/main.cf", "w", encoding="utf-8") as f:
            f.write(main_cf + "smtpd_recipient_restrictions = "
                    f"check_policy_service {text}\n")
        done = m.command("mansio", "check", check=False)
        if done.returncode == 0 or says not in done.stderr + done.stdout:
            print(f"check_policy_service {text}: {done.stdout}{done.stderr}")
            bad += 1
    m.__exit__(None, None, None)
    return bad


# --- a real one -------------------------------------------------------------------

def postgrey(m_conf=None):
    if not shutil.which("postgrey"):
        print("skip: no postgrey")
        return 0
    port = free_port()
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        os.mkdir(f"{d}/db")
        shutil.chown(f"{d}/db", "postgrey")
        p = subprocess.Popen(
            ["postgrey", f"--inet=127.0.0.1:{port}", "--delay=2",
             f"--dbdir={d}/db", "--user=postgrey", "--group=postgrey",
             f"--pidfile={d}/db/pid", "--whitelist-clients=/dev/null",
             "--whitelist-recipients=/dev/null"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return greylisted(port)
        finally:
            p.terminate()
            p.wait(30)


def greylisted(port):
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            break
        except OSError:
            assert time.monotonic() < end, "postgrey does not listen"
            time.sleep(0.1)
    with Instance({"smtpd_recipient_restrictions":
                   f"check_policy_service inet:127.0.0.1:{port}"},
                  users=USERS) as m:
        first = at_rcpt(m.smtp_port)
        assert first.startswith("450 4.2.0 <u0@example.test>: Recipient "
                                "address rejected: Greylisted"), first
        end = time.monotonic() + 60
        while at_rcpt(m.smtp_port) != OK:
            assert time.monotonic() < end
            time.sleep(0.5)
        m.send("u0", "Subject: late\n\nhi\n", sender="a@client.example")
        m.wait_idle()
        text, = m.maildir("u0")
        # It tells how long the mail was delayed, once only.
        assert b"X-Greylist: " in text or b"Subject: late" in text
    return 0


# --- programs that spawn(8) runs ----------------------------------------------------

SCRIPT = """#!/bin/sh
echo started >>$1
while read line; do
	case $line in
	sender=bad*) action="reject ${line#sender=}" ;;
	"") echo "action=${action:-dunno}"; echo; action= ;;
	esac
done
"""


def spawned():
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        with open(f"{d}/script", "w", encoding="ascii") as f:
            f.write(SCRIPT)
        os.chmod(f"{d}/script", 0o755)
        with open(f"{d}/starts", "w", encoding="ascii"):
            os.chmod(f"{d}/starts", 0o666)
        with Instance({"smtpd_recipient_restrictions":
                       "check_policy_service unix:private/policy",
                       "policy_time_limit": "3600"},
                      "policy unix - n n - 0 spawn user=nobody "
                      f"argv={d}/script {d}/starts\n", users=USERS) as m:
            for _ in range(5):
                assert at_rcpt(m.smtp_port) == OK
            c = Client(m.smtp_port)
            c.say("EHLO client.example")
            c.say("MAIL FROM:<bad@client.example>")
            assert c.say(R0).endswith("rejected: bad@client.example")
            c.close()
            with open(f"{d}/starts", encoding="ascii") as f:
                starts = f.read().split()
            # The connection is kept, and with it the program.
            assert starts == ["started"], starts
            m.reload()
            assert at_rcpt(m.smtp_port) == OK


def policyd_spf():
    if not shutil.which("policyd-spf"):
        print("skip: no policyd-spf")
        return
    with Instance({"smtpd_recipient_restrictions":
                   "check_policy_service unix:private/policyd-spf",
                   "smtpd_policy_service_timeout": "60s",
                   "policyd-spf_time_limit": "3600"},
                  "policyd-spf unix - n n - 0 spawn user=policyd-spf "
                  "argv=/usr/bin/policyd-spf\n", users=USERS) as m:
        m.send("u0", "Subject: checked\n\nhi\n", sender="a@client.example")
        m.wait_idle()
        text, = m.maildir("u0")
        # Nothing is asked about a client of this machine.
        assert b"\nX-Comment: SPF" in text, text


def main():
    need_root()
    spawned()
    policyd_spf()
    bad = beside_postfix() + without_postfix() + misconfigured() + postgrey()
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
