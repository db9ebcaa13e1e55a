/* SPDX-License-Identifier: ISC */
/*
 * quota - see quota.h.
 */
#include "store/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/params.h"
#include "conf/table.h"
#include "io/fault.h"
#include "io/fd.h"
#include "mail/address.h"
#include "mail/date.h"
#include "store/store_internal.h"
#include "store/virtual_map.h"

#define QUOTA_TEXT_MAX	512	/* bytes of a file or a table's value */

struct quota_map {
	struct maps	*maps;
	struct buf	 value;		/* scratch */
};

void
store_quota_unset(struct store_quota *q)
{
	q->storage = q->messages = q->mailboxes = QUOTA_UNSET;
}

static void
merge(uint64_t *q, uint64_t other)
{
	if (*q == QUOTA_UNSET)
		*q = other;
}

void
store_quota_merge(struct store_quota *q, const struct store_quota *other)
{
	merge(&q->storage, other->storage);
	merge(&q->messages, other->messages);
	merge(&q->mailboxes, other->mailboxes);
}

static uint64_t
limit_of(int64_t v)
{
	return v == PARAM_UNLIMITED ? QUOTA_UNLIMITED : (uint64_t)v;
}

void
store_quota_defaults(struct store_quota *q)
{
	q->storage = limit_of(conf.quota_storage_limit);
	q->messages = limit_of(conf.quota_message_limit);
	q->mailboxes = limit_of(conf.quota_mailbox_limit);
}

bool
store_quota_limited(const struct store_quota *q)
{
	return q->storage < QUOTA_UNSET || q->messages < QUOTA_UNSET;
}

/* --- text ------------------------------------------------------------------------ */

static int
parse_number(struct span s, bool size, uint64_t *out)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;
	uint64_t n;

	if (span_caseis(s, "unlimited")) {
		*out = QUOTA_UNLIMITED;
		return 0;
	}
	if (size && s.len > 1 && (s.p[s.len - 1] == 'B' ||
	    s.p[s.len - 1] == 'b'))
		s.len--;
	for (unsigned i = 0; size && s.len > 1 && units[i] != '\0'; i++) {
		if ((s.p[s.len - 1] & ~0x20) == units[i]) {
			shift = 10 * (i + 1);
			s.len--;
			break;
		}
	}
	if (num_parse_u64(s, (QUOTA_UNSET - 1) >> shift, &n) < 0)
		return -1;
	*out = n == 0 ? QUOTA_UNLIMITED : n << shift;
	return 0;
}

int
store_quota_parse(struct span text, struct store_quota *out, struct why *why)
{
	struct span rest = text, word;

	store_quota_unset(out);
	while (span_token(&rest, " \t\r\n,", &word)) {
		ptrdiff_t at = span_find(word, '=');
		struct span name = at < 0 ? SPAN("storage") :
		    span_sub(word, 0, (size_t)at);
		struct span value = at < 0 ? word :
		    span_from(word, (size_t)at + 1);
		uint64_t *to = span_caseis(name, "storage") ? &out->storage :
		    span_caseis(name, "messages") ? &out->messages :
		    span_caseis(name, "mailboxes") ? &out->mailboxes : NULL;

		if (to == NULL || parse_number(value, to == &out->storage,
		    to) < 0)
			return why_set(why, "4.3.5", "\"%.*s\" is no quota "
			    "(storage=10G messages=100000 mailboxes=200)",
			    SPAN_ARG(word));
	}
	return 0;
}

static void
format_one(struct buf *out, const char *name, uint64_t n)
{
	if (n == QUOTA_UNSET)
		return;
	if (out->len > 0)
		buf_add_char(out, ' ');
	if (n == QUOTA_UNLIMITED)
		buf_addf(out, "%s=unlimited", name);
	else
		buf_addf(out, "%s=%llu", name, (unsigned long long)n);
}

void
store_quota_format(const struct store_quota *q, struct buf *out)
{
	format_one(out, "storage", q->storage);
	format_one(out, "messages", q->messages);
	format_one(out, "mailboxes", q->mailboxes);
}

/* --- the account's own ------------------------------------------------------------- */

int
store_quota_read(int dirfd, const char *name, struct store_quota *out,
    struct why *why)
{
	char text[QUOTA_TEXT_MAX];
	ssize_t n;
	int fd;

	store_quota_unset(out);
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return store_fail(why, "cannot open", name);
	n = read(fd, text, sizeof(text));
	close(fd);
	if (n < 0 || (size_t)n == sizeof(text))
		return store_fail(why, "cannot read", name);
	return store_quota_parse(span_make(text, (size_t)n), out, why) < 0 ?
	    -1 : 1;
}

int
store_quota_write(int dirfd, const char *name, const struct store_quota *q,
    struct why *why)
{
	struct buf b = BUF_INIT(QUOTA_TEXT_MAX);
	int rc;

	store_quota_format(q, &b);
	if (b.len == 0) {
		rc = fault_unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -1 :
		    fault_fsync(dirfd);
	} else {
		buf_add_char(&b, '\n');
		rc = fd_replace_file(dirfd, name, 0600, b.data, b.len);
	}
	buf_fini(&b);
	return rc < 0 ? store_fail(why, "cannot write", name) : 0;
}

/* --- quota_maps ------------------------------------------------------------------ */

int
store_quota_judge(struct span text, struct why *why)
{
	struct store_quota q;

	return store_quota_parse(text, &q, why);
}

struct quota_map *
quota_map_new(struct why *why)
{
	struct quota_map *m = mem_zalloc(sizeof(*m));

	m->value = BUF_INIT(TABLE_VALUE_MAX);
	m->maps = maps_new("quota_maps", conf.quota_maps, TABLE_FOLD, why);
	if (m->maps == NULL || store_quota_check(why) < 0)
		quota_map_free(&m);
	return m;
}

void
quota_map_free(struct quota_map **mp)
{
	struct quota_map *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	maps_free(&m->maps);
	buf_fini(&m->value);
	mem_free(m);
}

int
quota_map_find(struct quota_map *m, struct span user, struct store_quota *out,
    struct why *why)
{
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	struct store_quota defaults;
	int rc = 0;

	store_quota_unset(out);
	if (!maps_empty(m->maps)) {
		address_fold(user, true, &low);
		buf_reset(&m->value);
		rc = virtual_maps_get(m->maps, buf_span(&low), &m->value, why);
		buf_fini(&low);
		if (rc > 0)
			rc = store_quota_parse(buf_span(&m->value), out, why);
		if (rc < 0) {
			struct why w = *why;

			return why_set(why, "4.3.5", "quota_maps: %.*s: %s",
			    SPAN_ARG(user), w.text);
		}
	}
	store_quota_defaults(&defaults);
	store_quota_merge(out, &defaults);
	return 0;
}

/* --- grace and warnings ------------------------------------------------------------ */

/* "10%" of limit, or a size. */
static int
parse_grace(uint64_t limit, uint64_t *out)
{
	struct span s = span_trim(span_of(conf.quota_grace));
	uint64_t n;

	*out = 0;
	if (s.len == 0)
		return 0;
	if (span_ends(s, SPAN("%"))) {
		if (num_parse_u64(span_sub(s, 0, s.len - 1), 1000, &n) < 0)
			return -1;
		*out = limit / 100 * n + limit % 100 * n / 100;
		return 0;
	}
	if (parse_number(s, true, out) < 0)
		return -1;
	if (*out == QUOTA_UNLIMITED)	/* "0" */
		*out = 0;
	return 0;
}

uint64_t
store_quota_grace(uint64_t limit)
{
	uint64_t more;

	if (limit >= QUOTA_UNSET || parse_grace(limit, &more) < 0)
		return limit;
	return num_add_sat(limit, more);
}

int
store_quota_fits(const struct store_quota *used,
    const struct store_quota *limits, uint64_t bytes, struct why *why)
{
	uint64_t storage = store_quota_grace(limits->storage);

	if (limits->storage < QUOTA_UNSET && bytes > storage)
		return why_set(why, "5.2.2", "the message is larger than the "
		    "mailbox may be");
	if (limits->storage < QUOTA_UNSET && num_add_sat(used->storage,
	    bytes) > storage)
		return why_set(why, "4.2.2", "the mailbox is full");
	if (limits->messages < QUOTA_UNSET && used->messages + 1 >
	    store_quota_grace(limits->messages))
		return why_set(why, "4.2.2", "the mailbox has too many "
		    "messages");
	return 0;
}

static int
warning_levels(unsigned v[QUOTA_LEVELS_MAX])
{
	struct span rest = span_of(conf.quota_warning_levels), word;
	int n = 0;

	while (span_token(&rest, ", \t\r\n", &word)) {
		uint64_t percent;

		if (span_ends(word, SPAN("%")))
			word.len--;
		if (n == QUOTA_LEVELS_MAX || num_parse_u64(word, 1000,
		    &percent) < 0 || percent == 0)
			return -1;
		v[n++] = (unsigned)percent;
	}
	return n;
}

int
store_quota_check(struct why *why)
{
	unsigned v[QUOTA_LEVELS_MAX];
	uint64_t grace;

	if (parse_grace(100, &grace) < 0)
		return why_set(why, "", "quota_grace: \"%s\" is neither a "
		    "percentage nor a size", conf.quota_grace);
	if (warning_levels(v) < 0)
		return why_set(why, "", "quota_warning_levels: \"%s\" are not "
		    "at most %d percentages", conf.quota_warning_levels,
		    QUOTA_LEVELS_MAX);
	return 0;
}

unsigned
store_quota_passed(uint64_t before, uint64_t after, uint64_t limit)
{
	unsigned v[QUOTA_LEVELS_MAX], best = 0;
	int n;

	if (limit >= QUOTA_UNSET || after <= before)
		return 0;
	n = warning_levels(v);
	for (int i = 0; i < n; i++) {
		uint64_t at = limit / 100 * v[i] + limit % 100 * v[i] / 100;

		if (before < at && after >= at && v[i] > best)
			best = v[i];
	}
	return best;
}

static void
put_usage(struct buf *out, const char *what, uint64_t used, uint64_t limit,
    unsigned shift, const char *unit)
{
	if (limit < QUOTA_UNSET)
		buf_addf(out, "  %s: %llu of %llu%s\n", what,
		    (unsigned long long)(used >> shift),
		    (unsigned long long)(limit >> shift), unit);
}

void
store_quota_message(struct buf *out, struct span user, unsigned level,
    const struct store_quota *used, const struct store_quota *limit)
{
	int64_t now = clock_wall_us();
	char date[DATE_MAX];

	date_format(now / 1000000, 0, date);
	buf_addf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\n"
	    "To: %.*s\nSubject: Your mailbox is %s%u %% full\nDate: %s\n",
	    conf.myhostname, SPAN_ARG(user), level < 100 ? "" : "over ",
	    MIN(level, 100), date);
	buf_addf(out, "Message-ID: <quota.%lld.%u@%s>\n"
	    "MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n"
	    "Auto-Submitted: auto-generated\nPrecedence: bulk\n"
	    "X-Quota-Level: %u%%\n\n"
	    "This is the mail system at host %s.\n\n"
	    "Your mailbox has reached %u %% of what it may hold:\n\n",
	    (long long)now, level, conf.myhostname, level, conf.myhostname,
	    level);
	put_usage(out, "storage", used->storage, limit->storage, 20, " MiB");
	put_usage(out, "messages", used->messages, limit->messages, 0, "");
	buf_addf(out, "\nWhen it is full, new mail cannot be delivered any "
	    "more.\nPlease delete messages that you do not need, also in the "
	    "folders\nfor sent and deleted mail.\n");
}
