#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""authd: system users through PAM, with a service of our own in a mount
namespace: right, wrong, expired, unavailable, and the rest goes on."""
import grp
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from authlib import (UNAVAILABLE, WRONG, Client, Instance,  # noqa: E402
                     accounts, free_port, need_root, skip)
from instance import first_user  # noqa: E402
from memory import below, in_memory  # noqa: E402

assert free_port
need_root()
if os.environ.get("MANSIO_TEST_NS") != "1":
    if not shutil.which("unshare") or not os.path.isdir("/etc/pam.d"):
        skip("no unshare(1) or no /etc/pam.d")
    if "libpam" not in subprocess.run(
            ["ldd", f"{os.environ['BUILD_DIR']}/bin/authd"],
            capture_output=True, text=True, check=False).stdout:
        skip("built without PAM")
    probe = subprocess.run(["unshare", "-m", "true"], check=False)
    if probe.returncode != 0:
        skip("no mount namespaces here")
    os.environ["MANSIO_TEST_NS"] = "1"
    os.execvp("unshare", ["unshare", "-m", "--propagation", "private",
                          sys.executable, os.path.abspath(__file__)])

# The password comes on stdin, with a NUL behind it; the user in PAM_USER.
CHECK = """#!/bin/sh
read -r password
case $PAM_USER:$password in
daemon:open) exit 0 ;;
daemon:look)
	{	id -u
		(exec 3</proc/$PPID/mem) 2>/dev/null || echo no memory
		mount -t tmpfs none /mnt 2>/dev/null || echo no mount
		mknod "$0.dev" c 1 3 2>/dev/null || echo no device
	} >"${0%/*}/seen" ;;
esac
exit 1
"""
inst = Instance(settings={
    "authd_failure_delay": "0s", "authd_failure_ban_threshold": "100000",
    "authd_username_format": "%u", "authd_password_maps": "pam:mansio-test"})
services = f"{inst.base}/pam.d"
os.makedirs(services)
with open(f"{inst.base}/check", "w", encoding="ascii") as out:
    out.write(CHECK)
os.chmod(f"{inst.base}/check", 0o755)
subprocess.run(["mount", "--bind", services, "/etc/pam.d"], check=True)
hashed = subprocess.run(["openssl", "passwd", "-6", "shadow pass"],
                        capture_output=True, text=True, check=True).stdout
with open(f"{inst.base}/shadow", "w", encoding="ascii") as out:
    out.write(f"daemon:{hashed.strip()}:19000:0:99999:7:::\n")
subprocess.run(["mount", "--bind", f"{inst.base}/shadow", "/etc/shadow"],
               check=True)


def service(auth, account="required pam_permit.so"):
    with open(f"{services}/mansio-test", "w", encoding="ascii") as f:
        f.write(f"{auth}\naccount {account}\n")


EXEC = (f"auth [success=1 default=ignore] pam_exec.so quiet expose_authtok "
        f"{inst.base}/check\nauth requisite pam_deny.so\n"
        "auth required pam_permit.so")


def helpers():
    return {p for p, n in below(inst.master_pid()).items()
            if n == "authd-pam"}


accounts(inst, alice="wonderland")
service(EXEC)
with inst:
    c = Client(inst.base)
    got = c.plain("daemon", "open", service="imap")
    assert got[:3] == ("ok", "daemon", "daemon"), (got, inst.log()[-2000:])
    # What is cached is asked no more; what is wrong always is.
    assert c.plain("daemon", "open", service="imap")[0] == "ok"
    for user, password in (("daemon", "x"), ("nobody", "open"),
                           ("no-such-user", "open")):
        assert c.plain(user, password)[:2] == ("fail", WRONG), user
    assert c.login("daemon", "open")[0] == "ok"
    # No keys: SCRAM fails as for a wrong password.
    assert c.scram("daemon", "open")[:2] == ("fail", WRONG)
    # An account that PAM does not let in.
    inst.command("mansio", "reload")        # forgets the cache
    service(EXEC, "required pam_deny.so")
    end = time.monotonic() + 20
    while c.plain("daemon", "open")[0] == "ok":
        assert time.monotonic() < end
        time.sleep(0.1)
    assert c.plain("daemon", "open")[:2] in (("fail", WRONG),
                                             ("fail", UNAVAILABLE))
    # A module that is not there: temporary.
    service("auth required pam_no_such_module.so")
    assert c.plain("daemon", "open")[0] == "fail"
    service(EXEC)
    assert c.plain("daemon", "open")[0] == "ok"
    # Its processes die: PAM is away for a moment.
    old = helpers()
    assert len(old) == 2, old
    for pid in old:
        os.kill(pid, 9)
    assert c.plain("daemon", "other")[1] in (UNAVAILABLE, WRONG)
    end = time.monotonic() + 60
    while len(helpers() - old) < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    inst.command("mansio", "reload")        # forgets the cache
    while c.plain("daemon", "open")[0] != "ok":
        assert time.monotonic() < end
        time.sleep(0.1)
    # In their sandbox; and what modules run gains nothing and sees nobody.
    for pid in helpers():
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            status = dict(x.rstrip("\n").split(":", 1) for x in f)
        if "/san-" not in os.environ["BUILD_DIR"]:
            assert status["Seccomp"].strip() == "2", status
            assert status["NoNewPrivs"].strip() == "1", status
        assert int(status["CapBnd"], 16) >> 19 & 1 == 0, status
    assert c.plain("daemon", "look")[:2] == ("fail", WRONG)
    with open(f"{inst.base}/seen", encoding="ascii") as f:
        seen = f.read()
    # Under a sanitizer its own memory is not closed to it.
    assert seen.replace("no memory\n", "") == "0\nno mount\nno device\n"
    assert "no memory" in seen or "/san-" in os.environ["BUILD_DIR"]
    # Passwords of the system itself, as pam_unix reads them.
    service("auth required pam_unix.so", "required pam_unix.so")
    assert c.plain("daemon", "shadow pass")[0] == "ok", inst.log()[-2000:]
    assert c.plain("daemon", "shadow past")[:2] == ("fail", WRONG)
    time.sleep(0.5)             # what is wiped at the end of a turn
    if "/san-" not in os.environ["BUILD_DIR"]:
        for pid, name in below(inst.master_pid()).items():
            assert not in_memory(pid, {b"shadow pass", b"shadow past",
                                       hashed.strip().encode()[-60:]}), name
    service(EXEC)
    log = inst.log()
    assert log.count("lost the process authd-pam; another one follows") == 2
    assert "open" not in log.replace("opened", "")
    # The process that starts them dies: all of it begins anew.
    def family():
        return {p for p, n in below(inst.master_pid()).items()
                if n.startswith("authd")}

    old = family()
    assert len(old) == 5, old
    nurse, = [p for p, n in below(inst.master_pid()).items()
              if n == "authd-nurse"]
    os.kill(nurse, 9)
    end = time.monotonic() + 60
    while len(family() - old) < 5 or any(os.path.exists(f"/proc/{p}")
                                         for p in old):
        assert time.monotonic() < end, (old, family())
        time.sleep(0.1)
    c = Client(inst.base)
    assert c.plain("daemon", "open")[0] == "ok"
    inst.wait_log("lost the process authd-nurse: beginning anew")

# A user in root's place: pam_unix needs no more than shadow's group, and what
# modules run is nobody more.
for path in ("/etc/pam.d", "/etc/shadow"):
    subprocess.run(["umount", path], check=True)
OWNER = first_user("uucp", "games", "news")
with open("/etc/group", encoding="utf-8") as f:
    groups = f.read()
line = re.search(r"^shadow:.*$", groups, re.M).group()
with tempfile.NamedTemporaryFile("w", encoding="utf-8") as f:
    f.write(groups.replace(line, line.rstrip(",") + (
        "" if line.endswith(":") else ",") + OWNER.pw_name))
    f.flush()
    os.chmod(f.name, 0o644)
    subprocess.run(["mount", "--bind", f.name, "/etc/group"], check=True)
with Instance(settings={
        "authd_failure_delay": "0s", "authd_failure_ban_threshold": "100000",
        "authd_username_format": "%u", "authd_pam_owner": OWNER.pw_name,
        "authd_password_maps": "pam:mansio-test"}) as inst:
    os.makedirs(f"{inst.base}/pam.d")
    subprocess.run(["mount", "--bind", f"{inst.base}/pam.d", "/etc/pam.d"],
                   check=True)
    with open(f"{inst.base}/shadow", "w", encoding="ascii") as out:
        out.write(f"daemon:{hashed.strip()}:19000:0:99999:7:::\n")
    os.chown(f"{inst.base}/shadow", 0, grp.getgrnam("shadow").gr_gid)
    os.chmod(f"{inst.base}/shadow", 0o640)
    subprocess.run(["mount", "--bind", f"{inst.base}/shadow", "/etc/shadow"],
                   check=True)
    services = f"{inst.base}/pam.d"
    service("auth required pam_unix.so", "required pam_unix.so")
    c = Client(inst.base)
    assert c.plain("daemon", "shadow pass")[0] == "ok", inst.log()[-2000:]
    assert c.plain("daemon", "shadow past")[:2] == ("fail", WRONG)
    assert len(helpers()) == 2
    for pid in helpers():
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            status = dict(x.rstrip("\n").split(":", 1) for x in f)
        assert set(status["Uid"].split()) == {str(OWNER.pw_uid)}, status
        assert int(status["CapPrm"], 16) == 0, status
    for user, says in (("root", 0), ("no-such-user", 1)):
        with open(f"{inst.etc}/main.cf", "a", encoding="ascii") as f:
            f.write(f"authd_pam_owner = {user}\n")
        done = inst.command("mansio", "check", check=False)
        assert ("authd_pam_owner: \"no-such-user\" is no user" in
                done.stderr) == says, done
print("1 passed, 0 failed, 0 skipped")
