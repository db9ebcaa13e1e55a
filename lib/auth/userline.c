/* SPDX-License-Identifier: ISC */
/*
 * userline - see userline.h.
 */
#include "auth/userline.h"

#include "base/num.h"

static struct span
value(struct span field, struct span prefix)
{
	return span_from(field, prefix.len);
}

bool
userline_field(struct span *rest, struct span *field)
{
	ptrdiff_t colon;

	while (rest->len > 0) {
		colon = span_find(*rest, ':');
		*field = colon < 0 ? *rest : span_sub(*rest, 0, (size_t)colon);
		*rest = colon < 0 ? SPAN("") :
		    span_from(*rest, (size_t)colon + 1);
		if (field->len > 0)
			return true;
	}
	return false;
}

void
userline_parse(struct userline *l, struct span text)
{
	ptrdiff_t colon = span_find(text, ':');
	struct span rest, f;

	*l = (struct userline){ .secret = text, .fields = SPAN("") };
	if (colon < 0)
		return;
	l->secret = span_sub(text, 0, (size_t)colon);
	l->fields = rest = span_from(text, (size_t)colon + 1);
	while (userline_field(&rest, &f)) {
		if (span_starts(f, SPAN("scram256=")))
			l->scram256 = value(f, SPAN("scram256="));
		else if (span_starts(f, SPAN("scram1=")))
			l->scram1 = value(f, SPAN("scram1="));
		else if (span_is(f, "disabled"))
			l->disabled = true;
	}
}

/* --- app passwords ----------------------------------------------------------- */

bool
app_password_parse(struct span field, struct app_password *out)
{
	struct span part[6], rest;
	uint64_t *const numbers[] = {
		&out->created, &out->expires, &out->used
	};

	if (!span_starts(field, SPAN("app=")))
		return false;
	rest = span_from(field, 4);
	for (size_t i = 0; i < 5; i++) {
		ptrdiff_t comma = span_find(rest, ',');

		if (comma < 0)
			return false;
		part[i] = span_sub(rest, 0, (size_t)comma);
		rest = span_from(rest, (size_t)comma + 1);
	}
	*out = (struct app_password){
		.name = part[0], .scopes = part[1], .hash = rest,
	};
	for (size_t i = 0; i < 3; i++)
		if (num_parse_u64(part[2 + i], INT64_MAX, numbers[i]) < 0)
			return false;
	return out->name.len > 0 && rest.len > 0;
}

void
app_password_text(const struct app_password *a, struct buf *out)
{
	buf_addf(out, "app=%.*s,%.*s,%llu,%llu,%llu,%.*s", SPAN_ARG(a->name),
	    SPAN_ARG(a->scopes), (unsigned long long)a->created,
	    (unsigned long long)a->expires, (unsigned long long)a->used,
	    SPAN_ARG(a->hash));
}

bool
app_password_allows(const struct app_password *a, struct span service)
{
	struct span rest = a->scopes, s;

	while (span_token(&rest, "+", &s))
		if (span_eq(s, service))
			return true;
	return false;
}

bool
app_password_name_ok(struct span name)
{
	if (name.len == 0 || name.len > APP_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		    c == '.'))
			return false;
	}
	return true;
}

/* --- changing --------------------------------------------------------------------- */

void
userline_edit(struct span text, struct span prefix, struct span field,
    struct buf *out)
{
	struct userline l;
	struct span rest, f;
	bool done = prefix.len == 0, any = false;

	userline_parse(&l, text);
	buf_add_span(out, done ? field : l.secret);
	rest = l.fields;
	while (userline_field(&rest, &f)) {
		if (prefix.len > 0 && span_starts(f, prefix)) {
			if (done)
				continue;
			done = true;
			f = field;
			if (f.len == 0)
				continue;
		}
		buf_add_char(out, ':');
		buf_add_span(out, f);
		any = true;
	}
	if (!done && field.len > 0) {
		buf_add_char(out, ':');
		buf_add_span(out, field);
		any = true;
	}
	if (!any)
		buf_add_char(out, ':');
}
