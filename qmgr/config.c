/* SPDX-License-Identifier: ISC */
/*
 * config - settings per transport: <transport>_destination_... in main.cf,
 * and the process limit of its entry in master.cf.
 */
#include "qmgr/qmgr.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/master_cf.h"
#include "conf/params.h"

static struct hash limits;	/* service -> int64_t */

static void
problem(void *arg, bool is_error, const char *line)
{
	/* master says it too; here it only means defaults. */
	log_debug("%s", line);
}

int
config_master(struct why *why)
{
	struct master_cf cf = { .services = ARRAY_EMPTY };
	struct hash fresh = HASH_INIT;

	if (master_cf_load(params_config_dir(), &cf, problem, NULL) < 0)
		return why_set(why, "4.3.5", "master.cf cannot be read");
	for (size_t i = 0; i < cf.services.len; i++) {
		const struct service *s = &cf.services.v[i];
		int64_t *n;

		if (s->type != SERVICE_UNIX || !s->private)
			continue;
		n = mem_alloc(sizeof(*n));
		*n = s->maxproc;
		mem_free(hash_put(&fresh, span_of(s->name), n));
	}
	master_cf_fini(&cf);
	hash_fini(&limits, mem_free);
	limits = fresh;
	return 0;
}

static int64_t
unlimited(int64_t n)
{
	return n <= 0 ? PARAM_UNLIMITED : n;
}

static void
feedback(const char *transport, const char *which, const char *fallback,
    struct feedback *out)
{
	char name[200];
	char *text;

	(void)snprintf(name, sizeof(name),
	    "%s_destination_concurrency_%s_feedback", transport, which);
	text = params_get(name);
	if (feedback_parse(span_of(text != NULL ? text : fallback), out) < 0) {
		log_warning("%s: bad value \"%s\"; taken as 1", text != NULL ?
		    name : "default_destination_concurrency_..._feedback",
		    text != NULL ? text : fallback);
		*out = (struct feedback){ FEEDBACK_CONST, 1 };
	}
	mem_free(text);
}

void
config_transport(const char *name, struct tparams *p)
{
	int64_t *maxproc = hash_get(&limits, span_of(name));

	p->window.initial = params_transport_int(name,
	    "initial_destination_concurrency",
	    conf.initial_destination_concurrency);
	p->window.limit = unlimited(params_transport_int(name,
	    "destination_concurrency_limit",
	    conf.default_destination_concurrency_limit));
	p->window.failed_cohorts = params_transport_int(name,
	    "destination_concurrency_failed_cohort_limit",
	    conf.default_destination_concurrency_failed_cohort_limit);
	feedback(name, "positive",
	    conf.default_destination_concurrency_positive_feedback,
	    &p->window.positive);
	feedback(name, "negative",
	    conf.default_destination_concurrency_negative_feedback,
	    &p->window.negative);
	p->recipient_limit = unlimited(params_transport_int(name,
	    "destination_recipient_limit",
	    conf.default_destination_recipient_limit));
	p->batch_limit = params_transport_int(name, "destination_batch_limit",
	    conf.default_destination_batch_limit);
	p->rate_delay = params_transport_int(name, "destination_rate_delay",
	    conf.default_destination_rate_delay);
	p->transport_rate_delay = params_transport_int(name,
	    "transport_rate_delay", conf.default_transport_rate_delay);
	if (p->rate_delay > 0)		/* as Postfix: one at a time */
		p->window.initial = p->window.limit = p->batch_limit = 1;
	p->process_limit = maxproc != NULL ? *maxproc :
	    conf.default_process_limit;
}

bool
config_deferred_transport(struct span name)
{
	struct span rest = span_of(conf.defer_transports), word;

	while (span_token(&rest, " \t\r\n,", &word))
		if (span_eq(word, name))
			return true;
	return false;
}
