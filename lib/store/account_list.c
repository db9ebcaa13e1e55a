/* SPDX-License-Identifier: ISC */
/*
 * account_list - the list of mailboxes as others see it, and its beginnings.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "io/fd.h"
#include "store/account_internal.h"

static const struct {
	unsigned	 use;
	const char	*flag, *name;
} uses[] = {
	{ USE_ALL,	 "\\All",	"All" },
	{ USE_ARCHIVE,	 "\\Archive",	"Archive" },
	{ USE_DRAFTS,	 "\\Drafts",	"Drafts" },
	{ USE_FLAGGED,	 "\\Flagged",	"Flagged" },
	{ USE_JUNK,	 "\\Junk",	"Junk" },
	{ USE_SENT,	 "\\Sent",	"Sent" },
	{ USE_TRASH,	 "\\Trash",	"Trash" },
	{ USE_IMPORTANT, "\\Important",	"Important" },
};

unsigned
account_use_parse(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		if (span_caseis(name, uses[i].flag))
			return uses[i].use;
	}
	return 0;
}

const char *
account_use_name(unsigned one)
{
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		if (uses[i].use == one)
			return uses[i].flag;
	}
	return "";
}

struct span
account_canon(struct span name)
{
	if (name.len >= 5 && span_caseeq(span_sub(name, 0, 5),
	    SPAN("INBOX")) && name.len == 5)
		return SPAN("INBOX");
	return name;
}

/* --- order --------------------------------------------------------------------- */

/* '/' is less than any other byte, so that children follow their parent. */
static int
name_cmp(struct span a, struct span b)
{
	bool ia = span_is(a, "INBOX") || span_starts(a, SPAN("INBOX/"));
	bool ib = span_is(b, "INBOX") || span_starts(b, SPAN("INBOX/"));
	size_t n = MIN(a.len, b.len);

	if (ia != ib)
		return ia ? -1 : 1;
	for (size_t i = 0; i < n; i++) {
		int x = a.p[i] == '/' ? 0 : (unsigned char)a.p[i];
		int y = b.p[i] == '/' ? 0 : (unsigned char)b.p[i];

		if (x != y)
			return x < y ? -1 : 1;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

static int
by_name(const void *x, const void *y)
{
	const struct account_box *a = x, *b = y;
	int rc = name_cmp(span_of(a->name), span_of(b->name));

	/* The mailbox itself before what only stands for its name. */
	return rc != 0 ? rc : (a->box == 0) - (b->box == 0);
}

void
account_list_fini(struct account *a)
{
	for (size_t i = 0; i < a->made.len; i++)
		mem_free(a->made.v[i]);
	ARRAY_FINI(&a->made);
	ARRAY_FINI(&a->shown);
	ARRAY_FINI(&a->hidden);
}

static const char *
made_name(struct account *a, struct span name)
{
	char *s = span_dup(name);

	*ARRAY_PUSH(&a->made) = s;
	return s;
}

static void
add_subscribed(struct hash_entry *e, void *arg)
{
	struct account *a = arg;

	*ARRAY_PUSH(&a->shown) = (struct account_box){
		.name = made_name(a, e->key),
		.flags = BOX_NONEXISTENT | BOX_SUBSCRIBED,
	};
}

static void
sort_shown(struct account *a)
{
	size_t keep = 0;

	if (a->shown.len == 0)
		return;
	qsort(a->shown.v, a->shown.len, sizeof(a->shown.v[0]), by_name);
	/* Two of one name: a mailbox and its subscription. */
	for (size_t i = 0; i < a->shown.len; i++) {
		if (keep > 0 && span_is(span_of(a->shown.v[i].name),
		    a->shown.v[keep - 1].name)) {
			a->shown.v[keep - 1].flags |= a->shown.v[i].flags &
			    (BOX_SUBSCRIBED | BOX_SUBSCRIBED_CHILD);
			continue;
		}
		a->shown.v[keep++] = a->shown.v[i];
	}
	a->shown.len = keep;
}

static struct account_box *
lookup(struct account *a, struct span name)
{
	size_t lo = 0, hi = a->shown.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int rc = name_cmp(span_of(a->shown.v[mid].name), name);

		if (rc == 0)
			return &a->shown.v[mid];
		if (rc < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Parents that are no mailboxes, and what the children say of parents. */
static void
add_parents(struct account *a)
{
	size_t n = a->shown.len;

	for (size_t i = 0; i < n; i++) {
		struct span name = span_of(a->shown.v[i].name);
		struct span before = span_of(i > 0 ? a->shown.v[i - 1].name :
		    "");
		ptrdiff_t at;

		while ((at = span_rfind(name, '/')) > 0) {
			name = span_sub(name, 0, (size_t)at);
			/* Already there, or added for the one before. */
			if (span_starts(before, name) &&
			    (before.len == name.len ||
			    span_from(before, name.len).p[0] == '/'))
				break;
			*ARRAY_PUSH(&a->shown) = (struct account_box){
				.name = made_name(a, name),
				.flags = BOX_NONEXISTENT,
			};
		}
	}
	sort_shown(a);
	for (size_t i = 0; i < a->shown.len; i++) {
		struct span name = span_of(a->shown.v[i].name);
		struct account_box *up;
		ptrdiff_t at;

		while ((at = span_rfind(name, '/')) > 0) {
			name = span_sub(name, 0, (size_t)at);
			if ((up = lookup(a, name)) == NULL)
				continue;
			if (!(a->shown.v[i].flags & BOX_NONEXISTENT))
				up->flags |= BOX_CHILDREN;
			if (a->shown.v[i].flags & BOX_SUBSCRIBED)
				up->flags |= BOX_SUBSCRIBED_CHILD;
		}
	}
}

static void
show(struct account *a)
{
	if (!a->stale)
		return;
	account_list_fini(a);
	for (size_t i = 0; i < a->boxes.len; i++) {
		const struct acct_box *b = &a->boxes.v[i];
		struct account_box *s;

		if (b->gone)
			continue;
		s = ARRAY_PUSH(&a->shown);
		s->box = b->box;
		s->name = b->name;
		s->flags = b->flags;
		s->special = b->special;
		memcpy(s->mailboxid, b->mailboxid, 16);
	}
	account_show_mounts(a);
	hash_each(&a->subscribed, add_subscribed, a);
	sort_shown(a);
	add_parents(a);
	a->stale = false;
}

/* --- looking --------------------------------------------------------------------- */

size_t
account_count(const struct account *a)
{
	/* Making it up to date changes nothing that anybody sees. */
	show((struct account *)(uintptr_t)a);
	return a->shown.len;
}

const struct account_box *
account_box(const struct account *a, size_t i)
{
	return i < account_count(a) ? &a->shown.v[i] : NULL;
}

const struct account_box *
account_find(struct account *a, struct span name)
{
	struct account_box *b;

	show(a);
	name = account_canon(name);
	b = lookup(a, name);
	if (b != NULL && b->box != 0)
		return b;
	/* What is listed may be only a parent's name, or a subscription. */
	for (size_t i = 0; i < a->hidden.len; i++) {
		if (span_is(name, a->hidden.v[i].name))
			return &a->hidden.v[i];
	}
	return b;
}

const struct account_box *
account_by_id(struct account *a, uint32_t box)
{
	show(a);
	for (size_t i = 0; i < a->shown.len; i++) {
		if (a->shown.v[i].box == box && box != 0)
			return &a->shown.v[i];
	}
	for (size_t i = 0; i < a->hidden.len; i++) {
		if (a->hidden.v[i].box == box)
			return &a->hidden.v[i];
	}
	return NULL;
}

const struct account_box *
account_by_mailboxid(struct account *a, const uint8_t id[16])
{
	show(a);
	for (size_t i = 0; i < a->shown.len; i++) {
		if (a->shown.v[i].box != 0 &&
		    memcmp(a->shown.v[i].mailboxid, id, 16) == 0)
			return &a->shown.v[i];
	}
	return NULL;
}

struct acct_box *
account_box_by_name(struct account *a, struct span name)
{
	for (size_t i = 0; i < a->boxes.len; i++) {
		if (!a->boxes.v[i].gone && span_is(name, a->boxes.v[i].name))
			return &a->boxes.v[i];
	}
	return NULL;
}

uint64_t
account_list_modseq(const struct account *a)
{
	return a->list->head.state.modseq;
}

int
account_check_name(struct account *a, struct span name, struct why *why)
{
	struct span rest = name;
	uint32_t depth = 0;

	if (name.len > a->opt.name_limit)
		return account_say(a, ACCOUNT_LIMIT, why, "the name is longer "
		    "than %u bytes", (unsigned)a->opt.name_limit);
	if (name.len == 0 || !utf8_valid(name))
		return account_say(a, ACCOUNT_CANNOT, why, "this name is not "
		    "UTF-8");
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];

		/* RFC 9051 5.1: no controls, U+0080 to U+009F are c2 80 ...;
		 * no separator of lines or paragraphs, U+2028 and U+2029. */
		if (c < ' ' || c == 0x7f || (c == 0xc2 && i + 1 < name.len &&
		    (unsigned char)name.p[i + 1] < 0xa0) ||
		    span_starts(span_from(name, i), SPAN("\xe2\x80\xa8")) ||
		    span_starts(span_from(name, i), SPAN("\xe2\x80\xa9")))
			return account_say(a, ACCOUNT_CANNOT, why,
			    "a name cannot have control characters");
	}
	for (;;) {
		ptrdiff_t at = span_find(rest, '/');
		struct span part = at < 0 ? rest : span_sub(rest, 0,
		    (size_t)at);

		if (part.len == 0 || span_is(part, ".") || span_is(part, ".."))
			return account_say(a, ACCOUNT_CANNOT, why, "a level "
			    "of the name is empty, \".\" or \"..\"");
		/* In a Maildir '.' parts the levels; but names of others'
		 * mailboxes are no names of files here. */
		if (a->format == STORE_MAILDIR && span_find(part, '.') >= 0 &&
		    !account_is_reserved(a, name))
			return account_say(a, ACCOUNT_CANNOT, why, "names "
			    "cannot have a dot here");
		if (++depth > a->opt.depth_limit)
			return account_say(a, ACCOUNT_LIMIT, why, "the name "
			    "has more than %u levels",
			    (unsigned)a->opt.depth_limit);
		if (at < 0)
			return 0;
		rest = span_from(rest, (size_t)at + 1);
	}
}

/* --- what others did ---------------------------------------------------------------- */

/* The journal was replaced: read the new one. */
static int
reopen(struct account *a, struct why *why)
{
	packed_close(&a->list);
	account_records_fini(a);
	a->change++;
	if (account_list_open(a, why) == 0)
		return 0;
	/* So that the account can still be closed, and asked again. */
	return account_io(a, why);
}

int
account_refresh(struct account *a, struct why *why)
{
	uint64_t was = a->change;
	int rc;

	if (a->list == NULL && account_list_open(a, why) < 0)
		return account_io(a, why);
	if ((rc = packed_catch_up(a->list, why)) == PACKED_GONE)
		rc = reopen(a, why);
	if (rc < 0)
		return account_io(a, why);
	if (a->format == STORE_MAILDIR && account_maildir_list(a, why) < 0)
		return -1;
	account_refresh_mounts(a);
	return a->change != was;
}

int
account_lock(struct account *a, struct why *why)
{
	for (int turn = 0; turn < PACKED_TURNS; turn++) {
		int rc = packed_lock(a->list, why);

		if (rc == 0)
			return 0;
		if (rc == -1 || reopen(a, why) < 0)
			return account_io(a, why);
	}
	return account_say(a, ACCOUNT_INUSE, why, "%s is being replaced",
	    a->path);
}

void
account_unlock(struct account *a)
{
	packed_drop(a->list);
	packed_unlock(a->list);
}

int
account_flush(struct account *a, struct why *why)
{
	if (packed_flush(a->list, why) < 0)
		return account_io(a, why);
	account_wrote(a, a->list);
	return 0;
}

/* --- beginnings ---------------------------------------------------------------------- */

struct lost {
	struct buf	name;
	bool		deleted;
};

static bool
lost_record(void *arg, const struct packed_record *r)
{
	struct lost *l = arg;

	if (r->type == PACKED_NAME && r->payload.len > 0 &&
	    r->payload.len <= ACCOUNT_NAME_MAX && utf8_valid(r->payload)) {
		buf_reset(&l->name);
		buf_add_span(&l->name, r->payload);
	} else if (r->type == PACKED_DELETED ||
	    r->type == PACKED_RESTORED) {
		l->deleted = r->type == PACKED_DELETED;
	}
	return true;
}

/* A mailbox whose journal is there and that the list does not know. */
static int
take_lost(struct account *a, uint32_t box, struct why *why)
{
	struct lost l = { .name = BUF_INIT(BUF_UNLIMITED) };
	struct acct_box b = { .box = box };
	struct packed *p;
	struct stat st;
	int rc = 0;

	p = packed_open(a->dirfd, a->path, box, &a->epoch, 0, 0, why);
	if (p == NULL) {
		log_warning("%s: mailbox %u cannot be read: left aside",
		    a->path, (unsigned)box);
		return 0;
	}
	if (fstat(p->jfd, &st) < 0 || packed_scan_file(p->jfd, PACKED_START,
	    (uint64_t)st.st_size, NULL, lost_record, &l) < 0) {
		rc = store_fail(why, "cannot read", a->path);
	} else if (!l.deleted) {
		if (l.name.len == 0)
			buf_addf(&l.name, "Recovered-%u", (unsigned)box);
		/* Two boxes of one name: a rename that was not finished. */
		if (account_box_by_name(a, buf_span(&l.name)) != NULL)
			buf_addf(&l.name, "-%u", (unsigned)box);
		b.name = l.name.data;
		b.uidvalidity = p->head.uidvalidity;
		memcpy(b.mailboxid, p->head.mailboxid, 16);
		log_warning("%s: the list of mailboxes was lost: found %s "
		    "again", a->path, b.name);
		account_put_box(a, &b);
		rc = account_flush(a, why);
	}
	packed_close(&p);
	buf_fini(&l.name);
	return rc;
}

static int
find_lost(struct account *a, struct why *why)
{
	struct dirent *e;
	DIR *d;
	int fd, rc = 0;

	fd = openat(a->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (d = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return store_fail(why, "cannot read", a->path);
	}
	while (rc == 0 && (e = readdir(d)) != NULL) {
		struct span n = span_of(e->d_name);
		uint64_t no;

		if (n.len != 12 || !span_ends(n, SPAN(".jrn")) ||
		    num_parse_hex(span_sub(n, 0, 8), &no) < 0 ||
		    no <= ACCOUNT_INBOX || no >= UINT32_MAX)
			continue;
		if (account_box_by_id(a, (uint32_t)no) == NULL)
			rc = take_lost(a, (uint32_t)no, why);
	}
	closedir(d);
	return rc;
}

/* The names of a setting, one after the other: separated by commas or blanks
 * outside of quotes. */
static void
first_folders(struct account *a, struct why *why)
{
	struct span rest = span_of(a->opt.auto_create), name;

	while (span_token(&rest, ", \t\r\n", &name)) {
		struct why w = WHY_INIT;
		uint32_t box;

		name = account_canon(name);
		if (!span_is(name, "INBOX") && account_create(a, name, 0,
		    &box, &w) < 0 && a->error != ACCOUNT_EXISTS)
			log_warning("%s: store_auto_create: %.*s: %s", a->path,
			    SPAN_ARG(name), w.text);
	}
	rest = span_of(a->opt.auto_subscribe);
	while (span_token(&rest, ", \t\r\n", &name)) {
		if (account_subscribe(a, name, true, why) < 0)
			return;
	}
}

int
account_list_init(struct account *a, struct why *why)
{
	struct acct_box inbox = { .box = ACCOUNT_INBOX,
	    .name = (char *)(uintptr_t)"INBOX" };
	struct packed *p;
	bool fresh = false;

	if (account_box_by_id(a, ACCOUNT_INBOX) == NULL) {
		if (account_lock(a, why) < 0)
			return -1;
		if (account_box_by_id(a, ACCOUNT_INBOX) == NULL) {
			p = account_journal(a, ACCOUNT_INBOX, PACKED_WRITE |
			    PACKED_CREATE, why);
			if (p == NULL)
				goto fail;
			inbox.uidvalidity = p->head.uidvalidity;
			memcpy(inbox.mailboxid, p->head.mailboxid, 16);
			account_wrote(a, p);
			packed_close(&p);
			account_put_box(a, &inbox);
			if (account_flush(a, why) < 0)
				goto fail;
			if (a->format == STORE_PACKED &&
			    find_lost(a, why) < 0)
				goto fail;
			fresh = a->boxes.len == 1;
		}
		account_unlock(a);
	} else if (a->list->damaged && a->format == STORE_PACKED) {
		/* What was passed over may have been a mailbox. */
		if (account_lock(a, why) < 0)
			return -1;
		if (find_lost(a, why) < 0)
			goto fail;
		account_unlock(a);
	}
	if (a->format == STORE_MAILDIR && account_maildir_list(a, why) < 0)
		return -1;
	if (fresh && a->boxes.len == 1)
		first_folders(a, why);
	a->error = ACCOUNT_OK;
	return 0;
fail:
	account_unlock(a);
	return -1;
}
