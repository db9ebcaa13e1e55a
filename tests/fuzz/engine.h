/* SPDX-License-Identifier: ISC */
/*
 * engine - an engine of user sessions (session/engine.h) on a scratch account:
 * what the fuzz targets of POP3 and IMAP share.  Once, by a target's one file.
 *
 * The account stays for some inputs, so that one may find what another left.
 */
#ifndef TESTS_FUZZ_ENGINE_H
#define TESTS_FUZZ_ENGINE_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "conf/params.h"
#include "session/engine.h"
#include "store/mailbox.h"
#include "tests/session.h"

#define INPUT_MAX	(32 * 1024)
#define ACCOUNT_INPUTS	32	/* then another account: it grows */

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[256];
static struct buf said;		/* by the engine */
/* What it says last is wanted, too; one that is told when all is written must
 * not be asked for it. */
static bool flushes;

/* Nothing here need survive a power cut; the disk would be the slowest part. */
int
fdatasync(int fildes)
{
	return 0;
}

int
fsync(int fd)
{
	return 0;
}

static bool running;		/* a connection is there */

static void
conn_done(struct session_private *p, const char *how, const char *counts)
{
	if (flushes)
		stream_flush(p->c.stream);	/* as much as fits */
	stream_free(&p->c.stream);
	mem_free(p);
	running = false;
	loop_stop(loop);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static const struct engine *engine;	/* that has run */

static void
clean_up(void)
{
	if (account == NULL)
		return;
	if (engine->forget != NULL)
		engine->forget();
	account_close(&account);
	loop_free(&loop);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
append(const char *text)
{
	struct append_info info = { 0 };
	struct uid_result r;
	struct why why = WHY_INIT;
	struct append *ap = append_begin(account, ACCOUNT_INBOX, NULL,
	    0, &why);

	if (ap == NULL || append_next(ap, &info, &why) != 0 ||
	    append_data(ap, span_of(text), &why) != 0 ||
	    append_commit(ap, &r, &why) != 0)
		log_fatal("%s", why.text);
	append_free(&ap);
}

/* A new account with these messages; a NULL ends them. */
static void
set_up(const char *const *mail)
{
	const char *tmp = getenv("TMPDIR");
	struct why why = WHY_INIT;
	char cf[300];
	FILE *f;

	snprintf(dir, sizeof(dir), "%s/engine-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		log_fatal("%s: cannot make it", dir);
	snprintf(cf, sizeof(cf), "%s/main.cf", dir);
	f = fopen(cf, "w");
	if (f == NULL || fprintf(f, "queue_directory = %s\n", dir) < 0 ||
	    fclose(f) != 0 || params_load(dir, NULL, 0, NULL, NULL) != 0)
		log_fatal("%s: no settings", cf);
	user = (struct session_user){ .name = "tester", .login = "tester",
	    .home = "", .format = STORE_PACKED, .base = dir,
	    .path = "account" };
	account = open_account(&why);
	if (account == NULL)
		log_fatal("%s", why.text);
	for (; *mail != NULL; mail++)
		append(*mail);
	loop = loop_new();
}

static void
listen_to(void *arg, unsigned events)
{
	const int *fd = arg;
	char b[65536];
	ssize_t n;

	do {
		n = recv(*fd, b, sizeof(b), MSG_DONTWAIT);
		if (n > 0)
			buf_add(&said, b, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
}

/* Show one input to the engine; what it answers is in said, the caller's to
 * free. */
static void
engine_run(const struct engine *e, const char *tag, const char *const *mail,
    const uint8_t *data, size_t size)
{
	struct session_private *p;
	static unsigned inputs;
	struct loop_io *io;
	int fds[2];

	engine = e;
	said = BUF_INIT(BUF_UNLIMITED);
	if (inputs == 0)
		atexit(clean_up);
	if (inputs++ % ACCOUNT_INPUTS == 0) {
		clean_up();
		set_up(mail);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		return;
	p = conn_new(e, fds[1], "fuzz", tag);
	running = true;
	/* It fits the socket: nobody reads yet. */
	if (size > 0 && send(fds[0], data, size, MSG_NOSIGNAL) < 0)
		abort();
	shutdown(fds[0], SHUT_WR);
	io = loop_io_new(loop, fds[0], listen_to, &fds[0]);
	loop_io_want(io, LOOP_READ);
	e->start(&p->c);
	if (running)
		loop_run(loop);
	listen_to(&fds[0], 0);
	loop_io_free(&io);
	close(fds[0]);
}

#endif
