/* SPDX-License-Identifier: ISC */
/*
 * params_value - the text of a value to the field of its row.
 */
#include <ctype.h>

#include "base/num.h"
#include "conf/params_priv.h"

static int
parse_size(struct span s, int64_t *out)
{
	uint64_t n, unit = 1;
	char c = s.len > 0 ? s.p[s.len - 1] : '\0';

	switch (tolower((unsigned char)c)) {
	case 'k':
		unit = 1 << 10;
		break;
	case 'm':
		unit = 1 << 20;
		break;
	case 'g':
		unit = 1 << 30;
		break;
	}
	if (unit > 1)
		s.len--;
	if (num_parse_u64(s, INT64_MAX / unit, &n) == -1)
		return -1;
	*out = (int64_t)(n * unit);
	return 0;
}

static int
unit_seconds(char c, int64_t *out)
{
	switch (tolower((unsigned char)c)) {
	case 's':
		*out = 1;
		return 0;
	case 'm':
		*out = 60;
		return 0;
	case 'h':
		*out = 3600;
		return 0;
	case 'd':
		*out = 86400;
		return 0;
	case 'w':
		*out = 7 * 86400;
		return 0;
	}
	return -1;
}

/* A number without unit has that of the default, as in Postfix. */
int
param_parse_time(struct span s, const char *def, int64_t *out)
{
	size_t n = strlen(def);
	int64_t unit = 1;
	uint64_t v;

	if (n > 0)
		(void)unit_seconds(def[n - 1], &unit);
	if (s.len > 0 && !isdigit((unsigned char)s.p[s.len - 1])) {
		if (unit_seconds(s.p[s.len - 1], &unit) == -1)
			return -1;
		s.len--;
	}
	if (num_parse_u64(s, (uint64_t)(INT64_MAX / unit), &v) == -1)
		return -1;
	*out = (int64_t)v * unit;
	return 0;
}

static int
parse_enum(struct span s, const struct param_row *row, const char **out)
{
	struct span rest = span_of(row->values), word;

	if (s.len == 0 && row->def[0] == '\0') {
		*out = "";
		return 0;
	}
	while (span_token(&rest, " ", &word)) {
		if (span_eq(word, s) || span_caseeq(word, s)) {
			*out = params_intern(word);
			return 0;
		}
	}
	return -1;
}

/* What a row allows, for a message: "expected a number from 1 to 1000". */
void
param_describe(const struct param_row *row, struct buf *out)
{
	const char *unlimited = row->hi == PARAM_UNLIMITED ? ", or unlimited"
	    : "";

	switch (row->type) {
	case PARAM_BOOL:
		(void)!buf_put_str(out, "yes or no");
		break;
	case PARAM_ENUM:
		(void)!buf_printf(out, "one of: %s%s", row->values,
		    row->def[0] == '\0' ? ", or nothing" : "");
		break;
	case PARAM_TIME:
		(void)!buf_printf(out, "a time such as 30s, 5m, 2h, 1d or 1w, "
		    "from %jds to %jds", (intmax_t)row->lo,
		    (intmax_t)row->hi);
		break;
	default:
		(void)!buf_printf(out, "a number%s",
		    row->type == PARAM_SIZE ? " of bytes (k, m and g may "
		    "follow)" : "");
		if (row->hi == PARAM_UNLIMITED)
			(void)!buf_printf(out, " of at least %jd%s",
			    (intmax_t)row->lo, unlimited);
		else
			(void)!buf_printf(out, " from %jd to %jd",
			    (intmax_t)row->lo, (intmax_t)row->hi);
		break;
	}
}

int
param_parse_number(struct span s, const struct param_row *row, int64_t *out)
{
	int64_t v;
	int rc;

	if (row->hi == PARAM_UNLIMITED && span_caseis(s, "unlimited")) {
		*out = PARAM_UNLIMITED;
		return 0;
	}
	if (row->type == PARAM_TIME)
		rc = param_parse_time(s, row->def, &v);
	else if (row->type == PARAM_SIZE)
		rc = parse_size(s, &v);
	else
		rc = num_parse_i64(s, INT64_MIN, INT64_MAX, &v);
	if (rc == -1 || v < row->lo || v > row->hi)
		return -1;
	*out = v;
	return 0;
}

/* Put an expanded value into its field; -1 when the row does not allow it. */
int
param_store(struct params *p, const struct param_row *row, struct span s)
{
	void *field = (char *)p + row->offset;

	switch (row->type) {
	case PARAM_STR:
	case PARAM_RAW:
		*(const char **)field = params_intern(s);
		return 0;
	case PARAM_ENUM:
		return parse_enum(span_trim(s), row, field);
	case PARAM_BOOL:
		s = span_trim(s);
		if (!span_caseis(s, "yes") && !span_caseis(s, "no"))
			return -1;
		*(bool *)field = span_caseis(s, "yes");
		return 0;
	default:
		return param_parse_number(span_trim(s), row, field);
	}
}

int
params_number(const char *name, struct span value, int64_t *out)
{
	const struct param_row *row = params_row(name);

	return row == NULL ? -1 : param_parse_number(value, row, out);
}
