/* SPDX-License-Identifier: ISC */
/*
 * import_carry - messages that came into a mailbox while it was being made
 * anew (import.c): they come behind those that were imported.
 *
 * Their bytes stay where they are, and they keep their ids, so that who
 * delivers one of them once more is told that it is there, and POP3 clients
 * know them; but IMAP clients find another UIDVALIDITY.
 */
#include <string.h>

#include "base/mem.h"
#include "store/import_carry.h"
#include "store/mailbox_internal.h"

/* --- what only the journal knows ------------------------------------------------------- */

struct origin {
	uint32_t	uid;
	char		*queue_id, *rcpt;
};

struct origins {
	struct mailbox	*m;
	ARRAY(struct origin) v;		/* ascending UIDs */
};

static bool
note_origin(void *arg, const struct packed_record *rec)
{
	struct origins *o = arg;
	struct packed_arrival a;
	uint32_t i;

	if (rec->type != PACKED_ARRIVAL ||
	    packed_arrival_decode(&a, rec->payload) < 0)
		return true;
	i = record_find(o->m, a.uid);
	if (i < record_count(o->m) && record_at(o->m, i)->uid == a.uid &&
	    !(record_at(o->m, i)->flags & MESSAGE_EXPUNGED))
		*ARRAY_PUSH(&o->v) = (struct origin){ a.uid,
		    span_dup(a.queue_id), span_dup(a.rcpt) };
	return true;
}

static void
origins_fini(struct origins *o)
{
	for (size_t i = 0; i < o->v.len; i++) {
		mem_free(o->v.v[i].queue_id);
		mem_free(o->v.v[i].rcpt);
	}
	ARRAY_FINI(&o->v);
}

/* UIDs are asked for in their order. */
static void
take_origin(const struct origins *o, size_t *at, struct packed_arrival *a,
    uint32_t uid)
{
	while (*at < o->v.len && o->v.v[*at].uid < uid)
		++*at;
	if (*at == o->v.len || o->v.v[*at].uid != uid)
		return;
	a->queue_id = span_of(o->v.v[*at].queue_id);
	a->rcpt = span_of(o->v.v[*at].rcpt);
}

/* --- carrying --------------------------------------------------------------------------- */

static int
put_one(struct target *t, const struct mailbox *now, const struct record *r,
    struct packed_arrival *a, struct why *why)
{
	const uint32_t *v;
	uint32_t n = mailbox_kwset(now, r->kwset, &v);
	struct span *names = mem_alloc_array(n + 1, sizeof(*names));
	bool failed;

	for (uint32_t i = 0; i < n; i++)
		names[i] = span_of(mailbox_keyword(now, v[i]));
	a->kwset = target_kwset(t, names, n, why, &failed);
	mem_free(names);
	if (failed)
		return -1;
	a->flags = r->flags & RECORD_STORED;
	a->date_us = r->date_us;
	a->zone_min = r->zone_min;
	a->save_us = (int64_t)r->save_s * 1000000;
	memcpy(a->guid, r->guid, sizeof(a->guid));
	target_put_reference(t, r, a);
	return 0;
}

int
import_carry(struct target *t, struct mailbox *now, uint32_t *next,
    uint32_t *recent, struct why *why)
{
	struct origins o = { .m = now };
	size_t at = 0;
	int rc = 0;

	*recent = 0;
	if (packed_scan_file(now->p->jfd, PACKED_START,
	    now->p->head.state.tail, NULL, note_origin, &o) < 0)
		rc = store_fail(why, "cannot read", now->p->path);
	for (uint32_t i = 0; i < record_count(now) && rc == 0; i++) {
		const struct record *r = record_at(now, i);
		struct packed_arrival a = { .uid = *next };

		if (r->flags & MESSAGE_EXPUNGED)
			continue;
		take_origin(&o, &at, &a, r->uid);
		rc = put_one(t, now, r, &a, why);
		if (*recent == 0 && r->uid >= now->recent_from)
			*recent = a.uid;
		++*next;
	}
	if (*recent == 0)
		*recent = *next;
	origins_fini(&o);
	return rc;
}

struct mailbox *
import_lock_now(struct account *a, uint32_t box, uint32_t uidvalidity,
    struct why *why)
{
	struct mailbox *now = mailbox_open_inside(a, box, 0, why);

	if (now == NULL)
		return NULL;
	if (mailbox_lock_journal(now, why) < 0) {
		mailbox_close(&now);
		return NULL;
	}
	if (now->p->head.state.deleted || now->gone)
		(void)account_say(a, ACCOUNT_NONEXISTENT, why,
		    "the mailbox was deleted");
	else if (now->p->head.uidvalidity != uidvalidity)
		(void)account_say(a, ACCOUNT_EXISTS, why, "the mailbox was "
		    "made anew meanwhile");
	else
		return now;
	mailbox_unlock(now);
	mailbox_close(&now);
	return NULL;
}
