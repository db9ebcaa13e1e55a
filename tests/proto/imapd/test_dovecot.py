#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 400
"""The engine's answers, about ugly mail and to odd commands, are Dovecot's, or
explained."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
COMPARE = os.path.join(HERE, "../../compare")

for words in (["compare.py", "-i"], ["compare.py", "-i", "-m", "100"],
              ["threads.py", "6"], ["imap.py"]):
    rc = subprocess.run([os.path.join(COMPARE, words[0])] +
                        words[1:]).returncode
    if rc:
        sys.exit(rc)
print("4 passed, 0 failed, 0 skipped")
