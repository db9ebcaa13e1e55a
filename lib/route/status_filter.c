/* SPDX-License-Identifier: ISC */
/*
 * status_filter - see status_filter.h.
 */
#include "route/status_filter.h"

#include <stdio.h>

#include "base/log.h"
#include "mail/dsn.h"

#define FILTER_VALUE_MAX	4096	/* bytes of a result */

static void
replace(const char *title, struct span value, enum deliver_outcome *o,
    struct why *w)
{
	struct span rest = span_trim(value), code;

	if (!span_token(&rest, " \t", &code) || !dsn_code_valid(code) ||
	    code.len >= sizeof(w->code)) {
		log_warning("%s: \"%.*s\" does not begin with a status code",
		    title, (int)MIN(value.len, (size_t)100), value.p);
		return;
	}
	if ((code.p[0] == '2') != (*o == DELIVER_DELIVERED)) {
		log_warning("%s: a success cannot become a failure, nor a "
		    "failure a success: %.*s", title, SPAN_ARG(code));
		return;
	}
	(void)snprintf(w->code, sizeof(w->code), "%.*s", SPAN_ARG(code));
	(void)snprintf(w->text, sizeof(w->text), "%.*s",
	    SPAN_ARG(span_trim(rest)));
	*o = code.p[0] == '2' ? DELIVER_DELIVERED : code.p[0] == '4' ?
	    DELIVER_DEFERRED : DELIVER_BOUNCED;
}

void
status_filter(struct maps *m, const char *title, enum deliver_outcome *o,
    struct why *w)
{
	struct buf key = BUF_INIT(BUF_UNLIMITED), out = BUF_INIT(FILTER_VALUE_MAX);
	struct why why = WHY_INIT;
	int rc;

	if (m == NULL || maps_empty(m))
		return;
	buf_addf(&key, "%s %s", w->code, w->text);
	rc = maps_get(m, buf_span(&key), false, &out, &why);
	if (rc < 0)
		log_warning("%s: %s", title, why.text);
	else if (rc > 0)
		replace(title, buf_span(&out), o, w);
	buf_fini(&key);
	buf_fini(&out);
}
