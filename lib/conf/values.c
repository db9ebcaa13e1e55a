/* SPDX-License-Identifier: ISC */
/*
 * values - see values.h.
 */
#include "conf/values.h"

#include "base/mem.h"
#include "conf/master_cf.h"
#include "conf/params.h"

static void
setting(const char *name, bool is_class, values_fn *fn, void *arg)
{
	char *value = params_get(name);

	if (value != NULL)
		fn(arg, name, span_of(value), is_class);
	mem_free(value);
}

static void
classes(values_fn *fn, void *arg)
{
	char *list = params_get("smtpd_restriction_classes");
	struct span rest = span_of(list), word;

	while (span_token(&rest, " \t\r\n,", &word)) {
		char *name = span_dup(word);

		setting(name, true, fn, arg);
		mem_free(name);
	}
	mem_free(list);
}

static void
no_report(void *arg, bool is_error, const char *line)
{
}

/* As the service itself will read it: "$name" and "$$" stand for others. */
static void
override(const char *text, values_fn *fn, void *arg)
{
	const char *eq = strchr(text, '=');
	struct buf value = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	char *name;

	/* master has reported what cannot be expanded. */
	if (eq != NULL && params_expand(eq + 1, &value, &why) == 0) {
		name = span_dup(span_trim(span_make(text,
		    (size_t)(eq - text))));
		fn(arg, name, buf_span(&value), false);
		mem_free(name);
	}
	buf_fini(&value);
}

static void
services(values_fn *fn, void *arg)
{
	struct master_cf m = { ARRAY_EMPTY };

	if (master_cf_load(params_config_dir(), &m, no_report, NULL) < 0)
		return;
	for (size_t i = 0; i < m.services.len; i++) {
		const struct service *s = &m.services.v[i];

		for (size_t k = 0; k < s->overrides.len; k++)
			override(s->overrides.v[k], fn, arg);
	}
	master_cf_fini(&m);
}

void
values_each(values_fn *fn, void *arg)
{
	const struct param_row *rows;
	size_t n;

	rows = params_rows(&n);
	for (size_t i = 0; i < n; i++)
		if (rows[i].type == PARAM_STR)
			setting(rows[i].name, false, fn, arg);
	classes(fn, arg);
	services(fn, arg);
}
