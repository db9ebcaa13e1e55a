/* SPDX-License-Identifier: ISC */
/*
 * password - schemes and costs; crypt.c does the work.
 */
#include "auth/password.h"

#include "auth/crypt.h"
#include "base/mem.h"

#define SCHEME		"{yescrypt}"
/* libxcrypt's scale for "$y$": 5 is its default, 1 the least it makes. */
#define COST_FULL	5
#define COST_LEAST	1
#define LEAST_PREFIX	"$y$j75$"	/* what that looks like: N = 1024 */
/*
 * The same with N = 256.  Measured, a hash each, on the machine where a full
 * one takes 20 ms: $y$ N=1024 1.2 ms, N=512 0.6, N=256 0.3; $6$ 1.4, with the
 * fewest rounds (1000) 0.25; $5$ 1.7 and 0.35; $2b$ 0.9 at its least cost;
 * $7$ 100; $sha1 and $md5 are unfit.  At the price of the weakest $6$ this
 * one still takes 256 KiB of memory for each guess, which $6$ does not.
 */
#define LIGHT_PREFIX	"$y$j55$"
#define FULL_PREFIX	"$y$j9T$"	/* what a cost of 5 looks like */

int
password_hash(struct span password, enum password_cost cost, struct buf *out,
    struct why *why)
{
	struct buf setting = BUF_INIT(500);
	char *text = NULL;
	int rc;

	if (password.len == 0)
		return why_set(why, "5.7.8", "the password is empty");
	if (password.len > PASSWORD_MAX)
		return why_set(why, "5.7.8", "the password is longer than %d "
		    "bytes", PASSWORD_MAX);
	if (span_has_nul(password))
		return why_set(why, "5.7.8", "the password holds a NUL");
	if (crypt_setting("$y$", cost == PASSWORD_FULL ? COST_FULL :
	    COST_LEAST, &setting) < 0)
		return why_errno(why, "4.3.0", "cannot make a salt");
	/* A library that makes another least one keeps its own idea. */
	if (cost == PASSWORD_LIGHT && span_starts(buf_span(&setting),
	    SPAN(LEAST_PREFIX)))
		text = mem_printf("%s%s", LIGHT_PREFIX, setting.data +
		    sizeof(LEAST_PREFIX) - 1);
	buf_add_str(out, SCHEME);
	rc = crypt_password(password, text != NULL ? text : setting.data, out);
	mem_free(text);
	buf_fini(&setting);
	if (rc < 0)
		return why_set(why, "4.3.0", "cannot hash the password");
	return 0;
}

int
password_check(struct span password, struct span hash)
{
	struct buf got = BUF_INIT(BUF_UNLIMITED);
	unsigned char differ = 0;
	ptrdiff_t close;
	char *setting;
	int rc;

	/* "{scheme}hash": every scheme of crypt(3) says itself what it is. */
	if (hash.len > 0 && hash.p[0] == '{' &&
	    (close = span_find(hash, '}')) > 0)
		hash = span_from(hash, (size_t)close + 1);
	if (hash.len == 0 || hash.p[0] != '$' || span_has_nul(hash))
		return -1;
	if (password.len > PASSWORD_MAX || span_has_nul(password))
		return 0;
	setting = span_dup(hash);
	rc = crypt_password(password, setting, &got);
	mem_free(setting);
	if (rc == 0) {
		if (got.len != hash.len)
			differ = 1;
		for (size_t i = 0; i < MIN(got.len, hash.len); i++)
			differ |= (unsigned char)(got.data[i] ^ hash.p[i]);
		rc = differ == 0;
	}
	buf_wipe(&got);
	return rc;
}

bool
password_is_light(struct span hash)
{
	return !span_starts(hash, SPAN(SCHEME FULL_PREFIX));
}
