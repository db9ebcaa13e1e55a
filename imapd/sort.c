/* SPDX-License-Identifier: ISC */
/*
 * sort - SORT (RFC 5256 3, RFC 5957 SORT=DISPLAY); see search.h.
 *
 * All keys come from the index and the cache records.  For many messages those
 * of the whole mailbox are gathered, sorted and kept as ranks; for a few they
 * are gathered and compared.  What is equal stays in the order of the mailbox.
 */
#include "conf/params.h"
#include "imapd/fetch.h"
#include "imapd/search.h"
#include "imapd/sort_value.h"

enum sort_key {
	SORT_ARRIVAL, SORT_CC, SORT_DATE, SORT_FROM, SORT_SIZE, SORT_SUBJECT,
	SORT_TO, SORT_DISPLAYFROM, SORT_DISPLAYTO,
	SORT_RELEVANCY				/* of this search */
};

static const char *const names[] = {
	[SORT_ARRIVAL] = "ARRIVAL", [SORT_CC] = "CC", [SORT_DATE] = "DATE",
	[SORT_FROM] = "FROM", [SORT_SIZE] = "SIZE",
	[SORT_SUBJECT] = "SUBJECT", [SORT_TO] = "TO",
	[SORT_DISPLAYFROM] = "DISPLAYFROM", [SORT_DISPLAYTO] = "DISPLAYTO",
	[SORT_RELEVANCY] = "RELEVANCY",
};

struct sorter {
	const struct sort_spec	*spec;
	struct arena		 arena;		/* of strings */
	struct sort_value	*values;	/* n keys a message */
};

/*
 * The place of each message of a view by one key; those that are equal have the
 * same.  With them, sorting again, also by several keys, is counting.  The one
 * used last comes first.
 */
struct sort_ranks {
	struct view_key		 view;
	uint32_t		*of[SORT_DISPLAYTO + 1];	/* or NULL */
};
static struct sort_ranks kept[VIEWS_KEPT];

static uint64_t
sum_of_uids(struct imap *im)
{
	uint32_t count = mailbox_count(im->box);

	for (uint32_t seq = 1; seq <= count && !im->sum_known; seq++) {
		uint64_t h = mailbox_uid(im->box, seq) * 0x9e3779b97f4a7c15u;

		im->sum += h ^ h >> 29;
	}
	im->sum_known = true;
	return im->sum;
}

void
view_key_get(struct imap *im, struct view_key *k)
{
	*k = (struct view_key){
		.account = im->account, .box = mailbox_box(im->box),
		.uidvalidity = mailbox_uidvalidity(im->box),
		.count = mailbox_count(im->box), .sum = sum_of_uids(im),
	};
}

bool
view_key_same(const struct view_key *a, const struct view_key *b)
{
	return a->account == b->account && a->box == b->box &&
	    a->uidvalidity == b->uidvalidity && a->count == b->count &&
	    a->sum == b->sum;
}

static bool
scan_key(struct scan *s, struct sort_spec *out)
{
	bool reverse = false;
	struct span word;

	if (out->n == SORT_KEYS_MAX)
		return scan_bad(s, "Too many sort keys.");
	if (!scan_atom(s, &word))
		return false;
	if (span_caseis(word, "REVERSE")) {
		reverse = true;
		if (!scan_sp(s) || !scan_atom(s, &word))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_caseis(word, names[i])) {
			out->relevancy |= i == SORT_RELEVANCY;
			out->v[out->n].key = (uint8_t)i;
			out->v[out->n++].reverse = reverse;
			return true;
		}
	return scan_bad(s, "Unknown sort key.");
}

bool
sort_scan(struct scan *s, struct sort_spec *out)
{
	out->n = 0;
	if (!scan_open(s))
		return false;
	do {
		if (!scan_key(s, out))
			return false;
	} while (!scan_is(s, ')') && scan_sp(s));
	return scan_close(s);
}

/* --- keys ------------------------------------------------------------------------------- */

static bool
of_index(enum sort_key key)
{
	return key == SORT_ARRIVAL || key == SORT_SIZE ||
	    key == SORT_RELEVANCY;
}

static struct span
string_key(const struct message_cache *c, enum sort_key key)
{
	switch (key) {
	case SORT_CC:
		return c->cc;
	case SORT_FROM:
		return c->from;
	case SORT_TO:
		return c->to;
	case SORT_SUBJECT:
		return c->base_subject;
	case SORT_DISPLAYFROM:
		return c->display_from;
	case SORT_DISPLAYTO:
		return c->display_to;
	default:
		return SPAN_EMPTY;
	}
}

static uint64_t
ordered(int64_t n)
{
	return (uint64_t)n ^ 1ull << 63;
}

static void
get_value(struct sorter *so, struct fetch_msg *m,
    const struct message_cache *c, enum sort_key key, struct sort_value *v)
{
	struct span s;

	v->num = 0;
	v->text = SPAN_EMPTY;
	if (key == SORT_ARRIVAL)
		v->num = ordered(m->m.date_us);
	else if (key == SORT_SIZE)
		v->num = m->m.size;
	else if (key == SORT_RELEVANCY)
		/* RFC 6203 6: the highest comes first. */
		v->num = 100 - search_score(so->spec->scores, m->seq);
	else if (key == SORT_DATE)
		/* RFC 5256 2.2 */
		v->num = ordered(c != NULL && (c->flags & MESSAGE_HAS_DATE) ?
		    c->sent_s : m->m.date_us / 1000000);
	else if (c != NULL && (s = string_key(c, key)).len > 0) {
		v->text = span_make(arena_span_dup(&so->arena, s), s.len);
		v->num = sort_prefix(s, 0);
	}
}

/* Two messages by all keys. */
static int
compare_keys(const struct sorter *so, size_t i, size_t j)
{
	const struct sort_value *v = &so->values[i * so->spec->n];
	const struct sort_value *w = &so->values[j * so->spec->n];

	for (size_t k = 0; k < so->spec->n; k++) {
		int rc = sort_value_cmp(&v[k], &w[k]);

		if (rc != 0)
			return so->spec->v[k].reverse ? -rc : rc;
	}
	return 0;
}

static int
compare(const void *a, const void *b, void *arg)
{
	size_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int rc = compare_keys(arg, i, j);

	return rc != 0 ? rc : i < j ? -1 : i > j;
}

/* The keys of one message, as number i of those that are sorted. */
static void
gather_one(struct sorter *so, struct imap *im, uint32_t seq, size_t i,
    struct arena *arena)
{
	const struct message_cache *c = NULL;
	struct why why = WHY_INIT;
	struct fetch_msg m = { 0 };
	bool records = false;

	for (size_t k = 0; k < so->spec->n; k++)
		records |= !of_index(so->spec->v[k].key);
	/* One that cannot be read sorts as if it were empty. */
	fetch_msg_init(&m, im, seq, arena);
	if (records)
		c = fetch_msg_cache(&m, MESSAGE_CACHE_KEYS, &why);
	for (size_t k = 0; k < so->spec->n; k++) {
		struct sort_value *v = &so->values[i * so->spec->n + k];

		get_value(so, &m, c, so->spec->v[k].key, v);
		v->index = (uint32_t)i;
	}
	fetch_msg_tell(&m);
	fetch_msg_fini(&m);
	arena_reset(arena);
}

/* seqs NULL: all messages. */
static void
gather(struct sorter *so, struct imap *im, const uint32_t *seqs, size_t n)
{
	struct arena arena = ARENA_INIT;

	for (size_t i = 0; i < n; i++)
		gather_one(so, im, seqs != NULL ? seqs[i] : (uint32_t)i + 1, i,
		    &arena);
	arena_fini(&arena);
}

/* --- by ranks ---------------------------------------------------------------------------- */

/* Those of this view, first in kept[].  NULL: there are none, and make is
 * false. */
static struct sort_ranks *
find_ranks(struct imap *im, bool make)
{
	struct sort_ranks found = { .of = { NULL } };
	size_t i = 0;

	view_key_get(im, &found.view);
	while (i < VIEWS_KEPT && !view_key_same(&kept[i].view, &found.view))
		i++;
	if (i < VIEWS_KEPT) {
		found = kept[i];
	} else if (!make) {
		return NULL;
	} else {
		i--;
		for (size_t k = 0; k < ARRAY_LEN(found.of); k++)
			mem_free(kept[i].of[k]);
	}
	memmove(&kept[1], &kept[0], i * sizeof(kept[0]));
	kept[0] = found;
	return &kept[0];
}

static const uint32_t *
ranks(struct imap *im, struct sort_ranks *r, enum sort_key key)
{
	const struct sort_spec one = { .v = { { .key = (uint8_t)key } },
	    .n = 1 };
	struct sorter so = { .spec = &one, .arena = ARENA_INIT };
	uint32_t n = r->view.count, rank = 0, *out;

	if (r->of[key] != NULL)
		return r->of[key];
	so.values = mem_alloc_array(n, sizeof(*so.values));
	out = mem_alloc_array(n, sizeof(*out));
	gather(&so, im, NULL, n);
	sort_values(so.values, n);
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0 && sort_value_cmp(&so.values[i - 1],
		    &so.values[i]) != 0)
			rank = i;
		out[so.values[i].index] = rank;
	}
	mem_free(so.values);
	arena_fini(&so.arena);
	return r->of[key] = out;
}

/* Ranks of all are worth their while for a good part of all, or when they are
 * there. */
static bool
use_ranks(struct imap *im, const struct sort_spec *spec, size_t n)
{
	const struct sort_ranks *r;

	if (n == 0 || spec->relevancy)
		return false;
	if (n >= mailbox_count(im->box) / 4)
		return true;
	if ((r = find_ranks(im, false)) == NULL)
		return false;
	for (size_t i = 0; i < spec->n; i++)
		if (r->of[spec->v[i].key] == NULL)
			return false;
	return true;
}

/* Stable, by the last key first: each pass counts places. */
static void
sort_by_ranks(struct imap *im, const struct sort_spec *spec, uint32_t *seqs,
    size_t n)
{
	struct sort_ranks *r = find_ranks(im, true);
	uint32_t count = r->view.count, *places, *to, *from = seqs;

	places = mem_alloc_array((size_t)count + 1, sizeof(*places));
	to = mem_alloc_array(n, sizeof(*to));
	for (size_t k = spec->n; k-- > 0;) {
		const uint32_t *rank = ranks(im, r, spec->v[k].key);
		uint32_t mirror = spec->v[k].reverse ? count - 1 : 0;
		uint32_t *swap;

		memset(places, 0, ((size_t)count + 1) * sizeof(*places));
		for (size_t i = 0; i < n; i++) {
			uint32_t at = rank[from[i] - 1];

			places[(mirror > 0 ? mirror - at : at) + 1]++;
		}
		for (uint32_t i = 0; i < count; i++)
			places[i + 1] += places[i];
		for (size_t i = 0; i < n; i++) {
			uint32_t at = rank[from[i] - 1];

			to[places[mirror > 0 ? mirror - at : at]++] = from[i];
		}
		swap = from;
		from = to;
		to = swap;
	}
	if (from != seqs)
		memcpy(seqs, from, n * sizeof(*seqs));
	mem_free(from != seqs ? from : to);
	mem_free(places);
}

int
sort_run(struct imap *im, const struct sort_spec *spec, uint32_t *seqs,
    size_t n, const char **code, const char **text)
{
	struct sorter so = { .spec = spec, .arena = ARENA_INIT };
	uint32_t *order, *copy;

	if (n > (uint64_t)conf.imapd_sort_limit) {
		*code = "LIMIT";
		*text = "Too many messages to sort.";
		return -1;
	}
	if (use_ranks(im, spec, n)) {
		sort_by_ranks(im, spec, seqs, n);
		return 0;
	}
	so.values = mem_alloc_array(MAX(n, 1) * spec->n, sizeof(*so.values));
	order = mem_alloc_array(MAX(n, 1), sizeof(*order));
	copy = mem_alloc_array(MAX(n, 1), sizeof(*copy));
	gather(&so, im, seqs, n);
	for (size_t i = 0; i < n; i++) {
		order[i] = (uint32_t)i;
		copy[i] = seqs[i];
	}
	qsort_r(order, n, sizeof(*order), compare, &so);
	for (size_t i = 0; i < n; i++)
		seqs[i] = copy[order[i]];
	mem_free(copy);
	mem_free(order);
	mem_free(so.values);
	arena_fini(&so.arena);
	return 0;
}

/* --- into what is sorted already ----------------------------------------------------------- */

int
sort_places(struct imap *im, const struct sort_spec *spec,
    const uint32_t *seqs, size_t n, const uint32_t *more, size_t k,
    size_t *places)
{
	struct sorter so = { .spec = spec, .arena = ARENA_INIT };
	struct arena arena = ARENA_INIT;
	size_t at = 0;
	bool *known;

	if (n + k > (uint64_t)conf.imapd_sort_limit)
		return -1;
	/* Only those that are met are looked at; the last place is for the
	 * message that is to go in. */
	so.values = mem_zalloc((n + 1) * spec->n * sizeof(*so.values));
	known = mem_zalloc(n + 1);
	for (size_t i = 0; i < k; i++) {
		size_t high = n;

		gather_one(&so, im, more[i], n, &arena);
		while (at < high) {
			size_t middle = at + (high - at) / 2;
			int rc;

			if (!known[middle])
				gather_one(&so, im, seqs[middle], middle,
				    &arena);
			known[middle] = true;
			rc = compare_keys(&so, middle, n);
			if (rc < 0 || (rc == 0 && seqs[middle] < more[i]))
				at = middle + 1;
			else
				high = middle;
		}
		places[i] = at;
	}
	mem_free(known);
	mem_free(so.values);
	arena_fini(&so.arena);
	arena_fini(&arena);
	return 0;
}
