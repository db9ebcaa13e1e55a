/* SPDX-License-Identifier: ISC */
/*
 * upgrade - see upgrade.h.
 */
#include "authd/upgrade.h"

#include "auth/password.h"
#include "authd/guard_priv.h"
#include "authd/helper.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "ipc/tags.h"

#define WAITING_MAX	200
/* The last use of an app password is noted this often. */
#define USED_EVERY_S	3600

/* A change that the keeper has. */
struct change {
	uint32_t	 tag;
	char		*name;
};

struct job {
	struct list	 link;
	char		*name, *was;
	char		*password;
	size_t		 password_len;
	bool		 only_keys;	/* the hash is good as it is */
	struct buf	 now;
	bool		 failed;
};

static struct loop *loop;
static struct loop_worker *worker;
static struct helper *keeper;
static struct list waiting = LIST_INIT(waiting);
static struct hash busy;		/* names that are being seen to */
static struct tags changes = TAGS_INIT;

/* --- the keeper ------------------------------------------------------------------ */

static void
done_name(char *name)
{
	(void)hash_del(&busy, span_of(name));
	mem_free(name);
}

static void
change_done(void *p)
{
	struct change *c = p;

	tags_del(&changes, c->tag);
	done_name(c->name);
	mem_free(c);
}

static int
on_frame(void *arg, const struct ipc_frame *f)
{
	struct change *c = tags_get(&changes, f->tag);

	if (f->type != KEEPER_DONE)
		return -1;
	if (c != NULL)
		change_done(c);
	return 0;
}

/* Made or not: the next login of the same user will show. */
static void
on_lost(void *arg)
{
	tags_each(&changes, change_done);
	guard_file_changed();
}

static const struct helper_client helper_side = {
	.on_frame = on_frame, .on_lost = on_lost,
};

int
upgrade_open(struct why *why)
{
	if (keeper_check(why) < 0)
		return -1;
	keeper = helper_add("authd-keeper", &keeper_ops, &helper_side, NULL);
	return 0;
}

void
upgrade_start(struct loop *l)
{
	loop = l;
	worker = loop_worker_new(l);
}

/* Takes name, which is in busy. */
static void
send_change(char *name, struct span was, struct span now)
{
	struct keeper_change m = {
		.name = span_of(name), .was = was, .now = now,
	};
	struct ipc_conn *k = helper_conn(keeper);
	struct change *c;

	if (k == NULL || was.len > HELPER_LINE_MAX ||
	    now.len > HELPER_LINE_MAX || span_eq(was, now)) {
		done_name(name);
		return;
	}
	c = mem_zalloc(sizeof(*c));
	c->name = name;
	c->tag = tags_add(&changes, c);
	if (c->tag == 0) {
		done_name(name);
		mem_free(c);
		return;
	}
	keeper_change_encode(ipc_begin(k, KEEPER_CHANGE, c->tag), &m);
	ipc_end(k);
}

static bool
begin_name(struct span name)
{
	bool made;

	(void)hash_enter(&busy, name, &made);
	return made;
}

/* --- new hashes -------------------------------------------------------------------- */

static void
job_free(struct job *j)
{
	mem_wipe(j->password, j->password_len);
	mem_free(j->password);
	mem_wipe(j->was, strlen(j->was));
	mem_free(j->was);
	mem_free(j->name);
	buf_wipe(&j->now);
	mem_free(j);
}

/* In the thread. */
static void
work(void *arg)
{
	struct job *j = arg;
	struct span password = span_make(j->password, j->password_len);
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct userline l;

	j->failed = password_line(password, PASSWORD_FULL, span_of(j->was),
	    &text, NULL) < 0;
	if (!j->failed && j->only_keys) {
		userline_parse(&l, span_of(j->was));
		userline_edit(buf_span(&text), SPAN(""), l.secret, &j->now);
	} else if (!j->failed) {
		buf_add_span(&j->now, buf_span(&text));
	}
	buf_wipe(&text);
}

static void next(void);

static void
worked(void *arg)
{
	struct job *j = arg;
	char *name = j->name;

	j->name = NULL;
	if (j->failed)
		done_name(name);
	else
		send_change(name, span_of(j->was), buf_span(&j->now));
	job_free(j);
	next();
}

static void
next(void)
{
	struct job *j;

	if (list_empty(&waiting) || loop_worker_busy(worker))
		return;
	j = LIST_ENTRY(waiting.next, struct job, link);
	list_remove(&j->link);
	(void)!loop_worker_start(worker, work, worked, j);
}

void
upgrade_account(const struct account *a, struct span password)
{
	bool light = password_is_light(a->line.secret);
	struct job *j;

	if (!conf.authd_password_rehash || helper_conn(keeper) == NULL ||
	    (!light && a->line.scram256.len > 0 && a->line.scram1.len > 0) ||
	    busy.count >= WAITING_MAX || password.len > PASSWORD_MAX ||
	    !begin_name(buf_span(&a->name)))
		return;
	j = mem_zalloc(sizeof(*j));
	j->name = span_dup(buf_span(&a->name));
	j->was = span_dup(buf_span(&a->text));
	j->password = mem_strndup(password.p, password.len);
	j->password_len = password.len;
	j->only_keys = !light;
	j->now = BUF_INIT(BUF_UNLIMITED);
	list_append(&waiting, &j->link);
	next();
}

bool
upgrade_keep_state(struct span text)
{
	struct ipc_conn *k = helper_conn(keeper);

	if (k == NULL)
		return false;
	ipc_send(k, KEEPER_STATE, 0, text);
	return true;
}

/* --- app passwords ------------------------------------------------------------------- */

void
upgrade_app_used(const struct account *a, const struct app_password *app)
{
	struct app_password fresh = *app;
	struct buf prefix = BUF_INIT(BUF_UNLIMITED);
	struct buf field = BUF_INIT(BUF_UNLIMITED);
	struct buf now = BUF_INIT(BUF_UNLIMITED);
	uint64_t at = (uint64_t)clock_wall_s();

	if (at < app->used + USED_EVERY_S || helper_conn(keeper) == NULL ||
	    busy.count >= WAITING_MAX || !begin_name(buf_span(&a->name)))
		return;
	fresh.used = at;
	buf_addf(&prefix, "app=%.*s,", SPAN_ARG(app->name));
	app_password_text(&fresh, &field);
	userline_edit(buf_span(&a->text), buf_span(&prefix), buf_span(&field),
	    &now);
	send_change(span_dup(buf_span(&a->name)), buf_span(&a->text),
	    buf_span(&now));
	buf_fini(&prefix);
	buf_fini(&field);
	buf_wipe(&now);
}
