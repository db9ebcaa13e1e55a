/* SPDX-License-Identifier: ISC */
/*
 * mansio who, mansio kick - users with a session, and the end of it.
 */
#include <getopt.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/mansio.h"
#include "ipc/msg_session.h"

#define TIMEOUT_MS	10000

static struct ipc_sync *
ask(uint16_t type, const char *whom)
{
	struct session_whom m = { .whom = span_of(whom) };
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct ipc_sync *s;

	if (m.whom.len > SESSION_USER_MAX)
		log_fatal("%s: no user or session has such a long name",
		    whom);
	mansio_load();
	s = mansio_ask("private/session", "the session monitor",
	    &SESSION_PROTO, TIMEOUT_MS);
	session_whom_encode(&b, &m);
	if (ipc_sync_send(s, type, 1, buf_span(&b), &why) < 0)
		log_fatal("cannot ask the session monitor: %s", why.text);
	buf_fini(&b);
	return s;
}

static void
print_row(const struct session_row *r)
{
	time_t since = (time_t)r->since;
	struct tm tm;
	char when[32] = "?", pid[16] = "-";

	if (localtime_r(&since, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
	if (r->pid != 0)
		(void)snprintf(pid, sizeof(pid), "%u", r->pid);
	printf("%-24.*s %-5.*s %-16.*s %-7s %-22.*s %s%s\n", SPAN_ARG(r->user),
	    SPAN_ARG(r->service), SPAN_ARG(r->id), pid,
	    SPAN_ARG(r->client_ip), when, r->tls.len > 0 ? " TLS" : "");
}

static void
json_member(const char *name, struct span v, const char *end)
{
	printf("\"%s\":\"", name);
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] == '"' || v.p[i] == '\\')
			printf("\\%c", v.p[i]);
		else if ((unsigned char)v.p[i] < ' ')
			printf("\\u%04x", (unsigned char)v.p[i]);
		else
			putchar(v.p[i]);
	}
	printf("\"%s", end);
}

static void
print_json(const struct session_row *r)
{
	putchar('{');
	json_member("user", r->user, ",");
	json_member("service", r->service, ",");
	json_member("session", r->id, ",");
	json_member("client", r->client_ip, ",");
	json_member("tls", r->tls, ",");
	printf("\"port\":%u,\"pid\":%u,\"hibernated\":%s,\"since\":%llu}\n",
	    r->client_port, r->pid, r->pid == 0 ? "true" : "false",
	    (unsigned long long)r->since);
}

/* Rows until the end; the number that it says. */
static uint32_t
read_answer(struct ipc_sync *s, void (*print)(const struct session_row *))
{
	struct why why = WHY_INIT;
	struct session_row row;
	struct session_end end;
	struct ipc_frame f;
	int rc;

	while ((rc = ipc_sync_recv(s, &f, -1, &why)) == 1) {
		if (f.type == SESSION_END &&
		    session_end_decode(&end, f.body) == 0)
			return end.count;
		if (f.type != SESSION_ROW || print == NULL ||
		    session_row_decode(&row, f.body) < 0)
			break;
		print(&row);
	}
	log_fatal("the session monitor %s", rc == 0 ? "does not answer"
	    : "has ended the conversation (only root may ask)");
}

int
mansio_who(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 },
	};
	struct ipc_sync *s;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "j", longopts, NULL)) != -1) {
		if (c != 'j')
			return mansio_usage(argv[0]);
		json = true;
	}
	if (argc - optind > 1)
		return mansio_usage(argv[0]);
	s = ask(SESSION_WHO, optind < argc ? argv[optind] : "");
	if (!json)
		printf("%-24s %-5s %-16s %-7s %-22s %s\n", "USER", "WHAT",
		    "SESSION", "PROCESS", "CLIENT", "SINCE");
	(void)read_answer(s, json ? print_json : print_row);
	ipc_sync_free(&s);
	return MANSIO_OK;
}

int
mansio_kick(int argc, char **argv)
{
	struct ipc_sync *s;
	uint32_t n;

	if (argc != 2 || argv[1][0] == '\0')
		return mansio_usage(argv[0]);
	s = ask(SESSION_KICK, argv[1]);
	n = read_answer(s, NULL);
	ipc_sync_free(&s);
	printf("%u session%s ended\n", n, n == 1 ? "" : "s");
	return n > 0 ? MANSIO_OK : MANSIO_FAILED;
}
