#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Virtual aliases, canonical, bcc, duplicates."""
from cleanuplib import *

VIRTUAL = """\
list@v.test a@x.test, b@x.test,
	c@x.test
one@v.test end@x.test
chain@v.test one@v.test
self@v.test self@v.test, other@x.test
swap1@v.test swap2@v.test
swap2@v.test swap1@v.test
user@v.test user2@v.test
@all.test catch@x.test
@dom.test @newdom.test
bare@v.test localuser
grow@v.test grow1@v.test, grow2@v.test
grow1@v.test grow3@v.test, grow4@v.test
empty@v.test ,
quoted@v.test "a b"@x.test
"""


def rcpts(i, r):
    eq(r.code, "2.0.0")
    return [x["addr"] for x in i.messages()[r.queue_id][0]["rcpts"]]


def virtual_aliases_are_expanded():
    "virtual(5)"
    with Instance({"virtual_alias_maps": "texthash:ETC/v",
                   "recipient_delimiter": "+",
                   "virtual_alias_recursion_limit": "20"},
                  {"v": VIRTUAL}) as i:
        c = Client(i)

        def to(*a, **kw):
            return rcpts(i, c.message("S: x\n\nb\n", rcpts=a, **kw))

        eq(to("list@v.test"), ["a@x.test", "b@x.test", "c@x.test"])
        eq(to("LIST@V.test"), ["a@x.test", "b@x.test", "c@x.test"])
        eq(to("chain@v.test"), ["end@x.test"])
        eq(to("self@v.test"), ["self@v.test", "other@x.test"])
        eq(to("who@all.test"), ["catch@x.test"])
        eq(to("who@dom.test"), ["who@newdom.test"])
        eq(to("bare@v.test"), ["localuser@mail.example.test"])
        eq(to("user+ext@v.test"), ["user2+ext@v.test"])
        eq(to("quoted@v.test"), ["a b@x.test"])
        eq(to("nobody@v.test"), ["nobody@v.test"])
        eq(to("list@v.test", flags=F_NO_RCPT_MAP), ["list@v.test"])
        eq(to("list@v.test", flags=F_NO_REWRITE), ["list@v.test"])
        # Loops and growth have an end: try again later, nothing is lost.
        r = c.message("S: x\n\nb\n", rcpts=["swap1@v.test"])
        eq((r.smtp, r.code), (451, "4.6.0"))
        r = c.message("S: x\n\nb\n", rcpts=["empty@v.test"])
        eq((r.smtp, r.code), (451, "4.3.0"))
        i.reload({"virtual_alias_expansion_limit": "2"})
        eq(to("one@v.test"), ["end@x.test"])
        r = c.message("S: x\n\nb\n", rcpts=["grow@v.test"])
        eq((r.smtp, r.code), (451, "4.6.0"))
        # RFC 3461 5.2.7.2: SUCCESS is answered for the alias, once.
        i.reload({"virtual_alias_expansion_limit": "1000"})
        r = c.message("S: x\n\nb\n", rcpts=[
            ("list@v.test", {"notify": 6}), ("list@v.test", {"notify": 6}),
            ("nobody@v.test", {"notify": 2})])
        eq([(x["addr"], x["notify"], x.get("fate", 0))
            for x in i.messages()[r.queue_id][0]["rcpts"]],
           [("a@x.test", 4, 0), ("b@x.test", 4, 0), ("c@x.test", 4, 0),
            ("nobody@v.test", 2, 0), ("list@v.test", 6, 1)])
        # The original recipient is kept.
        r = c.message("S: x\n\nb\n", rcpts=["chain@v.test"])
        eq(i.messages()[r.queue_id][0]["rcpts"][0]["orig"], "chain@v.test")


def duplicates_are_dropped():
    "enable_original_recipient, DSN parameters"
    with Instance({"virtual_alias_maps":
                   "inline:{ a@v.test=x@x.test, b@v.test=x@x.test }"}) as i:
        c = Client(i)

        def to(*a, **kw):
            return rcpts(i, c.message("S: x\n\nb\n", rcpts=a, **kw))

        eq(to("a@x.test", "A@X.TEST", "b@x.test", "a@x.test"),
           ["a@x.test", "b@x.test"])
        # Another original recipient, or other notices, are a difference.
        eq(to("a@v.test", "b@v.test"), ["x@x.test", "x@x.test"])
        eq(to(("a@x.test", {"notify": 1}), ("a@x.test", {"notify": 2})),
           ["a@x.test", "a@x.test"])
        i.reload({"enable_original_recipient": "no"})
        eq(to("a@v.test", "b@v.test"), ["x@x.test"])
        i.reload({"duplicate_filter_limit": "5000"})
        many = [f"u{n}@x.test" for n in range(3000)]
        eq(to(*(many + many)), many)
        # Of an empty list nothing can be made.
        r = c.message("S: x\n\nb\n", rcpts=[])
        eq(r.code, "5.5.1")


def copies():
    "always_bcc, sender_bcc_maps, recipient_bcc_maps"
    with Instance({"always_bcc": "archive",
                   "sender_bcc_maps": "inline:{ s@x.test=sb@x.test }",
                   "recipient_bcc_maps":
                   "inline:{ r@x.test=rb@x.test, @d.test=db@x.test }"}) as i:
        c = Client(i)
        r = c.message("S: x\n\nb\n", sender="s@x.test",
                      rcpts=["r@x.test", "o@d.test", "q@x.test"])
        got = i.messages()[r.queue_id][0]["rcpts"]
        eq(sorted(x["addr"] for x in got),
           ["archive@mail.example.test", "db@x.test", "o@d.test", "q@x.test",
            "r@x.test", "rb@x.test", "sb@x.test"])
        for x in got:
            eq(x.get("notify", 0),
               0 if x["addr"] in ("r@x.test", "o@d.test", "q@x.test") else 1)
        r = c.message("S: x\n\nb\n", sender="s@x.test", rcpts=["r@x.test"],
                      flags=F_NO_BCC)
        eq(rcpts(i, r), ["r@x.test"])


def incomplete_addresses_are_completed():
    "append_at_myorigin"
    with Instance({"myorigin": "origin.test"}) as i:
        c = Client(i)
        r = c.message("S: x\n\nb\n", sender="joe", rcpts=["bob", "a@b.test"],
                      client_addr="192.0.2.1", client_name="x")
        e = i.messages()[r.queue_id][0]
        eq(e["sender"], "joe@origin.test")
        eq(rcpts(i, r), ["bob@origin.test", "a@b.test"])
        r = c.message("S: x\n\nb\n", sender="")
        eq(i.messages()[r.queue_id][0].get("sender", ""), "")


def tables_that_fail():
    "451, and nothing is lost"
    for name in ("virtual_alias_maps", "canonical_maps", "sender_bcc_maps",
                 "recipient_bcc_maps"):
        with Instance({name: "fail:x"}) as i:
            r = Client(i).message("From: a@b\n\nb\n")
            eq((r.smtp, r.code), (451, "4.3.0"))
            eq(i.messages(), {})


run([virtual_aliases_are_expanded, duplicates_are_dropped, copies,
     incomplete_addresses_are_completed, tables_that_fail])
