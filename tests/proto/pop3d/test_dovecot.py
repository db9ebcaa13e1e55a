#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# timeout: 400
"""pop3d's answers are those of Dovecot's POP3 server, or explained."""
import os

COMPARE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../../compare")
os.execv(os.path.join(COMPARE, "pop3.py"), ["pop3.py"])
