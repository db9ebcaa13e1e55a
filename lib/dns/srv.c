/* SPDX-License-Identifier: ISC */
/*
 * srv - see srv.h; no I/O.
 */
#include "dns/srv.h"

#include <stdio.h>
#include <string.h>

#include "base/rnd.h"

int
srv_name(const char *service, const char *domain, char *out, size_t size)
{
	int n = snprintf(out, size, "_%s._tcp.%s", service, domain);

	return n < 0 || (size_t)n >= size ? -1 : 0;
}

size_t
srv_collect(const struct dns_answer *a, struct srv out[SRV_MAX], bool *none)
{
	struct span rest = a->records;
	struct dns_rr rr;
	bool root = false;
	size_t n = 0;
	int rc;

	while ((rc = dns_next(a, &rest, &rr)) != 0) {
		if (rc < 0)
			continue;
		if (rr.name[0] == '\0') {
			root = true;
		} else if (n < SRV_MAX) {
			memcpy(out[n].name, rr.name, sizeof(rr.name));
			out[n].priority = rr.pref;
			out[n].weight = rr.weight;
			out[n++].port = rr.port;
		}
	}
	*none = root && n == 0;
	return n;
}

/* Of the n records with the best priority, which is the next?  Those of
 * weight 0 stand first, so that they are chosen now and then. */
static size_t
choose(const struct srv *v, size_t n)
{
	uint64_t total = 0, sum = 0, at;

	for (size_t i = 0; i < n; i++)
		total += v[i].weight;
	at = rnd_below(total + 1);
	for (size_t i = 0; i < n; i++) {
		sum += v[i].weight;
		if (sum >= at)
			return i;
	}
	return n - 1;
}

static void
move_to_front(struct srv *v, size_t i)
{
	struct srv found = v[i];

	memmove(v + 1, v, i * sizeof(*v));
	v[0] = found;
}

/* The best priority's records to the front, those of weight 0 before the
 * others; how many. */
static size_t
gather(struct srv *v, size_t n)
{
	uint16_t best = UINT16_MAX;
	size_t count = 0, zero = 0;

	for (size_t i = 0; i < n; i++)
		if (v[i].priority < best)
			best = v[i].priority;
	for (size_t i = 0; i < n; i++) {
		if (v[i].priority != best)
			continue;
		if (v[i].weight == 0) {
			move_to_front(v + zero, i - zero);
			zero++;
		} else {
			move_to_front(v + count, i - count);
		}
		count++;
	}
	return count;
}

void
srv_order(struct srv *v, size_t n)
{
	while (n > 1) {
		move_to_front(v, choose(v, gather(v, n)));
		v++;
		n--;
	}
}
