# SPDX-License-Identifier: ISC
"""Cases that each show one clause of an RFC, with two clients of one engine."""
import re
import shutil

from imaptalk import Engine

e = Engine()
engines = [e]           # all on the same account
cases = []


def engine_of(user, *settings):
    """An engine of its own on the account, whose clients may be another user;
    see tests/imapd/engine.c."""
    engines.append(Engine(directory=e.dir, user=user, settings=settings))
    return engines[-1]


def clause(number):
    def add(fn):
        cases.append((number, fn))
        return fn
    return add


def untagged(lines, word):
    return [line for line in lines if re.match(rb"\* (\d+ )?" + word, line)]


def run_all(rfc):
    failed = 0
    for number, case in cases:
        one, two = e.client(), e.client()
        try:
            case(one, two)
        except (AssertionError, TimeoutError) as err:
            failed += 1
            print(f"{rfc} {number} {case.__name__}: line "
                  f"{err.__traceback__.tb_next.tb_lineno}: {err}")
        one.close()
        two.close()
    for x in engines:
        x.stop()
    shutil.rmtree(e.dir)
    print(f"{len(cases) - failed} passed, {failed} failed, 0 skipped")
    raise SystemExit(failed > 0)
