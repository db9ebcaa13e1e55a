/* SPDX-License-Identifier: ISC */
/*
 * reply - the answers of policy services: "action=...", other attributes that
 * nobody asked for, and an empty line.
 */
#include "delegate/delegate.h"

int
reply_parse(struct span in, struct span *action, size_t *used,
    const char **reason)
{
	struct span found = SPAN_EMPTY;
	size_t at = 0;

	for (;;) {
		const char *lf = memchr(in.p + at, '\n', in.len - at);
		struct span line;
		ptrdiff_t eq;

		if (lf == NULL)
			return 0;
		line = span_make(in.p + at, (size_t)(lf - in.p) - at);
		at += line.len + 1;
		/* Some write the line ends of other protocols. */
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		if (line.len == 0)
			break;
		if (span_has_nul(line)) {
			*reason = "a NUL in the answer";
			return -1;
		}
		eq = span_find(line, '=');
		if (eq <= 0) {
			*reason = "a line of the answer is not name=value";
			return -1;
		}
		if (found.p == NULL &&
		    span_is(span_sub(line, 0, (size_t)eq), "action"))
			found = span_from(line, (size_t)eq + 1);
	}
	*used = at;
	if (found.p == NULL) {
		*reason = "no action in the answer";
		return -1;
	}
	if (found.len > DELEGATE_ACTION_MAX) {
		*reason = "the action is too long";
		return -1;
	}
	*action = found;
	return 1;
}

bool
request_valid(struct span text)
{
	ptrdiff_t end = span_search(text, SPAN("\n\n"));

	return end > 0 && (size_t)end + 2 == text.len && text.p[0] != '\n' &&
	    !span_has_nul(text);
}
