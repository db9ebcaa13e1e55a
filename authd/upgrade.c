/* SPDX-License-Identifier: ISC */
/*
 * upgrade - see upgrade.h.
 */
#include "authd/upgrade.h"

#include "auth/password.h"
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
static struct ipc_conn *keeper;
static int keeper_fd = -1;
static struct list waiting = LIST_INIT(waiting);
static struct hash busy;		/* names that are being seen to */
static struct tags tags = TAGS_INIT;	/* char *, their names */

/* --- the keeper ------------------------------------------------------------------ */

static void
done_name(char *name)
{
	(void)hash_del(&busy, span_of(name));
	mem_free(name);
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	char *name = tags_get(&tags, f->tag);

	if (f->type != KEEPER_DONE || f->fd >= 0)
		return -1;
	if (name != NULL) {
		tags_del(&tags, f->tag);
		done_name(name);
	}
	return 0;
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	log_warning("the keeper of authd_password_file has ended: hashes are "
	    "not renewed until authd starts again");
	ipc_conn_free(&keeper);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_end = on_end,
};

int
upgrade_open(struct why *why)
{
	keeper_fd = keeper_start(why);
	return keeper_fd < 0 ? -1 : 0;
}

void
upgrade_start(struct loop *l)
{
	loop = l;
	worker = loop_worker_new(l);
	keeper = ipc_conn_new(l, keeper_fd, &HELPER_PROTO, &ops, NULL);
}

/* Takes name, which is in busy. */
static void
send_change(char *name, struct span was, struct span now)
{
	struct keeper_change m = {
		.name = span_of(name), .was = was, .now = now,
	};
	uint32_t tag;

	if (keeper == NULL || was.len > HELPER_LINE_MAX ||
	    now.len > HELPER_LINE_MAX || span_eq(was, now) ||
	    (tag = tags_add(&tags, name)) == 0) {
		done_name(name);
		return;
	}
	keeper_change_encode(ipc_begin(keeper, KEEPER_CHANGE, tag), &m);
	ipc_end(keeper);
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

	if (!conf.authd_password_rehash || keeper == NULL ||
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

void
upgrade_keep_state(struct span text)
{
	if (keeper != NULL)
		ipc_send(keeper, KEEPER_STATE, 0, text);
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

	if (at < app->used + USED_EVERY_S || keeper == NULL ||
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
