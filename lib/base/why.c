/* SPDX-License-Identifier: ISC */
/*
 * why - see why.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WHY_IMPLEMENTATION
#include "base/why.h"

/* The text goes into replies and logs: one line, nothing that controls. */
static void
one_line(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r'))
		s[--n] = '\0';
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = ' ';
}

static void
set_code(struct why *w, const char *code)
{
	snprintf(w->code, sizeof(w->code), "%s", code ? code : "");
}

int
why_set(struct why *w, const char *code, const char *fmt, ...)
{
	char text[WHY_TEXT_MAX];	/* an argument may be w->text */
	va_list ap;

	if (w == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	one_line(text);
	set_code(w, code);
	memcpy(w->text, text, sizeof(text));
	return -1;
}

int
why_errno(struct why *w, const char *code, const char *fmt, ...)
{
	char text[WHY_TEXT_MAX], reason[128];
	int err = errno;
	va_list ap;

	if (w == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	one_line(text);
	set_code(w, code);
	/* The reason says more than the end of a long text. */
	snprintf(w->text, sizeof(w->text), "%.*s: %s",
	    (int)(WHY_TEXT_MAX - sizeof(reason)), text,
	    strerror_r(err, reason, sizeof(reason)));
	errno = err;
	return -1;
}

void
why_prefix(struct why *w, const char *fmt, ...)
{
	char text[WHY_TEXT_MAX], all[2 * WHY_TEXT_MAX + 2];
	va_list ap;

	if (w == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	one_line(text);
	snprintf(all, sizeof(all), "%s: %s", text, w->text);
	snprintf(w->text, sizeof(w->text), "%.*s", WHY_TEXT_MAX - 1, all);
}
