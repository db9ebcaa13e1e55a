#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make install puts what a package needs where a distribution wants it."""
import os
import re
import shutil
import subprocess
import sys

BUILD = os.path.abspath(os.environ.get("BUILD_DIR", "build/opt"))
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
TO = os.path.join(os.environ.get("TMPDIR", "/tmp"), "package")


def install():
    # What stands in the environment of make check is not meant for this one.
    clean = {k: v for k, v in os.environ.items()
             if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "T", "SAN")}
    done = subprocess.run(
        ["make", "-s", "-o", "all", "install", f"BUILD={BUILD}",
         f"DESTDIR={TO}", "PREFIX=/usr", "SYSCONFDIR=/etc"],
        cwd=TOP, env=clean, timeout=100, capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done
    return done.stdout


def files(below=""):
    found = []
    for folder, _, names in os.walk(TO + below):
        found += [os.path.join(folder, n)[len(TO):] for n in names]
    return sorted(found)


def text(path):
    with open(TO + path, encoding="utf8") as f:
        return f.read()


install()
programs = [p for p in files() if re.match(r"/usr/(s?bin|libexec/mansio)/", p)]
for name in ("/usr/sbin/mansio", "/usr/sbin/sendmail", "/usr/bin/mailq",
             "/usr/bin/newaliases", "/usr/sbin/postqueue",
             "/usr/libexec/mansio/master", "/usr/libexec/mansio/smtpd"):
    assert name in programs, name

# Settings and nothing else lie in /etc; no placeholder is left anywhere.
assert files("/etc") == ["/etc/fail2ban/filter.d/mansio.conf",
                         "/etc/logrotate.d/mansio"] + [
    f"/etc/mansio/{n}" for n in ("aliases", "main.cf", "master.cf")], \
    files("/etc")
for path in files():
    if path not in programs:
        assert not os.stat(TO + path).st_mode & 0o111, path
        left = re.findall("@[A-Z]+DIR@", text(path))
        assert not left, (path, left)

# Each program has a page; each program that the unit names is there.
pages = {os.path.basename(p).rsplit(".", 1)[0] for p in files()
         if "/man/man" in p}
for path in programs:
    assert os.path.basename(path) in pages, path
unit = text("/usr/lib/systemd/system/mansio.service")
for path in re.findall(r"^Exec\w+=(\S+)", unit, re.M):
    assert path in programs, path
for folder in ("sysusers.d", "tmpfiles.d"):
    assert text(f"/usr/lib/{folder}/mansio.conf")

if shutil.which("logrotate"):
    done = subprocess.run(["logrotate", "-d", "-s", f"{TO}/state",
                           f"{TO}/etc/logrotate.d/mansio"], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0 and "error" not in done.stderr, done

# A second time: what the administrator changed stays.
with open(f"{TO}/etc/mansio/main.cf", "w", encoding="ascii") as f:
    f.write("# mine\n")
assert "main.cf is there: kept" in install()
assert text("/etc/mansio/main.cf") == "# mine\n"

# The settings that are installed are good ones.
os.remove(f"{TO}/etc/mansio/main.cf")
install()
done = subprocess.run([f"{BUILD}/bin/postconf", "-c", f"{TO}/etc/mansio",
                       "-n"], capture_output=True, text=True, check=False)
assert done.returncode == 0 and done.stderr == "", done
sys.exit(0)
