/* SPDX-License-Identifier: ISC */
/*
 * dovecot - see dovecot.h.
 */
#include "authd/dovecot.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth_client.h"
#include "authd/authd.h"
#include "base/base64.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "io/stream.h"

#define CLIENTS_MAX	1000
#define ATTEMPTS_MAX	1000		/* of one client, under way */
#define OUT_MAX		(1024 * 1024)
#define BACKLOG		128
#define COOKIE_LEN	16

struct client {
	struct list	 link;
	struct stream	*stream;
	struct hash	 attempts;	/* by id */
	bool		 hello;		/* its VERSION has come */
};

static struct loop *loop;
static int listener = -1;
static struct loop_io *accepting;
static struct list clients = LIST_INIT(clients);
static unsigned nclients, last_id;

/* --- the socket --------------------------------------------------------------- */

/* "user:group" to ids; what is not said stays as it is. */
static int
parse_owner(const char *text, uid_t *uid, gid_t *gid, struct why *why)
{
	const char *colon = strchr(text, ':');
	char *user = colon != NULL ? mem_strndup(text, (size_t)(colon - text))
	    : mem_strdup(text);
	struct passwd *pw = user[0] != '\0' ? getpwnam(user) : NULL;
	struct group *gr = colon != NULL ? getgrnam(colon + 1) : NULL;
	bool bad = (user[0] != '\0' && pw == NULL) ||
	    (colon != NULL && gr == NULL);

	mem_free(user);
	if (bad)
		return why_set(why, "", "authd_dovecot_socket_owner: no such "
		    "user or group: %s", text);
	*uid = pw != NULL ? pw->pw_uid : (uid_t)-1;
	*gid = gr != NULL ? gr->gr_gid : pw != NULL ? pw->pw_gid : (gid_t)-1;
	return 0;
}

int
dovecot_check(struct why *why)
{
	const char *path = conf.authd_dovecot_socket;
	const char *slash = strrchr(path, '/');
	char *dir;
	struct stat st;
	uid_t uid;
	gid_t gid;
	int rc = 0;

	if (path[0] == '\0')
		return 0;
	if (parse_owner(conf.authd_dovecot_socket_owner, &uid, &gid, why) < 0)
		return -1;
	/* Where we are when we run; the first start makes it. */
	if (path[0] != '/' && access(conf.queue_directory, F_OK) < 0)
		return 0;
	dir = mem_printf("%s%s%.*s", path[0] == '/' ? "" :
	    conf.queue_directory, path[0] == '/' ? "" : "/", slash != NULL ?
	    (int)(slash - path) + 1 : 0, path);
	if (stat(dir, &st) < 0)
		rc = why_errno(why, "", "authd_dovecot_socket: %s", dir);
	else if (!S_ISDIR(st.st_mode))
		rc = why_set(why, "", "authd_dovecot_socket: %s: not a "
		    "directory", dir);
	mem_free(dir);
	return rc;
}

int
dovecot_open(struct why *why)
{
	const char *path = conf.authd_dovecot_socket;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;

	if (path[0] == '\0')
		return 0;
	if (parse_owner(conf.authd_dovecot_socket_owner, &uid, &gid, why) < 0)
		return -1;
	listener = sock_listen_unix(path, 0600, BACKLOG, why);
	if (listener < 0)
		return -1;
	if (geteuid() == 0 && lchown(path, uid, gid) < 0)
		return why_errno(why, "", "%s: cannot give it its owner",
		    path);
	if (chmod(path, gid != (gid_t)-1 ? 0660 : 0600) < 0)
		return why_errno(why, "", "%s", path);
	return 0;
}

/* --- lines out -------------------------------------------------------------------- */

/* Values must hold no tab and no line end: \001 and a letter stand for them. */
static void
put_escaped(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		switch (s.p[i]) {
		case '\0':
			buf_add_str(b, "\0010");
			break;
		case '\001':
			buf_add_str(b, "\0011");
			break;
		case '\t':
			buf_add_str(b, "\001t");
			break;
		case '\r':
			buf_add_str(b, "\001r");
			break;
		case '\n':
			buf_add_str(b, "\001n");
			break;
		default:
			buf_add_char(b, s.p[i]);
		}
	}
}

static void
forget(struct client *c, uint32_t id)
{
	struct attempt *a = hash_del(&c->attempts,
	    span_make(&id, sizeof(id)));

	attempt_free(&a);
}

static void
on_challenge(void *owner, uint32_t id, struct span data)
{
	struct client *c = owner;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	buf_addf(&b, "CONT\t%u\t", id);
	base64_encode(data, &b);
	buf_add_char(&b, '\n');
	stream_write_span(c->stream, buf_span(&b));
	buf_fini(&b);
}

static void
on_ok(void *owner, uint32_t id, const struct auth_ok *ok)
{
	struct client *c = owner;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	buf_addf(&b, "OK\t%u\tuser=", id);
	put_escaped(&b, ok->user);
	buf_add_char(&b, '\n');
	stream_write_span(c->stream, buf_span(&b));
	buf_fini(&b);
	forget(c, id);
}

static void
on_fail(void *owner, uint32_t id, const struct auth_fail *f)
{
	struct client *c = owner;
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	buf_addf(&b, "FAIL\t%u", id);
	if (f->user.len > 0) {
		buf_add_str(&b, "\tuser=");
		put_escaped(&b, f->user);
	}
	if (f->reason == AUTH_UNAVAILABLE || f->reason == AUTH_BANNED)
		buf_add_str(&b, "\ttemp\tcode=temp_fail");
	else if (f->reason == AUTH_DISABLED)
		buf_add_str(&b, "\tuser_disabled");
	else if (f->reason == AUTH_EXPIRED)
		buf_add_str(&b, "\tpass_expired");
	else if (f->reason == AUTH_NOT_FOR_YOU)
		buf_add_str(&b, "\tauthz");
	buf_add_str(&b, "\treason=");
	put_escaped(&b, f->text);
	buf_add_char(&b, '\n');
	stream_write_span(c->stream, buf_span(&b));
	buf_fini(&b);
	forget(c, id);
}

static const struct attempt_sink sink = {
	.challenge = on_challenge, .ok = on_ok, .fail = on_fail,
};

/* The handshake: who we are and what we can do. */
static void
greet(struct client *c)
{
	struct auth_facts facts = { .tls = true };
	struct buf list = BUF_INIT(BUF_UNLIMITED), b = list;
	unsigned char cookie[COOKIE_LEN];
	struct span rest, name;
	enum sasl_mech m;

	auth_offer(&facts, true, "", &list);
	buf_add_str(&b, "VERSION\t1\t2\n");
	rest = buf_span(&list);
	while (span_token(&rest, " ", &name)) {
		if (sasl_mech_find(name, &m) < 0)
			continue;
		buf_addf(&b, "MECH\t%.*s%s\n", SPAN_ARG(name),
		    sasl_mech_plaintext(m) ? "\tplaintext" :
		    span_starts(name, SPAN("SCRAM")) ? "\tmutual-auth" : "");
	}
	rnd_bytes(cookie, sizeof(cookie));
	buf_addf(&b, "SPID\t%d\nCUID\t%u\nCOOKIE\t", (int)getpid(),
	    ++last_id);
	for (size_t i = 0; i < sizeof(cookie); i++)
		buf_addf(&b, "%02x", cookie[i]);
	buf_add_str(&b, "\nDONE\n");
	stream_write_span(c->stream, buf_span(&b));
	buf_fini(&list);
	buf_fini(&b);
}

/* --- lines in ------------------------------------------------------------------------ */

static struct span
field(struct span *rest)
{
	ptrdiff_t tab = span_find(*rest, '\t');
	struct span f = tab < 0 ? *rest : span_sub(*rest, 0, (size_t)tab);

	*rest = tab < 0 ? SPAN("") : span_from(*rest, (size_t)tab + 1);
	return f;
}

/* A value for a row of auth_start: cut, and without what must not be there. */
static struct span
value(struct span f, size_t skip, size_t max)
{
	return span_sub(span_from(f, skip), 0, max);
}

int
dovecot_parse_auth(struct span line, struct auth_start *out,
    struct buf *data)
{
	struct span f, cert = SPAN("");
	bool valid = false;

	*out = (struct auth_start){
		.service = SPAN(""), .initial = SPAN(""), .client = SPAN(""),
		.server = SPAN(""), .tls_exporter = SPAN(""),
		.tls_endpoint = SPAN(""), .cert_name = SPAN(""),
		.realm = SPAN(""), .trace = SPAN(""),
	};
	if (span_has_nul(line))
		return -1;
	out->mechanism = field(&line);
	if (out->mechanism.len == 0 || out->mechanism.len > AUTH_MECH_MAX)
		return -1;
	while (line.len > 0) {
		/* Always the last one, and to the end of the line. */
		if (span_starts(line, SPAN("resp="))) {
			if (base64_decode(span_from(line, 5), data) < 0)
				return -1;
			/* Exim has it always, so an empty one is none; but
			 * EXTERNAL's may be empty (RFC 4422 A). */
			out->has_initial = data->len > 0 ||
			    span_caseis(out->mechanism, "EXTERNAL");
			out->initial = buf_span(data);
			break;
		}
		f = field(&line);
		if (span_starts(f, SPAN("service=")))
			out->service = value(f, 8, AUTH_SERVICE_MAX);
		else if (span_starts(f, SPAN("rip=")))
			out->client = value(f, 4, SOCK_ADDR_TEXT_MAX);
		else if (span_starts(f, SPAN("lip=")))
			out->server = value(f, 4, SOCK_ADDR_TEXT_MAX);
		else if (span_starts(f, SPAN("rport=")))
			(void)!num_parse_u32(span_from(f, 6), 65535,
			    &out->client_port);
		else if (span_starts(f, SPAN("lport=")))
			(void)!num_parse_u32(span_from(f, 6), 65535,
			    &out->server_port);
		else if (span_starts(f, SPAN("session=")))
			out->trace = value(f, 8, 32);
		else if (span_starts(f, SPAN("secured")))
			out->tls = true;
		else if (span_starts(f, SPAN("cert_username=")))
			cert = value(f, 14, AUTH_CERT_MAX);
		else if (span_is(f, "valid-client-cert"))
			valid = true;
	}
	if (valid)
		out->cert_name = cert;
	return 0;
}

static int
id_of(struct span *rest, uint32_t *id)
{
	return num_parse_u32(field(rest), UINT32_MAX, id);
}

static int
on_auth(struct client *c, struct span rest)
{
	struct buf data = BUF_INIT(AUTH_DATA_MAX);
	struct hash_entry *h;
	struct auth_start m;
	uint32_t id;
	bool made;
	int rc = -1;

	if (id_of(&rest, &id) < 0 || c->attempts.count >= ATTEMPTS_MAX)
		goto out;
	if (dovecot_parse_auth(rest, &m, &data) < 0) {
		struct auth_fail f = { .reason = AUTH_MALFORMED,
		    .text = SPAN("bad request"), .user = SPAN("") };

		on_fail(c, id, &f);
		rc = 0;
		goto out;
	}
	h = hash_enter(&c->attempts, span_make(&id, sizeof(id)), &made);
	if (!made)
		goto out;
	h->value = attempt_new(&m, &sink, c, id);
	attempt_run(h->value);
	rc = 0;
out:
	buf_wipe(&data);
	return rc;
}

static int
on_cont(struct client *c, struct span rest)
{
	struct buf data = BUF_INIT(AUTH_DATA_MAX);
	struct attempt *a;
	uint32_t id;
	int rc = -1;

	if (id_of(&rest, &id) == 0 && base64_decode(rest, &data) == 0) {
		a = hash_get(&c->attempts, span_make(&id, sizeof(id)));
		if (a != NULL)
			attempt_response(a, buf_span(&data));
		rc = 0;
	}
	buf_wipe(&data);
	return rc;
}

/* -1: the client does not speak this protocol. */
static int
on_line(struct client *c, struct span line)
{
	struct span rest = line, what = field(&rest);
	uint32_t n;

	if (span_is(what, "VERSION")) {
		if (c->hello || id_of(&rest, &n) < 0 || n != 1)
			return -1;
		c->hello = true;
		return 0;
	}
	if (!c->hello)
		return -1;
	if (span_is(what, "AUTH"))
		return on_auth(c, rest);
	if (span_is(what, "CONT"))
		return on_cont(c, rest);
	if (span_is(what, "CANCEL")) {
		if (id_of(&rest, &n) < 0)
			return -1;
		forget(c, n);
	}
	/* CPID, and what later versions add. */
	return 0;
}

/* --- clients ---------------------------------------------------------------------------- */

static void
drop_attempt(void *p)
{
	struct attempt *a = p;

	attempt_free(&a);
}

static void
client_end(struct client *c)
{
	list_remove(&c->link);
	hash_fini(&c->attempts, drop_attempt);
	stream_free(&c->stream);
	mem_free(c);
	if (nclients-- == CLIENTS_MAX)
		loop_io_want(accepting, LOOP_READ);
}

static void
on_read(void *arg, struct stream *s)
{
	struct client *c = arg;

	for (;;) {
		struct span in = stream_input(s), line = in;
		ptrdiff_t lf = span_find(in, '\n');
		int rc;

		if (lf < 0)
			return;
		line.len = (size_t)lf;
		stream_consume(s, (size_t)lf + 1);
		rc = on_line(c, line);
		mem_wipe((void *)(uintptr_t)line.p, line.len);
		if (rc < 0) {
			log_warning("%s: a client that does not speak "
			    "Dovecot's protocol", conf.authd_dovecot_socket);
			client_end(c);
			return;
		}
	}
}

static void
on_end(void *arg, struct stream *s, enum stream_end why)
{
	client_end(arg);
}

static const struct stream_ops ops = { .on_read = on_read, .on_end = on_end };

static void
on_accept(void *arg, unsigned events)
{
	struct sock_addr peer;
	struct client *c;
	int fd = sock_accept(listener, &peer);

	if (fd < 0)
		return;
	c = mem_zalloc(sizeof(*c));
	list_append(&clients, &c->link);
	c->stream = stream_new(loop, fd, DOVECOT_LINE_MAX, OUT_MAX, &ops, c);
	greet(c);
	if (++nclients == CLIENTS_MAX)
		loop_io_want(accepting, 0);
}

void
dovecot_start(struct loop *l)
{
	loop = l;
	if (listener < 0)
		return;
	accepting = loop_io_new(l, listener, on_accept, NULL);
	loop_io_want(accepting, LOOP_READ);
}
