/* SPDX-License-Identifier: ISC */
/*
 * srs - see srs.h.
 */
#include "auth/srs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "auth/digest.h"
#include "base/array.h"
#include "base/base64.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "io/fd.h"
#include "mail/address.h"

#define FILE_MAX	4096	/* bytes of the key file */
#define KEY_BYTES	32	/* of a key that we make */
#define HASH_LEN	6	/* base32 digits: 30 bits */
#define DAY_LEN		2
#define DAYS		1024	/* the day counts modulo this */

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

struct srs {
	char		*domain;
	int64_t		 lifetime_days;
	ARRAY(char *)	 keys;
};

/* --- the file ------------------------------------------------------------------------ */

/* Under another name first: two who start at a time get the same key. */
static int
make_file(const char *file, uid_t uid, gid_t gid, struct why *why)
{
	unsigned char key[KEY_BYTES];
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	char *tmp = mem_printf("%s.%ld", file, (long)getpid());
	int fd, rc = 0;

	rnd_bytes(key, sizeof(key));
	base64_encode(span_make(key, sizeof(key)), &text);
	buf_add_char(&text, '\n');
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len ||
	    (geteuid() == 0 && fchown(fd, uid, gid) < 0) || fsync(fd) < 0 ||
	    (link(tmp, file) < 0 && errno != EEXIST))
		rc = why_errno(why, "4.3.5", "cannot make %s", file);
	fd_close(&fd);
	(void)unlink(tmp);
	mem_wipe(key, sizeof(key));
	buf_wipe(&text);
	mem_free(tmp);
	return rc;
}

static int
read_file(struct srs *s, const char *file, struct why *why)
{
	static char text[FILE_MAX];
	struct span rest, line;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return why_errno(why, "4.3.5", "open %s", file);
	n = read(fd, text, sizeof(text));
	fd_close(&fd);
	if (n < 0)
		return why_errno(why, "4.3.5", "read %s", file);
	rest = span_make(text, (size_t)n);
	while (s->keys.len < SRS_KEYS_MAX && span_line(&rest, &line)) {
		line = span_trim(line);
		if (line.len > 0 && line.p[0] != '#')
			*ARRAY_PUSH(&s->keys) = span_dup(line);
	}
	mem_wipe(text, sizeof(text));
	if (s->keys.len == 0)
		return why_set(why, "4.3.5", "%s has no key", file);
	return 0;
}

struct srs *
srs_open(const char *file, const char *domain, int64_t lifetime_s, uid_t uid,
    gid_t gid, struct why *why)
{
	struct srs *s = mem_zalloc(sizeof(*s));

	s->domain = mem_strdup(domain);
	s->lifetime_days = MIN(lifetime_s / 86400, DAYS / 2);
	if ((access(file, F_OK) < 0 && errno == ENOENT &&
	    make_file(file, uid, gid, why) < 0) ||
	    read_file(s, file, why) < 0)
		srs_free(&s);
	return s;
}

int
srs_setup(struct srs **out, uid_t uid, gid_t gid, struct why *why)
{
	*out = NULL;
	if (strcmp(conf.srs_enable, "no") == 0)
		return 0;
	*out = srs_open(conf.srs_secret_file, conf.srs_domain,
	    conf.srs_lifetime, uid, gid, why);
	if (*out == NULL)
		why_prefix(why, "srs_secret_file");
	return *out == NULL ? -1 : 0;
}

void
srs_free(struct srs **sp)
{
	struct srs *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->keys.len; i++) {
		mem_wipe(s->keys.v[i], strlen(s->keys.v[i]));
		mem_free(s->keys.v[i]);
	}
	ARRAY_FINI(&s->keys);
	mem_free(s->domain);
	mem_free(s);
}

/* --- parts ------------------------------------------------------------------------------- */

static void
hash(const char *key, struct span text, char out[HASH_LEN])
{
	unsigned char mac[DIGEST_MAX];
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	uint32_t bits;

	address_fold(text, true, &low);
	digest_hmac(DIGEST_SHA256, span_of(key), buf_span(&low), mac);
	bits = (uint32_t)mac[0] << 24 | (uint32_t)mac[1] << 16 |
	    (uint32_t)mac[2] << 8 | mac[3];
	for (int i = 0; i < HASH_LEN; i++, bits <<= 5)
		out[i] = digits[bits >> 27];
	buf_fini(&low);
}

static bool
hash_is_ours(const struct srs *s, struct span given, struct span text)
{
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	char want[HASH_LEN];
	bool good = false;

	address_fold(given, true, &low);
	for (size_t i = 0; i < s->keys.len && given.len == HASH_LEN; i++) {
		hash(s->keys.v[i], text, want);
		good |= digest_equal(buf_span(&low), span_make(want,
		    HASH_LEN));
	}
	buf_fini(&low);
	return good;
}

static void
put_day(int64_t now_s, struct buf *out)
{
	int64_t day = now_s / 86400 % DAYS;

	buf_add_char(out, digits[day / 32]);
	buf_add_char(out, digits[day % 32]);
}

static int
digit_value(char c)
{
	const char *p;

	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	p = c == '\0' ? NULL : strchr(digits, c);
	return p == NULL ? -1 : (int)(p - digits);
}

static bool
day_is_good(const struct srs *s, struct span day, int64_t now_s)
{
	int64_t now = now_s / 86400 % DAYS, age;
	int a, b;

	if (day.len != DAY_LEN)
		return false;
	a = digit_value(day.p[0]);
	b = digit_value(day.p[1]);
	if (a < 0 || b < 0)
		return false;
	age = (now - (a * 32 + b) + DAYS) % DAYS;
	/* A clock that was a day ahead. */
	return age <= s->lifetime_days || age == DAYS - 1;
}

/* "SRS0=", "SRS0+" and "SRS0-" begin one; 0, 1, or -1. */
static int
kind(struct span local)
{
	if (local.len < 6 || !span_caseis(span_sub(local, 0, 3), "SRS") ||
	    strchr("=+-", local.p[4]) == NULL)
		return -1;
	return local.p[3] == '0' ? 0 : local.p[3] == '1' ? 1 : -1;
}

/* What stands before the next '='; false when there is none. */
static bool
take(struct span *rest, struct span *part)
{
	ptrdiff_t at = span_find(*rest, '=');

	if (at <= 0)
		return false;
	*part = span_sub(*rest, 0, (size_t)at);
	*rest = span_from(*rest, (size_t)at + 1);
	return true;
}

/* --- there ------------------------------------------------------------------------------- */

int
srs_forward(const struct srs *s, struct span sender, int64_t now_s,
    struct buf *out)
{
	struct buf rest = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain, h, host;
	char mac[HASH_LEN];
	size_t before = out->len;
	int k;

	address_split(sender, &local, &domain);
	if (local.len == 0 || domain.len == 0)
		return -1;
	k = kind(local);
	if (k == 0) {
		/* Another's: he knows what is in it. */
		buf_addf(&rest, "%.*s=%.*s", SPAN_ARG(domain),
		    SPAN_ARG(span_from(local, 4)));
	} else if (k == 1) {
		/* A third one's: the first one's part goes on. */
		struct span in = span_from(local, 5);

		if (take(&in, &h) && take(&in, &host))
			buf_addf(&rest, "%.*s=%.*s", SPAN_ARG(host),
			    SPAN_ARG(in));
		else
			k = -1;
	}
	if (k < 0) {
		put_day(now_s, &rest);
		buf_addf(&rest, "=%.*s=%.*s", SPAN_ARG(domain),
		    SPAN_ARG(local));
	}
	hash(s->keys.v[0], buf_span(&rest), mac);
	buf_addf(out, "SRS%d=%.*s=%s@%s", k < 0 ? 0 : 1, HASH_LEN, mac,
	    rest.data, s->domain);
	buf_fini(&rest);
	if (out->len - before - strlen(s->domain) - 1 > ADDRESS_LOCAL_MAX) {
		buf_trunc(out, before);
		return -1;
	}
	return 0;
}

/* --- and back ----------------------------------------------------------------------------- */

bool
srs_is(const struct srs *s, struct span address)
{
	struct span local, domain;

	address_split(address, &local, &domain);
	return span_caseis(domain, s->domain) && kind(local) >= 0;
}

int
srs_reverse(const struct srs *s, struct span address, int64_t now_s,
    struct buf *out, struct why *why)
{
	struct span local, domain, rest, h, day, host;
	int k;

	address_split(address, &local, &domain);
	k = kind(local);
	if (k < 0)
		return why_set(why, "5.1.1", "not an SRS address");
	rest = span_from(local, 5);
	if (!take(&rest, &h) || !hash_is_ours(s, h, rest))
		return why_set(why, "5.1.1", "SRS address with a wrong hash");
	if (k == 0) {
		if (!take(&rest, &day) || !take(&rest, &host) ||
		    rest.len == 0)
			return why_set(why, "5.1.1", "bad SRS address");
		if (!day_is_good(s, day, now_s))
			return why_set(why, "5.1.1", "SRS address has "
			    "expired");
		buf_addf(out, "%.*s@%.*s", SPAN_ARG(rest), SPAN_ARG(host));
	} else {
		if (!take(&rest, &host) || rest.len < 2)
			return why_set(why, "5.1.1", "bad SRS address");
		buf_addf(out, "SRS0%.*s@%.*s", SPAN_ARG(rest), SPAN_ARG(host));
	}
	return 0;
}
