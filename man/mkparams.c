/* SPDX-License-Identifier: ISC */
/*
 * mkparams - fill the settings into a manual page.
 *
 * A filter: a line
 *
 *	.\" @PARAMETERS smtpd@
 *
 * becomes the list of the settings that smtpd reads, and
 *
 *	.\" @ALL_PARAMETERS@
 *
 * that of all, both from params.def;
 *
 *	.\" @KNOWN_PARAMETERS@
 *
 * the names in params_known.def.  Other lines are copied.
 */
#include <errno.h>

#include "base/log.h"
#include "base/span.h"
#include "conf/cf_file.h"
#include "conf/params.h"

static bool
has_word(const char *words, struct span word)
{
	struct span rest = span_of(words), w;

	while (span_token(&rest, " ", &w))
		if (span_eq(w, word))
			return true;
	return false;
}

/* Text as an argument in double quotes. */
static void
put_argument(const char *s)
{
	(void)fputs("\"\\&", stdout);
	for (; *s != '\0'; s++) {
		if (*s == '"')
			(void)fputs("\"\"", stdout);
		else if (*s == '\\')
			(void)fputs("\\e", stdout);
		else
			(void)putchar(*s);
	}
	(void)putchar('"');
}

/* Text as lines: a new one for each sentence, as mdoc has it. */
static void
put_text(const char *s)
{
	bool start = true;

	for (; *s != '\0'; s++) {
		if (start && (*s == '.' || *s == '\''))
			(void)fputs("\\&", stdout);
		start = false;
		if (*s == '\\') {
			(void)fputs("\\e", stdout);
		} else if (s[0] == ' ' && s[1] == ' ') {
			(void)putchar('\n');
			start = true;
			while (s[1] == ' ')
				s++;
		} else {
			(void)putchar(*s);
		}
	}
	(void)putchar('\n');
}

static void
put_range(const struct param_row *r)
{
	bool none = r->hi == PARAM_UNLIMITED;

	switch (r->type) {
	case PARAM_BOOL:
		(void)puts("yes or no.");
		break;
	case PARAM_ENUM:
		(void)printf("One of:\n%s.\n", r->values);
		break;
	case PARAM_TIME:
		(void)printf("A time from %jd to %jd seconds.\n",
		    (intmax_t)r->lo, (intmax_t)r->hi);
		break;
	case PARAM_INT:
	case PARAM_SIZE:
		(void)printf("A number%s", r->type == PARAM_SIZE ? " of bytes"
		    : "");
		if (none)
			(void)printf(" of at least %jd, or unlimited.\n",
			    (intmax_t)r->lo);
		else
			(void)printf(" from %jd to %jd.\n", (intmax_t)r->lo,
			    (intmax_t)r->hi);
		break;
	case PARAM_RAW:
		(void)puts("Used as it is written, not expanded by "
		    "main.cf's rules.");
		break;
	case PARAM_STR:
		break;
	}
}

static void
put_row(const struct param_row *r, bool full)
{
	struct span rest = span_of(r->readers), word;
	const char *separator = "Read by";

	(void)printf(".It Va %s Pq ", r->name);
	if (r->def[0] == '\0')
		(void)printf("default: empty");
	else if (r->def[0] == '\001')
		(void)printf("default: %s", r->def + 1);
	else {
		(void)printf("default: Ql ");
		put_argument(r->def);
	}
	(void)putchar('\n');
	put_text(r->text);
	if (!full)
		return;
	put_range(r);
	while (span_token(&rest, " ", &word)) {
		(void)printf("%s %.*s", separator, SPAN_ARG(word));
		separator = ",";
	}
	if (r->readers[0] != '\0')
		(void)puts(".");
}

static void
put_list(struct span program, bool all)
{
	size_t n, count = 0;
	const struct param_row *rows = params_rows(&n);

	for (size_t i = 0; i < n; i++)
		count += all || has_word(rows[i].readers, program);
	if (!all)
		(void)printf("Changes of\n.Pa main.cf\ntake effect after\n"
		    ".Dq mansio reload .\nSettings that every program reads "
		    "are in\n.Xr postconf 5 ,\nas is what values may be.\n");
	if (count == 0)
		return;
	(void)puts(".Bl -tag -width Ds");
	for (size_t i = 0; i < n; i++)
		if (all || has_word(rows[i].readers, program))
			put_row(&rows[i], all);
	(void)puts(".El");
}

static void
put_known(void)
{
#define KNOWN(n)	n,
#define MISSED(n, says)	n,
	static const char *const known[] = {
#include "conf/params_known.def"
	};
#undef KNOWN
#undef MISSED

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		(void)printf(".Va %s%s\n", known[i],
		    i + 1 < ARRAY_LEN(known) ? " ," : " .");
}

int
main(int argc, char **argv)
{
	static char page[4 << 20];
	struct span prefix = SPAN(".\\\" @PARAMETERS "), rest, line;
	size_t n = fread(page, 1, sizeof(page), stdin);

	log_set_tag("mkparams");
	if (ferror(stdin) || n == sizeof(page))
		log_fatal("cannot read the page");
	rest = span_make(page, n);
	while (span_line(&rest, &line)) {
		if (span_is(line, ".\\\" @ALL_PARAMETERS@"))
			put_list(SPAN_EMPTY, true);
		else if (span_is(line, ".\\\" @KNOWN_PARAMETERS@"))
			put_known();
		else if (span_starts(line, prefix) && span_ends(line,
		    SPAN("@")))
			put_list(span_sub(line, prefix.len,
			    line.len - prefix.len - 1), false);
		else
			(void)printf("%.*s\n", SPAN_ARG(line));
	}
	if (fflush(stdout) == EOF)
		log_fatal("write: %s", strerror(errno));
	return 0;
}
