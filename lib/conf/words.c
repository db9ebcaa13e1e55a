/* SPDX-License-Identifier: ISC */
/*
 * words - see words.h.
 */
#include "conf/words.h"

static bool
is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
}

int
words_next(struct span *rest, struct span *word)
{
	size_t i = 0, depth = 0;

	while (rest->len > 0 && is_separator(rest->p[0]))
		*rest = span_from(*rest, 1);
	if (rest->len == 0)
		return 0;
	for (; i < rest->len; i++) {
		char c = rest->p[i];

		if (c == '{')
			depth++;
		else if (c == '}' && depth > 0)
			depth--;
		else if (depth == 0 && is_separator(c))
			break;
	}
	*word = span_sub(*rest, 0, i);
	*rest = span_from(*rest, i);
	return depth > 0 ? -1 : 1;
}

bool
words_unbrace(struct span word, struct span *inside)
{
	if (word.len < 2 || word.p[0] != '{' || word.p[word.len - 1] != '}')
		return false;
	*inside = span_trim(span_sub(word, 1, word.len - 2));
	return true;
}
