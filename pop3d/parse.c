/* SPDX-License-Identifier: ISC */
/*
 * parse - see parse.h.  No I/O.
 */
#include "pop3d/parse.h"

#include "base/num.h"

static const struct {
	const char	*name;
	enum pop3_verb	 verb;
} verbs[] = {
	{ "RETR", POP3_RETR }, { "DELE", POP3_DELE }, { "LIST", POP3_LIST },
	{ "UIDL", POP3_UIDL }, { "TOP", POP3_TOP }, { "STAT", POP3_STAT },
	{ "NOOP", POP3_NOOP }, { "QUIT", POP3_QUIT }, { "RSET", POP3_RSET },
	{ "CAPA", POP3_CAPA }, { "USER", POP3_USER }, { "PASS", POP3_PASS },
	{ "AUTH", POP3_AUTH }, { "STLS", POP3_STLS }, { "APOP", POP3_APOP },
	{ "LANG", POP3_LANG }, { "UTF8", POP3_UTF8 },
};

static enum pop3_verb
find_verb(struct span word)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (span_caseis(word, verbs[i].name))
			return verbs[i].verb;
	return POP3_UNKNOWN;
}

enum pop3_parsed
pop3_parse_line(struct span in, struct pop3_line *out, size_t *used,
    bool *whole)
{
	ptrdiff_t lf = span_find(in, '\n'), space;
	size_t max = POP3_LINE_MAX;
	struct span line;

	if (span_casestarts(in, SPAN("AUTH ")))
		max = POP3_AUTH_MAX;
	*whole = lf >= 0;
	*used = lf >= 0 ? (size_t)lf + 1 : in.len;
	if (*used > max)
		return POP3_TOO_LONG;
	if (lf < 0)
		return POP3_MORE;
	line = span_sub(in, 0, (size_t)lf);
	if (line.len > 0 && line.p[line.len - 1] == '\r')
		line.len--;
	space = span_find(line, ' ');
	out->word = space < 0 ? line : span_sub(line, 0, (size_t)space);
	out->rest = space < 0 ? SPAN_EMPTY
	    : span_make(line.p + space + 1, line.len - (size_t)space - 1);
	out->verb = find_verb(out->word);
	return POP3_LINE;
}

int
pop3_parse_number(struct span *rest, uint32_t *out)
{
	struct span word;

	if (!span_token(rest, " ", &word))
		return 0;
	return num_parse_u32(word, UINT32_MAX, out) < 0 ? -1 : 1;
}
