/* SPDX-License-Identifier: ISC */
/*
 * sort - SORT (RFC 5256 3, RFC 5957 SORT=DISPLAY); see search.h.
 *
 * All keys come from the index and the cache records; they are gathered first,
 * then compared.  What is equal stays in the order of the mailbox.
 */
#include "conf/params.h"
#include "imapd/fetch.h"
#include "imapd/search.h"

enum sort_key {
	SORT_ARRIVAL, SORT_CC, SORT_DATE, SORT_FROM, SORT_SIZE, SORT_SUBJECT,
	SORT_TO, SORT_DISPLAYFROM, SORT_DISPLAYTO
};

static const char *const names[] = {
	[SORT_ARRIVAL] = "ARRIVAL", [SORT_CC] = "CC", [SORT_DATE] = "DATE",
	[SORT_FROM] = "FROM", [SORT_SIZE] = "SIZE",
	[SORT_SUBJECT] = "SUBJECT", [SORT_TO] = "TO",
	[SORT_DISPLAYFROM] = "DISPLAYFROM", [SORT_DISPLAYTO] = "DISPLAYTO",
};

/* A number or a string, whichever the key is. */
struct sort_value {
	int64_t		num;
	struct span	text;
};

struct sorter {
	const struct sort_spec	*spec;
	struct arena		 arena;		/* of strings */
	struct sort_value	*values;	/* n keys a message */
};

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
	return key == SORT_ARRIVAL || key == SORT_SIZE;
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

static void
get_values(struct sorter *so, struct fetch_msg *m,
    const struct message_cache *c, struct sort_value *v)
{
	for (size_t i = 0; i < so->spec->n; i++) {
		enum sort_key key = so->spec->v[i].key;
		struct span s;

		v[i].num = 0;
		v[i].text = SPAN_EMPTY;
		if (key == SORT_ARRIVAL)
			v[i].num = m->m.date_us;
		else if (key == SORT_SIZE)
			v[i].num = (int64_t)m->m.size;
		else if (key == SORT_DATE)
			/* RFC 5256 2.2 */
			v[i].num = c != NULL &&
			    (c->flags & MESSAGE_HAS_DATE) ? c->sent_s :
			    m->m.date_us / 1000000;
		else if (c != NULL && (s = string_key(c, key)).len > 0)
			v[i].text = span_make(arena_span_dup(&so->arena, s),
			    s.len);
	}
}

static int
compare(const void *a, const void *b, void *arg)
{
	const struct sorter *so = arg;
	size_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct sort_value *v = &so->values[i * so->spec->n];
	const struct sort_value *w = &so->values[j * so->spec->n];

	for (size_t k = 0; k < so->spec->n; k++) {
		int rc = v[k].num < w[k].num ? -1 : v[k].num > w[k].num;

		if (rc == 0)
			rc = span_cmp(v[k].text, w[k].text);
		if (rc != 0)
			return so->spec->v[k].reverse ? -rc : rc;
	}
	return i < j ? -1 : i > j;
}

static void
gather(struct sorter *so, struct imap *im, const uint32_t *seqs, size_t n)
{
	struct arena arena = ARENA_INIT;
	struct fetch_msg m = { 0 };
	bool records = false;

	for (size_t i = 0; i < so->spec->n; i++)
		records |= !of_index(so->spec->v[i].key);
	for (size_t i = 0; i < n; i++) {
		struct why why = WHY_INIT;

		/* One that cannot be read sorts as if it were empty. */
		fetch_msg_init(&m, im, seqs[i], &arena);
		get_values(so, &m, records ? fetch_msg_cache(&m, &why) : NULL,
		    &so->values[i * so->spec->n]);
		fetch_msg_fini(&m);
		arena_reset(&arena);
	}
	arena_fini(&arena);
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
