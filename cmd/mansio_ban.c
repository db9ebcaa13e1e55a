/* SPDX-License-Identifier: ISC */
/*
 * mansio ban, unban - who may not log in for now, asked of authd.
 */
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/mansio.h"
#include "ipc/msg_auth.h"

#define TIMEOUT_MS	10000

static struct ipc_sync *
connect_authd(void)
{
	struct ipc_sync *s;
	char *name;

	mansio_load();
	name = mem_printf("private/%s", conf.auth_service_name);
	s = mansio_ask(name, "authd", &AUTH_PROTO, TIMEOUT_MS);
	mem_free(name);
	return s;
}

static void
show(const struct auth_entry *e)
{
	printf("%-40.*s %-8s %6u failures %8llu s\n", SPAN_ARG(e->what),
	    e->banned ? "banned" : "", e->failures,
	    (unsigned long long)e->seconds);
}

/* Send one request; entries are shown; the result's count, or -1. */
static int64_t
ask(struct ipc_sync *s, uint16_t type, struct span body)
{
	struct why why = WHY_INIT;
	struct auth_entry entry;
	struct auth_result r;
	struct ipc_frame f;

	if (ipc_sync_send(s, type, 1, body, &why) < 0)
		log_fatal("%s", why.text);
	while (ipc_sync_recv(s, &f, -1, &why) == 1) {
		if (f.type == AUTH_ENTRY &&
		    auth_entry_decode(&entry, f.body) == 0) {
			show(&entry);
			continue;
		}
		if (f.type != AUTH_RESULT ||
		    auth_result_decode(&r, f.body) < 0)
			break;
		if (!r.ok)
			log_error("%.*s", SPAN_ARG(r.text));
		return r.ok ? (int64_t)r.count : -1;
	}
	log_fatal("authd did not answer%s%s", why.text[0] != '\0' ? ": " : "",
	    why.text);
}

static int64_t
change(uint16_t type, const char *what, int64_t seconds)
{
	struct auth_ban m = {
		.what = span_sub(span_of(what), 0, AUTH_NAME_MAX),
		.seconds = (uint64_t)seconds,
	};
	struct ipc_sync *s = connect_authd();
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	int64_t n;

	auth_ban_encode(&b, &m);
	n = ask(s, type, buf_span(&b));
	buf_fini(&b);
	ipc_sync_free(&s);
	return n;
}

int
mansio_ban(int argc, char **argv)
{
	bool un = strcmp(argv[0], "unban") == 0;
	int64_t seconds = 0, n;
	struct ipc_sync *s;

	log_set_fatal_status(MANSIO_FAILED);
	if (argc == 1 && !un) {
		s = connect_authd();
		n = ask(s, AUTH_BANS, SPAN(""));
		ipc_sync_free(&s);
		return n >= 0 && fflush(stdout) == 0 ? MANSIO_OK :
		    MANSIO_FAILED;
	}
	if (argc == 3 && !un && ((seconds = mansio_parse_time(argv[2])) <= 0 ||
	    seconds > 366 * 86400)) {
		log_error("\"%s\" is no time from 1s to 366d", argv[2]);
		return EX_DATAERR;
	}
	if (argc < 2 || argc > (un ? 2 : 3))
		return mansio_usage(argv[0]);
	n = change(un ? AUTH_UNBAN : AUTH_BAN, argv[1], seconds);
	if (un && n == 0) {
		log_error("nothing is held against \"%s\"", argv[1]);
		return EX_NOUSER;
	}
	return n >= 0 ? MANSIO_OK : EX_DATAERR;
}
