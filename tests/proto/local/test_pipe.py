#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pipe: arguments, macros, flags, exit status, limits, hostile addresses."""
import os
import pwd
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../smtp"))
from peerlib import Instance, need_root, wait_rcpt  # noqa: E402

TEXT = "Subject: hello\r\n\r\nFrom me\r\n.dot\r\nend\r\n"
SCRIPT = """#!/bin/sh
out={base}/out
printf '%s\\n' "$(id -un)" "$PWD" "$#" "$@" > $out.args
cat > $out.body
env > $out.env
case "$*" in
*exit*) status=$(printf '%s' "$*" | sed 's/.*exit\\([0-9]*\\).*/\\1/')
	[ "$status" = 1 ] && echo "5.7.1 not for you"
	[ "$status" = 75 ] && echo busy
	exit $status ;;
*sleep*) sleep 60 ;;
*crash*) kill -9 $$ ;;
esac
echo all is well
"""
USER = "nobody"

SERVICES = """\
box unix - n n - - pipe flags=DFORhu user={user} argv={base}/script ${{sender}} $recipient $nexthop ${{user}} ${{extension}} ${{domain}} $size
 -end
many unix - n n - - pipe flags=q. user={user} directory=/tmp eol=\\r\\n argv={base}/script -- ${{recipient}} x
final unix - n n - - pipe flags=XB>u user={user} null_sender= size=2000 argv={base}/script $sender $mailbox $$
odd unix - n n - - pipe user={user} argv={base}/script $nonsense
bare unix - n n - - pipe user={user} argv=sh {base}/script bare
gone unix - n n - - pipe user=nobody-of-this-name argv={base}/script
"""


def read(m, what):
    with open(f"{m.base}/w/out.{what}",
              encoding="utf-8", newline="") as f:
        return f.read()


def args(m):
    return read(m, "args").split("\n")[:-1]


def test_words(m):
    m.send("Joe+Ext@BOX.test", TEXT)
    line = wait_rcpt(m, "Joe+Ext@BOX.test")
    assert "relay=box" in line and "dsn=2.0.0, status=sent (delivered via " \
        "box service (all is well))" in line, line
    user, cwd, n, *rest = args(m)
    assert user == USER and n == "8", args(m)
    assert rest[:6] == ["sender@example.org", "joe+ext@box.test", "box.test",
                        "joe", "ext", "box.test"], rest
    assert rest[7] == "-end"
    body = read(m, "body")
    assert body.startswith("From sender@example.org "), body
    assert "\nReturn-Path: <sender@example.org>\n" in body
    assert "\nX-Original-To: Joe+Ext@BOX.test\n" in body, body
    assert "\nDelivered-To: Joe+Ext@BOX.test\n" in body
    assert body.endswith("\n\nFrom me\n.dot\nend\n"), body
    env = read(m, "env")
    assert "PATH=/usr/bin:/bin" in env and "LD_" not in env


def test_several(m):
    rcpts = ["a@many.test", '"b \\"c"@many.test', '"x;`id`$(id)"@many.test']
    with m.smtp() as s:
        s.ehlo()
        for c in ["MAIL FROM:<a@example.org>"] + [f"RCPT TO:<{r}>"
                                                  for r in rcpts]:
            assert s.docmd(c)[0] == 250, c
        s.data(TEXT)
    wait_rcpt(m, "a@many.test")
    got = args(m)
    assert got[1] == "/tmp"
    assert got[3] == "--" and got[-1] == "x"
    assert sorted(got[4:-1]) == sorted(rcpts), got
    body = read(m, "body")
    assert body.endswith("\r\n\r\nFrom me\r\n..dot\r\nend\r\n"), body
    assert "\n" not in body.replace("\r\n", "")


def test_final(m):
    m.send("Joe@final.test", TEXT, sender="")
    wait_rcpt(m, "Joe@final.test")
    assert args(m)[2:] == ["3", "", "joe", "$"], args(m)
    assert read(m, "body").endswith("\n\n>From me\n.dot\nend\n\n")
    m.send("big@final.test", TEXT + "x" * 3000 + "\r\n")
    assert "dsn=5.2.3, status=bounced" in wait_rcpt(m, "big@final.test")


def test_status(m):
    for status, want in [
            (67, "dsn=5.1.1, status=bounced (user unknown)"),
            (69, "dsn=5.3.0, status=bounced (service unavailable"),
            (75, "dsn=4.3.0, status=deferred (temporary failure. Command "
             "output: busy"),
            (77, "dsn=5.7.0, status=bounced (permission denied"),
            (1, "dsn=5.7.1, status=bounced (Command died with status 1: "),
            (99, "dsn=5.3.0, status=bounced (Command died with status 99: ")]:
        m.send(f"exit{status}@box.test", TEXT)
        line = wait_rcpt(m, f"exit{status}@box.test")
        assert want in line, (want, line)
    m.send("crash@box.test", TEXT)
    assert "dsn=4.3.0, status=deferred (Command died with signal 9" in \
        wait_rcpt(m, "crash@box.test")
    m.send("sleep@box.test", TEXT)
    assert "dsn=5.3.0, status=bounced (Command time limit exceeded" in \
        wait_rcpt(m, "sleep@box.test")
    m.send("x@odd.test", TEXT)
    assert "dsn=4.3.5, status=deferred (unknown macro $nonsense" in \
        wait_rcpt(m, "x@odd.test")


def test_no_path(m):
    m.send("x@bare.test", TEXT)
    assert "status=sent" in wait_rcpt(m, "x@bare.test")
    assert args(m)[2:] == ["1", "bare"], args(m)


def test_no_user(m):
    m.send("x@gone.test", TEXT)
    assert "dsn=4.3.5, status=deferred (mail system configuration error" in \
        wait_rcpt(m, "x@gone.test")
    m.wait_log("service gone: user=nobody-of-this-name: no such user")


def main():
    need_root()
    pwd.getpwnam(USER)
    n = 0
    m = Instance(settings={
        "default_transport": "error",
        "recipient_delimiter": "+",
        "box_time_limit": "2s",
        "transport_maps": "inline:{{box.test=box,many.test=many,"
                          "final.test=final,odd.test=odd,bare.test=bare,"
                          "gone.test=gone}}"})
    with open(f"{m.etc}/master.cf", "a", encoding="ascii") as f:
        f.write(SERVICES.format(base=m.base, user=USER))
    with open(f"{m.base}/script", "w", encoding="ascii") as f:
        f.write(SCRIPT.format(base=m.base + "/w"))
    os.chmod(f"{m.base}/script", 0o755)
    os.makedirs(f"{m.base}/w")
    os.chmod(f"{m.base}/w", 0o777)
    with m:
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(m)
                n += 1
    print(f"{n} passed, 0 failed, 0 skipped")


main()
