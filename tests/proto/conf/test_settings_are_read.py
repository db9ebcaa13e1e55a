#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Each setting of params.def is read by some program, or says that it is not.

A setting with a paragraph in postconf(5) that no program looks at is a lie to
the administrator.
"""
import glob
import os
import re

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
ROW = re.compile(r'^P_[A-Z]+\((\w+),(.*?)"\)$', re.M | re.S)
# Their text says that they have no effect, or are for "$name" in others.
SAYS = ("Accepted so that a main.cf can be shared", "another cannot be given",
        "for use in other settings", "part of the default of")
# Facts about the installation, which others look up with postconf(1), and
# what sample files use as $name.
FACTS = {"mail_version", "mailq_path", "newaliases_path", "sendmail_path",
         "compatibility_level"}


def text_of(*patterns):
    out = []
    for p in patterns:
        for path in sorted(glob.glob(f"{TOP}/{p}")):
            with open(path, encoding="utf-8") as f:
                out.append(f.read())
    return "\n".join(out)


with open(f"{TOP}/lib/conf/params.def", encoding="utf-8") as f:
    table = f.read()
code = text_of("[a-z]*/*.[ch]", "lib/*/*.[ch]")
sample = text_of("etc/master.cf", "etc/demo/demo")
rows = ROW.findall(table)
assert len(rows) > 700, len(rows)

# PICK(name) stands for smtp_name and lmtp_name, conf.d##_name for imapd_name
# and pop3d_name.
picked = set(re.findall(r"\b(?:PICK2?|OPEN)\(([^)]*)\)", code))
picked = set(re.findall(r"\w+", " ".join(picked)))
words = set(re.findall(r"\w+", code))
pasted = set(re.findall(r"conf\.\w+##_(\w+)", code))


def is_read(name):
    head, _, tail = name.partition("_")
    return name in words or \
        head in ("smtp", "lmtp") and tail in picked or \
        head in ("imapd", "pop3d") and tail in pasted or \
        re.search(r"_(destination|transport)_\w+$", name) is not None


# What a setting that is read takes its default from is read, too.
known = {n for n, _ in rows if is_read(n)}
while True:
    more = {ref for n, rest in rows if n in known
            for ref in re.findall(r"\$\{?(\w+)", rest.split('"')[1])} - known
    if not more:
        break
    known |= more

lies = [n for n, rest in rows if n not in known and n not in FACTS and
        f"${n}" not in sample and
        not any(s in re.sub(r'"\s*\n\s*"', "", rest) for s in SAYS)]
assert not lies, f"nothing reads: {' '.join(lies)}"
