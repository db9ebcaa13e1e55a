/* SPDX-License-Identifier: ISC */
/*
 * chain: which files make a set, what is refused, and what a key signs.
 */
#include "base/log.h"
#include "ipc/msg_keyd.h"
#include "tests/unit/tls/pair.h"

static struct buf other_key, other_cert, old_key, old_cert, rsa_key, rsa_cert;

static void
make(struct buf *key, struct buf *cert, enum tls_key_type type, int64_t from,
    int64_t life)
{
	static const char *const names[] = { "other.example.test" };
	struct tls_cert_request r = {
		.type = type, .cn = names[0], .names = names, .nnames = 1,
		.not_before_s = from, .lifetime_s = life,
	};
	struct why why = WHY_INIT;

	*key = *cert = BUF_INIT(BUF_UNLIMITED);
	ck_assert_msg(tls_make_cert(&r, key, cert, &why) == 0, "%s",
	    why.text);
}

static void
setup(void)
{
	make_certs();
	make(&other_key, &other_cert, TLS_KEY_ECDSA, -60, 86400);
	make(&old_key, &old_cert, TLS_KEY_ECDSA, -7200, 3600);
	make(&rsa_key, &rsa_cert, TLS_KEY_RSA, -60, 86400);
}

static void
teardown(void)
{
	struct buf *all[] = { &ca_pem, &ca_key, &key_pem, &cert_pem,
	    &other_key, &other_cert, &old_key, &old_cert, &rsa_key,
	    &rsa_cert };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		buf_fini(all[i]);
}

/* The pieces by letters: k key, c certificate, a CA, K and C those of
 * another, o and O expired, r and R RSA, x nonsense. */
static struct tls_set *
load(const char *pieces, unsigned flags, struct why *why)
{
	struct buf pem = BUF_INIT(BUF_UNLIMITED);
	struct tls_set *set;

	for (const char *p = pieces; *p != '\0'; p++) {
		const struct buf *b = *p == 'k' ? &key_pem :
		    *p == 'c' ? &cert_pem : *p == 'a' ? &ca_pem :
		    *p == 'K' ? &other_key : *p == 'C' ? &other_cert :
		    *p == 'o' ? &old_key : *p == 'O' ? &old_cert :
		    *p == 'r' ? &rsa_key : *p == 'R' ? &rsa_cert : NULL;

		if (b != NULL)
			buf_add_span(&pem, buf_span(b));
		else
			buf_add_str(&pem, "-----BEGIN NONSENSE-----\n");
	}
	*why = WHY_INIT;
	set = tls_set_parse(buf_span(&pem), "file", flags, why);
	buf_fini(&pem);
	return set;
}

START_TEST(a_set_is_whole_or_refused)
{
	static const struct {
		const char	*pieces;
		size_t		 chains;	/* 0: refused, with */
		const char	*why;
	} cases[] = {
		{ "kc", 1, "" }, { "ck", 1, "" }, { "kca", 1, "" },
		{ "cak", 1, "" }, { "kkc", 1, "" },
		{ "kcrR", 2, "" }, { "RrKC", 2, "" },
		{ "kcaRr", 2, "" },
		{ "", 0, "no PEM key or certificate" },
		{ "x", 0, "no PEM key or certificate" },
		{ "k", 0, "no certificate belongs" },
		{ "c", 0, "the private key is not that of the certificate: "
		  "there is none" },
		{ "kC", 0, "the private key is not that of the certificate" },
		{ "kcK", 0, "no certificate belongs to this private key" },
		{ "kcKC", 0, "a second EC key" },
		{ "kcC", 0, "certificate 2 did not issue the one before it" },
		{ "kac", 0, "the private key is not that" },
		{ "oO", 0, "certificate 1 has expired" },
	};
	struct why why;
	struct tls_set *set = load(cases[_i].pieces, TLS_SET_DATES, &why);

	if (cases[_i].chains == 0) {
		ck_assert_ptr_null(set);
		ck_assert_msg(strstr(why.text, cases[_i].why) != NULL, "%s",
		    why.text);
		ck_assert_ptr_nonnull(strstr(why.text, "file: "));
		return;
	}
	ck_assert_msg(set != NULL, "%s", why.text);
	ck_assert_uint_eq(tls_set_count(set), cases[_i].chains);
	tls_set_free(&set);
}
END_TEST

START_TEST(an_expired_set_is_taken_without_dates)
{
	struct why why;
	struct tls_set *set = load("oO", 0, &why);

	ck_assert_ptr_nonnull(set);
	ck_assert_int_lt(tls_set_not_after(set, 0), time(NULL));
	tls_set_free(&set);
}
END_TEST

START_TEST(a_key_signs_only_what_its_kind_does)
{
	static const struct {
		const char	*pieces;
		uint32_t	 scheme;
		int		 rc;
	} cases[] = {
		{ "kc", SCHEME_ECDSA_SHA256, 0 },
		{ "kc", SCHEME_ECDSA_SHA384, 0 },
		{ "kc", SCHEME_RSA_PSS_SHA256, -1 },
		{ "kc", SCHEME_ED25519, -1 }, { "kc", 0x1234, -1 },
		{ "rR", SCHEME_RSA_PSS_SHA256, 0 },
		{ "rR", SCHEME_RSA_PKCS1_SHA256, 0 },
		{ "rR", SCHEME_RSA_MD5_SHA1, 0 },
		{ "rR", SCHEME_ECDSA_SHA256, -1 },
	};
	struct buf sig = BUF_INIT(KEYD_SIG_MAX);
	struct why why;
	struct tls_set *set = load(cases[_i].pieces, 0, &why);

	ck_assert_ptr_nonnull(set);
	ck_assert_int_eq(tls_set_sign(set, 0, cases[_i].scheme, SPAN("text"),
	    &sig), cases[_i].rc);
	ck_assert_int_eq(sig.len > 0, cases[_i].rc == 0);
	buf_fini(&sig);
	tls_set_free(&set);
}
END_TEST

#define SP8	"        "
#define SP64	SP8 SP8 SP8 SP8 SP8 SP8 SP8 SP8
#define R16	"0123456789abcdef"
#define H32	R16 R16
#define R64	H32 H32
#define SERVER	"TLS 1.3, server CertificateVerify\0"
#define CLIENT	"TLS 1.3, client CertificateVerify\0"

START_TEST(only_handshakes_are_recognised)
{
	static const struct {
		struct span	tbs;
		bool		server, client;
		uint32_t	scheme;
	} cases[] = {
#define S(lit)	{ "" lit, sizeof(lit) - 1 }
		{ S(SP64 SERVER H32), true, false, SCHEME_ECDSA_SHA256 },
		{ S(SP64 SERVER H32 R16), true, false, SCHEME_ECDSA_SHA384 },
		{ S(SP64 CLIENT H32), false, true, SCHEME_ECDSA_SHA256 },
		/* TLS 1.3 has no PKCS#1 and no SHA-1 here. */
		{ S(SP64 SERVER H32), false, false, SCHEME_RSA_PKCS1_SHA256 },
		{ S(SP64 SERVER H32), false, false, SCHEME_ECDSA_SHA1 },
		{ S(SP64 SERVER), false, false, SCHEME_ECDSA_SHA256 },
		{ S(SP64 SERVER H32 "x"), false, false, SCHEME_ECDSA_SHA256 },
		{ S(SP8 SERVER H32), false, false, SCHEME_ECDSA_SHA256 },
		{ S("x" SP64 SERVER H32), false, false, SCHEME_ECDSA_SHA256 },
		/* TLS 1.2: randoms, curve, point. */
		{ S(R64 "\x03\x00\x1d\x20" H32), true, false,
		  SCHEME_ECDSA_SHA256 },
		{ S(R64 "\x03\x00\x1d\x20" H32 "x"), false, false,
		  SCHEME_ECDSA_SHA256 },
		{ S(R64 "\x03\x00\x1d\x21" H32), false, false,
		  SCHEME_ECDSA_SHA256 },
		{ S(R64 "\x03\x00\x1d\x00"), false, false,
		  SCHEME_ECDSA_SHA256 },
		{ S(R64 "\x00\x02pp\x00\x01g\x00\x02yy"), true, false,
		  SCHEME_RSA_PSS_SHA256 },
		{ S(R64 "\x00\x02pp\x00\x01g\x00\x03yy"), false, false,
		  SCHEME_RSA_PSS_SHA256 },
		{ S(R64), false, false, SCHEME_ECDSA_SHA256 },
		{ S(""), false, false, SCHEME_ECDSA_SHA256 },
		/* A certificate request, a JSON web token. */
		{ S("\x30\x82\x01\x00" R64 R64), false, false,
		  SCHEME_ECDSA_SHA256 },
		{ S("eyJhbGciOiJFUzI1NiJ9.e30" R64), false, false,
		  SCHEME_ECDSA_SHA256 },
		/* The transcript of a client of TLS 1.2. */
		{ S("\x01\x00\x00\x22\x03\x03" H32 "\x02\x00\x00\x01x"),
		  false, true, SCHEME_ECDSA_SHA256 },
	};

	ck_assert_int_eq(tls_is_handshake(cases[_i].tbs, false,
	    cases[_i].scheme), cases[_i].server);
	ck_assert_int_eq(tls_is_handshake(cases[_i].tbs, true,
	    cases[_i].scheme), cases[_i].client);
}
END_TEST

Suite *
suite(void)
{
	Suite *su = suite_create("tls/chain");
	TCase *t = tcase_create("chain");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_set_is_whole_or_refused, 0, 18);
	tcase_add_test(t, an_expired_set_is_taken_without_dates);
	tcase_add_loop_test(t, a_key_signs_only_what_its_kind_does, 0, 9);
	tcase_add_loop_test(t, only_handshakes_are_recognised, 0, 20);
	suite_add_tcase(su, t);
	return su;
}
