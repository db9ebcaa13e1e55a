/* SPDX-License-Identifier: ISC */
/*
 * keeper - the process that changes authd_password_file for authd: new hashes
 * and keys after a login, when an app password was last used.  It also writes
 * the file that keeps bans over a restart.
 *
 * What comes within BATCH_MS is one change of the file, under the lock that
 * mansio(8) takes too, and is answered when it is on disk.
 */
#include "authd/helper.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "auth/userfile.h"
#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"

#define BATCH_MS	300
#define BATCH_MAX	1000

struct change {
	uint32_t	 tag;
	char		*name, *was, *now;
};

static ARRAY(struct change) batch;
static struct loop_timer *timer;
static struct ipc_conn *conn;

static bool
valid(struct span s)
{
	return span_find(s, '\n') < 0 && span_find(s, '\r') < 0;
}

static unsigned
apply(struct userfile *f)
{
	unsigned n = 0;

	for (size_t i = 0; i < batch.len; i++) {
		const struct change *c = &batch.v[i];
		struct span text;

		if (!userfile_line(f, span_of(c->name), &text) ||
		    !span_is(text, c->was))
			continue;
		(void)userfile_put(f, span_of(c->name), span_of(c->now));
		n++;
	}
	return n;
}

static void
write_batch(void)
{
	struct why why = WHY_INIT;
	struct userfile f;
	int lock;

	lock = open(params_config_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		log_warning("cannot lock %s: %m", params_config_dir());
	else if (userfile_read(&f, conf.authd_password_file, &why) < 0)
		log_warning("%s", why.text);
	else {
		if (apply(&f) > 0 && userfile_write(&f, &why) < 0)
			log_warning("%s", why.text);
		userfile_fini(&f);
	}
	if (lock >= 0)
		close(lock);
}

static void
fired(void *arg)
{
	write_batch();
	for (size_t i = 0; i < batch.len; i++) {
		struct change *c = &batch.v[i];

		ipc_send(conn, KEEPER_DONE, c->tag, SPAN(""));
		mem_wipe(c->was, strlen(c->was));
		mem_wipe(c->now, strlen(c->now));
		mem_free(c->name);
		mem_free(c->was);
		mem_free(c->now);
	}
	batch.len = 0;
}

static void
write_state(struct span text)
{
	char *path = mem_printf("%s/authd.bans", conf.data_directory);

	if (fd_replace_file(AT_FDCWD, path, 0600, text.p, text.len) < 0)
		log_warning("cannot write %s: %m", path);
	mem_free(path);
}

static int
on_change(struct ipc_conn *c, const struct ipc_frame *f)
{
	struct keeper_change m;

	if (f->type == KEEPER_STATE) {
		write_state(f->body);
		return 0;
	}
	if (f->type != KEEPER_CHANGE || batch.len >= BATCH_MAX ||
	    keeper_change_decode(&m, f->body) < 0 || !valid(m.now) ||
	    m.now.len == 0)
		return -1;
	conn = c;
	if (timer == NULL)
		timer = loop_timer_new(daemon_loop(), fired, NULL);
	if (batch.len == 0)
		loop_timer_set(timer, BATCH_MS);
	*ARRAY_PUSH(&batch) = (struct change){ f->tag, span_dup(m.name),
	    span_dup(m.was), span_dup(m.now) };
	return 0;
}

const struct helper_ops keeper_ops = { .handle = on_change };

int
keeper_check(struct why *why)
{
	const char *slash = strrchr(conf.authd_password_file, '/');

	if (slash == NULL || slash == conf.authd_password_file)
		return why_set(why, "", "authd_password_file is no absolute "
		    "path: \"%s\"", conf.authd_password_file);
	return 0;
}
