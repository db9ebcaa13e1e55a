/* SPDX-License-Identifier: ISC */
/*
 * password - schemes and costs; argon2.c, crypt.c and scram.c do the work.
 */
#include "auth/password.h"

#include "auth/argon2.h"
#include "auth/crypt.h"
#include "auth/digest.h"
#include "auth/sasl.h"
#include "auth/saslprep.h"
#include "auth/userline.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "conf/params.h"

#define SALT_LEN	16	/* bytes, of SCRAM's keys and of SSHA256 */
#define DIGEST_SALT_MAX	64
/* More than anybody uses: a hash may not cost as much as it likes. */
#define PBKDF2_ROUNDS_MAX	10000000

/*
 * What can be made anew, by authd_password_scheme.  Measured, a hash each, on
 * the machine where yescrypt takes 20 ms: argon2id 25, sha512-crypt 1.4,
 * bcrypt (cost 10) 50.
 */
static const struct {
	const char	*name, *scheme;
	const char	*prefix;	/* crypt(3)'s; NULL: argon2id */
	unsigned long	 cost;
	const char	*looks;		/* how such a hash begins */
} full[] = {
	{ "argon2id", "{ARGON2ID}", NULL, 0, ARGON2_PREFIX },
	{ "yescrypt", "{yescrypt}", "$y$", 5, "$y$j9T$" },
	{ "sha512-crypt", "{SHA512-CRYPT}", "$6$", 500000,
	  "$6$rounds=500000$" },
	{ "bcrypt", "{BLF-CRYPT}", "$2b$", 11, "$2b$11$" },
};

static size_t
scheme_now(void)
{
	for (size_t i = 0; i < ARRAY_LEN(full); i++)
		if (conf.authd_password_scheme != NULL &&
		    strcmp(conf.authd_password_scheme, full[i].name) == 0)
			return i;
	return 0;
}

static int
usable(struct span password, struct why *why)
{
	if (password.len == 0)
		return why_set(why, "5.7.8", "the password is empty");
	if (password.len > PASSWORD_MAX)
		return why_set(why, "5.7.8", "the password is longer than %d "
		    "bytes", PASSWORD_MAX);
	if (span_has_nul(password))
		return why_set(why, "5.7.8", "the password holds a NUL");
	return 0;
}

/* The same bytes for all ways to type it, see saslprep.h. */
static struct span
prepared(struct span password, struct buf *b)
{
	if (saslprep(password, b) < 0 || b->len == 0 || b->len > PASSWORD_MAX)
		return password;
	return buf_span(b);
}

static int
hash_crypt(struct span password, size_t which, struct buf *out,
    struct why *why)
{
	struct buf setting = BUF_INIT(500);
	int rc;

	if (crypt_setting(full[which].prefix, full[which].cost,
	    &setting) < 0)
		return why_errno(why, "4.3.0", "cannot make a salt");
	rc = crypt_password(password, setting.data, out);
	buf_fini(&setting);
	return rc;
}

static void
put_keys(struct span password, enum digest d, unsigned iterations,
    struct buf *out)
{
	unsigned char salt[SALT_LEN];
	struct scram_keys k;

	rnd_bytes(salt, sizeof(salt));
	scram_keys_make(&k, d, password, span_make(salt, sizeof(salt)),
	    iterations);
	scram_keys_text(&k, d, out);
	mem_wipe(&k, sizeof(k));
}

int
password_hash(struct span password, enum password_cost cost, struct buf *out,
    struct why *why)
{
	struct buf same = BUF_SECRET(BUF_UNLIMITED);
	size_t which = scheme_now();
	int rc;

	if (usable(password, why) < 0)
		return -1;
	if (cost == PASSWORD_LIGHT) {
		buf_add_str(out, "{SCRAM-SHA-256}");
		put_keys(password, DIGEST_SHA256, SCRAM_ITERATIONS_LIGHT,
		    out);
		return 0;
	}
	password = prepared(password, &same);
	buf_add_str(out, full[which].scheme);
	rc = full[which].prefix == NULL ? argon2_make(password, out) :
	    hash_crypt(password, which, out, why);
	buf_wipe(&same);
	if (rc < 0 && (why == NULL || why->text[0] == '\0'))
		return why_set(why, "4.3.0", "cannot hash the password");
	return rc;
}

/* text with the keys of this password in field, or without that field. */
static void
edit_keys(struct buf *text, const char *field, enum digest d, bool make,
    struct span password)
{
	struct buf value = BUF_INIT(BUF_UNLIMITED), out;

	if (make) {
		buf_add_str(&value, field);
		put_keys(password, d, (unsigned)conf.authd_scram_iterations,
		    &value);
	}
	out = BUF_INIT(BUF_UNLIMITED);
	userline_edit(buf_span(text), span_of(field), buf_span(&value), &out);
	buf_wipe(&value);
	buf_wipe(text);
	*text = out;
}

int
password_line(struct span password, enum password_cost cost, struct span old,
    struct buf *out, struct why *why)
{
	struct buf hash = BUF_INIT(BUF_UNLIMITED);
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	bool full_cost = cost == PASSWORD_FULL;
	int rc = password_hash(password, cost, &hash, why);

	if (rc == 0) {
		userline_edit(old, SPAN(""), buf_span(&hash), &text);
		edit_keys(&text, "scram256=", DIGEST_SHA256, full_cost,
		    password);
		edit_keys(&text, "scram1=", DIGEST_SHA1, full_cost, password);
		buf_add_span(out, buf_span(&text));
	}
	buf_wipe(&text);
	buf_wipe(&hash);
	return rc;
}

void
password_hash_random(struct span password, struct buf *out)
{
	struct buf in = BUF_SECRET(BUF_UNLIMITED);
	unsigned char d[DIGEST_MAX];
	char salt[SALT_LEN];

	rnd_bytes(salt, sizeof(salt));
	buf_add_span(&in, password);
	buf_add(&in, salt, sizeof(salt));
	digest_of(DIGEST_SHA256, buf_span(&in), d);
	buf_wipe(&in);
	buf_add(&in, d, digest_len(DIGEST_SHA256));
	buf_add(&in, salt, sizeof(salt));
	buf_add_str(out, "{SSHA256}");
	base64_encode(buf_span(&in), out);
	buf_wipe(&in);
}

/* --- checking --------------------------------------------------------------------- */

static int
check_crypt(struct span password, struct span hash)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	char *setting;
	int rc;

	if (password.len > PASSWORD_MAX || span_has_nul(password))
		return 0;
	setting = span_dup(hash);
	rc = crypt_password(password, setting, &got);
	mem_free(setting);
	if (rc == 0)
		rc = digest_equal(buf_span(&got), hash);
	buf_wipe(&got);
	return rc;
}

static int
check_argon2(struct span password, struct span hash)
{
	char *text = span_dup(hash);
	int rc = argon2_check(password, text);

	mem_free(text);
	return rc;
}

static int
check_scram(struct span password, struct span hash, enum digest d)
{
	struct scram_keys k;
	int rc;

	if (scram_keys_parse(&k, d, hash) < 0)
		return -1;
	rc = scram_keys_match(&k, d, password);
	mem_wipe(&k, sizeof(k));
	return rc;
}

static int
hex_decode(struct span text, struct buf *out)
{
	for (; text.len >= 2; text = span_from(text, 2)) {
		uint64_t byte;

		if (num_parse_hex(span_sub(text, 0, 2), &byte) < 0 ||
		    buf_put_char(out, (char)byte) < 0)
			return -1;
	}
	return text.len == 0 ? 0 : -1;
}

/* What a digest is written in; Dovecot says ".HEX" or ".b64" for another. */
enum encoding { IN_BASE64, IN_HEX };

/* The digest of password and salt, and the salt. */
static int
check_digest(struct span password, struct span hash, int arg,
    enum encoding enc)
{
	struct buf raw = BUF_INIT(DIGEST_MAX + DIGEST_SALT_MAX);
	struct buf in = BUF_SECRET(BUF_UNLIMITED);
	size_t n = digest_len((enum digest)arg);
	unsigned char got[DIGEST_MAX];
	int rc = enc == IN_HEX ? hex_decode(hash, &raw) :
	    base64_decode(hash, &raw);

	if (rc == 0 && raw.len >= n) {
		buf_add_span(&in, password);
		buf_add(&in, raw.data + n, raw.len - n);
		digest_of((enum digest)arg, buf_span(&in), got);
		rc = digest_equal(span_make(got, n), span_make(raw.data, n));
	} else {
		rc = -1;
	}
	buf_wipe(&in);
	buf_wipe(&raw);
	return rc;
}

/* "$1$salt$iterations$hex", by HMAC-SHA-1. */
static int
check_pbkdf2(struct span password, struct span hash)
{
	struct buf want = BUF_INIT(DIGEST_MAX);
	size_t n = digest_len(DIGEST_SHA1);
	unsigned char got[DIGEST_MAX];
	struct span part[5] = { 0 };
	uint32_t rounds;
	int rc = -1;

	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		ptrdiff_t end = span_find(hash, '$');

		part[i] = end < 0 ? hash : span_sub(hash, 0, (size_t)end);
		hash = end < 0 ? SPAN("") : span_from(hash, (size_t)end + 1);
	}
	if (part[0].len == 0 && span_is(part[1], "1") && hash.len == 0 &&
	    num_parse_u32(part[3], PBKDF2_ROUNDS_MAX, &rounds) == 0 &&
	    rounds > 0 && hex_decode(part[4], &want) == 0 && want.len == n) {
		digest_pbkdf2(DIGEST_SHA1, password, part[2], rounds, got);
		rc = digest_equal(span_make(got, n), buf_span(&want));
	}
	buf_wipe(&want);
	return rc;
}

static int
check_plain(struct span password, struct span hash)
{
	return digest_equal(password, hash);
}

enum kind { BY_ARGON2, BY_CRYPT, BY_SCRAM, BY_DIGEST, BY_PBKDF2, BY_PLAIN };

static const struct scheme {
	const char	*name;
	enum kind	 kind;
	int		 arg;
	enum encoding	 encoding;
} schemes[] = {
	{ "ARGON2ID", BY_ARGON2, 0, 0 },
	{ "ARGON2I", BY_ARGON2, 0, 0 },
	{ "yescrypt", BY_CRYPT, 0, 0 },
	{ "CRYPT", BY_CRYPT, 0, 0 },
	{ "SHA512-CRYPT", BY_CRYPT, 0, 0 },
	{ "SHA256-CRYPT", BY_CRYPT, 0, 0 },
	{ "BLF-CRYPT", BY_CRYPT, 0, 0 },
	{ "MD5-CRYPT", BY_CRYPT, 0, 0 },
	{ "MD5", BY_CRYPT, 0, 0 },
	{ "DES-CRYPT", BY_CRYPT, 0, 0 },
	{ "SCRAM-SHA-256", BY_SCRAM, DIGEST_SHA256, 0 },
	{ "SCRAM-SHA-1", BY_SCRAM, DIGEST_SHA1, 0 },
	{ "SSHA512", BY_DIGEST, DIGEST_SHA512, IN_BASE64 },
	{ "SHA512", BY_DIGEST, DIGEST_SHA512, IN_BASE64 },
	{ "SSHA256", BY_DIGEST, DIGEST_SHA256, IN_BASE64 },
	{ "SHA256", BY_DIGEST, DIGEST_SHA256, IN_BASE64 },
	{ "SSHA", BY_DIGEST, DIGEST_SHA1, IN_BASE64 },
	{ "SHA", BY_DIGEST, DIGEST_SHA1, IN_BASE64 },
	{ "SHA1", BY_DIGEST, DIGEST_SHA1, IN_BASE64 },
	{ "SMD5", BY_DIGEST, DIGEST_MD5, IN_BASE64 },
	{ "LDAP-MD5", BY_DIGEST, DIGEST_MD5, IN_BASE64 },
	{ "PLAIN-MD5", BY_DIGEST, DIGEST_MD5, IN_HEX },
	{ "PBKDF2", BY_PBKDF2, 0, 0 },
	{ "PLAIN", BY_PLAIN, 0, 0 },
	{ "CLEAR", BY_PLAIN, 0, 0 },
	{ "CLEARTEXT", BY_PLAIN, 0, 0 },
};

static int
check_by(const struct scheme *s, enum encoding enc, struct span password,
    struct span hash)
{
	switch (s->kind) {
	case BY_ARGON2:
		return check_argon2(password, hash);
	case BY_CRYPT:
		return check_crypt(password, hash);
	case BY_SCRAM:
		return check_scram(password, hash, (enum digest)s->arg);
	case BY_DIGEST:
		return check_digest(password, hash, s->arg, enc);
	case BY_PBKDF2:
		return check_pbkdf2(password, hash);
	default:
		return check_plain(password, hash);
	}
}

/* "{scheme}" or "{scheme.encoding}" off the hash; NULL: we know none such. */
static const struct scheme *
take_scheme(struct span *hash, enum encoding *enc)
{
	ptrdiff_t end = span_find(*hash, '}'), dot;
	struct span name, code = SPAN_EMPTY;

	if (end <= 0 || hash->p[0] != '{')
		return NULL;
	name = span_sub(*hash, 1, (size_t)end - 1);
	*hash = span_from(*hash, (size_t)end + 1);
	dot = span_find(name, '.');
	if (dot >= 0) {
		code = span_from(name, (size_t)dot + 1);
		name = span_sub(name, 0, (size_t)dot);
	}
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		const struct scheme *s = &schemes[i];

		if (!span_caseis(name, s->name))
			continue;
		*enc = s->encoding;
		if (dot < 0)
			return s;
		*enc = span_caseis(code, "hex") ? IN_HEX : IN_BASE64;
		return s->kind == BY_DIGEST && (*enc == IN_HEX ||
		    span_caseis(code, "b64") || span_caseis(code, "base64")) ?
		    s : NULL;
	}
	return NULL;
}

static int
check_bytes(struct span password, struct span hash)
{
	const struct scheme *s;
	enum encoding enc;

	if (span_has_nul(hash) || hash.len == 0)
		return -1;
	if (hash.p[0] == '{') {
		s = take_scheme(&hash, &enc);
		return s != NULL ? check_by(s, enc, password, hash) : -1;
	}
	if (span_starts(hash, SPAN("$argon2")))
		return check_argon2(password, hash);
	return hash.p[0] == '$' ? check_crypt(password, hash) : -1;
}

int
password_check(struct span password, struct span hash)
{
	struct buf same = BUF_SECRET(BUF_UNLIMITED);
	struct span p = prepared(password, &same);
	int rc = check_bytes(p, hash);

	/* Hashes that others have made are of the bytes that were typed. */
	if (rc == 0 && !span_eq(p, password))
		rc = check_bytes(password, hash);
	buf_wipe(&same);
	return rc;
}

bool
password_is_light(struct span hash)
{
	size_t which = scheme_now();
	struct span scheme = span_of(full[which].scheme);

	return !span_casestarts(hash, scheme) ||
	    !span_starts(span_from(hash, scheme.len),
	    span_of(full[which].looks));
}
