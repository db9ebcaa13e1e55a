#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""mansio says how it is called, and mansio(8) has every command."""
import os
import re
import subprocess

BUILD = os.environ.get("BUILD_DIR", "build/opt")
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))


def mansio(*args):
    return subprocess.run([f"{BUILD}/bin/mansio", *args], timeout=60,
                          capture_output=True, text=True, check=False)


got = mansio("help")
assert got.returncode == 0 and got.stderr == "", got
assert mansio("-h").stdout == got.stdout
commands = re.findall(r"^  (\S+) ", got.stdout, re.M)
assert len(commands) > 20 and "start" in commands, commands
with open(f"{TOP}/man/mansio.8", encoding="utf8") as f:
    page = f.read()
for name in commands:
    got = mansio("help", name)
    lines = got.stdout.splitlines()
    assert got.returncode == 0 and lines[0].startswith(f"usage: mansio {name}")
    assert re.search(rf"^\.(It|Op|Nm|Ic).*\b{name}\b", page, re.M), name

# What nobody got is no success.
if os.path.exists("/dev/full"):
    with open("/dev/full", "w", encoding="ascii") as full:
        for args in (["help"], ["-h"], ["help", "start"]):
            done = subprocess.run([f"{BUILD}/bin/mansio", *args], text=True,
                                  timeout=60, stdout=full, check=False,
                                  stderr=subprocess.PIPE)
            assert done.returncode == 1 and "No space left" in done.stderr, \
                done
done = subprocess.run(f"exec {BUILD}/bin/mansio help >&-", shell=True,
                      timeout=60, stderr=subprocess.PIPE, check=False)
assert done.returncode == 1 and b"write standard output" in done.stderr, done

for wrong in ((), ("help", "frobnicate"), ("frobnicate",), ("help", "a", "b"),
              ("acl", "get")):
    got = mansio(*wrong)
    assert got.returncode == 64 and got.stdout == "" and got.stderr, wrong
assert mansio("acl").stderr.count("mansio acl") == 3
