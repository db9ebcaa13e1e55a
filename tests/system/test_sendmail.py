#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""sendmail and pickup: options, exit codes, who may do what."""
import email
import email.policy
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from instance import BUILD, Instance, first_user, need_root  # noqa: E402

EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE = 64, 65, 67, 69
EX_TEMPFAIL, EX_NOPERM = 75, 77
passed = failed = 0


def check(name, ok, detail=""):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAIL {name}: {detail}")


def sendmail(m, *args, text="", user=None, env=None, pre=()):
    data = text if isinstance(text, bytes) else text.encode()
    program = f"{BUILD}/bin/sendmail"
    if user is not None or pre:
        # Others cannot enter a build below root's home.
        program = f"{m.base}/bin/sendmail"
        if not os.path.exists(program):
            os.mkdir(f"{m.base}/bin")
            shutil.copy(f"{BUILD}/bin/sendmail", program)
    return subprocess.run(
        [*pre, program, "-C", m.etc, *args], input=data,
        capture_output=True, timeout=60, user=user,
        env=dict(m.env, **(env or {})))


def take(m, user, n=1):
    """The next n messages of a user's Maildir, which is emptied."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        got = m.maildir(user)
        if len(got) >= n:
            break
        time.sleep(0.05)
    base = f"{m.mail}/example.test/{user}/new"
    for name in os.listdir(base) if os.path.isdir(base) else []:
        os.unlink(f"{base}/{name}")
    return [email.message_from_bytes(b, policy=email.policy.default)
            for b in got]


def body(msg):
    return msg.get_payload()


def plain(m):
    r = sendmail(m, "alice@example.test", text="Subject: one\n\nhi\n.\nno\n")
    check("exit 0", r.returncode == 0 and not r.stderr, r)
    got = take(m, "alice")
    check("arrives", len(got) == 1)
    check("a lone dot ends the message", body(got[0]) == "hi\n",
          body(got[0]))
    check("subject", got[0]["subject"] == "one")
    check("completed headers", all(
        h in got[0] for h in ("From", "Date", "Message-Id", "Received")))
    check("return path is the user",
          got[0]["return-path"] == "<root@mail.example.test>",
          got[0]["return-path"])

    sendmail(m, "-i", "alice@example.test", text="S: x\n\n.\n..\nend\n")
    check("-i keeps dots", body(take(m, "alice")[0]) == ".\n..\nend\n")
    sendmail(m, "-oi", "alice@example.test", text="S: x\n\n.\nend\n")
    check("-oi keeps dots", body(take(m, "alice")[0]) == ".\nend\n")
    sendmail(m, "alice@example.test",
             text=b"Subject: crlf\r\n\r\na\r\nb\r\n.\r\nno\r\n")
    got = take(m, "alice")[0]
    check("CR LF becomes LF", body(got) == "a\nb\n", repr(body(got)))
    sendmail(m, "alice@example.test",
             text="From joe Mon Mar  2 14:05:09 2026\nSubject: mbox\n\nx\n")
    got = take(m, "alice")[0]
    check("From_ line is left out",
          got["subject"] == "mbox" and "joe" not in str(got), str(got))
    sendmail(m, "alice@example.test", text="")
    check("an empty message is one", len(take(m, "alice")) == 1)
    sendmail(m, "alice@example.test", text="Subject: x\n\nno newline")
    check("a last line without end", "no newline" in
          body(take(m, "alice")[0]))
    long = "x" * 300000
    sendmail(m, "alice@example.test", text=f"Subject: x\n\n{long}\nend\n")
    got = body(take(m, "alice")[0]).replace("\n", "").replace(" ", "")
    check("a long line is whole", got == long + "end", len(got))


def envelope(m):
    sendmail(m, "-f", "joe@else.test", "-F", "Joe (x) Blow",
             "alice@example.test", text="Subject: x\n\nx\n")
    got = take(m, "alice")[0]
    check("-f", got["return-path"] == "<joe@else.test>", got["return-path"])
    check("-f makes From:", got["from"].addresses[0].addr_spec ==
          "joe@else.test", got["from"])
    check("-F", got["from"].addresses[0].display_name == "Joe (x) Blow",
          got["from"])
    sendmail(m, "-f", "", "alice@example.test", text="Subject: x\n\nx\n")
    check("-f ''", take(m, "alice")[0]["return-path"] == "<>")
    sendmail(m, "-f", "<>", "alice@example.test", text="Subject: x\n\nx\n")
    check("-f <>", take(m, "alice")[0]["return-path"] == "<>")
    sendmail(m, "-fJoe <joe@else.test>", "alice@example.test",
             text="Subject: x\n\nx\n")
    check("-f with a name",
          take(m, "alice")[0]["return-path"] == "<joe@else.test>")
    r = sendmail(m, "-f", "a@b, c@d", "alice@example.test", text="x\n")
    check("two senders", r.returncode == EX_USAGE, r)
    sendmail(m, "Alice <alice@example.test>, bob@example.test",
             "carol@example.test", text="Subject: x\n\nx\n")
    check("lists as arguments",
          [len(take(m, u)) for u in ("alice", "bob", "carol")] == [1, 1, 1])


def from_headers(m):
    r = sendmail(m, "-t", text=(
        "From: me@else.test\n"
        "To: Alice <alice@example.test>,\n"
        " friends: bob@example.test;\n"
        "Bcc: carol@example.test,\n"
        "\tbob@example.test\n"
        "Subject: t\n\nbody\n"))
    check("-t", r.returncode == 0, r)
    got = [take(m, u)[0] for u in ("alice", "bob", "carol")]
    check("-t: Bcc is gone", all("bcc" not in g for g in got))
    check("-t: the rest stays", all(
        g["subject"] == "t" and body(g) == "body\n" for g in got))
    sendmail(m, "-t", "carol@example.test",
             text="To: alice@example.test\n\nx\n")
    check("-t and arguments", len(take(m, "alice")) == 1
          and len(take(m, "carol")) == 1)
    sendmail(m, "-t", text=(
        "Resent-To: bob@example.test\nResent-From: r@else.test\n"
        "Resent-To: old@example.test\nResent-From: old@else.test\n"
        "To: alice@example.test\n\nx\n"))
    check("-t: Resent- of the newest block", len(take(m, "bob")) == 1
          and m.maildir("alice") == [])
    r = sendmail(m, "-t", text="Subject: nobody\n\nx\n")
    check("-t without recipients", r.returncode == EX_DATAERR
          and b"No recipient addresses found" in r.stderr, r)
    r = sendmail(m, "-t", text="To: undisclosed-recipients:;\n\nx\n")
    check("-t with an empty group", r.returncode == EX_DATAERR, r)
    sendmail(m, "-t", text="To: alice@example.test\nno header line\n\nx\n")
    check("-t: header without blank line",
          "no header line" in str(take(m, "alice")[0]))


def refusals(m):
    r = sendmail(m)
    check("no recipients", r.returncode == EX_USAGE and
          b"Recipient addresses must be specified" in r.stderr, r)
    for args in (("-N", "maybe"), ("-R", "half"), ("-V", "x" * 101)):
        r = sendmail(m, *args, "alice@example.test", text="x\n")
        check(f"ignored option {args}", r.returncode == 0 and
              b"-- ignored" in r.stderr, r)
        take(m, "alice")
    for args in (("-z",), ("-bx",), ("-B", "9BIT"), ("-qX",), ("-qR",),
                 ("-bs",), ("-bi",), ("-bd",), ("-bp",), ("-q",)):
        r = sendmail(m, *args, "alice@example.test", text="x\n")
        check(f"bad option {args}", r.returncode == EX_USAGE, r)
    r = sendmail(m, "--", "-x@example.test", text="x\n")
    check("leading minus", r.returncode == EX_DATAERR, r)
    r = sendmail(m, "x" * 300 + "@example.test", text="x\n")
    check("long local part", r.returncode == EX_DATAERR, r)
    r = sendmail(m, "a\x01b@example.test", text="x\n")
    check("control character", r.returncode == EX_DATAERR, r)
    r = sendmail(m, "alice@example.test",
                 text="Subject: big\n\n" + "x" * 70 * 30000)
    check("too big", r.returncode == EX_UNAVAILABLE and
          b"message file too big" in r.stderr, r)
    r = sendmail(m, "-t", text="To: alice@example.test\n"
                 + "X-Y: " + "z" * (9 << 20) + "\n\nx\n")
    check("absurd header", r.returncode == EX_DATAERR, r)
    many = [f"u{i}@example.test" for i in range(51000)]
    r = sendmail(m, "-t", text="Bcc: " + ",\n ".join(many) + "\n\nx\n")
    check("too many recipients", r.returncode == EX_DATAERR and
          b"too many recipients" in r.stderr, r.returncode)


def rights(m):
    nobody = first_user("nobody").pw_uid
    daemon = first_user("daemon").pw_uid
    r = sendmail(m, "alice@example.test", text="Subject: n\n\nx\n",
                 user=nobody)
    check("another user", r.returncode == 0, r)
    check("the sender is that user", take(m, "alice")[0]["return-path"]
          == "<nobody@mail.example.test>")
    r = sendmail(m, "alice@example.test", text="Subject: n\n\nx\n",
                 pre=["setpriv", "--no-new-privs", "--reuid=54321",
                      "--regid=54321", "--clear-groups"])
    check("no_new_privs and a uid without name", r.returncode == 0, r)
    check("its sender", take(m, "alice")[0]["return-path"]
          == "<uid-54321@mail.example.test>")
    r = sendmail(m, "alice@example.test", text="x\n", user=daemon)
    check("authorized_submit_users", r.returncode == EX_NOPERM and
          b"not allowed to submit" in r.stderr, r)
    r = sendmail(m, "-f", "boss@example.test", "alice@example.test",
                 text="x\n", user=nobody)
    check("local_login_sender_maps", r.returncode == EX_NOPERM and
          b"not allowed to send as" in r.stderr, r)
    r = sendmail(m, "-f", "nobody+x@mail.example.test",
                 "alice@example.test", text="S: x\n\nx\n", user=nobody)
    check("own address with extension", r.returncode == 0, r)
    take(m, "alice")
    r = sendmail(m, "-f", "<>", "alice@example.test", text="S: x\n\nx\n",
                 user=nobody)
    check("null sender by <>", r.returncode == 0, r)
    take(m, "alice")


def smtp(m):
    text = ("EHLO me\r\nMAIL FROM:<a@else.test> SIZE=10 BODY=8BITMIME\r\n"
            "RCPT TO:<alice@example.test> NOTIFY=NEVER\r\nDATA\r\n"
            "Subject: bs\r\n\r\n..dot\r\nx\r\n.\r\n"
            "RSET\r\nMAIL FROM:<>\r\nDATA\r\nVRFY x\r\nBLAH\r\n"
            "RCPT TO:<>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
            "second\r\n.\r\nQUIT\r\n")
    r = sendmail(m, "-bs", text=text)
    codes = [line[:4].decode() for line in r.stdout.splitlines()]
    want = ["220 ", "250 ", "250 ", "250 ", "354 ", "250 ", "250 ", "250 ",
            "554 ", "252 ", "502 ", "501 ", "250 ", "354 ", "250 ", "221 "]
    check("-bs replies", [c for c in codes if c != "250-"] == want,
          r.stdout)
    check("-bs message", body(take(m, "alice")[0]) == ".dot\nx\n")
    check("-bs second", len(take(m, "bob")) == 1)
    r = sendmail(m, "-bs", text="EHLO x\nMAIL FROM:<a@b.c>\n"
                 "RCPT TO:<alice@example.test>\nDATA\nSubject: cut\n\nx\n")
    check("-bs: cut off", b"354" in r.stdout and not m.maildir("alice"))
    r = sendmail(m, "-bs", text=b"x" * 100000 + b"\nQUIT\n")
    check("-bs: long line", b"500 5.5.2" in r.stdout and b"221" in r.stdout,
          r)


def actions(mail):
    """{recipient: (action, class of status)} of a report."""
    parts = mail.get_payload()[1].get_payload()
    return {p["Final-Recipient"].split("; ")[1]: (p["Action"],
                                                  p["Status"][0])
            for p in parts[1:]}


def reports(m):
    """-bv tries and delivers nothing; -v delivers and tells."""
    says = b"Mail Delivery Status Report will be mailed to <%s>.\n"
    r = sendmail(m, "-bv", "-f", "bob@example.test", "alice@example.test",
                 "nobody.such@example.test", "x@later.test", "l@example.test",
                 text="never read\n")
    check("-bv", r.returncode == EX_NOUSER and b"deliverable" in r.stdout
          and b"User unknown" in r.stdout
          and r.stdout.endswith(says % b"bob@example.test"), r)
    m.wait_idle()
    got = take(m, "bob")
    check("-bv: one report", len(got) == 1 and
          got[0]["Subject"] == "Mail Delivery Status Report", got)
    check("-bv: what it says", actions(got[0]) == {
        "alice@example.test": ("deliverable", "2"),
        "nobody.such@example.test": ("undeliverable", "5"),
        "x@later.test": ("undeliverable", "4"),
        # an alias: what it stands for
        "bob@example.test": ("deliverable", "2")}, str(got[0]))
    check("-bv: Subject: probe", "Subject: probe" in str(got[0]))
    check("-bv: nothing delivered", not m.maildir("alice") and
          "empty" in sendmail(m, "-bp").stdout.decode().lower())

    r = sendmail(m, "-v", "-f", "bob@example.test", "alice@example.test",
                 "nobody.such@example.test", "x@later.test",
                 text="Subject: v\n\nx\n")
    check("-v", r.returncode == 0 and r.stdout == says % b"bob@example.test",
          r)
    check("-v: delivered", len(take(m, "alice")) == 1)
    m.wait_log("sender delivery status notification:")
    got = {g["Subject"]: g for g in take(m, "bob", 2)}
    check("-v: report and notice", sorted(got) == [
        "Mail Delivery Status Report",
        "Undelivered Mail Returned to Sender"], list(got))
    check("-v: what it says", actions(got["Mail Delivery Status Report"]) == {
        "alice@example.test": ("delivered", "2"),
        "nobody.such@example.test": ("failed", "5"),
        "x@later.test": ("delayed", "4")}, str(got))
    check("-v: the notice is about the failure", list(actions(
        got["Undelivered Mail Returned to Sender"])) ==
        ["nobody.such@example.test"])
    # The second attempt is not reported.
    before = m.log().count("status=deferred")
    m.command("postqueue", "-f")
    end = time.monotonic() + 30
    while m.log().count("status=deferred") == before:
        assert time.monotonic() < end, m.log()
        time.sleep(0.05)
    m.command("postsuper", "-d", "ALL")
    m.wait_idle()
    check("-v: one report only", not m.maildir("bob"), m.maildir("bob"))
    r = sendmail(m, "-v", "-f", "", "alice@example.test", text="S: n\n\nx\n")
    check("-v: nobody to tell", r.returncode == 0 and
          len(take(m, "alice")) == 1)
    m.wait_idle()


def other_modes(m):
    reports(m)
    r = sendmail(m, "-bp")
    check("-bp", r.returncode == 0 and b"empty" in r.stdout.lower(), r)
    r = sendmail(m, "-bi")
    check("-bi", r.returncode == 0
          and os.path.exists(f"{m.etc}/aliases.db"), r)
    r = sendmail(m, "-q")
    check("-q", r.returncode == 0, r)
    for args in (["-oem"], ["-odi"], ["-om"], ["-Am"], ["-G"], ["-h", "3"],
                 ["-L", "x"], ["-n"], ["-O", "X=y"], ["-o7"], ["-o8"],
                 ["-U"], ["-X", "f"], ["-bm"], ["-m"], ["-B8BITMIME"],
                 ["-R", "hdrs"], ["-V", "id-1"], ["-N", "never"],
                 ["-p", "x"], ["-eq"], ["-r", "x@else.test"]):
        r = sendmail(m, *args, "alice@example.test", text="S: o\n\nx\n")
        check(f"{args}", r.returncode == 0 and len(take(m, "alice")) == 1,
              r)


def down(m):
    r = sendmail(m, "alice@example.test", text="x\n")
    check("system down", r.returncode == EX_TEMPFAIL and
          b"mail system is down" in r.stderr, r)


need_root()
with Instance(settings={
        "alias_database": "hash:{base}/etc/aliases",
        "message_size_limit": "2000000",
        "authorized_submit_users": "!daemon, static:anyone",
        "transport_maps": "inline:{{ later.test=retry:4.0.0:not-now }}",
        "virtual_alias_maps":
            "inline:{{ l@example.test=bob@example.test }}",
        "local_login_sender_maps":
            "inline:{{ {{ nobody = nobody, <> }} }} static:*",
        }) as inst:
    with open(f"{inst.etc}/aliases", "w", encoding="ascii") as f:
        f.write("postmaster: root\n")
    for part in (plain, envelope, from_headers, refusals, rights, smtp,
                 other_modes):
        part(inst)
    inst.stop()
    down(inst)
print(f"{passed} passed, {failed} failed, 0 skipped")
sys.exit(failed > 0)
