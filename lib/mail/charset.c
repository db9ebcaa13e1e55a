/* SPDX-License-Identifier: ISC */
/*
 * charset - see charset.h.
 *
 * Descriptors of iconv, and tables made with them, are kept, the least recently
 * used one makes room: to open one costs a microsecond at best and the loading
 * of a file at worst.
 */
#include <errno.h>
#include <iconv.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "mail/charset.h"
#include "mail/chars.h"

#define KEPT		64
#define REPLACEMENT	"\xef\xbf\xbd"	/* U+FFFD */

static struct kept {
	char		 name[CHARSET_NAME_MAX + 1];	/* upper case */
	iconv_t		 cd;		/* NO_ICONV: high is all of it */
	uint64_t	 used;
	uint16_t	 high[128];	/* 80 to ff; 0: not assigned */
} kept[KEPT];
static size_t nkept;
static uint64_t uses, misses;
#define NO_ICONV	((iconv_t)-1)

/* Names in mail that mean another charset, or one that has more in it. */
static const struct { const char *name, *means; } aliases[] = {
	{ "GB2312", "GB18030" }, { "GBK", "GB18030" },
	{ "CHINESEGB", "GB18030" }, { "X-GBK", "GB18030" },
	{ "GB_2312-80", "GB18030" }, { "GB18030-2000", "GB18030" },
	{ "KS_C_5601-1987", "UHC" }, { "KS_C_5601", "UHC" },
	{ "KSC5601", "UHC" }, { "EUC-KR", "UHC" }, { "X-EUC-KR", "UHC" },
	{ "WINDOWS-949", "UHC" }, { "X-WINDOWS-949", "UHC" },
	{ "KOREAN", "UHC" }, { "ISO-IR-149", "UHC" },
	{ "X-SJIS", "CP932" }, { "SHIFT_JIS", "CP932" },
	{ "SHIFT-JIS", "CP932" }, { "SJIS", "CP932" },
	{ "X-MS-CP932", "CP932" }, { "ISO-2022-JP-1", "ISO-2022-JP-2" },
	{ "X-EUC-JP", "EUC-JP" }, { "CP51932", "EUC-JP" },
	{ "BIG5", "BIG5-HKSCS" }, { "X-BIG5", "BIG5-HKSCS" },
	{ "WINDOWS-950", "BIG5-HKSCS" },
	{ "UNICODE-1-1-UTF-7", "UTF-7" }, { "UTF7", "UTF-7" },
	{ "UNICODE-2-0-UTF-7", "UTF-7" }, { "X-UNICODE-2-0-UTF-7", "UTF-7" },
	{ "ISO-8859-8-I", "ISO-8859-8" }, { "ISO-8859-8-E", "ISO-8859-8" },
	{ "ISO-8859-6-I", "ISO-8859-6" }, { "X-MAC-ROMAN", "MACINTOSH" },
	{ "ISO-8859-6-E", "ISO-8859-6" }, { "LOGICAL", "ISO-8859-8" },
	{ "VISUAL", "ISO-8859-8" }, { "X-CP1250", "WINDOWS-1250" },
	{ "X-CP1251", "WINDOWS-1251" }, { "WIN-1251", "WINDOWS-1251" },
	{ "IBM-852", "IBM852" }, { "DOS-862", "IBM862" },
	{ "X-UNKNOWN", "US-ASCII" }, { "UNKNOWN-8BIT", "US-ASCII" },
	{ "8BIT", "US-ASCII" }, { "DEFAULT_CHARSET", "US-ASCII" },
};

static bool
is_one_of(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, list[i]) == 0)
			return true;
	return false;
}

static bool
is_utf8_name(const char *name)
{
	static const char *const names[] = { "UTF-8", "UTF8", "US-ASCII",
	    "ASCII", "ANSI_X3.4-1968", "ISO646-US", "US", "CP65001", "646",
	    "UTF_8", "US_ASCII", "UNICODE-1-1-UTF-8" };

	return is_one_of(name, names, ARRAY_LEN(names));
}

static bool
is_latin1_name(const char *name)
{
	static const char *const names[] = { "ISO-8859-1", "ISO8859-1",
	    "ISO_8859-1", "LATIN1", "L1", "ISO88591", "ISO-8859-1:1987",
	    "LATIN-1", "8859-1" };

	return is_one_of(name, names, ARRAY_LEN(names));
}

static bool
is_cp1252_name(const char *name)
{
	static const char *const names[] = { "WINDOWS-1252", "CP1252",
	    "CP-1252", "X-ANSI", "WINDOWS1252", "X-CP1252" };

	return is_one_of(name, names, ARRAY_LEN(names));
}

/* Upper case, without an RFC 2231 language; "" when bad. */
static void
canonical(struct span name, char out[CHARSET_NAME_MAX + 1])
{
	ptrdiff_t star;

	name = span_trim(name);
	if ((star = span_find(name, '*')) >= 0)
		name.len = (size_t)star;
	out[0] = '\0';
	if (name.len == 0 || name.len > CHARSET_NAME_MAX)
		return;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!char_is_alnum(c) && (c == '\0' ||
		    strchr("-_.:+()", c) == NULL)) {
			out[0] = '\0';
			return;
		}
		out[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	}
	out[name.len] = '\0';
}

static const char *
meaning(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(name, aliases[i].name) == 0)
			return aliases[i].means;
	return name;
}

/*
 * Ask for each byte by itself: true when each is ASCII or one character of its
 * own (or none), whatever comes before and after.
 */
static bool
make_table(iconv_t cd, uint16_t high[128])
{
	for (unsigned b = 0; b < 256; b++) {
		char in = (char)b, out[16], *p = &in, *o = out;
		size_t left = 1, room = sizeof(out), rc;
		uint32_t cp = 0;

		rc = iconv(cd, &p, &left, &o, &room);
		if (rc == (size_t)-1) {
			if (errno != EILSEQ || b < 0x80)
				return false;
			(void)iconv(cd, NULL, NULL, NULL, NULL);
			high[b - 0x80] = 0;
			continue;
		}
		/* None yet: what follows decides. */
		if (o == out || utf8_next(span_make(out, (size_t)(o - out)),
		    &cp) != (size_t)(o - out) || cp > UINT16_MAX)
			return false;
		if (b >= 0x80)
			high[b - 0x80] = (uint16_t)cp;
		else if (cp != b)
			return false;
	}
	return true;
}

/* What there is for a canonical name, or NULL. */
static struct kept *
find_kept(const char *name)
{
	struct kept *k = NULL;
	iconv_t cd;

	for (size_t i = 0; i < nkept; i++)
		if (strcmp(kept[i].name, name) == 0) {
			kept[i].used = ++uses;
			if (kept[i].cd != NO_ICONV)
				(void)iconv(kept[i].cd, NULL, NULL, NULL,
				    NULL);
			return &kept[i];
		}
	if ((cd = iconv_open("UTF-8", name)) == NO_ICONV)
		return NULL;
	if (nkept < KEPT)
		k = &kept[nkept++];
	else {
		k = &kept[0];
		for (size_t i = 1; i < nkept; i++)
			if (kept[i].used < k->used)
				k = &kept[i];
		if (k->cd != NO_ICONV)
			iconv_close(k->cd);
	}
	snprintf(k->name, sizeof(k->name), "%s", name);
	k->cd = cd;
	k->used = ++uses;
	if (make_table(cd, k->high)) {
		iconv_close(cd);
		k->cd = NO_ICONV;
	} else {
		(void)iconv(cd, NULL, NULL, NULL, NULL);
	}
	return k;
}

bool
charset_init(struct charset *c, struct span name)
{
	char canon[CHARSET_NAME_MAX + 1];
	const struct kept *k;
	const char *means;

	c->nheld = 0;
	c->iconv = NULL;
	c->high = NULL;
	c->kind = CHARSET_UTF8;
	canonical(name, canon);
	if (canon[0] == '\0')
		return false;
	if (is_utf8_name(canon))
		return true;
	if (is_latin1_name(canon)) {
		c->kind = CHARSET_LATIN1;
		return true;
	}
	if (is_cp1252_name(canon)) {
		c->kind = CHARSET_CP1252;
		return true;
	}
	means = meaning(canon);
	if (is_utf8_name(means))
		return false;			/* it says it is unknown */
	if ((k = find_kept(means)) == NULL) {
		misses++;
		return false;
	}
	c->kind = k->cd == NO_ICONV ? CHARSET_TABLE : CHARSET_ICONV;
	c->iconv = k->cd;
	c->high = k->high;
	return true;
}

/* --- conversion -------------------------------------------------------------------- */

static void
put_cp(struct buf *out, uint32_t cp)
{
	char b[3];

	if (cp < 0x80)
		buf_add_char(out, (char)cp);
	else if (cp < 0x800) {
		b[0] = (char)(0xc0 | cp >> 6);
		b[1] = (char)(0x80 | (cp & 0x3f));
		buf_add(out, b, 2);
	} else {
		b[0] = (char)(0xe0 | cp >> 12);
		b[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		b[2] = (char)(0x80 | (cp & 0x3f));
		buf_add(out, b, 3);
	}
}

/* The bytes of ASCII at the start of s. */
static size_t
ascii_run(struct span s)
{
	size_t i = 0;
	uint64_t word;

	for (; i + 8 <= s.len; i += 8) {
		memcpy(&word, s.p + i, 8);
		if (word & 0x8080808080808080)
			break;
	}
	while (i < s.len && (unsigned char)s.p[i] < 0x80)
		i++;
	return i;
}

static void
single_byte(struct charset *c, struct span in, struct buf *out)
{
	/* windows-1252 80 to 9f; 0: not assigned. */
	static const uint16_t cp1252[32] = {
		0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
		0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0,
		0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
		0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
	};

	while (in.len > 0) {
		size_t n = ascii_run(in);
		uint32_t cp;

		buf_add(out, in.p, n);
		if (n == in.len)
			return;
		cp = (unsigned char)in.p[n];
		if (c->kind == CHARSET_TABLE)
			cp = c->high[cp - 0x80];
		else if (c->kind == CHARSET_CP1252 && cp < 0xa0)
			cp = cp1252[cp - 0x80];
		if (cp == 0)
			cp = 0xfffd;
		put_cp(out, cp);
		in = span_from(in, n + 1);
	}
}

/*
 * How much of the end of s is the start of a UTF-8 sequence that needs more.
 */
static size_t
utf8_open_end(struct span s)
{
	for (size_t n = 1; n <= 3 && n <= s.len; n++) {
		unsigned char b = (unsigned char)s.p[s.len - n];

		if (b < 0x80)
			return 0;
		if (b >= 0xc0)
			return (b >= 0xf0 ? 4u : b >= 0xe0 ? 3u : 2u) > n ?
			    n : 0;
	}
	return 0;
}

/* Returns what was used; at the end of the text, all of it. */
static size_t
utf8(struct span in, bool last, struct buf *out)
{
	size_t used;

	if (!last)
		in.len -= utf8_open_end(in);
	used = in.len;
	while (in.len > 0) {
		size_t n = ascii_run(in), c;

		while ((c = utf8_next(span_from(in, n), NULL)) > 0)
			n += c > 1 ? c : ascii_run(span_from(in, n));
		buf_add(out, in.p, n);
		in = span_from(in, n);
		if (in.len > 0) {
			buf_add_str(out, REPLACEMENT);
			in = span_from(in, 1);
		}
	}
	return used;
}

/* Returns what was used; the rest is the start of a character. */
static size_t
by_iconv(struct charset *c, struct span in, struct buf *out)
{
	char *p = (char *)(uintptr_t)in.p;
	size_t left = in.len;

	while (left > 0) {
		size_t room = MAX(left * 2, 64);
		char *o = buf_reserve(out, room), *start = o;
		size_t rc;

		if (o == NULL)
			return in.len;
		rc = iconv(c->iconv, &p, &left, &o, &room);
		buf_commit(out, (size_t)(o - start));
		if (rc != (size_t)-1)
			continue;
		if (errno == E2BIG)
			continue;
		if (errno == EINVAL)
			break;
		buf_add_str(out, REPLACEMENT);
		p++;
		left--;
	}
	return in.len - left;
}

static size_t
convert(struct charset *c, struct span in, bool last, struct buf *out)
{
	switch (c->kind) {
	case CHARSET_LATIN1:
	case CHARSET_CP1252:
	case CHARSET_TABLE:
		single_byte(c, in, out);
		return in.len;
	case CHARSET_UTF8:
		return utf8(in, last, out);
	case CHARSET_ICONV:
		break;
	}
	return by_iconv(c, in, out);
}

void
charset_write(struct charset *c, struct span in, struct buf *out)
{
	size_t used;

	/* What was held grows byte by byte until it is a character. */
	while (c->nheld > 0 && in.len > 0) {
		c->held[c->nheld++] = in.p[0];
		in = span_from(in, 1);
		used = convert(c, span_make(c->held, c->nheld), false, out);
		c->nheld -= used;
		memmove(c->held, c->held + used, c->nheld);
		if (c->nheld == sizeof(c->held)) {
			buf_add_str(out, REPLACEMENT);
			c->nheld = 0;
		}
	}
	if (in.len == 0)
		return;
	used = convert(c, in, false, out);
	in = span_from(in, used);
	c->nheld = MIN(in.len, sizeof(c->held) - 1);
	memcpy(c->held, in.p, c->nheld);
}

void
charset_finish(struct charset *c, struct buf *out)
{
	if (c->nheld > 0)
		buf_add_str(out, REPLACEMENT);
	c->nheld = 0;
	if (c->kind == CHARSET_ICONV) {
		/* Some have a character in their sleeve (ISO-2022-JP-3). */
		char *o = buf_reserve(out, 64), *start = o;
		size_t room = 64;

		if (o != NULL && iconv(c->iconv, NULL, NULL, &o, &room) !=
		    (size_t)-1)
			buf_commit(out, (size_t)(o - start));
		(void)iconv(c->iconv, NULL, NULL, NULL, NULL);
	}
}

bool
charset_convert(struct span name, struct span in, struct buf *out)
{
	struct charset c;
	bool known = charset_init(&c, name);

	charset_write(&c, in, out);
	charset_finish(&c, out);
	return known;
}

void
charset_utf8(struct span in, struct buf *out)
{
	(void)utf8(in, true, out);
}

bool
charset_known(struct span name)
{
	struct charset c;

	return charset_init(&c, name);
}

uint64_t
charset_misses(void)
{
	return misses;
}

void
charset_preload(void)
{
	static const char *const names[] = { "ISO-8859-2", "ISO-8859-3",
	    "ISO-8859-4", "ISO-8859-5", "ISO-8859-6", "ISO-8859-7",
	    "ISO-8859-8", "ISO-8859-9", "ISO-8859-10", "ISO-8859-13",
	    "ISO-8859-14", "ISO-8859-15", "ISO-8859-16", "WINDOWS-1250",
	    "WINDOWS-1251", "WINDOWS-1253", "WINDOWS-1254", "WINDOWS-1255",
	    "WINDOWS-1256", "WINDOWS-1257", "WINDOWS-1258", "WINDOWS-874",
	    "TIS-620", "IBM437", "IBM850", "IBM866", "MACINTOSH", "KOI8-R",
	    "KOI8-U", "GB18030", "HZ", "BIG5", "SHIFT_JIS", "ISO-2022-JP",
	    "EUC-JP", "EUC-KR", "ISO-2022-KR", "UTF-7", "UTF-16",
	    "UTF-16LE", "UTF-32" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)charset_known(span_of(names[i]));
}

void
charset_unload(void)
{
	while (nkept > 0)
		if (kept[--nkept].cd != NO_ICONV)
			iconv_close(kept[nkept].cd);
}
