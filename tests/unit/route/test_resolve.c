/* SPDX-License-Identifier: ISC */
/*
 * resolve: classes, transports and next hops as Postfix's manual describes
 * them, with the tables inline in main.cf.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/params.h"
#include "conf/table.h"
#include "io/fd.h"
#include "route/addr_find.h"
#include "route/our.h"
#include "route/resolve.h"

static const char base[] =
	"myhostname = mail.here.test\n"
	"mydomain = here.test\n"
	"myorigin = here.test\n"
	"mydestination = $myhostname, $mydomain, localhost\n"
	"inet_interfaces = 192.0.2.1, [2001:db8::1]\n"
	"proxy_interfaces =\n"
	"recipient_delimiter = +\n"
	"alias_maps = inline:{ staff=joe }\n"
	"local_recipient_maps = inline:{ joe=x, sue=x } $alias_maps\n"
	"virtual_alias_domains = alias.test\n"
	"virtual_alias_maps = inline:{ info@alias.test=joe, "
		"joe.blow@here.test=joe, @catch.test=joe, "
		"sales@box.test=sue }\n"
	"virtual_mailbox_domains = box.test all.test\n"
	"virtual_mailbox_maps = inline:{ bob@box.test=bob/, @all.test=all/ }\n"
	"relay_domains = relay.test\n"
	"relay_recipient_maps = inline:{ ann@relay.test=x }\n"
	"default_transport = smtp\n";

/* Load base and more, in a main.cf of our own. */
static void
load(const char *more)
{
	char dir[] = "/tmp/mansio-test-XXXXXX";
	struct buf path = BUF_INIT(BUF_UNLIMITED);
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	ck_assert(mkdtemp(dir) != NULL);
	buf_addf(&path, "%s/main.cf", dir);
	buf_addf(&text, "%s%s", base, more != NULL ? more : "");
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path.data, 0600, text.data,
	    text.len), 0);
	ck_assert_int_eq(params_load(dir, NULL, 0, NULL, NULL), 0);
	ck_assert_int_eq(our_open(&why), 0);
	unlink(path.data);
	rmdir(dir);
	buf_fini(&path);
	buf_fini(&text);
}

static void
ask(const char *more, const char *address, const char *sender,
    struct route *r)
{
	struct why why = WHY_INIT;
	struct resolver *res;

	load(more);
	res = resolver_new(&why);
	ck_assert_msg(res != NULL, "%s", why.text);
	route_init(r);
	resolver_resolve(res, span_of(address), span_of(sender), RESOLVE_LISTED, r);
	resolver_free(&res);
}

enum { N, L, A, M, R, D };	/* the classes; N: invalid */

/* want: "transport:nexthop address" */
static const struct {
	const char	*more, *address;
	int		 class;
	const char	*want;
	bool		 listed;
} cases[] = {
	/* the five classes */
	{ NULL, "joe@here.test", L, "local:mail.here.test joe@here.test", true },
	{ NULL, "joe@HERE.test", L, "local:mail.here.test joe@HERE.test", true },
	{ NULL, "joe+x@here.test", L, "local:mail.here.test joe+x@here.test",
	    true },
	{ NULL, "staff@here.test", L, "local:mail.here.test staff@here.test",
	    true },
	{ NULL, "nobody@here.test", L,
	    "local:mail.here.test nobody@here.test", false },
	{ NULL, "joe.blow@here.test", L,
	    "local:mail.here.test joe.blow@here.test", true },
	{ NULL, "joe", L, "local:mail.here.test joe@here.test", true },
	{ NULL, "joe@localhost.", L, "local:mail.here.test joe@localhost",
	    true },
	{ NULL, "joe@[192.0.2.1]", L, "local:mail.here.test joe@[192.0.2.1]",
	    true },
	{ NULL, "joe@[IPv6:2001:db8:0::1]", L,
	    "local:mail.here.test joe@[IPv6:2001:db8:0::1]", true },
	{ NULL, "joe@[192.0.2.9]", D, "smtp:[192.0.2.9] joe@[192.0.2.9]",
	    true },
	{ NULL, "info@alias.test", A,
	    "error:5.1.1 User unknown in virtual alias table info@alias.test",
	    true },
	{ NULL, "x@alias.test", A,
	    "error:5.1.1 User unknown in virtual alias table x@alias.test",
	    false },
	{ NULL, "bob@box.test", M, "virtual:box.test bob@box.test", true },
	{ NULL, "bob+x@box.test", M, "virtual:box.test bob+x@box.test", true },
	{ NULL, "sales@box.test", M, "virtual:box.test sales@box.test", true },
	{ NULL, "x@box.test", M, "virtual:box.test x@box.test", false },
	{ NULL, "x@all.test", M, "virtual:all.test x@all.test", true },
	{ NULL, "x@catch.test", D, "smtp:catch.test x@catch.test", true },
	{ NULL, "ann@relay.test", R, "relay:relay.test ann@relay.test", true },
	{ NULL, "x@relay.test", R, "relay:relay.test x@relay.test", false },
	{ NULL, "x@Other.Test", D, "smtp:other.test x@Other.Test", true },
	/* postmaster, RFC 5321 4.5.1 */
	{ NULL, "PostMaster@here.test", L,
	    "local:mail.here.test PostMaster@here.test", true },
	{ NULL, "postmaster@box.test", L,
	    "local:mail.here.test postmaster@here.test", true },
	{ NULL, "postmaster@alias.test", L,
	    "local:mail.here.test postmaster@here.test", true },
	{ NULL, "postmaster@all.test", M,
	    "virtual:all.test postmaster@all.test", true },
	{ NULL, "", L, "local:mail.here.test MAILER-DAEMON@here.test",
	    false },
	/* what no address is */
	{ NULL, "joe@", N, NULL, false },
	{ NULL, "@other.test", N, NULL, false },
	{ NULL, "joe@a..b", N, NULL, false },
	{ NULL, "joe@1.2.3.4", N, NULL, false },
	{ NULL, "-x@other.test", N, NULL, false },
	{ NULL, "joe@[300.1.1.1]", N, NULL, false },
	{ "resolve_numeric_domain = yes\n", "joe@1.2.3.4", D,
	    "smtp:[1.2.3.4] joe@[1.2.3.4]", true },
	{ "resolve_null_domain = yes\n", "joe@", L,
	    "local:mail.here.test joe", true },
	{ "allow_min_user = yes\n", "-x@other.test", D,
	    "smtp:other.test -x@other.test", true },
	/* routing operators */
	{ NULL, "x%other.test", D, "smtp:other.test x@other.test", true },
	{ NULL, "other.test!x", D, "smtp:other.test x@other.test", true },
	{ NULL, "x%other.test@here.test", D, "smtp:other.test x@other.test",
	    true },
	{ NULL, "other.test!x@here.test", D, "smtp:other.test x@other.test",
	    true },
	{ NULL, "x@other.test@here.test", D, "smtp:other.test x@other.test",
	    true },
	{ NULL, "x%box.test%here.test@localhost", M,
	    "virtual:box.test x@box.test", false },
	{ NULL, "x%other.test@third.test", D,
	    "smtp:third.test x%other.test@third.test", true },
	{ "allow_percent_hack = no\n", "joe%other.test@here.test", L,
	    "local:mail.here.test joe%other.test@here.test", false },
	{ "resolve_dequoted_address = no\n", "x@other.test@here.test", L,
	    "local:mail.here.test x@other.test@here.test", false },
	{ "append_dot_mydomain = yes\n", "x@host", D,
	    "smtp:host.here.test x@host.here.test", true },
	/* settings of off-host mail */
	{ "relayhost = [gw.test]:587\n", "x@other.test", D,
	    "smtp:[gw.test]:587 x@other.test", true },
	{ "relayhost = [gw.test]:587\n", "ann@relay.test", R,
	    "relay:[gw.test]:587 ann@relay.test", true },
	{ "relay_transport = smtp:[in.test]\nrelayhost = gw.test\n",
	    "ann@relay.test", R, "smtp:[in.test] ann@relay.test", true },
	{ "default_transport = smtp:[out.test]\nrelayhost = gw.test\n",
	    "x@other.test", D, "smtp:[out.test] x@other.test", true },
	{ "default_transport = error:no mail here\n", "x@other.test", D,
	    "error:no mail here x@other.test", true },
	{ "virtual_transport = lmtp:unix:private/l\n", "bob@box.test", M,
	    "lmtp:unix:private/l bob@box.test", true },
	{ "local_transport = error:no local mail\n", "joe@here.test", L,
	    "error:no local mail joe@here.test", true },
	/* transport_maps */
	{ "transport_maps = inline:{ other.test=slow: }\n", "x@other.test", D,
	    "slow:other.test x@other.test", true },
	{ "transport_maps = inline:{ other.test=slow:[gw] }\n",
	    "x@sub.other.test", D, "smtp:sub.other.test x@sub.other.test",
	    true },
	{ "transport_maps = inline:{ .other.test=slow:[gw] }\n",
	    "x@a.sub.other.test", D, "slow:[gw] x@a.sub.other.test", true },
	{ "transport_maps = inline:{ .other.test=slow:[gw] }\n",
	    "x@other.test", D, "smtp:other.test x@other.test", true },
	{ "transport_maps = inline:{ other.test=slow:[gw] }\n"
	  "parent_domain_matches_subdomains = transport_maps\n",
	    "x@sub.other.test", D, "slow:[gw] x@sub.other.test", true },
	{ "transport_maps = inline:{ x+y@other.test=a:, x@other.test=b:, "
	  "other.test=c: }\n", "x+y@other.test", D,
	    "a:other.test x+y@other.test", true },
	{ "transport_maps = inline:{ x@other.test=b:, other.test=c: }\n",
	    "x+z@other.test", D, "b:other.test x+z@other.test", true },
	{ "transport_maps = inline:{ *=d:[all] }\n", "x@other.test", D,
	    "d:[all] x@other.test", true },
	{ "transport_maps = inline:{ *=d:[all] }\n", "x@alias.test", A,
	    "error:5.1.1 User unknown in virtual alias table x@alias.test",
	    false },
	{ "transport_maps = inline:{ other.test=:[nh] }\n", "x@other.test", D,
	    "smtp:[nh] x@other.test", true },
	{ "transport_maps = inline:{ other.test=: }\nrelayhost = gw.test\n",
	    "x@other.test", D, "smtp:gw.test x@other.test", true },
	{ "transport_maps = inline:{ other.test=slow: }\n"
	  "relayhost = gw.test\n", "x@other.test", D,
	    "slow:other.test x@other.test", true },
	{ "transport_maps = inline:{ other.test=error: }\n", "x@other.test",
	    D, "error:Address is undeliverable x@other.test", true },
	{ "transport_maps = regexp:{{/^x@other/ r:[re]}}\n", "x@other.test",
	    D, "r:[re] x@other.test", true },
	/* a pattern table is not asked for parts */
	{ "transport_maps = regexp:{{/^other/ r:[re]}}\n", "x@other.test",
	    D, "smtp:other.test x@other.test", true },
	/* relocated */
	{ "relocated_maps = inline:{ old@here.test=new@else.test }\n",
	    "old@here.test", L,
	    "error:5.1.6 User has moved to new@else.test old@here.test",
	    false },
	{ "relocated_maps = inline:{ old=new@else.test }\n",
	    "old+x@here.test", L,
	    "error:5.1.6 User has moved to new@else.test old+x@here.test",
	    false },
	/* empty: everything exists */
	{ "local_recipient_maps =\n", "nobody@here.test", L,
	    "local:mail.here.test nobody@here.test", true },
	{ "relay_recipient_maps =\n", "x@relay.test", R,
	    "relay:relay.test x@relay.test", true },
	{ "relay_domains = relay.test\n", "ann@sub.relay.test", R,
	    "relay:sub.relay.test ann@sub.relay.test", false },
	{ "canonical_maps = inline:{ old@here.test=joe@here.test }\n",
	    "old@here.test", L, "local:mail.here.test old@here.test", true },
};

START_TEST(address_goes_where_the_manual_says)
{
	struct route r;
	struct buf got = BUF_INIT(BUF_UNLIMITED);

	ask(cases[_i].more, cases[_i].address, "s@other.test", &r);
	if (cases[_i].class == N) {
		ck_assert_int_eq(r.status, ROUTE_INVALID);
		route_fini(&r);
		return;
	}
	ck_assert_msg(r.status == ROUTE_OK, "%s", r.why.text);
	buf_addf(&got, "%s:%s %s", r.transport.data, r.nexthop.data,
	    r.address.data);
	ck_assert_str_eq(got.data, cases[_i].want);
	ck_assert_int_eq(r.class, cases[_i].class);
	ck_assert_int_eq(r.listed, cases[_i].listed);
	buf_fini(&got);
	route_fini(&r);
}
END_TEST

static const struct {
	const char	*address;
	bool		 want;
} routed[] = {
	{ "x@other.test", false }, { "joe@here.test", false },
	{ "x%other.test@here.test", true }, { "x%a@other.test", true },
	{ "a!x@other.test", true }, { "x@a@other.test", true },
	{ "x@other.test@here.test", true },
};

START_TEST(routing_operators_are_told)
{
	struct route r;

	ask(NULL, routed[_i].address, "", &r);
	ck_assert_int_eq(r.routed, routed[_i].want);
	route_fini(&r);
}
END_TEST

static const struct { const char *sender, *want; } by_sender[] = {
	{ "joe@here.test", "smtp:[joe-gw]" },
	{ "joe+x@here.test", "smtp:[joe-gw]" },
	{ "sue@here.test", "smtp:[here-gw]" },
	{ "dunno@here.test", "smtp:other.test" },
	{ "x@third.test", "slow:other.test" },
	{ "", "smtp:[null-gw]" },
	{ "y@fourth.test", "smtp:other.test" },
};

START_TEST(sender_chooses_the_way)
{
	struct route r;
	struct buf got = BUF_INIT(BUF_UNLIMITED);

	ask("sender_dependent_relayhost_maps = inline:{ "
	    "joe@here.test=[joe-gw], @here.test=[here-gw], "
	    "dunno@here.test=DUNNO, <>=[null-gw] }\n"
	    "sender_dependent_default_transport_maps = inline:{ "
	    "@third.test=slow: }\n", "a@other.test", by_sender[_i].sender,
	    &r);
	buf_addf(&got, "%s:%s", r.transport.data, r.nexthop.data);
	ck_assert_str_eq(got.data, by_sender[_i].want);
	buf_fini(&got);
	route_fini(&r);
}
END_TEST

static const struct { const char *more, *address; } failing[] = {
	{ "mydestination = fail:x\n", "x@other.test" },
	{ "virtual_alias_domains = fail:x\n", "x@other.test" },
	{ "virtual_mailbox_domains = fail:x\n", "x@other.test" },
	{ "relay_domains = fail:x\n", "x@other.test" },
	{ "transport_maps = fail:x\n", "x@other.test" },
	{ "relocated_maps = fail:x\n", "x@other.test" },
	{ "virtual_alias_maps = fail:x\n", "nobody@here.test" },
	{ "local_recipient_maps = fail:x\n", "joe@here.test" },
	{ "virtual_mailbox_maps = fail:x\n", "bob@box.test" },
	{ "relay_recipient_maps = fail:x\n", "ann@relay.test" },
	{ "sender_dependent_relayhost_maps = fail:x\n", "x@other.test" },
	{ "local_recipient_maps = texthash:/nonexistent/file\n",
	    "joe@here.test" },
};

START_TEST(failure_is_temporary_and_never_unknown)
{
	struct route r;

	ask(failing[_i].more, failing[_i].address, "", &r);
	ck_assert_int_eq(r.status, ROUTE_TEMPFAIL);
	ck_assert(r.why.text[0] != '\0');
	ck_assert(why_temporary(&r.why));
	route_fini(&r);
}
END_TEST

START_TEST(a_failing_table_hurts_only_who_needs_it)
{
	struct route r;

	ask("virtual_mailbox_maps = fail:x\n", "joe@here.test", "", &r);
	ck_assert_int_eq(r.status, ROUTE_OK);
	ck_assert(r.listed);
	route_fini(&r);
}
END_TEST

/* --- addr_find ----------------------------------------------------------------- */

static const struct {
	const char	*table, *address;
	unsigned	 flags;
	const char	*want, *ext;	/* ext NULL: none left */
} finds[] = {
	{ "a@b=1", "a@b", FIND_DEFAULT, "1", NULL },
	{ "a@b=1", "A@B", FIND_DEFAULT, "1", NULL },
	{ "a@b=1", "a+x@b", FIND_DEFAULT, "1", "x" },
	{ "a+x@b=2, a@b=1", "a+x@b", FIND_DEFAULT, "2", NULL },
	{ "@b=3", "a+x@b", FIND_DEFAULT, "3", "x" },
	{ "a=4", "a@here.test", FIND_DEFAULT, "4", NULL },
	{ "a=4", "a+x@here.test", FIND_DEFAULT, "4", "x" },
	{ "a+x=5, a=4", "a+x@here.test", FIND_DEFAULT, "5", NULL },
	{ "a=4", "a@b", FIND_DEFAULT, NULL, NULL },
	{ "a=4", "a@b", FIND_FULL | FIND_LOCAL_ANY, "4", NULL },
	{ "b=6", "a@b", FIND_DEFAULT, NULL, NULL },
	{ "b=6", "a@b", FIND_DOMAIN, "6", NULL },
	{ "\"a..b\"@c=7", "a..b@c", FIND_DEFAULT, "7", NULL },
	{ "a=8", "a", FIND_DEFAULT, "8", NULL },
	{ "a=8", "a+x", FIND_DEFAULT, "8", "x" },
	{ "owner-a=9", "owner-a@here.test", FIND_DEFAULT, "9", NULL },
};

START_TEST(search_order_is_the_documented_one)
{
	struct buf spec = BUF_INIT(BUF_UNLIMITED);
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct span ext;
	struct maps *m;
	int rc;

	load(NULL);
	buf_addf(&spec, "inline:{ {%s} }", finds[_i].table);
	if (strchr(finds[_i].table, ',') != NULL) {
		buf_reset(&spec);
		buf_addf(&spec, "inline:{ %s }", finds[_i].table);
	}
	m = maps_new("test", spec.data, TABLE_FOLD, &why);
	ck_assert_msg(m != NULL, "%s", why.text);
	rc = addr_find(m, span_of(finds[_i].address), finds[_i].flags, &out,
	    &ext, &why);
	ck_assert_int_eq(rc, finds[_i].want != NULL);
	if (rc > 0) {
		ck_assert_str_eq(out.data, finds[_i].want);
		ck_assert_int_eq(ext.p != NULL, finds[_i].ext != NULL);
		if (ext.p != NULL)
			ck_assert(span_is(ext, finds[_i].ext));
	}
	maps_free(&m);
	buf_fini(&spec);
	buf_fini(&out);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("resolve");
	TCase *t = tcase_create("resolve");

#define LOOP(fn, c)	tcase_add_loop_test(t, fn, 0, ARRAY_LEN(c))
	LOOP(address_goes_where_the_manual_says, cases);
	LOOP(routing_operators_are_told, routed);
	LOOP(sender_chooses_the_way, by_sender);
	LOOP(failure_is_temporary_and_never_unknown, failing);
	tcase_add_test(t, a_failing_table_hurts_only_who_needs_it);
	LOOP(search_order_is_the_documented_one, finds);
	suite_add_tcase(s, t);
	return s;
}
