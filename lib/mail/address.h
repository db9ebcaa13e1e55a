/* SPDX-License-Identifier: ISC */
/*
 * address - mail addresses as grammar: no table, no DNS, no I/O.
 *
 * Inside Mansio an address is its unquoted form in one string: the bytes of
 * the local part without quotes and backslashes, '@', the domain; the null
 * sender is "".  The last '@' separates.  Quoting is done where an address
 * leaves: address_quote_821() for SMTP, address_quote_822() for headers.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

#define ADDRESS_LOCAL_MAX	256	/* RFC 5321 4.5.3.1.1 says 64 at least */
#define ADDRESS_DOMAIN_MAX	255	/* RFC 5321 4.5.3.1.2 */
#define ADDRESS_MAX		(ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX)

/*
 * Parse what follows "MAIL FROM:" or "RCPT TO:" up to the end of the path
 * (RFC 5321 4.1.2): "<joe@example.org>", "<>", "<@a,@b:joe@c>" (the route is
 * dropped).  lax also takes what Postfix takes without strict_rfc821_
 * envelopes: no angle brackets, spaces inside them, "<joe>" without domain.
 * utf8: RFC 6531 addresses are allowed.  *rest is what follows the path
 * (parameters).  0, or -1: out is unchanged.
 */
enum { ADDRESS_LAX = 1, ADDRESS_UTF8 = 2 };
MUST_CHECK int address_parse_path(struct span in, int flags, struct buf *out,
	    struct span *rest);

/* Split at the last '@'; domain.p == NULL when there is none. */
void	 address_split(struct span addr, struct span *local,
	    struct span *domain);
/*
 * Split "user+ext" by the first character of delimiters in it (not at the
 * start; "owner-x" and "x-request" are left whole when '-' is a delimiter;
 * "mailer-daemon" and "double-bounce" too).  False, and local unchanged,
 * when there is no extension.
 */
bool	 address_split_ext(struct span local, const char *delimiters,
	    struct span *user, struct span *ext);
void	 address_quote_821(struct span addr, struct buf *out);
void	 address_quote_822(struct span addr, struct buf *out);
/* ASCII lower case of the domain; with both, of the local part as well. */
void	 address_fold(struct span addr, bool both, struct buf *out);
/* RFC 5321 4.1.2 Domain: letters, digits, '-', labels of 1 to 63 bytes;
 * U-labels with ADDRESS_UTF8. */
bool	 address_domain_valid(struct span domain, int flags);
/* RFC 5321 4.1.3: "[192.0.2.1]", "[IPv6:2001:db8::1]". */
bool	 address_literal_valid(struct span domain);
/* As Postfix logs and shows it: quoted where needed, "" stays "". */
const char *address_show(struct span addr, struct buf *tmp);
/* Whether it is; at first it is: info_log_address_format. */
void	 address_show_quoted(bool quoted);

/* --- header address lists (RFC 5322 3.4, and what people really send) ------- */

/*
 * Call fn for each mailbox of a header value such as "Joe <joe@a>, grp: b;".
 * Comments, groups, routes, obsolete forms and missing commas are taken.
 * raw is where in value the address itself stands (so that it can be
 * replaced), addr is its unquoted form, name the display name.  max bounds
 * the number of tokens looked at.  -1 when the bound was reached.
 */
struct address_item {
	struct span	raw, addr, name;
};
int	 address_list_each(struct span value, size_t max,
	    void (*fn)(void *arg, const struct address_item *), void *arg);

#endif
