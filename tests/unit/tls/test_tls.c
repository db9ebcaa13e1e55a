/* SPDX-License-Identifier: ISC */
/*
 * TLS on streams: handshakes whole, in pieces, cut off and slow; data in both
 * directions; what is refused; what is known afterwards.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/fd.h"
#include "tests/unit/tls/pair.h"

static void
setup(void)
{
	pair_setup("");
}

static void
connect_both(enum tls_level level)
{
	struct tls_policy p = pair_policy(level);

	pair_server(0, NULL);
	pair_client(&p);
	pair_handshake();
}

START_TEST(data_flows_both_ways_and_the_facts_are_known)
{
	struct buf text = BUF_INIT(1000);
	const struct tls_facts *f;

	connect_both(TLS_LEVEL_SECURE);
	ck_assert_msg(!srv.failed, "%s", srv.why.text);
	ck_assert_msg(!cli.failed, "%s", cli.why.text);
	f = tls_facts(srv.t);
	ck_assert_str_eq(f->protocol, "TLSv1.3");
	ck_assert_str_eq(f->sni, "mail.example.test");
	ck_assert_int_eq(f->trust, TLS_ANONYMOUS);
	ck_assert_str_eq(f->peer_cn, "");
	ck_assert(!f->resumed);
	tls_describe(srv.t, &text);
	ck_assert_str_eq(text.data, "TLSv1.3 with cipher "
	    "TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 "
	    "server-signature ECDSA (prime256v1) server-digest SHA256");
	buf_fini(&text);
	f = tls_facts(cli.t);
	ck_assert_int_eq(f->trust, TLS_VERIFIED);
	ck_assert_str_eq(f->peer_cn, "mail.example.test");
	ck_assert_str_eq(f->issuer_cn, "Test CA");
	ck_assert_uint_eq(strlen(f->cert_fingerprint), 32 * 3 - 1);
	stream_printf(srv.s, "220 ready\r\n");
	stream_printf(cli.s, "EHLO x\r\n");
	pair_run(5);
	ck_assert_str_eq(srv.seen.data, "EHLO x\r\n");
	ck_assert_str_eq(cli.seen.data, "220 ready\r\n");
}
END_TEST

START_TEST(the_end_is_told_by_close_notify)
{
	connect_both(TLS_LEVEL_MAY);
	stream_printf(srv.s, "bye");
	stream_finish(&srv.s, 1000);
	pair_run(5);
	ck_assert_str_eq(cli.seen.data, "bye");
	ck_assert_int_eq(cli.ends, 1);
	ck_assert_int_eq(cli.how, STREAM_EOF);
	ck_assert(!tls_truncated(cli.t));
}
END_TEST

START_TEST(an_end_without_close_notify_is_told_apart)
{
	connect_both(TLS_LEVEL_MAY);
	stream_free(&srv.s);
	pair_run(5);
	ck_assert_int_eq(cli.ends, 1);
	ck_assert_int_eq(cli.how, STREAM_EOF);
	ck_assert(tls_truncated(cli.t));
}
END_TEST

START_TEST(megabytes_pass_in_both_directions)
{
	size_t n = 3 << 20;
	char *big = mem_alloc(n);

	for (size_t i = 0; i < n; i++)
		big[i] = (char)(i * 7 >> 3);
	connect_both(TLS_LEVEL_MAY);
	stream_write(srv.s, big, n);
	stream_write(cli.s, big, n);
	for (int i = 0; i < 2000 && (srv.seen.len < n || cli.seen.len < n);
	    i++)
		pair_run(1);
	ck_assert_uint_eq(srv.seen.len, n);
	ck_assert_uint_eq(cli.seen.len, n);
	ck_assert_mem_eq(srv.seen.data, big, n);
	ck_assert_mem_eq(cli.seen.data, big, n);
	ck_assert_uint_eq(stream_out_len(srv.s), 0);
	mem_free(big);
}
END_TEST

START_TEST(a_paused_end_takes_nothing_and_goes_on)
{
	size_t n = 2 << 20;
	char *big = mem_zalloc(n);

	connect_both(TLS_LEVEL_MAY);
	stream_pause(cli.s);
	stream_write(srv.s, big, n);
	pair_run(20);
	ck_assert_uint_eq(cli.seen.len, 0);
	ck_assert_uint_gt(stream_out_len(srv.s), n / 2);
	stream_resume(cli.s);
	for (int i = 0; i < 2000 && cli.seen.len < n; i++)
		pair_run(1);
	ck_assert_uint_eq(cli.seen.len, n);
	mem_free(big);
}
END_TEST


START_TEST(plain_input_before_the_handshake_is_dropped_and_counted)
{
	struct tls_policy p = pair_policy(TLS_LEVEL_SECURE);

	pair_split();
	ck_assert_int_eq(fd_write_all(wire[0], "RSET\r\n", 6), 0);
	(void)new_end(&srv, 0);
	srv.keep = true;
	pair_run(2);
	stream_printf(srv.s, "220 go\r\n");
	ck_assert_uint_eq(tls_start(srv.s, server, 0, NULL, 5000, done, &srv),
	    6);
	pair_run(2);
	ck_assert_uint_eq(pair_carry(0, 8), 8);	/* in plain, and first */
	pair_run(2);
	pair_client(&p);
	for (int i = 0; i < 2000 && (srv.done == 0 || cli.done == 0); i++) {
		if (cli.done == 0)
			(void)pair_carry(0, 65536);
		(void)pair_carry(1, 65536);
		pair_run(1);
	}
	/* The client met plain text where TLS should have been. */
	ck_assert(cli.failed);
	ck_assert_str_eq(srv.seen.data, "");
}
END_TEST

static void
in_pieces(size_t n)
{
	struct tls_policy p = pair_policy(TLS_LEVEL_SECURE);

	pair_split();
	pair_server(0, NULL);
	pair_client(&p);
	for (int i = 0; i < 30000 && (srv.done == 0 || cli.done == 0); i++) {
		size_t some = pair_carry(0, n);

		some += pair_carry(1, n);
		pair_run(some > 0 ? 0 : 1);
	}
	ck_assert(srv.done == 1 && !srv.failed);
	ck_assert(cli.done == 1 && !cli.failed);
	stream_printf(cli.s, "hello");
	for (int i = 0; i < 100 && srv.seen.len < 5; i++) {
		(void)pair_carry(0, n);
		(void)pair_carry(1, n);
		pair_run(0);
	}
	ck_assert_str_eq(srv.seen.data, "hello");
}

START_TEST(a_handshake_in_pieces_succeeds)
{
	static const size_t sizes[] = { 1, 2, 5, 6, 100 };

	in_pieces(sizes[_i]);
}
END_TEST

START_TEST(a_handshake_that_is_cut_off_fails_once)
{
	struct tls_policy p = pair_policy(TLS_LEVEL_SECURE);

	pair_split();
	pair_server(0, NULL);
	pair_client(&p);
	pair_run(2);
	(void)pair_carry(1, (size_t)_i * 37 + 1);
	fd_close(&wire[0]);
	pair_run(5);
	ck_assert_int_eq(srv.done, 1);
	ck_assert(srv.failed);
	ck_assert_int_eq(srv.ends, 0);
	ck_assert_str_eq(srv.why.text, "lost connection");
}
END_TEST

START_TEST(a_slow_handshake_meets_its_deadline)
{
	pair_split();
	(void)new_end(&srv, 0);
	ck_assert_uint_eq(tls_start(srv.s, server, 0, NULL, 20, done, &srv),
	    0);
	for (int i = 0; i < 500 && srv.done == 0; i++)
		pair_run(1);
	ck_assert(srv.failed);
	ck_assert_str_eq(srv.why.text, "Connection timed out");
}
END_TEST

START_TEST(what_is_no_tls_fails_with_an_alert)
{
	static const struct span says[] = {
		{ "EHLO example.org\r\n", 18 },
		{ "\x16\x03\x01\xff\xff", 5 },		/* too long */
		{ "\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9 },
		{ "\x15\x03\x01\x00\x02\x02\x28", 7 },	/* an alert */
	};

	pair_split();
	pair_server(0, NULL);
	ck_assert_int_eq(fd_write_all(wire[0], says[_i].p, says[_i].len), 0);
	pair_run(5);
	ck_assert_int_eq(srv.done, 1);
	ck_assert(srv.failed);
	ck_assert_msg(strstr(srv.why.text, "error:") != NULL, "%s",
	    srv.why.text);
}
END_TEST

START_TEST(a_client_hello_has_a_limit)
{
	/* Handshake records that announce one message of 16 MiB. */
	static char record[5 + 16384] = "\x16\x03\x01\x40\x00\x01\xff\xff\xff";

	pair_split();
	pair_server(0, NULL);
	for (int i = 0; i < 20 && srv.done == 0; i++) {
		(void)!write(wire[0], record, sizeof(record));
		pair_run(2);
		memset(record + 5, 0, 9);
	}
	ck_assert_int_eq(srv.done, 1);
	ck_assert(srv.failed);
}
END_TEST

START_TEST(a_freed_stream_tells_nobody)
{
	struct tls_policy p = pair_policy(TLS_LEVEL_SECURE);

	pair_server(0, NULL);
	pair_client(&p);
	if (_i == 0)
		stream_free(&srv.s);
	else
		stream_finish(&srv.s, 1000);
	pair_run(10);
	ck_assert_int_eq(srv.done, 0);
	ck_assert_int_eq(cli.done, 1);
	ck_assert(cli.failed);
}
END_TEST

START_TEST(a_session_is_resumed_and_judged_again)
{
	struct tls_policy p = pair_policy(TLS_LEVEL_SECURE);
	struct span other = SPAN("other.example.test");

	p.session_key = SPAN("smtp:mail.example.test:25");
	for (int i = 0; i < 3; i++) {
		pair_server(0, NULL);
		pair_client(&p);
		pair_handshake();
		ck_assert_msg(!cli.failed, "%s", cli.why.text);
		stream_printf(srv.s, "x");	/* with the ticket before it */
		pair_run(5);
		ck_assert_str_eq(cli.seen.data, "x");
		ck_assert_int_eq(tls_facts(srv.t)->resumed, i > 0);
		ck_assert_int_eq(tls_facts(cli.t)->resumed, i > 0);
		ck_assert_int_eq(tls_facts(cli.t)->trust, TLS_VERIFIED);
		pair_close();
	}
	p.match = &other;
	pair_server(0, NULL);
	pair_client(&p);
	pair_handshake();
	ck_assert(cli.failed);
}
END_TEST

/* --- what the client demands -------------------------------------------------- */

START_TEST(levels_decide_what_makes_it_fail)
{
	static const struct {
		enum tls_level	 level;
		const char	*match;
		bool		 fails;
		enum tls_trust	 trust;
	} cases[] = {
		{ TLS_LEVEL_MAY, "other.example", false, TLS_TRUSTED },
		{ TLS_LEVEL_ENCRYPT, "other.example", false, TLS_TRUSTED },
		{ TLS_LEVEL_VERIFY, "other.example", true, TLS_TRUSTED },
		{ TLS_LEVEL_SECURE, "other.example", true, TLS_TRUSTED },
		{ TLS_LEVEL_SECURE, "mail.example.test", false, TLS_VERIFIED },
		{ TLS_LEVEL_SECURE, "MAIL.Example.TEST", false, TLS_VERIFIED },
		{ TLS_LEVEL_SECURE, ".example.test", false, TLS_VERIFIED },
		{ TLS_LEVEL_SECURE, "a.wild.example.test", false,
		  TLS_VERIFIED },
		{ TLS_LEVEL_SECURE, "a.b.wild.example.test", true,
		  TLS_TRUSTED },
		{ TLS_LEVEL_SECURE, "127.0.0.1", false, TLS_VERIFIED },
		{ TLS_LEVEL_SECURE, "127.0.0.2", true, TLS_TRUSTED },
		{ TLS_LEVEL_DANE_ONLY, "mail.example.test", true,
		  TLS_UNTRUSTED },
		{ TLS_LEVEL_FINGERPRINT, "mail.example.test", true,
		  TLS_UNTRUSTED },
	};
	struct span match = span_of(cases[_i].match);
	struct tls_policy p = pair_policy(cases[_i].level);

	p.match = &match;
	cli.stay = true;
	pair_server(0, NULL);
	pair_client(&p);
	pair_handshake();
	ck_assert_int_eq(cli.failed, cases[_i].fails);
	if (cases[_i].fails)
		ck_assert_str_eq(cli.why.code, "4.7.5");
	ck_assert_int_eq(tls_facts(cli.t)->trust, cases[_i].trust);
}
END_TEST

START_TEST(a_fingerprint_of_certificate_or_key_is_enough)
{
	struct tls_policy p = pair_policy(TLS_LEVEL_MAY);
	char *print[2];

	pair_server(0, NULL);
	pair_client(&p);
	pair_handshake();
	print[0] = mem_strdup(tls_facts(cli.t)->cert_fingerprint);
	print[1] = mem_strdup(tls_facts(cli.t)->pkey_fingerprint);
	for (int i = 0; i < 2; i++) {
		struct span want = span_of(print[i]);

		pair_close();
		p = pair_policy(TLS_LEVEL_FINGERPRINT);
		p.fingerprints = &want;
		p.nfingerprints = 1;
		pair_server(0, NULL);
		pair_client(&p);
		pair_handshake();
		ck_assert_msg(!cli.failed, "%s", cli.why.text);
		mem_free(print[i]);
	}
}
END_TEST

/* "AA:BB" as bytes. */
static size_t
unhex(const char *hex, char *out)
{
	size_t n = 0;
	unsigned byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += hex[2] == ':' ? 3 : 2)
		out[n++] = (char)byte;
	return n;
}

START_TEST(tlsa_records_decide)
{
	static const struct {
		uint8_t		 usage;
		bool		 right;		/* the record is the key's */
		enum tls_level	 level;
		bool		 fails;
		enum tls_trust	 trust;
	} cases[] = {
		{ 3, true, TLS_LEVEL_DANE, false, TLS_VERIFIED },
		{ 3, true, TLS_LEVEL_DANE_ONLY, false, TLS_VERIFIED },
		{ 3, false, TLS_LEVEL_DANE, true, TLS_UNTRUSTED },
		{ 3, false, TLS_LEVEL_DANE_ONLY, true, TLS_UNTRUSTED },
		{ 2, false, TLS_LEVEL_DANE, true, TLS_UNTRUSTED },
		/* Usages 0 and 1 cannot be used: no more than encryption. */
		{ 1, true, TLS_LEVEL_DANE, false, TLS_VERIFIED },
		{ 1, true, TLS_LEVEL_DANE_ONLY, true, TLS_UNTRUSTED },
		{ 0, false, TLS_LEVEL_DANE, false, TLS_VERIFIED },
	};
	struct tls_policy p = pair_policy(TLS_LEVEL_MAY);
	struct tls_tlsa record;
	char data[64];
	size_t n;

	pair_server(0, NULL);
	pair_client(&p);
	pair_handshake();
	n = unhex(tls_facts(cli.t)->pkey_fingerprint, data);
	ck_assert_uint_eq(n, 32);
	if (!cases[_i].right)
		data[0] ^= 1;
	pair_close();
	p = pair_policy(cases[_i].level);
	record = (struct tls_tlsa){ cases[_i].usage, 1, 1,
	    span_make(data, n) };
	p.tlsa = &record;
	p.ntlsa = 1;
	cli.stay = true;
	pair_server(0, NULL);
	pair_client(&p);
	pair_handshake();
	ck_assert_msg(cli.failed == cases[_i].fails, "%s", cli.why.text);
	ck_assert_int_eq(tls_facts(cli.t)->trust, cases[_i].trust);
}
END_TEST

/* --- channel bindings, names ----------------------------------------------------- */

static void
same_binding(enum tls_binding kind, size_t want)
{
	unsigned char a[TLS_BINDING_MAX], b[TLS_BINDING_MAX];
	size_t na, nb;

	ck_assert_int_eq(tls_binding(srv.t, kind, a, &na), 0);
	ck_assert_int_eq(tls_binding(cli.t, kind, b, &nb), 0);
	ck_assert_uint_eq(na, want);
	ck_assert_uint_eq(nb, want);
	ck_assert_mem_eq(a, b, na);
}

START_TEST(both_ends_have_the_same_channel_bindings)
{
	struct tls_policy p = pair_policy(TLS_LEVEL_SECURE);

	p.protocols = _i == 0 ? "TLSv1.3" : "TLSv1.2";
	pair_server(0, NULL);
	pair_client(&p);
	pair_handshake();
	ck_assert_str_eq(tls_facts(srv.t)->protocol, p.protocols);
	same_binding(TLS_BINDING_EXPORTER, 32);
	same_binding(TLS_BINDING_SERVER_END_POINT, 32);
}
END_TEST

START_TEST(alpn_is_agreed_on_or_left_out)
{
	static const struct {
		const char	*server, *client, *agreed;
	} cases[] = {
		{ NULL, "imap", "" }, { "imap", NULL, "" },
		{ "imap", "imap", "imap" }, { "imap", "pop3", "" },
	};
	struct tls_policy p = pair_policy(TLS_LEVEL_SECURE);

	p.alpn = cases[_i].client;
	pair_server(0, cases[_i].server);
	pair_client(&p);
	pair_handshake();
	ck_assert(!srv.failed && !cli.failed);
	ck_assert_str_eq(tls_facts(srv.t)->alpn, cases[_i].agreed);
}
END_TEST

START_TEST(old_protocols_are_refused)
{
	static const char *const protocols[] = { "TLSv1", "TLSv1.1",
	    "<=TLSv1.1" };
	struct tls_policy p = pair_policy(TLS_LEVEL_MAY);

	p.protocols = protocols[_i];
	pair_server(0, NULL);
	pair_client(&p);
	pair_handshake();
	ck_assert(srv.failed);
	ck_assert(cli.failed);
}
END_TEST

START_TEST(a_client_without_certificate_is_refused_where_one_is_needed)
{
	struct tls_policy p = pair_policy(TLS_LEVEL_MAY);

	pair_server(TLS_REQUIRE_CERT, NULL);
	pair_client(&p);
	for (int i = 0; i < 1000 && srv.done == 0; i++)
		pair_run(1);
	ck_assert(srv.failed);
}
END_TEST

Suite *
suite(void)
{
	Suite *su = suite_create("tls");
	TCase *t = tcase_create("tls");

	tcase_add_checked_fixture(t, setup, pair_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, data_flows_both_ways_and_the_facts_are_known);
	tcase_add_test(t, the_end_is_told_by_close_notify);
	tcase_add_test(t, an_end_without_close_notify_is_told_apart);
	tcase_add_test(t, megabytes_pass_in_both_directions);
	tcase_add_test(t, a_paused_end_takes_nothing_and_goes_on);
	tcase_add_test(t,
	    plain_input_before_the_handshake_is_dropped_and_counted);
	tcase_add_loop_test(t, a_handshake_in_pieces_succeeds, 0, 5);
	tcase_add_loop_test(t, a_handshake_that_is_cut_off_fails_once, 0, 8);
	tcase_add_test(t, a_slow_handshake_meets_its_deadline);
	tcase_add_loop_test(t, what_is_no_tls_fails_with_an_alert, 0, 4);
	tcase_add_test(t, a_client_hello_has_a_limit);
	tcase_add_loop_test(t, a_freed_stream_tells_nobody, 0, 2);
	tcase_add_test(t, a_session_is_resumed_and_judged_again);
	tcase_add_loop_test(t, levels_decide_what_makes_it_fail, 0, 13);
	tcase_add_test(t, a_fingerprint_of_certificate_or_key_is_enough);
	tcase_add_loop_test(t, tlsa_records_decide, 0, 8);
	tcase_add_loop_test(t, both_ends_have_the_same_channel_bindings, 0, 2);
	tcase_add_loop_test(t, alpn_is_agreed_on_or_left_out, 0, 4);
	tcase_add_loop_test(t, old_protocols_are_refused, 0, 3);
	tcase_add_test(t,
	    a_client_without_certificate_is_refused_where_one_is_needed);
	suite_add_tcase(su, t);
	return su;
}
