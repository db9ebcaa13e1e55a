/* SPDX-License-Identifier: ISC */
/*
 * uidl_format - unique ids from a format; see uidl_format.h.
 */
#include "store/uidl_format.h"

#include <string.h>

static const struct {
	const char	*server, *format;
} servers[] = {
	{ "dovecot", "%08Xu%08Xv" },	/* pop3_uidl_format's default */
	{ "courier", "UID%u-%v" },
	{ "cyrus", "%v.%u" },
};

const char *
uidl_format_of(const char *server)
{
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		if (strcmp(server, servers[i].server) == 0)
			return servers[i].format;
	}
	return NULL;
}

/* "08X" or "08x" behind a '%'. */
static bool
is_hex(const char *p)
{
	return strncmp(p, "08X", 3) == 0 || strncmp(p, "08x", 3) == 0;
}

bool
uidl_format_has(const char *format, char letter)
{
	while ((format = strchr(format, '%')) != NULL && *++format != '\0') {
		if (is_hex(format))
			format += 3;
		if (*format == letter)
			return true;
		if (*format != '\0')
			format++;
	}
	return false;
}

static int
put_number(struct buf *out, uint32_t n, bool hex)
{
	if (n == 0)
		return -1;
	buf_addf(out, hex ? "%08x" : "%u", n);
	return 0;
}

/* One "%..." at *at, behind the '%'. */
static int
expand(const char **at, const struct uidl_values *v, struct buf *out)
{
	const char *p = *at;
	bool hex = is_hex(p);
	struct span s;

	if (hex)
		p += 3;
	*at = *p == '\0' ? p : p + 1;
	switch (*p) {
	case 'u':
		return put_number(out, v->uid, hex);
	case 'v':
		return put_number(out, v->uidvalidity, hex);
	case 'i':
		for (size_t i = 0; v->id != NULL && i < 16; i++)
			buf_addf(out, "%02x", v->id[i]);
		return v->id != NULL ? 0 : -1;
	case 'f':
	case 'g':
		s = *p == 'f' ? v->file : v->guid;
		buf_add_span(out, s);
		return s.len > 0 ? 0 : -1;
	case '%':
		buf_add_char(out, '%');
		return 0;
	}
	return -1;
}

int
uidl_format(const char *format, const struct uidl_values *v, struct buf *out)
{
	while (*format != '\0') {
		char c = *format++;

		if (c != '%') {
			/* RFC 1939 7: 0x21 to 0x7E. */
			if (c < 0x21 || c > 0x7e)
				return -1;
			buf_add_char(out, c);
		} else if (expand(&format, v, out) < 0) {
			return -1;
		}
	}
	return 0;
}
