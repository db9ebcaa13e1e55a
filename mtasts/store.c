/* SPDX-License-Identifier: ISC */
/*
 * store - the file "policies" in mtasts_directory: a line for each policy, in
 * plain text.
 *
 *	domain mode id max_age fetched used pattern,pattern,...
 *
 * Times are seconds since 1970.  The file is replaced as a whole, so after a
 * crash it is the old one or the new one.  A line that is damaged is left out
 * with a warning: that domain is looked at again.
 */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "mtasts/mtasts.h"

#define FILE_MAX	(256u << 20)	/* bytes that are read */

static char *path;

void
store_put(struct buf *out, const char *domain, const struct policy *p)
{
	size_t at;

	buf_addf(out, "%s %s %s %u %lld %lld ", domain,
	    sts_mode_name(p->mode), p->id, p->max_age,
	    (long long)p->fetched_s, (long long)p->used_s);
	at = out->len;
	buf_add_str(out, p->mx[0] != '\0' ? p->mx : "-");
	for (; at < out->len; at++)
		if (out->data[at] == ' ')
			out->data[at] = ',';
	buf_add_char(out, '\n');
}

static bool
patterns_valid(struct span list)
{
	struct span word;
	size_t n = 0;

	while (span_token(&list, ",", &word))
		if (!sts_pattern_valid(word) || ++n > STS_MX_MAX)
			return false;
	return true;
}

int
store_parse(struct span line, char domain[DNS_NAME_MAX + 1], struct policy *p)
{
	struct span w[7], rest = line;
	uint32_t max_age;
	char *mx;

	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		if (!span_token(&rest, " ", &w[i]))
			return -1;
	*p = (struct policy){ .mode = STS_NONE };
	if (rest.len > 0 || !dns_name_valid(w[0]) ||
	    span_copy(w[0], domain, DNS_NAME_MAX + 1) < 0 ||
	    sts_mode_parse(w[1], &p->mode) < 0 ||
	    span_copy(w[2], p->id, sizeof(p->id)) < 0 ||
	    num_parse_u32(w[3], STS_AGE_MAX, &max_age) < 0 ||
	    num_parse_i64(w[4], 0, INT64_MAX / 4, &p->fetched_s) < 0 ||
	    num_parse_i64(w[5], 0, INT64_MAX / 4, &p->used_s) < 0)
		return -1;
	p->max_age = max_age;
	if (span_is(w[6], "-"))
		w[6] = SPAN_EMPTY;
	/* A policy that lets no host in would stop all mail. */
	if (!patterns_valid(w[6]) || (w[6].len == 0 && p->mode != STS_NONE))
		return -1;
	mx = span_dup(w[6]);
	for (char *c = mx; *c != '\0'; c++)
		if (*c == ',')
			*c = ' ';
	p->mx = mx;
	return 0;
}

int
store_open(struct why *why)
{
	const char *dir = conf.mtasts_directory;

	if (fd_mkdir_p(dir, 0700) < 0)
		return why_errno(why, "", "cannot make %s", dir);
	if (geteuid() == 0 &&
	    chown(dir, daemon_mail_uid(), daemon_mail_gid()) < 0)
		return why_errno(why, "", "%s", dir);
	path = mem_printf("%s/policies", dir);
	return 0;
}

void
store_load(store_fn *fn, void *arg)
{
	struct buf text = BUF_INIT(FILE_MAX);
	struct span rest, line;
	char domain[DNS_NAME_MAX + 1];
	struct policy p;
	unsigned bad = 0;

	if (fd_read_file(AT_FDCWD, path, &text) < 0) {
		if (errno != ENOENT)
			log_warning("%s: %m", path);
		buf_fini(&text);
		return;
	}
	rest = buf_span(&text);
	while (span_line(&rest, &line)) {
		if (store_parse(line, domain, &p) == 0)
			fn(arg, domain, &p);
		else
			bad++;
	}
	if (bad > 0)
		log_warning("%s: %u damaged lines are left out",
		    path, bad);
	buf_fini(&text);
}

const char *
store_path(void)
{
	return path;
}
