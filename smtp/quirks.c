/* SPDX-License-Identifier: ISC */
/*
 * quirks - servers that must be treated with care: words of EHLO that some of
 * them offer and do not mean, and firewalls in front of them that break SMTP.
 *
 * A Cisco PIX with "fixup protocol smtp" shows itself by a greeting of
 * asterisks.  Old ones do not take ESMTP, and lose messages whose final dot
 * comes in a packet with the line before it.  As Postfix: the workarounds wait
 * until a message has failed for a while, because most get through.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/params.h"
#include "conf/table.h"
#include "smtp/smtp.h"

#define SEPARATORS	" \t\r\n,"

/* --- EHLO ------------------------------------------------------------------------- */

static const struct {
	const char	*word;
	unsigned	 feature;
} keywords[] = {
	{ "pipelining", FEATURE_PIPELINING }, { "8bitmime", FEATURE_8BITMIME },
	{ "size", FEATURE_SIZE }, { "dsn", FEATURE_DSN },
	{ "starttls", FEATURE_STARTTLS }, { "auth", FEATURE_AUTH },
	{ "smtputf8", FEATURE_SMTPUTF8 },
	{ "enhancedstatuscodes", FEATURE_ENHANCED },
	{ "requiretls", FEATURE_REQUIRETLS },
	{ "chunking", FEATURE_CHUNKING }, { "xforward", FEATURE_XFORWARD },
};

unsigned
quirks_features(struct span words)
{
	struct span word;
	unsigned out = 0;

	while (span_token(&words, SEPARATORS, &word)) {
		bool known = span_caseis(word, "silent-discard");

		for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
			if (!span_caseis(word, keywords[i].word))
				continue;
			out |= keywords[i].feature;
			known = true;
		}
		if (!known)
			log_debug("EHLO keyword %.*s is not used anyway",
			    SPAN_ARG(word));
	}
	return out;
}

/*
 * What a table says of the peer's address.  1 found, 0 not.  A table that
 * cannot be read says nothing: the mail would wait for it in vain.
 */
static int
ask_table(const struct session *s, struct maps *m, struct buf *out)
{
	char ip[SOCK_ADDR_TEXT_MAX];
	struct why why = WHY_INIT;
	int rc;

	if (maps_empty(m) || s->addr.sa.sa_family == AF_UNIX)
		return 0;
	sock_addr_text(&s->addr, ip);
	rc = maps_get(m, span_of(ip), false, out, &why);
	if (rc < 0)
		log_warning("%s: %s", s->where, why.text);
	return rc > 0;
}

unsigned
quirks_discard(const struct session *s)
{
	struct buf words = BUF_INIT(BUF_UNLIMITED);
	unsigned out = set.discard;

	if (ask_table(s, set.discard_maps, &words))
		out = quirks_features(buf_span(&words));
	buf_fini(&words);
	return out;
}

/* --- PIX -------------------------------------------------------------------------- */

static int
parse(struct span words, unsigned *out, struct span *bad)
{
	struct span word;

	*out = 0;
	while (span_token(&words, SEPARATORS, &word)) {
		if (span_caseis(word, "disable_esmtp")) {
			*out |= PIX_DISABLE_ESMTP;
		} else if (span_caseis(word, "delay_dotcrlf")) {
			*out |= PIX_DELAY_DOTCRLF;
		} else {
			*bad = word;
			return -1;
		}
	}
	return 0;
}

int
quirks_check(struct why *why)
{
	unsigned mask;
	struct span bad;

	return parse(span_of(set.pix_workarounds), &mask, &bad) == 0 ? 0 :
	    why_set(why, "", "%s_pix_workarounds: \"%.*s\" is none of "
	    "disable_esmtp, delay_dotcrlf", set.proto, SPAN_ARG(bad));
}

/* "220 ****...", of which zeros and twos may be left. */
static bool
is_masked(const struct session *s)
{
	const char *text = s->reply.text.data;

	return strchr(text, '*') != NULL &&
	    text[strspn(text, "20 *\t")] == '\0';
}

void
quirks_greeting(struct session *s)
{
	struct buf words = BUF_INIT(BUF_UNLIMITED);
	const struct delivery *d = s->d;
	struct span bad;

	if (!is_masked(s) || set.pix_threshold_ms == 0 ||
	    clock_wall_us() - d->env.arrival_us <=
	    set.pix_threshold_ms * 1000)
		return;
	if (!ask_table(s, set.pix_maps, &words))
		buf_add_str(&words, set.pix_workarounds);
	if (parse(buf_span(&words), &s->pix, &bad) < 0)
		log_warning("%.*s: %s_pix_workaround_maps: %s: \"%.*s\" is "
		    "no workaround", SPAN_ARG(d->env.queue_id), set.proto,
		    s->where, SPAN_ARG(bad));
	if (s->pix != 0)
		log_info("%.*s: enabling PIX workarounds: %s for %s",
		    SPAN_ARG(d->env.queue_id), words.data, s->where);
	buf_fini(&words);
}
