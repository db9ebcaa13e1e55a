/* SPDX-License-Identifier: ISC */
/*
 * services - see services.h.
 */
#include "daemon/services_priv.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/span.h"
#include "daemon/master_proto.h"
#include "daemon/sandbox.h"
#include "tls/named.h"

/*
 * What our daemons are.  sockets: where the daemon is reached whatever the
 * private column says, "%" being the service's name; the order is the index
 * that struct daemon's accept gets.  NULL: by type and private column.
 */
static const struct traits {
	const char	*command;
	unsigned	 flags;
	enum plan_stage	 stage;
	const char	*sockets;
} traits[] = {
	{ "smtpd",   PLAN_JUDGES, STAGE_FRONT, NULL },
	{ "lmtpd",   PLAN_JUDGES, STAGE_FRONT, NULL },
	{ "imapd",   PLAN_JUDGES, STAGE_FRONT, NULL },
	{ "pop3d",   PLAN_JUDGES, STAGE_FRONT, NULL },
	{ "session", PLAN_SINGLE | PLAN_PRESTART | PLAN_JUDGES, STAGE_FRONT,
	  "private/%" },
	{ "pickup",  PLAN_SINGLE, STAGE_FRONT, "public/%" },
	{ "showq",   0, STAGE_FRONT, "public/%" },
	/* smtpd passes ETRN on over private/flush. */
	{ "qmgr",    PLAN_SINGLE | PLAN_PRESTART, STAGE_QUEUE,
	  "public/% private/flush" },
	{ "local",   PLAN_JUDGES, STAGE_DELIVERY, "private/%" },
	{ "virtual", PLAN_JUDGES, STAGE_DELIVERY, "private/%" },
	{ "pipe",    PLAN_JUDGES, STAGE_DELIVERY, "private/%" },
	{ "smtp",    PLAN_JUDGES, STAGE_DELIVERY, "private/%" },
	{ "lmtp",    PLAN_JUDGES, STAGE_DELIVERY, "private/%" },
	{ "error",   0, STAGE_DELIVERY, "private/%" },
	{ "retry",   0, STAGE_DELIVERY, "private/%" },
	{ "discard", 0, STAGE_DELIVERY, "private/%" },
	{ "bounce",  PLAN_JUDGES, STAGE_BOUNCE, "private/%" },
	{ "verify",  PLAN_SINGLE, STAGE_BOUNCE, "private/%" },
	/* qmgr follows the log over private/feed. */
	{ "cleanup", PLAN_SINGLE | PLAN_PRESTART | PLAN_JUDGES, STAGE_CORE,
	  "private/% private/feed" },
	{ "rewrite", PLAN_SINGLE | PLAN_PRESTART | PLAN_JUDGES, STAGE_CORE,
	  "private/%" },
	{ "resolver", PLAN_SINGLE, STAGE_CORE, "private/%" },
	{ "quotad",  PLAN_SINGLE, STAGE_CORE, "private/%" },
	{ "delegate", PLAN_SINGLE, STAGE_CORE, "private/%" },
	/* Programs that others ask: policy services, above all. */
	{ "spawn",   PLAN_JUDGES, STAGE_CORE, NULL },
	{ "mtasts",  PLAN_SINGLE | PLAN_PRESTART, STAGE_CORE, "private/%" },
	{ "tlsrpt",  PLAN_SINGLE | PLAN_PRESTART, STAGE_BOUNCE, "private/%" },
	{ "keyd",    PLAN_SINGLE | PLAN_PRESTART | PLAN_JUDGES, STAGE_CORE,
	  "private/%" },
	{ "authd",   PLAN_SINGLE | PLAN_PRESTART | PLAN_JUDGES, STAGE_CORE,
	  "private/%" },
};
static const struct traits other = { NULL, 0, STAGE_DELIVERY, NULL };

/* Postfix's name of a program, and ours. */
static const struct {
	const char	*theirs, *ours;
} renamed[] = {
	{ "trivial-rewrite", "rewrite" },
	{ "oqmgr", "qmgr" },
	{ "nqmgr", "qmgr" },
};

/*
 * Programs of a stock master.cf that are not needed here, or not there.  An
 * entry is passed over with this line, as long as no such program lies in
 * daemon_directory.
 */
static const struct {
	const char	*command;
	enum log_level	 level;
	const char	*says;
} absent[] = {
	{ "anvil", LOG_LEVEL_INFO, "smtpd counts its clients itself" },
	{ "dnsblog", LOG_LEVEL_INFO, "there is no postscreen" },
	{ "flush", LOG_LEVEL_INFO, "qmgr knows what waits for a site" },
	{ "postlogd", LOG_LEVEL_INFO, "daemons write the log themselves" },
	{ "postscreen", LOG_LEVEL_WARNING, "no postscreen is installed; "
	  "nothing listens there" },
	{ "proxymap", LOG_LEVEL_INFO, "rewrite looks tables up for the "
	  "jailed" },
	{ "qmqpd", LOG_LEVEL_WARNING, "no QMQP server is installed; nothing "
	  "listens there" },
	{ "scache", LOG_LEVEL_INFO, "connections are kept by their owners" },
	{ "tlsmgr", LOG_LEVEL_INFO, "TLS needs no manager" },
	{ "tlsproxy", LOG_LEVEL_INFO, "there is no postscreen" },
};

static bool
always(void)
{
	return true;
}

static bool
with_mtasts(void)
{
	return conf.mtasts_enable;
}

static bool
with_tlsrpt(void)
{
	return conf.smtp_tlsrpt_enable;
}

static void
found_one(void *arg, const struct tls_named *n)
{
	*(bool *)arg = true;
}

static bool
with_certificates(void)
{
	bool any = false;

	tls_named_each(found_one, &any);
	return any;
}

/*
 * Daemons that others cannot do without, and that a stock master.cf does not
 * know: they run although no entry names them.
 */
static const struct {
	const char	*command;
	const char	*by[6];		/* who needs it */
	bool		(*when)(void);
} implied[] = {
	{ "resolver", { "smtp", "lmtp" }, always },
	{ "quotad", { "virtual" }, always },
	{ "delegate", { "smtpd", "lmtpd" }, always },
	{ "mtasts", { "smtp" }, with_mtasts },
	{ "tlsrpt", { "smtp" }, with_tlsrpt },
	{ "keyd", { "smtpd", "lmtpd", "imapd", "pop3d", "smtp", "lmtp" },
	  with_certificates },
};

struct planner {
	struct reporter	 r;
	struct services	*out;
	bool		 v4, v6;	/* inet_protocols */
};

void
report_to(struct reporter *r, enum log_level level, const char *fmt, ...)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	va_list ap;

	va_start(ap, fmt);
	(void)!buf_vprintf(&b, fmt, ap);
	va_end(ap);
	r->report(r->arg, level, b.data);
	if (level >= LOG_LEVEL_ERROR)
		r->bad = true;
	buf_fini(&b);
}

#define report(pl, ...)	report_to(&(pl)->r, __VA_ARGS__)

static void
conf_problem(void *arg, bool is_error, const char *line)
{
	report_to(arg, is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "%s",
	    line);
}

void
plan_free(struct plan **pp)
{
	struct plan *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->options.len; i++)
		mem_free(p->options.v[i]);
	ARRAY_FINI(&p->options);
	for (size_t i = 0; i < p->sockets.len; i++)
		mem_free(p->sockets.v[i].text);
	ARRAY_FINI(&p->sockets);
	mem_free(p->name);
	mem_free(p->command);
	mem_free(p->program);
	mem_free(p->origin);
	mem_free(p);
}

void
services_fini(struct services *s)
{
	for (size_t i = 0; i < s->v.len; i++)
		plan_free(&s->v.v[i]);
	ARRAY_FINI(&s->v);
}

bool
plan_same(const struct plan *a, const struct plan *b)
{
	if (strcmp(a->program, b->program) != 0 || a->flags != b->flags ||
	    a->options.len != b->options.len ||
	    a->sockets.len != b->sockets.len)
		return false;
	for (size_t i = 0; i < a->options.len; i++)
		if (strcmp(a->options.v[i], b->options.v[i]) != 0)
			return false;
	for (size_t i = 0; i < a->sockets.len; i++)
		if (strcmp(a->sockets.v[i].text, b->sockets.v[i].text) != 0)
			return false;
	return true;
}

/* --- inet: names to addresses ------------------------------------------------ */

/* Whether this machine has the address, tried with any port. */
static bool
address_here(const struct sock_addr *a)
{
	struct sock_addr any = *a;
	int fd, rc, on = 1;

	if (any.sa.sa_family == AF_INET)
		any.in.sin_port = 0;
	else
		any.in6.sin6_port = 0;
	fd = socket(any.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (any.sa.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
		    sizeof(on));
	rc = bind(fd, &any.sa, any.len);
	close(fd);
	return rc == 0;
}

static void
add_address(struct planner *pl, struct plan *p, const struct sock_addr *a)
{
	char ip[SOCK_ADDR_TEXT_MAX], *text;
	struct plan_socket *s;

	if (!(a->sa.sa_family == AF_INET ? pl->v4 : pl->v6))
		return;
	sock_addr_text(a, ip);
	text = a->sa.sa_family == AF_INET
	    ? mem_printf("%s:%u", ip, sock_addr_port(a))
	    : mem_printf("[%s]:%u", ip, sock_addr_port(a));
	for (size_t i = 0; i < p->sockets.len; i++) {
		if (strcmp(p->sockets.v[i].text, text) == 0) {
			mem_free(text);		/* localhost, 127.0.0.1 */
			return;
		}
	}
	s = ARRAY_PUSH(&p->sockets);
	s->text = text;
	s->addr = *a;
}

/* An address that a word such as "all" stands for: of use where it is. */
static void
add_implied(struct planner *pl, struct plan *p, const char *ip, uint16_t port)
{
	struct sock_addr a;

	if (sock_addr_parse(span_of(ip), port, &a) == 0 && address_here(&a))
		add_address(pl, p, &a);
}

static void
add_host(struct planner *pl, struct plan *p, struct span host, uint16_t port,
    const char *setting)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *res, *ai;
	struct sock_addr a;
	size_t before = p->sockets.len;
	char *name;
	int rc;

	if (sock_addr_parse(host, port, &a) == 0) {
		add_address(pl, p, &a);
		return;
	}
	name = span_dup(host);
	rc = getaddrinfo(name, NULL, &hints, &res);
	if (rc != 0) {
		report(pl, LOG_LEVEL_ERROR, "%s: host \"%s\": %s", setting,
		    name, gai_strerror(rc));
		mem_free(name);
		return;
	}
	for (ai = res; ai != NULL; ai = ai->ai_next) {
		if (ai->ai_addrlen > sizeof(a.ss))
			continue;
		memset(&a, 0, sizeof(a));
		memcpy(&a.ss, ai->ai_addr, ai->ai_addrlen);
		a.len = ai->ai_addrlen;
		if (a.sa.sa_family == AF_INET)
			a.in.sin_port = htons(port);
		else if (a.sa.sa_family == AF_INET6)
			a.in6.sin6_port = htons(port);
		else
			continue;
		if (address_here(&a))
			add_address(pl, p, &a);
	}
	freeaddrinfo(res);
	if (p->sockets.len == before)
		report(pl, LOG_LEVEL_WARNING, "%s: host \"%s\" has no "
		    "(further) address of this machine", setting, name);
	mem_free(name);
}

static void
add_interfaces(struct planner *pl, struct plan *p, uint16_t port)
{
	struct span rest = span_of(conf.inet_interfaces), word;

	while (span_token(&rest, " \t,", &word)) {
		if (span_caseis(word, "all")) {
			add_implied(pl, p, "0.0.0.0", port);
			add_implied(pl, p, "::", port);
		} else if (span_caseis(word, "loopback-only")) {
			add_implied(pl, p, "127.0.0.1", port);
			add_implied(pl, p, "::1", port);
		} else
			add_host(pl, p, word, port,
			    params_origin("inet_interfaces"));
	}
}

static void
plan_inet(struct planner *pl, struct plan *p)
{
	struct span s = span_of(p->name), host = SPAN_EMPTY, portname = s;
	ptrdiff_t colon = span_rfind(s, ':');
	uint16_t port;

	if (colon >= 0) {
		host = span_sub(s, 0, (size_t)colon);
		portname = span_from(s, (size_t)colon + 1);
	}
	if (master_cf_port(portname, &port) < 0) {
		pl->r.bad = true;		/* master_cf_load() has said it */
		return;
	}
	if (host.len > 0)
		add_host(pl, p, host, port, p->origin);
	else
		add_interfaces(pl, p, port);
	if (p->sockets.len == 0 && !pl->r.bad)
		report(pl, LOG_LEVEL_ERROR, "%s: service \"%s\": no address "
		    "to listen on (see inet_interfaces, inet_protocols)",
		    p->origin, p->name);
}

static void
read_protocols(struct planner *pl)
{
	struct span rest = span_of(conf.inet_protocols), word;

	while (span_token(&rest, " \t,", &word)) {
		bool all = span_caseis(word, "all");

		if (all || span_caseis(word, "ipv4"))
			pl->v4 = true;
		if (all || span_caseis(word, "ipv6"))
			pl->v6 = true;
		if (!all && !span_caseis(word, "ipv4") &&
		    !span_caseis(word, "ipv6"))
			report(pl, LOG_LEVEL_ERROR, "%s: inet_protocols: "
			    "\"%.*s\" is none of ipv4, ipv6, all",
			    params_origin("inet_protocols"), SPAN_ARG(word));
	}
	if (!pl->v4 && !pl->v6 && !pl->r.bad)
		report(pl, LOG_LEVEL_ERROR, "%s: inet_protocols is empty",
		    params_origin("inet_protocols"));
}

/* --- UNIX sockets ------------------------------------------------------------- */

static void
add_unix(struct plan *p, const char *class, struct span name)
{
	struct plan_socket *s = ARRAY_PUSH(&p->sockets);

	s->text = mem_printf("%s/%.*s", class, SPAN_ARG(name));
}

static void
plan_unix(struct planner *pl, struct plan *p, const struct service *s,
    const struct traits *t)
{
	struct span rest, word;

	if (strchr(p->name, '/') != NULL || p->name[0] == '.') {
		report(pl, LOG_LEVEL_ERROR, "%s: \"%s\" is not a name for a "
		    "socket", p->origin, p->name);
		return;
	}
	if (t->sockets == NULL) {
		add_unix(p, s->private ? "private" : "public",
		    span_of(p->name));
		return;
	}
	rest = span_of(t->sockets);
	while (span_token(&rest, " ", &word)) {
		ptrdiff_t slash = span_find(word, '/');
		struct span last = span_from(word, (size_t)slash + 1);
		char *class = span_dup(span_sub(word, 0, (size_t)slash));

		add_unix(p, class, span_is(last, "%") ? span_of(p->name)
		    : last);
		mem_free(class);
	}
}

/* --- entries ------------------------------------------------------------------- */

static const struct traits *
find_traits(const char *command)
{
	for (size_t i = 0; i < ARRAY_LEN(traits); i++)
		if (strcmp(traits[i].command, command) == 0)
			return &traits[i];
	return &other;
}

/* Whether the entry is to be passed over, which has been reported then. */
static bool
not_here(struct planner *pl, const struct service *s, const struct plan *p)
{
	for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
		if (strcmp(absent[i].command, p->command) != 0)
			continue;
		report(pl, absent[i].level, "%s: service \"%s\" (%s) is "
		    "passed over: %s", s->origin, s->name, p->command,
		    absent[i].says);
		return true;
	}
	report(pl, LOG_LEVEL_ERROR, "%s: service \"%s\": cannot execute %s: "
	    "%s", s->origin, s->name, p->program, strerror(errno));
	return true;
}

static void
add_option(struct plan *p, const char *text)
{
	*ARRAY_PUSH(&p->options) = mem_strdup(text);
}

static void
plan_entry(struct planner *pl, const struct service *s)
{
	const struct traits *t;
	const char *command = s->command;
	struct plan *p;

	for (size_t i = 0; i < ARRAY_LEN(renamed); i++)
		if (strcmp(renamed[i].theirs, command) == 0)
			command = renamed[i].ours;
	t = find_traits(command);
	p = mem_zalloc(sizeof(*p));
	p->name = mem_strdup(s->name);
	p->type = service_type_name(s->type);
	p->command = mem_strdup(command);
	p->program = mem_printf("%s/%s", conf.daemon_directory, command);
	p->origin = mem_strdup(s->origin);
	p->flags = t->flags | (s->unpriv ? PLAN_UNPRIV : 0);
	p->stage = t->stage;
	p->maxproc = (t->flags & PLAN_SINGLE) ? 1 : s->maxproc;
	/* Our singletons have timers of their own and need no reminder. */
	p->wakeup = (t->flags & PLAN_SINGLE) ? 0 : s->wakeup;
	p->wakeup_if_used = s->wakeup_if_used;
	for (size_t i = 0; i < s->overrides.len; i++) {
		add_option(p, "-o");
		add_option(p, s->overrides.v[i]);
	}
	for (size_t i = 0; i < s->args.len; i++)
		add_option(p, s->args.v[i]);

	if (access(p->program, X_OK) < 0 && not_here(pl, s, p)) {
		plan_free(&p);
		return;
	}
	/* "defer" and "trace" are other faces of Postfix's bounce. */
	if (strcmp(command, "bounce") == 0 &&
	    (strcmp(s->name, "defer") == 0 || strcmp(s->name, "trace") == 0)) {
		report(pl, LOG_LEVEL_INFO, "%s: service \"%s\" (bounce) is "
		    "passed over: qmgr keeps these records itself", s->origin,
		    s->name);
		plan_free(&p);
		return;
	}
	switch (s->type) {
	case SERVICE_INET:
		if (t->sockets != NULL)
			report(pl, LOG_LEVEL_ERROR, "%s: %s serves a UNIX "
			    "socket, not inet", s->origin, command);
		else
			plan_inet(pl, p);
		break;
	case SERVICE_FIFO:
		/* Old entries of qmgr and pickup; they have sockets now. */
		if (t->sockets != NULL) {
			p->type = "unix";
			plan_unix(pl, p, s, t);
		} else
			report(pl, LOG_LEVEL_ERROR, "%s: service \"%s\": %s "
			    "does not read a fifo", s->origin, s->name,
			    command);
		break;
	case SERVICE_UNIX:
		plan_unix(pl, p, s, t);
		break;
	case SERVICE_PASS:
		report(pl, LOG_LEVEL_WARNING, "%s: service \"%s\" of type pass "
		    "is passed over: no daemon here passes connections",
		    s->origin, s->name);
		plan_free(&p);
		return;
	case SERVICE_UNIX_DGRAM:
		report(pl, LOG_LEVEL_ERROR, "%s: service \"%s\": %s does not "
		    "read datagrams", s->origin, s->name, command);
		break;
	}
	if (p->sockets.len > MASTER_LISTEN_MAX)
		report(pl, LOG_LEVEL_ERROR, "%s: service \"%s\" has more than "
		    "%d addresses", s->origin, s->name, MASTER_LISTEN_MAX);
	*ARRAY_PUSH(&pl->out->v) = p;
}

static bool
is_planned(const struct services *s, const char *command)
{
	for (size_t i = 0; i < s->v.len; i++)
		if (strcmp(s->v.v[i]->command, command) == 0)
			return true;
	return false;
}

static void
add_implied_services(struct planner *pl)
{
	for (size_t i = 0; i < ARRAY_LEN(implied); i++) {
		const char *command = implied[i].command;
		struct service s = { .type = SERVICE_UNIX, .private = true,
		    .maxproc = 1 };
		bool needed = false;

		for (size_t k = 0; k < ARRAY_LEN(implied[i].by) &&
		    implied[i].by[k] != NULL; k++)
			needed |= is_planned(pl->out, implied[i].by[k]);
		if (!needed || is_planned(pl->out, command) ||
		    !implied[i].when())
			continue;
		s.name = s.command = (char *)(uintptr_t)command;
		s.origin = (char *)(uintptr_t)"default";
		plan_entry(pl, &s);
	}
}

static bool
is_wildcard(const struct sock_addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

static bool
collide(const struct plan_socket *a, const struct plan_socket *b)
{
	if (strcmp(a->text, b->text) == 0)
		return true;
	return a->addr.len != 0 && b->addr.len != 0 &&
	    a->addr.sa.sa_family == b->addr.sa.sa_family &&
	    sock_addr_port(&a->addr) == sock_addr_port(&b->addr) &&
	    (is_wildcard(&a->addr) || is_wildcard(&b->addr));
}

static void
check_pair(struct planner *pl, const struct plan *a, const struct plan *b)
{
	if ((a->flags & PLAN_SINGLE) && strcmp(a->command, b->command) == 0) {
		report(pl, LOG_LEVEL_ERROR, "%s: there can be only one %s, "
		    "and %s has it", b->origin, b->command, a->origin);
		return;
	}
	for (size_t i = 0; i < a->sockets.len; i++)
		for (size_t k = 0; k < b->sockets.len; k++)
			if (collide(&a->sockets.v[i], &b->sockets.v[k]))
				report(pl, LOG_LEVEL_ERROR, "%s: service "
				    "\"%s\" wants %s, and %s has %s",
				    b->origin, b->name, b->sockets.v[k].text,
				    a->origin, a->sockets.v[i].text);
}

/* -1: something is wrong; out has what is not. */
static int
load(const char *config_dir, const char *const *overrides, size_t n,
    struct services *out, report_fn *fn, void *arg)
{
	struct planner pl = { .r = { .report = fn, .arg = arg }, .out = out };
	struct master_cf m = { ARRAY_EMPTY };

	*out = (struct services){ ARRAY_EMPTY };
	/* Go on with what could be read: all that is wrong is to be said. */
	if (params_load_flags(config_dir, overrides, n, PARAMS_KEEP_GOING,
	    conf_problem, &pl.r) < 0)
		pl.r.bad = true;
	if (master_cf_load(config_dir, &m, conf_problem, &pl.r) < 0)
		pl.r.bad = true;
	read_protocols(&pl);
	for (size_t i = 0; i < m.services.len; i++)
		plan_entry(&pl, &m.services.v[i]);
	add_implied_services(&pl);
	for (size_t i = 0; i < out->v.len; i++)
		for (size_t k = i + 1; k < out->v.len; k++)
			check_pair(&pl, out->v.v[i], out->v.v[k]);
	if (!pl.r.bad && out->v.len == 0)
		report(&pl, LOG_LEVEL_ERROR, "%s/master.cf: no service",
		    config_dir);
	master_cf_fini(&m);
	return pl.r.bad ? -1 : 0;
}

int
services_load(const char *config_dir, const char *const *overrides, size_t n,
    struct services *out, report_fn *fn, void *arg)
{
	if (load(config_dir, overrides, n, out, fn, arg) == 0)
		return 0;
	services_fini(out);
	return -1;
}

int
services_judge(const char *config_dir, const char *const *overrides, size_t n,
    struct services *out, report_fn *fn, void *arg)
{
	int rc = load(config_dir, overrides, n, out, fn, arg);

	/* Without settings there is nothing to check the machine for. */
	if (conf.queue_directory != NULL) {
		if (services_check_machine(fn, arg) < 0)
			rc = -1;
		if (services_check_programs(out, config_dir, overrides, n, fn,
		    arg) < 0)
			rc = -1;
	}
	if (rc < 0)
		services_fini(out);
	return rc;
}
