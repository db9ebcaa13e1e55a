/* SPDX-License-Identifier: ISC */
/*
 * What an IMAP client sends after its login: the whole engine on a scratch
 * account, which stays for some inputs.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/params.h"
#include "session/engine.h"
#include "store/mailbox.h"

#define INPUT_MAX	(32 * 1024)
#define ACCOUNT_INPUTS	32	/* then another account: it grows */

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct account *account;
static char dir[256];
static struct session_user user;

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

struct account *
session_account(struct session_conn *c, struct why *why)
{
	return account;
}

void
session_idle(struct session_conn *c, bool idle)
{
}

int
session_watch(struct session_conn *c, int fd)
{
	return 0;
}

void
session_while_frozen(struct session_conn *c, struct span text,
    uint32_t every_s, uint32_t expire_s)
{
}

void
session_done(struct session_conn *c, const char *how, const char *counts)
{
	stream_free(&c->stream);
	loop_stop(loop);
}

void
session_return(struct session_conn *c, struct span rest, const char *how,
    const char *counts)
{
	session_done(c, how, counts);
}

void
session_shared(struct session_conn *c, struct span ident, bool on)
{
}

void
session_others(struct session_conn *c,
    void (*fn)(struct session_conn *other, void *arg), void *arg)
{
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void
clean_up(void)
{
	if (account == NULL)
		return;
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
	struct append *ap = append_begin(account, ACCOUNT_INBOX, &why);

	if (ap == NULL || append_next(ap, &info, &why) != 0 ||
	    append_data(ap, span_of(text), &why) != 0 ||
	    append_commit(ap, &r, &why) != 0)
		log_fatal("%s", why.text);
	append_free(&ap);
}

static void
set_up(void)
{
	const char *tmp = getenv("TMPDIR");
	struct account_options o;
	struct why why = WHY_INIT;
	char cf[300];
	FILE *f;

	snprintf(dir, sizeof(dir), "%s/imapd-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		log_fatal("%s: cannot make it", dir);
	snprintf(cf, sizeof(cf), "%s/main.cf", dir);
	f = fopen(cf, "w");
	if (f == NULL || fprintf(f, "queue_directory = %s\n", dir) < 0 ||
	    fclose(f) != 0 || params_load(dir, NULL, 0, NULL, NULL) != 0)
		log_fatal("%s: no settings", cf);
	account_options_init(&o);
	o.format = STORE_PACKED;
	o.flags |= STORE_MAKE_BASE;
	o.base = dir;
	o.path = "account";
	o.owner = "tester";
	account = account_open(&o, &why);
	if (account == NULL)
		log_fatal("%s", why.text);
	for (int i = 0; i < 4; i++)
		append("From: a@b\r\nSubject: =?utf-8?q?=C3=A4?=\r\n"
		    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
		    "--b\r\n\r\ntext\r\n--b\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n");
	loop = loop_new();
	user = (struct session_user){ .name = "tester", .login = "tester",
	    .home = "", .base = dir, .path = "account" };
}

/* What the engine says is thrown away. */
static void
drop(void *arg, unsigned events)
{
	const int *fd = arg;
	char b[65536];
	ssize_t n;

	do {
		n = recv(*fd, b, sizeof(b), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && errno == EINTR));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session_conn c = {
		.user = &user,
		.facts = { .id = "fuzz", .tag = "L0", .client_ip = "",
		    .server_ip = "", .method = "", .tls = "", .notes = "" },
	};
	static unsigned inputs;
	struct loop_io *io;
	int fds[2];

	if (size > INPUT_MAX)
		return 0;
	if (inputs == 0)
		atexit(clean_up);
	if (inputs++ % ACCOUNT_INPUTS == 0) {
		clean_up();
		set_up();
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		return 0;
	c.loop = loop;
	c.stream = stream_new(loop, fds[1], imap_engine.in_max,
	    imap_engine.out_max, imap_engine.ops, &c);
	/* It fits the socket: nobody reads yet. */
	if (size > 0 && send(fds[0], data, size, MSG_NOSIGNAL) < 0)
		abort();
	shutdown(fds[0], SHUT_WR);
	io = loop_io_new(loop, fds[0], drop, &fds[0]);
	loop_io_want(io, LOOP_READ);
	imap_engine.start(&c);
	if (c.stream != NULL)
		loop_run(loop);
	loop_io_free(&io);
	close(fds[0]);
	return 0;
}
