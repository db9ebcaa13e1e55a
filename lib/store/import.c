/* SPDX-License-Identifier: ISC */
/*
 * import - putting messages into a mailbox with the numbers they had; see
 * import.h for what may become of a mailbox.
 *
 * Unique ids are written behind the messages they belong to, except where the
 * mailbox begins anew: a crash in between leaves messages without them, and
 * the next run adds what is missing.  The other way round a UID that was never
 * used would have one, and clients would take the next message that gets this
 * UID for one that they have.
 */
#include "store/import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"
#include "mail/message_cache.h"
#include "store/import_carry.h"
#include "store/maildir_view.h"

#define CACHED_MAX	(1u << 20)	/* bytes of a message: larger ones are
					 * parsed by their first reader */
#define SAME_CONTENT	12		/* bytes of an id; the rest counts those
					 * that are alike */
#define BASE_MAX	200		/* bytes of a file's name */
#define UID_LAST	(UINT32_MAX - 2 * PACKED_UID_STEP)

struct old {
	uint32_t	uid;
	uint8_t		guid[16];
};

struct import {
	struct account	*a;
	uint32_t	 box;
	enum { NEW_UIDS, GO_ON, ANEW } how;
	uint32_t	 uidvalidity, uidnext;	/* the source's */
	uint32_t	 next;		/* UIDs from here on are free */
	uint32_t	 old_next;	/* the mailbox's, at the begin */
	ARRAY(struct old) old;		/* ascending */
	struct hash	 have;		/* ids: of old, with their place in it
					 * from 1 on, and of those added */
	uint32_t	 adopted;	/* of old: they get the source's UIDs */
	struct hash	 alike;		/* content -> messages seen with it */
	struct target	 t;
	bool		 locked;	/* ANEW: t is set up, others go on */
	int		 purge_lock;	/* ANEW: or -1 */
	uint32_t	 was_validity;	/* ANEW: the mailbox's */
	uint32_t	 pending;	/* messages since the last sync */
	uint64_t	 pending_bytes;
	struct uidls	 uidls;		/* that are there */
	struct hash	 uidl_seen;
	ARRAY(struct uidls_line) fresh;	/* to be written; spans are ours */
	struct import_result result;
};

/* --- begin ------------------------------------------------------------------------------ */

static void
take_old(struct import *im, struct mailbox *m)
{
	struct mailbox_message msg;
	char name[PACKED_NAME_MAX];

	for (uint32_t seq = 1; seq <= mailbox_count(m); seq++) {
		struct old *o;
		bool made;

		if (!mailbox_message(m, seq, &msg))
			break;
		o = ARRAY_PUSH(&im->old);
		o->uid = msg.uid;
		memcpy(o->guid, msg.emailid, sizeof(o->guid));
		hash_enter(&im->have, span_make(o->guid, sizeof(o->guid)),
		    &made)->value = (void *)(uintptr_t)im->old.len;
	}
	im->old_next = mailbox_uidnext(m);
	uidls_name(m, name);
	/* One that cannot be read is found so when it is to be written. */
	if (uidls_load(&im->uidls, m->p->dirfd, name, mailbox_uidvalidity(m),
	    NULL) <= 0)
		return;
	for (size_t i = 0; i < im->uidls.v.len; i++) {
		bool made;

		(void)hash_enter(&im->uidl_seen, im->uidls.v.v[i].id, &made);
	}
}

static int
refuse(struct import *im, size_t others, struct why *why)
{
	return account_say(im->a, ACCOUNT_EXISTS, why, "the mailbox has "
	    "another UIDVALIDITY than %" PRIu32 ", and %zu messages: UIDs "
	    "cannot be kept", im->uidvalidity, others);
}

static int
choose(struct import *im, const struct mailbox *m, struct why *why)
{
	if (im->uidvalidity == 0)
		im->how = NEW_UIDS;
	else if (im->uidvalidity == mailbox_uidvalidity(m))
		im->how = GO_ON;
	/* Files with the same names are the source's own messages. */
	else if (mailbox_count(m) == 0 || im->a->format == STORE_MAILDIR)
		im->how = ANEW;
	else
		return refuse(im, mailbox_count(m), why);
	return 0;
}

struct import *
import_begin(struct account *a, uint32_t box, uint32_t uidvalidity,
    uint32_t uidnext, struct why *why)
{
	struct import *im;
	struct mailbox *m;

	a = account_at(a, &box);
	/* With a look at a maildir's files. */
	if ((m = mailbox_open(a, box, MAILBOX_READONLY, why)) == NULL)
		return NULL;
	im = mem_zalloc(sizeof(*im));
	im->a = a;
	im->box = box;
	im->uidvalidity = uidvalidity;
	im->uidnext = uidnext;
	im->uidls.text = BUF_INIT(0);
	im->purge_lock = -1;
	if (choose(im, m, why) < 0 ||
	    account_need(a, box, RIGHT_INSERT, why) < 0)
		import_free(&im);
	else
		take_old(im, m);
	mailbox_close(&m);
	return im;
}

/* --- ids -------------------------------------------------------------------------------- */

/* A name that a file can have for ever. */
static bool
base_ok(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] <= ' ' || name.p[i] == '/' ||
		    name.p[i] == ':' || name.p[i] == 0x7f)
			return false;
	}
	return name.len > 0 && name.len <= BASE_MAX && name.p[0] != '.';
}

/*
 * The id that this message has wherever it is imported.  Of messages with the
 * same content it is the first, the second ...  base: what its file is called
 * in a maildir.
 */
static void
make_guid(struct import *im, const struct import_message *m, struct buf *base,
    uint8_t out[16])
{
	static const uint64_t keys[2][2] = {
		{ 0x4d4e534f494d5052, 1 }, { 0x4d4e534f494d5052, 2 },
	};
	struct hash_entry *e;
	uint32_t n;
	bool made;

	num_put_le64(out, hash_bytes_with(keys[0], m->bytes));
	num_put_le64(out + 8, hash_bytes_with(keys[1], m->bytes));
	e = hash_enter(&im->alike, span_make(out, SAME_CONTENT), &made);
	n = made ? 0 : (uint32_t)(uintptr_t)e->value;
	e->value = (void *)(uintptr_t)(n + 1);
	num_put_le32(out + SAME_CONTENT, n);
	if (im->a->format != STORE_MAILDIR)
		return;
	if (base_ok(m->name)) {
		buf_add_span(base, m->name);
	} else {
		buf_addf(base, "%" PRId64 ".", m->date_us / 1000000);
		for (size_t i = 0; i < 16; i++)
			buf_addf(base, "%02x", out[i]);
		buf_addf(base, ".import,S=%zu", m->bytes.len);
	}
	maildir_guid(buf_span(base), out);
}

static const struct old *
find_old(const struct import *im, uint32_t uid)
{
	size_t lo = 0, hi = im->old.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (im->old.v[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < im->old.len && im->old.v[lo].uid == uid ? &im->old.v[lo] :
	    NULL;
}

/* The unique id of the message with this UID, unless it has one. */
static void
add_uidl(struct import *im, uint32_t uid, struct span id)
{
	struct uidls_line *l;
	bool made;

	if (id.len == 0 || uidls_find(&im->uidls, uid).len > 0)
		return;
	/* RFC 1939 7: never the same for two. */
	(void)hash_enter(&im->uidl_seen, id, &made);
	if (!made) {
		im->result.uidl_twice++;
		return;
	}
	l = ARRAY_PUSH(&im->fresh);
	l->uid = uid;
	l->id = span_of(span_dup(id));
}

/*
 * 1: it is there; 0: it is to be stored, or, with *adopt, only to be noted;
 * -1: another one has its UID.
 */
static int
is_there(struct import *im, const struct import_message *m,
    const uint8_t guid[16], bool *adopt, struct why *why)
{
	struct hash_entry *e;
	const struct old *o;
	size_t at;

	if (im->how == GO_ON && m->uid != 0 && m->uid < im->old_next) {
		if ((o = find_old(im, m->uid)) == NULL) {
			im->result.gone++;
			return 1;
		}
		if (memcmp(o->guid, guid, im->a->format == STORE_MAILDIR ?
		    sizeof(o->guid) : SAME_CONTENT) != 0)
			return account_say(im->a, ACCOUNT_EXISTS, why,
			    "UID %" PRIu32 " is another message in the "
			    "mailbox", m->uid);
		im->result.were++;
		add_uidl(im, m->uid, m->uidl);
		return 1;
	}
	if ((e = hash_find(&im->have, span_make(guid, 16))) == NULL)
		return 0;
	at = (size_t)(uintptr_t)e->value;
	e->value = NULL;
	if (im->how == ANEW && at != 0) {
		im->adopted++;
		*adopt = true;
		return 0;
	}
	im->result.were++;
	if (at != 0)
		add_uidl(im, im->old.v[at - 1].uid, m->uidl);
	return 1;
}

/* --- writing ---------------------------------------------------------------------------- */

/* The mailbox begins anew: nothing that its journal says goes on. */
static int
begin_anew(struct import *im, struct why *why)
{
	struct mailbox *v = im->t.view;
	const struct acct_box *b = account_box_by_id(im->a, im->box);
	size_t n = 0;

	for (uint32_t i = 0; i < record_count(v); i++)
		n += !(record_at(v, i)->flags & MESSAGE_EXPUNGED);
	/* Packed ones are carried over. */
	if (n != im->old.len && im->a->format == STORE_MAILDIR)
		return account_say(im->a, ACCOUNT_EXISTS, why,
		    "the mailbox is in use: messages came or went meanwhile");
	mailbox_keywords_fini(v);
	v->kw_mark = v->set_mark = 0;
	/* For the headers in the segments, and of no slot in its file. */
	im->was_validity = im->t.p->head.uidvalidity;
	im->t.p->head.uidvalidity = im->uidvalidity;
	if (b != NULL)
		packed_put(im->t.p, PACKED_NAME, span_of(b->name));
	im->next = 1;
	/* Segments that nobody names yet look like what is over. */
	if (im->a->format == STORE_PACKED &&
	    (im->purge_lock = account_purge_hold(im->a, why)) < 0)
		return -1;
	packed_part(im->t.p);
	return 0;
}

/* ANEW: at the begin, so that it is known from when on messages have come. */
static int
lock(struct import *im, struct why *why)
{
	if (im->locked)
		return 0;
	if (target_lock(&im->t, im->a, im->box, true, NULL, why) < 0)
		return -1;
	im->locked = true;
	if (im->how == ANEW)
		return begin_anew(im, why);
	im->next = im->t.p->head.state.uidnext;
	return 0;
}

static int
choose_uid(struct import *im, const struct import_message *m, uint32_t *uid,
    struct why *why)
{
	const struct packed_state *st = &im->t.p->head.state;

	if (im->how == NEW_UIDS)
		*uid = im->next;
	else if (m->uid == 0)
		*uid = MAX(im->next, im->uidnext);
	else if (m->uid < im->next)
		return account_say(im->a, ACCOUNT_EXISTS, why, "UID %" PRIu32
		    " is in use: a message came in meanwhile", m->uid);
	else
		*uid = m->uid;
	if (*uid >= UID_LAST)
		return account_say(im->a, ACCOUNT_LIMIT, why, "no UID is "
		    "left behind %" PRIu32, UID_LAST);
	/* A file that is made anew gets its bound with its head. */
	if (im->how != ANEW && packed_reserve(im->t.p, *uid - st->uidnext + 1,
	    why) < 0)
		return account_io(im->a, why);
	im->next = *uid + 1;
	return 0;
}

static int
write_message(struct import *im, const struct import_message *m, uint32_t uid,
    struct span base, const uint8_t guid[16], bool adopt, struct why *why)
{
	struct buf cache = BUF_INIT(BUF_UNLIMITED);
	struct line_count lines;
	struct packed_source src = { .head = m->bytes };
	struct packed_arrival a = {
		.uid = uid, .flags = m->flags & RECORD_STORED,
		.date_us = m->date_us, .save_us = clock_wall_us(),
		.queue_id = base,
	};
	bool failed;
	int rc;

	if (a.date_us == 0)
		a.date_us = a.save_us;
	a.zone_min = clock_zone_min(a.date_us / 1000000);
	a.kwset = target_kwset(&im->t, m->keywords, m->nkeywords, why,
	    &failed);
	if (failed)
		return -1;
	memcpy(a.guid, guid, sizeof(a.guid));
	if (adopt) {
		maildir_view_adopt(im->t.view, m->bytes, &a);
		return 0;
	}
	if (m->bytes.len <= CACHED_MAX) {
		message_make_cache(m->bytes, &cache, &lines);
		src.cache = buf_span(&cache);
		src.lines = &lines;
	}
	rc = target_write(&im->t, &src, &a, why);
	buf_fini(&cache);
	return rc;
}

/* --- batches ---------------------------------------------------------------------------- */

static void
unlock(struct import *im)
{
	if (im->locked)
		target_unlock(&im->t);
	im->locked = false;
}

static int
write_uidls(struct import *im, struct why *why)
{
	struct mailbox *v = im->a->target;
	char name[PACKED_NAME_MAX];
	int rc = 0;

	if (im->fresh.len == 0)
		return 0;
	if (v == NULL || v->box != im->box) {
		/* Nothing was stored: it is as it was at the begin. */
		if (target_lock(&im->t, im->a, im->box, true, NULL, why) < 0)
			return -1;
		im->locked = true;
		v = im->t.view;
	}
	uidls_name(v, name);
	if (uidls_add(v->p->dirfd, name, v->p->head.uidvalidity,
	    im->fresh.v, im->fresh.len, why) < 0)
		rc = account_io(im->a, why);
	else
		im->result.uidls += (uint32_t)im->fresh.len;
	for (size_t i = 0; i < im->fresh.len; i++)
		mem_free((void *)(uintptr_t)im->fresh.v[i].id.p);
	im->fresh.len = 0;
	return rc;
}

/* What was put since the last time is there to stay. */
static int
end_batch(struct import *im, struct why *why)
{
	int rc = 0;

	if (im->locked) {
		uint32_t n = im->pending;

		/* Nothing is left to undo after this fails. */
		if (target_flush(&im->t, why) < 0)
			n = 0, rc = -1;
		im->result.stored += n;
		unlock(im);
	}
	im->pending = 0;
	im->pending_bytes = 0;
	if (rc < 0 || account_sync(im->a, why) < 0)
		return -1;
	rc = write_uidls(im, why);
	unlock(im);
	return rc;
}

/* Of a mailbox that begins anew only the bytes, so that not too many files
 * are open at a time. */
static int
sync_bytes(struct import *im, struct why *why)
{
	account_wrote(im->a, im->t.p);
	return account_sync(im->a, why);
}

int
import_add(struct import *im, const struct import_message *m, struct why *why)
{
	struct buf base = BUF_INIT(BUF_UNLIMITED);
	uint8_t guid[16];
	uint32_t uid = 0;
	bool made, adopt = false;
	int rc;

	make_guid(im, m, &base, guid);
	if ((rc = is_there(im, m, guid, &adopt, why)) != 0) {
		buf_fini(&base);
		return rc < 0 ? -1 : 0;
	}
	im->pending++;
	im->pending_bytes += m->bytes.len;
	rc = -1;
	if (account_quota_check(im->a, im->box, im->pending_bytes,
	    im->pending, why) < 0 || lock(im, why) < 0 ||
	    choose_uid(im, m, &uid, why) < 0 ||
	    write_message(im, m, uid, buf_span(&base), guid, adopt, why) < 0)
		goto out;
	(void)hash_enter(&im->have, span_make(guid, sizeof(guid)), &made);
	add_uidl(im, uid, m->uidl);
	rc = 0;
	if (im->pending % IMPORT_BATCH == 0)
		rc = im->how == ANEW ? sync_bytes(im, why) :
		    end_batch(im, why);
out:
	buf_fini(&base);
	return rc;
}

/* --- the end ---------------------------------------------------------------------------- */

/* The list says it, too, for mailboxes that get this name later. */
static int
list_uidvalidity(struct import *im, struct why *why)
{
	const struct acct_box *b;
	struct acct_box now;
	int rc = 0;

	if (account_lock(im->a, why) < 0)
		return -1;
	if ((b = account_box_by_id(im->a, im->box)) != NULL && !b->gone) {
		now = *b;
		now.uidvalidity = im->uidvalidity;
		account_put_box(im->a, &now);
		rc = account_flush(im->a, why);
	}
	account_unlock(im->a);
	return rc;
}

/* Those who have it open find another file in its place. */
static void
forget_old(struct import *im)
{
	struct account *a = im->a;

	unlock(im);
	fd_close(&im->purge_lock);
	if (a->target != NULL) {
		/* No index of it: what it knows is in no journal. */
		a->target->gone |= im->how == ANEW;
		mailbox_close(&a->target);
	}
	for (size_t i = 0; i < a->writers.len; i++) {
		if (a->writers.v[i]->box == im->box) {
			account_drop_writer(a, a->writers.v[i]);
			break;
		}
	}
}

/*
 * What was put takes the place of now, whose lock is ours.  1: it has, but it
 * is not known whether that will last.
 */
static int
replace(struct import *im, struct mailbox *now, struct why *why)
{
	bool maildir = im->a->format == STORE_MAILDIR;
	uint32_t recent;
	struct stat st;
	uint8_t le[4];
	int rc = 0;

	/* Nobody is told of old mail as of something new. */
	recent = im->next = MAX(im->next, im->uidnext);
	/* In a maildir they are files, which are found. */
	if (!maildir && import_carry(&im->t, now, &im->next, &recent, why) < 0)
		return account_io(im->a, why);
	num_put_le32(le, recent);
	packed_put(im->t.p, PACKED_RECENT, span_make(le, sizeof(le)));
	if (write_uidls(im, why) < 0 ||
	    (maildir && maildir_view_place(im->t.view, why) < 0))
		return -1;
	if (packed_restart(im->t.p, im->next, why) < 0) {
		(void)account_io(im->a, why);
		/* Without a name the old one is over: only that the new one's
		 * is on the disk is not known. */
		if (fstat(now->p->jfd, &st) < 0 || st.st_nlink > 0)
			return -1;
		rc = 1;
	}
	now->gone = true;
	if (maildir)
		maildir_view_done(im->t.view);
	return rc;
}

static int
commit_anew(struct import *im, struct why *why)
{
	struct mailbox *now;
	int rc;

	if (lock(im, why) < 0)
		return -1;
	if (im->adopted != im->old.len)
		return refuse(im, im->old.len - im->adopted, why);
	if (sync_bytes(im, why) < 0)
		return -1;
	now = import_lock_now(im->a, im->box, im->was_validity, why);
	if (now == NULL)
		return -1;
	rc = replace(im, now, why);
	mailbox_unlock(now);
	mailbox_close(&now);
	if (rc < 0)
		return -1;
	forget_old(im);
	if (rc > 0 || list_uidvalidity(im, why) < 0)
		return -1;
	im->result.stored = im->pending;
	return account_sync(im->a, why);
}

/* Those that the source gave out and that are gone are not given out again. */
static int
raise_uidnext(struct import *im, struct why *why)
{
	int rc;

	if (im->how != GO_ON || im->uidnext <= im->old_next ||
	    im->uidnext >= UID_LAST)
		return 0;
	if (lock(im, why) < 0)
		return -1;
	if (im->uidnext <= im->next) {
		unlock(im);
		return 0;
	}
	rc = packed_raise_uidnext(im->t.p, im->uidnext, why) < 0 ?
	    account_io(im->a, why) : 0;
	forget_old(im);
	/* Others have the file open and know what its head said: they find
	 * another file. */
	return rc < 0 ? -1 : mailbox_compact(im->a, im->box, COMPACT_NOW, why) < 0 ?
	    -1 : 0;
}

int
import_commit(struct import *im, struct why *why)
{
	if (im->how == ANEW)
		return commit_anew(im, why);
	return end_batch(im, why) < 0 ? -1 : raise_uidnext(im, why);
}

const struct import_result *
import_result(const struct import *im)
{
	return &im->result;
}

void
import_free(struct import **imp)
{
	struct import *im = *imp;

	if (im == NULL)
		return;
	*imp = NULL;
	if (im->locked) {
		target_undo(&im->t);
		/* It may say another UIDVALIDITY than its file. */
		forget_old(im);
	}
	fd_close(&im->purge_lock);
	for (size_t i = 0; i < im->fresh.len; i++)
		mem_free((void *)(uintptr_t)im->fresh.v[i].id.p);
	ARRAY_FINI(&im->fresh);
	ARRAY_FINI(&im->old);
	hash_fini(&im->have, NULL);
	hash_fini(&im->alike, NULL);
	hash_fini(&im->uidl_seen, NULL);
	uidls_fini(&im->uidls);
	mem_free(im);
}
