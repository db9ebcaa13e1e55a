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
#include "base/rnd.h"
#include "conf/params.h"

#define SALT_LEN	16	/* bytes, of SCRAM's keys and of SSHA256 */
#define DIGEST_SALT_MAX	64

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
check_crypt(struct span password, struct span hash, int arg)
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
check_argon2(struct span password, struct span hash, int arg)
{
	char *text = span_dup(hash);
	int rc = argon2_check(password, text);

	mem_free(text);
	return rc;
}

static int
check_scram(struct span password, struct span hash, int arg)
{
	struct scram_keys k;
	int rc;

	if (scram_keys_parse(&k, (enum digest)arg, hash) < 0)
		return -1;
	rc = scram_keys_match(&k, (enum digest)arg, password);
	mem_wipe(&k, sizeof(k));
	return rc;
}

/* Base64 of the digest of password and salt, and the salt. */
static int
check_digest(struct span password, struct span hash, int arg)
{
	struct buf raw = BUF_INIT(DIGEST_MAX + DIGEST_SALT_MAX);
	struct buf in = BUF_SECRET(BUF_UNLIMITED);
	size_t n = digest_len((enum digest)arg);
	unsigned char got[DIGEST_MAX];
	int rc = -1;

	if (base64_decode(hash, &raw) == 0 && raw.len >= n) {
		buf_add_span(&in, password);
		buf_add(&in, raw.data + n, raw.len - n);
		digest_of((enum digest)arg, buf_span(&in), got);
		rc = digest_equal(span_make(got, n), span_make(raw.data, n));
	}
	buf_wipe(&in);
	buf_wipe(&raw);
	return rc;
}

static int
check_plain(struct span password, struct span hash, int arg)
{
	return digest_equal(password, hash);
}

static const struct {
	const char	*name;
	int		(*check)(struct span password, struct span hash,
			    int arg);
	int		 arg;
} schemes[] = {
	{ "{ARGON2ID}", check_argon2, 0 },
	{ "{ARGON2I}", check_argon2, 0 },
	{ "{yescrypt}", check_crypt, 0 },
	{ "{CRYPT}", check_crypt, 0 },
	{ "{SHA512-CRYPT}", check_crypt, 0 },
	{ "{SHA256-CRYPT}", check_crypt, 0 },
	{ "{BLF-CRYPT}", check_crypt, 0 },
	{ "{MD5-CRYPT}", check_crypt, 0 },
	{ "{SCRAM-SHA-256}", check_scram, DIGEST_SHA256 },
	{ "{SCRAM-SHA-1}", check_scram, DIGEST_SHA1 },
	{ "{SSHA512}", check_digest, DIGEST_SHA512 },
	{ "{SHA512}", check_digest, DIGEST_SHA512 },
	{ "{SSHA256}", check_digest, DIGEST_SHA256 },
	{ "{SHA256}", check_digest, DIGEST_SHA256 },
	{ "{SSHA}", check_digest, DIGEST_SHA1 },
	{ "{SHA}", check_digest, DIGEST_SHA1 },
	{ "{PLAIN}", check_plain, 0 },
	{ "{CLEARTEXT}", check_plain, 0 },
};

static int
check_bytes(struct span password, struct span hash)
{
	if (span_has_nul(hash))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		struct span name = span_of(schemes[i].name);

		if (span_casestarts(hash, name))
			return schemes[i].check(password,
			    span_from(hash, name.len), schemes[i].arg);
	}
	if (span_starts(hash, SPAN("$argon2")))
		return check_argon2(password, hash, 0);
	if (hash.len > 0 && hash.p[0] == '$')
		return check_crypt(password, hash, 0);
	return -1;
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
