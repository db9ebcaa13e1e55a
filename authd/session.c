/* SPDX-License-Identifier: ISC */
/*
 * session - the clients of authd: frames in, frames out (msg_auth.h).
 *
 * A client is a process, known by the credentials of its socket; what it may
 * ask depends on its user and on nothing it says.  A front that was taken
 * over can guess passwords as any stranger can, and no faster: where a client
 * is, it has to show.
 */
#include <unistd.h>

#include "authd/authd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "io/fd.h"

#define ATTEMPTS_MAX	20000	/* of one client, under way */

struct session {
	struct list	 link;
	struct ipc_conn	*conn;
	struct hash	 attempts;	/* by tag */
};

static struct list sessions = LIST_INIT(sessions);

static struct span
tag_key(const uint32_t *tag)
{
	return span_make(tag, sizeof(*tag));
}

/* --- answers ------------------------------------------------------------------- */

static void
forget(struct session *s, uint32_t tag)
{
	struct attempt *a = hash_del(&s->attempts, tag_key(&tag));

	if (a != NULL) {
		attempt_free(&a);
		daemon_busy(-1);
	}
}

static void
on_challenge(void *owner, uint32_t tag, struct span data)
{
	struct session *s = owner;
	struct auth_data m = { data };

	auth_data_encode(ipc_begin(s->conn, AUTH_CHALLENGE, tag), &m);
	ipc_end(s->conn);
}

static void
on_ok(void *owner, uint32_t tag, const struct auth_ok *ok)
{
	struct session *s = owner;

	auth_ok_encode(ipc_begin(s->conn, AUTH_OK, tag), ok);
	ipc_end(s->conn);
	forget(s, tag);
}

static void
on_fail(void *owner, uint32_t tag, const struct auth_fail *f)
{
	struct session *s = owner;

	auth_fail_encode(ipc_begin(s->conn, AUTH_FAIL, tag), f);
	ipc_end(s->conn);
	forget(s, tag);
}

static const struct attempt_sink sink = {
	.challenge = on_challenge, .ok = on_ok, .fail = on_fail,
};

static void
refuse(struct session *s, uint32_t tag, bool temporary, const char *text)
{
	struct auth_refused m = {
		.temporary = temporary,
		.text = span_sub(span_of(text), 0, AUTH_TEXT_MAX),
	};

	auth_refused_encode(ipc_begin(s->conn, AUTH_REFUSED, tag), &m);
	ipc_end(s->conn);
}

/* Root; and, where we were not started as root (a test), ourselves. */
static bool
is_root(const struct sock_cred *c)
{
	return c->uid == 0 || (authd_unprivileged && c->uid == geteuid());
}

/* --- logins ---------------------------------------------------------------------- */

/* Whose address we do not know cannot be guarded against. */
static void
has_gone(struct session *s, uint32_t tag)
{
	struct auth_fail m = {
		.reason = AUTH_UNAVAILABLE, .user = SPAN(""),
		.text = SPAN("the client has gone"),
	};

	auth_fail_encode(ipc_begin(s->conn, AUTH_FAIL, tag), &m);
	ipc_end(s->conn);
}

static int
start_attempt(struct session *s, const struct ipc_frame *f)
{
	char client[SOCK_ADDR_TEXT_MAX];
	struct auth_start m;
	struct hash_entry *h;
	struct attempt *a;
	bool made;
	int rc;

	if (auth_start_decode(&m, f->body) < 0 ||
	    s->attempts.count >= ATTEMPTS_MAX ||
	    (f->fd < 0 && !is_root(ipc_conn_peer(s->conn))) ||
	    hash_find(&s->attempts, tag_key(&f->tag)) != NULL)
		return -1;
	rc = origin_find(f->fd, &m, client);
	if (rc <= 0) {
		if (rc == 0)
			has_gone(s, f->tag);
		return rc;
	}
	h = hash_enter(&s->attempts, tag_key(&f->tag), &made);
	a = attempt_new(&m, &sink, s, f->tag);
	h->value = a;
	daemon_busy(1);
	attempt_run(a);
	return 0;
}

static int
continue_attempt(struct session *s, const struct ipc_frame *f)
{
	struct attempt *a = hash_get(&s->attempts, tag_key(&f->tag));
	struct auth_data m;

	if (auth_data_decode(&m, f->body) < 0)
		return -1;
	if (a != NULL)
		attempt_response(a, m.data);
	return 0;
}

/* --- tickets and users ------------------------------------------------------------- */

static uint64_t
limit(uint64_t n)
{
	return n == QUOTA_UNLIMITED ? 0 : n;
}

static void
send_user(struct session *s, uint32_t tag, struct span user,
    struct span login)
{
	struct why why = WHY_INIT;
	struct auth_user m;
	struct place p;
	int rc;

	place_init(&p);
	rc = place_find(user, &p, &why);
	if (rc < 0)
		log_warning("%.*s: %s", SPAN_ARG(user), why.text);
	if (rc <= 0) {
		refuse(s, tag, rc < 0, rc < 0 ? why.text : "no such user");
		place_fini(&p);
		return;
	}
	m = (struct auth_user){
		.user = user, .login = login, .uid = p.uid, .gid = p.gid,
		.home = buf_span(&p.home), .base = buf_span(&p.base),
		.path = buf_span(&p.path), .format = p.format,
		.detect = p.detect, .virtual = p.virtual,
		.quota_bytes = limit(p.quota.storage),
		.quota_messages = limit(p.quota.messages),
		.quota_mailboxes = limit(p.quota.mailboxes),
		.groups = buf_span(&p.groups),
	};
	auth_user_encode(ipc_begin(s->conn, AUTH_USER, tag), &m);
	ipc_end(s->conn);
	place_fini(&p);
}

static int
redeem(struct session *s, const struct ipc_frame *f)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct ticket_facts t;
	struct auth_redeem m;
	int rc = -1;

	if (auth_redeem_decode(&m, f->body) == 0) {
		rc = 0;
		if (ticket_take(m.service, m.ticket, &t, &text)) {
			auth_came_encode(ipc_begin(s->conn, AUTH_CAME, f->tag),
			    &t.came);
			ipc_end(s->conn);
			send_user(s, f->tag, t.user, t.login);
		} else {
			log_warning("a ticket for %.*s that is none, spent, "
			    "or too old", SPAN_ARG(m.service));
			refuse(s, f->tag, false, "no such ticket");
		}
	}
	buf_fini(&text);
	return rc;
}

static int
look_up(struct session *s, const struct ipc_frame *f)
{
	struct buf name = BUF_INIT(AUTH_NAME_MAX);
	struct auth_lookup m;
	int rc = -1;

	if (auth_lookup_decode(&m, f->body) == 0) {
		rc = 0;
		if (account_name(m.user, SPAN(""), &name) < 0)
			refuse(s, f->tag, false, "no such user");
		else
			send_user(s, f->tag, buf_span(&name),
			    buf_span(&name));
	}
	buf_fini(&name);
	return rc;
}

/* --- bans ------------------------------------------------------------------------------ */

static void
send_result(struct session *s, uint32_t tag, bool ok, unsigned count,
    const char *text)
{
	struct auth_result m = {
		.ok = ok, .count = count,
		.text = span_sub(span_of(text), 0, AUTH_TEXT_MAX),
	};

	auth_result_encode(ipc_begin(s->conn, AUTH_RESULT, tag), &m);
	ipc_end(s->conn);
}

struct listing {
	struct session	*session;
	uint32_t	 tag;
	unsigned	 n;
};

#define LISTING_MAX	50000	/* fits into the connection's output */

static void
send_entry(void *arg, const struct auth_entry *e)
{
	struct listing *l = arg;

	if (l->n >= LISTING_MAX)
		return;
	l->n++;
	auth_entry_encode(ipc_begin(l->session->conn, AUTH_ENTRY, l->tag), e);
	ipc_end(l->session->conn);
}

static int
change_bans(struct session *s, const struct ipc_frame *f)
{
	struct why why = WHY_INIT;
	struct auth_ban m;
	bool ok = true;
	unsigned n = 1;

	if (auth_ban_decode(&m, f->body) < 0)
		return -1;
	if (f->type == AUTH_UNBAN)
		n = guard_unban(m.what);
	else
		ok = guard_ban(m.what, (int64_t)m.seconds, &why) == 0;
	send_result(s, f->tag, ok, ok ? n : 0, why.text);
	return 0;
}

static int
list_bans(struct session *s, const struct ipc_frame *f)
{
	struct listing l = { s, f->tag, 0 };

	if (f->body.len != 0)
		return -1;
	guard_each(send_entry, &l);
	send_result(s, f->tag, true, l.n, "");
	return 0;
}

/* --- clients ------------------------------------------------------------------------------ */

static bool
may(const struct session *s, uint16_t type)
{
	const struct sock_cred *c = ipc_conn_peer(s->conn);

	switch (type) {
	case AUTH_START:
	case AUTH_CONTINUE:
	case AUTH_CANCEL:
		return true;
	case AUTH_LOOKUP:
		return is_root(c) || c->uid == daemon_mail_uid() ||
		    c->uid == daemon_own_uid();
	default:
		return is_root(c);
	}
}

static int
handle(struct session *s, const struct ipc_frame *f)
{
	switch (f->type) {
	case AUTH_START:
		return start_attempt(s, f);
	case AUTH_CONTINUE:
		return continue_attempt(s, f);
	case AUTH_CANCEL:
		forget(s, f->tag);
		return 0;
	case AUTH_REDEEM:
		return redeem(s, f);
	case AUTH_LOOKUP:
		return look_up(s, f);
	case AUTH_BAN:
	case AUTH_UNBAN:
		return change_bans(s, f);
	case AUTH_BANS:
		return list_bans(s, f);
	default:
		return -1;
	}
}

static int
on_frame(void *arg, struct ipc_conn *c, const struct ipc_frame *f)
{
	struct session *s = arg;
	int rc = -1, fd = f->fd;

	if (fd >= 0 && f->type != AUTH_START)
		goto out;
	if (!may(s, f->type)) {
		log_warning("process %d (uid %u) asked for what it may not "
		    "have (type %u)", (int)ipc_conn_peer(c)->pid,
		    (unsigned)ipc_conn_peer(c)->uid, f->type);
		goto out;
	}
	rc = handle(s, f);
	/* A password may have been in it; the buffer is ours. */
	mem_wipe((void *)(uintptr_t)f->body.p, f->body.len);
out:
	fd_close(&fd);
	return rc;
}

static void
drop_attempt(void *p)
{
	struct attempt *a = p;

	attempt_free(&a);
	daemon_busy(-1);
}

static void
session_end(struct session *s)
{
	list_remove(&s->link);
	hash_fini(&s->attempts, drop_attempt);
	ipc_conn_free(&s->conn);
	mem_free(s);
	daemon_busy(-1);
}

static void
end_if_idle(struct session *s)
{
	if (daemon_draining() && s->attempts.count == 0 &&
	    ipc_out_len(s->conn) == 0)
		session_end(s);
}

static void
on_drain(void *arg, struct ipc_conn *c)
{
	end_if_idle(arg);
}

static void
on_end(void *arg, struct ipc_conn *c)
{
	session_end(arg);
}

static const struct ipc_ops ops = {
	.on_frame = on_frame, .on_drain = on_drain, .on_end = on_end,
};

void
session_start(int fd, const struct sock_addr *peer, int index)
{
	struct session *s = mem_zalloc(sizeof(*s));

	daemon_busy(1);
	list_append(&sessions, &s->link);
	s->conn = ipc_conn_new(daemon_loop(), fd, &AUTH_PROTO, &ops, s);
}

/* Clients connect again, to the next process, when they have to ask. */
void
session_drain_all(void)
{
	LIST_FOREACH(l, &sessions)
		end_if_idle(LIST_ENTRY(l, struct session, link));
}
