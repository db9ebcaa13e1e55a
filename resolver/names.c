/* SPDX-License-Identifier: ISC */
/*
 * names - internationalized names become A-labels (RFC 5891); the only file
 * that knows libidn2.
 */
#include <idn2.h>

#include "dns/dns.h"
#include "resolver/resolver.h"

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((uint8_t)s.p[i] >= 0x80)
			return false;
	return true;
}

int
name_to_ascii(struct span name, char out[256])
{
	char text[RESOLVER_NAME_MAX + 1], *ascii = NULL;
	struct span s;
	int rc = -1;

	if (name.len > 0 && name.p[name.len - 1] == '.')
		name.len--;
	if (span_copy(name, text, sizeof(text)) < 0)
		return -1;
	s = span_of(text);
	if (!is_ascii(s)) {
		if (idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&ascii,
		    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
			return -1;
		s = span_of(ascii);
	}
	if (dns_name_valid(s)) {
		for (size_t i = 0; i < s.len; i++)
			out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z'
			    ? (char)(s.p[i] - 'A' + 'a') : s.p[i];
		out[s.len] = '\0';
		rc = 0;
	}
	idn2_free(ascii);
	return rc;
}
