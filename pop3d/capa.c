/* SPDX-License-Identifier: ISC */
/*
 * capa - see capa.h.
 */
#include "pop3d/capa.h"

#include "conf/params.h"
#include "pop3d/parse.h"

/*
 * UTF8 USER (RFC 6856 2.1): names and passwords may be UTF-8, as authd takes
 * them.  EXPIRE and LOGIN-DELAY say what pop3d_expire and pop3d_login_delay
 * really do.
 */
void
pop3_capa(struct buf *out)
{
	buf_add_str(out, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
	    "PIPELINING\r\n");
	if (span_caseis(span_of(conf.pop3d_expire), "never"))
		buf_add_str(out, "EXPIRE NEVER\r\n");
	else
		buf_addf(out, "EXPIRE %s\r\n", conf.pop3d_expire);
	if (conf.pop3d_login_delay > 0)
		buf_addf(out, "LOGIN-DELAY %lld\r\n",
		    (long long)conf.pop3d_login_delay);
	if (conf.pop3d_utf8_enable)
		buf_add_str(out, "UTF8 USER\r\nLANG\r\n");
}

void
pop3_lang(struct span rest, struct buf *out)
{
	struct span tag = span_trim(rest);

	if (!conf.pop3d_utf8_enable)
		buf_add_str(out, "-ERR " POP3_WRONG "Unknown command\r\n");
	else if (tag.len == 0)
		buf_add_str(out, "+OK Languages:\r\n"
		    "en English\r\ni-default English\r\n.\r\n");
	else if (span_is(tag, "*") || span_caseis(tag, "en") ||
	    span_casestarts(tag, SPAN("en-")))
		buf_add_str(out, "+OK en English\r\n");
	else if (span_caseis(tag, "i-default"))
		buf_add_str(out, "+OK i-default English\r\n");
	else
		buf_add_str(out, "-ERR " POP3_WRONG "No such language\r\n");
}
