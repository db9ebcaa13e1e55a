#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What qmgr makes of agents that deliver, refuse, die, hang, lie and give
back."""
# timeout: 240
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from qmgrlib import *  # noqa: E402,F403

tests = []


def test(**conf):
    def add(fn):
        tests.append((fn, conf))
        return fn
    return add


@test()
def delivered_at_once(r):
    a = r.agent("ok")
    i = r.send("a@ok.test", content="Subject: one\n\ntext\n")
    d = a.next()
    assert d.id == i and d.rcpts == ["a@ok.test"] and d.nexthop == "ok.test"
    assert d.attempt == 1 and not d.recovered
    assert d.content.endswith(b"Subject: one\n\ntext\n"), d.content
    d.status(DELIVERED)
    r.wait_log(f"{i}: removed")
    r.wait_empty()
    a.none()


@test()
def delivered_is_kept_until_the_checkpoint(r):
    a = r.agent("ok")
    i = r.send("a@ok.test")
    d = a.next()
    d.status(DELIVERED, serial=7)
    time.sleep(0.7)
    assert f"{i}: removed" not in r.log_text()
    d.checkpoint(6)
    time.sleep(0.2)
    assert f"{i}: removed" not in r.log_text()
    d.checkpoint(7)
    r.wait_log(f"{i}: removed")


@test()
def lost_before_the_checkpoint_is_done_again(r):
    a = r.agent("ok")
    r.send("a@ok.test", "b@ok.test")
    d = a.next()
    d.status(DELIVERED, rcpt=0, serial=7)
    d.status(DELIVERED, rcpt=1)
    time.sleep(0.2)
    a.drop()
    d = a.next()
    assert d.recovered and d.rcpts == ["a@ok.test"]
    d.status(DELIVERED)
    r.wait_empty()


@test()
def an_agent_that_dies_each_time_defers(r):
    def die(d):
        if d.rcpts == ["poison@ok.test"]:
            d.peer.close()
        else:
            d.status(DELIVERED)
    r.agent("ok", die)
    r.send("poison@ok.test")
    r.wait_files("deferred", 1)
    r.wait_log("status=deferred (unknown mail transport error)")
    r.ctl(FLUSH_ALL)
    i = r.send("good@ok.test")
    r.wait_log(f"{i}: removed")


@test()
def bounced_waits_for_its_notice(r):
    a = r.agent("ok")
    i = r.send("a@ok.test", "b@ok.test")
    d = a.next()
    d.status(BOUNCED, rcpt=0, why="no such user")
    d.status(DELIVERED, rcpt=1)
    n = r.notice()
    assert n.kind == FAILURE and n.rcpts == ["a@ok.test"]
    assert n.content.endswith(b"body\n")
    time.sleep(0.7)
    assert f"{i}: removed" not in r.log_text()
    r.bounce.drop()			# it dies: asked again
    n = r.notice()
    n.answer()
    r.wait_log(f"{i}: removed")
    r.wait_empty()


@test()
def a_notice_that_fails_defers(r):
    a = r.agent("ok")
    i = r.send("a@ok.test")
    a.next().status(BOUNCED)
    r.notice().answer(ok=False, why="4.3.1 full")
    r.wait_log(f"{i}: no notice could be sent: 4.3.1 full")
    r.wait_files("deferred", 1)
    r.ctl(FLUSH_ID, i)
    a.next().status(BOUNCED)
    r.notice().answer()
    r.wait_files("deferred", 0)


@test()
def notices_follow_notify(r):
    a = r.agent("ok")
    i = r.send(("a@ok.test", {"notify": 1}), ("b@ok.test", {"notify": 2}),
               ("c@ok.test", {"notify": 2}), ("d@ok.test", {"notify": 4}))
    d = a.next()
    for n in range(4):
        d.status(BOUNCED if n in (0, 1, 3) else DELIVERED, rcpt=n)
    kinds = {}
    for _ in range(2):
        n = r.notice()
        kinds[n.kind] = n.rcpts
        n.answer()
    assert kinds == {FAILURE: ["d@ok.test"], SUCCESS: ["c@ok.test"]}, kinds
    r.wait_log(f"{i}: removed")


@test(virtual_alias_maps="inline:{{list@ok.test = a@ok.test, b@ok.test}}")
def an_alias_answers_for_its_members(r):
    a = r.agent("ok")
    i = r.send(("list@ok.test", {"notify": 2 | 4}))
    d = a.next()
    assert d.rcpts[:2] == ["a@ok.test", "b@ok.test"], d.rcpts
    assert all(x["notify"] == 4 for x in d.env["rcpts"][:2]), d.env
    d.status(DELIVERED, rcpt=0)
    d.status(DEFERRED, rcpt=1)
    n = r.notice()
    assert (n.kind, n.rcpts) == (EXPANDED, ["list@ok.test"]), n.rcpts
    n.answer()
    # Once, also when a member is tried again.
    r.wait_files("deferred", 1)
    r.ctl(FLUSH_ID, i)
    a.next().status(DELIVERED)
    r.wait_log(f"{i}: removed")
    assert r.notices.empty()
    # SUCCESS alone asked for no failures; a held message tells it later.
    i = r.send(("list@ok.test", {"notify": 2}), flags=1 << 5)
    r.wait_files("hold", 1)
    assert r.notices.empty()
    for _ in range(100):		# the file is there, but not yet durable
        if r.ctl(RELEASE, i)[1] == 1:
            break
        time.sleep(0.05)
    a.next().status(BOUNCED)
    n = r.notice()
    assert (n.kind, n.rcpts) == (EXPANDED, ["list@ok.test"]), n.rcpts
    n.answer()
    r.wait_log(f"{i}: removed")
    assert r.notices.empty()


@test()
def failures_of_the_null_sender_are_double(r):
    a = r.agent("ok")
    r.send("a@ok.test", sender="")
    a.next().status(BOUNCED)
    n = r.notice()
    assert n.kind == DOUBLE
    n.answer()
    r.wait_empty()


@test(delay_warning_time="1s", minimal_backoff_time="1s",
      queue_run_delay="1s")
def a_delay_is_told_once(r):
    a = r.agent("ok")
    i = r.send("a@ok.test")
    a.next().status(DEFERRED)
    a.next().status(DEFERRED, why="still not")
    n = r.notice()
    assert n.kind == DELAY and n.rcpts == ["a@ok.test"]
    n.answer()
    a.next().status(DEFERRED)
    r.ctl(FLUSH_ALL)
    d = a.next()
    assert d.attempt >= 3
    d.status(DELIVERED)
    r.wait_log(f"{i}: removed")
    assert r.notices.empty()


@test(maximal_queue_lifetime="1s", minimal_backoff_time="2s",
      queue_run_delay="1s")
def old_mail_is_returned(r):
    a = r.agent("ok")
    i = r.send("a@ok.test")
    a.next().status(DEFERRED, why="not yet")
    a.next().status(DEFERRED, why="not yet")
    n = r.notice()
    assert n.kind == FAILURE
    n.answer()
    r.wait_log(f"{i}: from=<sender@example.org>, status=expired, "
               "returned to sender")
    r.wait_files("deferred", 0)


@test(soft_bounce="yes")
def soft_bounce_defers(r):
    a = r.agent("ok")
    r.send("a@ok.test")
    a.next().status(BOUNCED)
    r.wait_files("deferred", 1)
    assert r.notices.empty()


@test()
def deferred_keeps_the_fate_of_each(r):
    a = r.agent("ok")
    i = r.send("a@ok.test", "b@ok.test")
    d = a.next()
    d.status(DELIVERED, rcpt=0)
    d.status(DEFERRED, rcpt=1)
    r.wait_files("deferred", 1)
    r.qkill()
    r.qstart()
    r.ctl(FLUSH_ALL)
    d = a.next()
    assert d.rcpts == ["b@ok.test"] and d.recovered and d.attempt == 2
    d.status(DELIVERED)
    r.wait_log(f"{i}: removed")
    r.wait_files("deferred", 0)


@test()
def returned_costs_no_attempt(r):
    a = r.agent("ok")
    r.send("a@ok.test")
    for _ in range(3):
        a.next().status(RETURNED)
    d = a.next()
    assert d.attempt == 1 and not d.recovered
    d.status(DELIVERED)
    r.wait_empty()


@test()
def a_destination_that_is_down_is_left_alone(r):
    a = r.agent("ok")
    for n in range(8):
        r.send(f"u{n}@ok.test")
    for _ in range(5):
        a.next().status(DEFERRED, dsn="4.4.1", why="connection refused",
                        down=True)
    r.wait_files("deferred", 8)
    r.wait_log("(delivery temporarily suspended: connection refused)", 3)
    a.none()
    r.ctl(FLUSH_ALL)
    for _ in range(5):
        a.next().status(DELIVERED)
    for _ in range(3):
        a.next().status(DELIVERED)
    r.wait_empty()


@test()
def a_missing_transport_defers(r):
    r.send("a@nothere.test")
    r.wait_log("status=deferred (mail transport unavailable)")
    r.wait_files("deferred", 1)


@test()
def lies_end_the_connection(r):
    a = r.agent("ok")
    i = r.send("a@ok.test")
    for lie in (lambda d: d.status(DELIVERED, rcpt=5),
                lambda d: d.peer.send(STATUS, 99, b"x"),):
        d = a.next()
        lie(d)
    d = a.next()
    assert d.recovered
    d.status(DELIVERED)
    r.wait_log(f"{i}: removed")
    assert r.log_text().count("bad answer from the delivery agent") == 2


@test()
def an_answer_twice_is_a_lie(r):
    a = r.agent("ok")
    r.send("a@ok.test", "b@ok.test")
    d = a.next()
    d.status(DELIVERED, rcpt=0)
    d.status(DELIVERED, rcpt=0)
    d = a.next()
    assert d.recovered and d.rcpts == ["b@ok.test"]
    d.status(DELIVERED)
    r.wait_empty()


@test(ipc_timeout="2s")
def an_agent_that_hangs_is_given_up(r):
    a = r.agent("ok")
    i = r.send("a@ok.test")
    a.next()
    d = a.next()
    assert d.recovered
    d.status(DELIVERED)
    r.wait_log(f"{i}: removed")


@test(ok_destination_concurrency_limit="2", ok_destination_recipient_limit="1",
      ok_destination_batch_limit="1")
def one_mailbox_gets_its_limit(r):
    a = r.agent("ok")
    for _ in range(5):
        r.send("a+x@ok.test", "b@ok.test")
    got = [a.next() for _ in range(4)]
    assert sorted(d.rcpts[0] for d in got) == \
        ["a+x@ok.test"] * 2 + ["b@ok.test"] * 2
    a.none()
    for d in got:
        d.status(DELIVERED)
    for _ in range(6):
        a.next().status(DELIVERED)
    r.wait_empty()


@test(default_destination_recipient_limit="10",
      ok_destination_concurrency_limit="1",
      initial_destination_concurrency="1")
def a_small_message_overtakes_a_huge_one(r):
    a = r.agent("ok")
    big = r.send(*[f"u{n}@ok.test" for n in range(200)])
    first = a.next()
    assert first.id == big and len(first.rcpts) == 10
    small = r.send("s@ok.test")
    r.wait_numbers(active=2)
    first.status(DELIVERED)
    order = []
    for _ in range(20):
        d = a.next()
        order.append(d.id)
        d.status(DELIVERED)
    assert order.index(small) <= 1, order
    r.wait_empty()


@test(ok_destination_rate_delay="1s")
def a_rate_delay_spaces_deliveries(r):
    a = r.agent("ok")
    start = time.time()
    for n in range(3):
        r.send(f"u{n}@ok.test")
    for _ in range(3):
        a.next().status(DELIVERED)
    assert time.time() - start >= 1.9, time.time() - start


@test(ok_destination_rate_delay="1s")
def a_rate_delay_outlives_an_empty_queue(r):
    a = r.agent("ok")
    start = time.time()
    for n in range(3):
        r.send(f"u{n}@ok.test")
        a.next().status(DELIVERED)
        r.wait_empty()
    assert time.time() - start >= 1.9, time.time() - start


@test(defer_transports="ok")
def defer_transports_holds_it_back(r):
    a = r.agent("ok")
    r.send("a@ok.test")
    r.wait_log("status=deferred (deferred transport)")
    a.none()


@test()
def bad_and_unresolvable_addresses(r):
    r.send("a@invalid.test")
    n = r.notice()
    assert n.env["rcpts"][0]["addr"] == "a@invalid.test"
    n.answer()
    r.send("a@temp.test")
    r.wait_log("status=deferred (no answer)")
    r.wait_files("deferred", 1)


@test()
def rewrite_may_come_and_go(r):
    a = r.agent("ok")
    r.rewrite.stop()
    i = r.send("a@ok.test")
    a.none(1)
    r.rewrite.listen()
    a.next().status(DELIVERED)
    r.wait_log(f"{i}: removed")


@test()
def one_question_for_a_burst(r):
    r.agent("ok", lambda d: d.status(DELIVERED))
    r.resolve_delay = 0.3
    for _ in range(20):
        r.send("same@ok.test")
    r.wait_empty()
    assert r.asked.count("same@ok.test") <= 3, len(r.asked)


@test(default_destination_batch_limit="100",
      ok_destination_concurrency_limit="1")
def a_batch_counts_as_one(r):
    a = r.agent("ok")
    for n in range(10):
        r.send(f"u{n}@ok.test")
    got = [a.next() for _ in range(10)]
    assert len({d.peer for d in got}) == 1
    for d in got:
        d.status(DELIVERED)
    r.wait_empty()


@test(ok_destination_concurrency_limit="1000",
      initial_destination_concurrency="1000")
def slow_agents_get_company(r):
    a = r.agent("ok")
    n = 60
    for i in range(n):
        r.send(f"u{i}@ok.test")
    got = [a.next() for _ in range(n)]
    peers = {d.peer for d in got}
    assert len(peers) >= 3, len(peers)
    for d in got:
        d.status(DELIVERED)
    r.wait_empty()


@test(qmgr_message_active_limit="20")
def the_active_set_is_bounded(r):
    a = r.agent("ok")
    for i in range(60):
        r.send(f"u{i}@ok.test")
    r.wait_numbers(active=20, incoming=40)
    seen = set()
    for _ in range(60):
        d = a.next()
        seen.add(d.id)
        d.status(DELIVERED)
    assert len(seen) == 60
    r.wait_empty()


@test()
def large_messages_come_as_files(r):
    a = r.agent("ok")
    body = "Subject: big\n\n" + "x" * 70 + "\n"
    body += ("y" * 70 + "\n") * 200000
    i = r.send("a@ok.test", content=body)
    d = a.next(30)
    assert d.len == len(d.content) and d.content.endswith(b"y" * 70 + b"\n")
    d.status(DELIVERED)
    r.wait_log(f"{i}: removed")
    r.wait_files("large", 0)


if __name__ == "__main__":
    sys.exit(run(tests))
