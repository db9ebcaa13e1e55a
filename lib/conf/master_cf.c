/* SPDX-License-Identifier: ISC */
/*
 * master_cf - two steps: the text into columns and arguments (also for
 * postconf, which shows and edits what is written), and those into services,
 * where every column is checked.
 */
#include "conf/master_cf.h"

#include <ctype.h>
#include <limits.h>
#include <netdb.h>
#include <sys/un.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/cf_file.h"
#include "conf/main_cf.h"
#include "io/sock.h"

#define ARGS_MAX	1000

const char *const master_column_names[MASTER_COLUMNS] = {
	"service", "type", "private", "unprivileged", "chroot",
	"wakeup", "process_limit", "command"
};

static const char *const type_names[] = {
	[SERVICE_INET] = "inet", [SERVICE_UNIX] = "unix",
	[SERVICE_UNIX_DGRAM] = "unix-dgram", [SERVICE_FIFO] = "fifo",
	[SERVICE_PASS] = "pass"
};

const char *
service_type_name(enum service_type type)
{
	return type_names[type];
}

/* --- text --------------------------------------------------------------------- */

/*
 * Take the next argument off *s: a word, or { text } to the brace that closes
 * it.  1, 0 at the end, -1 when a brace is open.
 */
static int
take_arg(struct span *s, struct span *arg)
{
	size_t n = 0, level = 0;

	while (s->len > 0 && isspace((unsigned char)s->p[0]))
		*s = span_from(*s, 1);
	if (s->len == 0)
		return 0;
	if (s->p[0] == '{') {
		do {
			if (s->p[n] == '{')
				level++;
			else if (s->p[n] == '}')
				level--;
			n++;
		} while (level > 0 && n < s->len);
		if (level > 0)
			return -1;
	}
	while (n < s->len && !isspace((unsigned char)s->p[n]))
		n++;
	*arg = span_sub(*s, 0, n);
	*s = span_from(*s, n);
	return 1;
}

int
master_cf_parse_line(struct span line, struct service_text *out,
    struct why *why)
{
	struct span arg, rest = line;
	int rc;
	bool options = true;

	*out = (struct service_text){ .path = NULL };
	for (int i = 0; i < MASTER_COLUMNS; i++) {
		if (!span_token(&rest, " \t\r\n", &arg)) {
			service_text_fini(out);
			return why_set(why, "4.3.5", "bad field count: %d of "
			    "the %d columns: service type private "
			    "unprivileged chroot wakeup process_limit "
			    "command", i, MASTER_COLUMNS);
		}
		out->columns[i] = span_dup(arg);
	}
	while ((rc = take_arg(&rest, &arg)) == 1) {
		if (out->args.len >= ARGS_MAX) {
			service_text_fini(out);
			return why_set(why, "4.3.5", "more than %d arguments",
			    ARGS_MAX);
		}
		/* Daemons stop looking for options at the first that is none;
		 * what follows may be a command with options of its own. */
		if (options && arg.len > 2 && span_starts(arg, SPAN("-o"))) {
			*ARRAY_PUSH(&out->args) = mem_strdup("-o");
			arg = span_from(arg, 2);
		} else if (options && (arg.p[0] != '-' || arg.len == 1)) {
			bool after_o = out->args.len > 0 && strcmp(
			    out->args.v[out->args.len - 1], "-o") == 0;

			options = after_o;
		}
		*ARRAY_PUSH(&out->args) = span_dup(arg);
	}
	if (rc == -1) {
		service_text_fini(out);
		return why_set(why, "4.3.5", "missing '}' at \"%.*s\"",
		    SPAN_ARG(rest));
	}
	return 0;
}

size_t
service_text_options(const struct service_text *s)
{
	size_t i = 0;

	while (i < s->args.len && s->args.v[i][0] == '-' &&
	    s->args.v[i][1] != '\0') {
		if (strcmp(s->args.v[i], "-o") == 0 && i + 1 < s->args.len)
			i++;
		i++;
	}
	return i;
}

int
master_cf_read(const char *path, struct master_cf_text *out,
    params_problem_fn *problem, void *arg)
{
	struct why why = WHY_INIT;
	struct cf_file f;
	struct cf_line line;
	int rc, result = 0;

	*out = (struct master_cf_text){ .services = ARRAY_EMPTY };
	if (cf_file_open(&f, path, CF_CONFIG_MAX, &why) == -1) {
		if (problem != NULL)
			problem(arg, true, why.text);
		return -1;
	}
	while ((rc = cf_file_next(&f, &line, &why)) == 1) {
		struct service_text s;
		char *origin;

		if (out->services.len >= MASTER_CF_SERVICES_MAX) {
			rc = why_set(&why, "4.3.5", "%s:%d: more than %d "
			    "services", path, line.first,
			    MASTER_CF_SERVICES_MAX);
			break;
		}
		if (master_cf_parse_line(line.text, &s, &why) == 0) {
			s.path = mem_strdup(path);
			s.first = line.first;
			s.last = line.last;
			*ARRAY_PUSH(&out->services) = s;
			continue;
		}
		origin = mem_printf("%s:%d", path, line.first);
		params_problem(problem, arg, true, origin, "%s", why.text);
		mem_free(origin);
		result = -1;
	}
	if (rc == -1) {
		if (problem != NULL)
			problem(arg, true, why.text);
		result = -1;
	}
	cf_file_close(&f);
	return result;
}

void
service_text_fini(struct service_text *s)
{
	for (int i = 0; i < MASTER_COLUMNS; i++)
		mem_free(s->columns[i]);
	for (size_t i = 0; i < s->args.len; i++)
		mem_free(s->args.v[i]);
	ARRAY_FINI(&s->args);
	mem_free(s->path);
	*s = (struct service_text){ .path = NULL };
}

void
master_cf_text_fini(struct master_cf_text *m)
{
	for (size_t i = 0; i < m->services.len; i++)
		service_text_fini(&m->services.v[i]);
	ARRAY_FINI(&m->services);
}

/* --- services ------------------------------------------------------------------ */

struct checker {
	params_problem_fn	*problem;
	void			*arg;
	const char		*origin;
	unsigned		 errors;
};

static void bad(struct checker *c, const char *fmt, ...) PRINTF(2, 3);

static void
bad(struct checker *c, const char *fmt, ...)
{
	struct buf b = BUF_INIT(4096);
	va_list ap;

	va_start(ap, fmt);
	if (buf_vprintf(&b, fmt, ap) == -1)
		(void)!buf_put_str(&b, "(text too long)");
	va_end(ap);
	params_problem(c->problem, c->arg, true, c->origin, "%s", b.data);
	buf_fini(&b);
	c->errors++;
}

static bool
flag(struct checker *c, const char *text, int column, bool def)
{
	if (strcmp(text, "y") == 0)
		return true;
	if (strcmp(text, "n") == 0)
		return false;
	if (strcmp(text, "-") != 0)
		bad(c, "bad value of the column %s: \"%s\": expected y, n or "
		    "-", master_column_names[column], text);
	return def;
}

/* The column with $name expanded, to mem_free(). */
static char *
expanded(struct checker *c, const char *text, int column)
{
	struct buf b = BUF_INIT(4096);
	struct why why = WHY_INIT;

	if (strchr(text, '$') == NULL)
		return mem_strdup(text);
	if (params_expand(text, &b, &why) == -1 || b.len == 0) {
		bad(c, "bad value of the column %s: \"%s\": %s",
		    master_column_names[column], text,
		    b.len == 0 && why.text[0] == '\0' ? "it is empty"
		    : why.text);
		buf_fini(&b);
		return mem_strdup("-");
	}
	return buf_take(&b);
}

static void
check_wakeup(struct checker *c, const char *text, struct service *s)
{
	struct span n = span_of(text);
	uint64_t v;

	if (strcmp(text, "-") == 0)
		return;
	if (n.len > 0 && n.p[n.len - 1] == '?') {
		s->wakeup_if_used = true;
		n.len--;
	}
	if (num_parse_u64(n, 86400 * 365, &v) == -1)
		bad(c, "bad value of the column wakeup: \"%s\": expected "
		    "seconds, a '?' may follow, 0 or -", text);
	else
		s->wakeup = (int64_t)v;
}

static void
check_maxproc(struct checker *c, const char *text, struct service *s)
{
	uint64_t v;

	s->maxproc = conf.default_process_limit;
	if (strcmp(text, "-") == 0)
		return;
	if (num_parse_u64(span_of(text), 1000000, &v) == -1)
		bad(c, "bad value of the column process_limit: \"%s\": "
		    "expected a number, 0 (no limit) or -", text);
	else
		s->maxproc = (int64_t)v;
}

/* Ports by name, for systems without /etc/services. */
static const struct {
	const char	*name;
	uint16_t	 port;
} ports[] = {
	{ "smtp", 25 }, { "submission", 587 }, { "submissions", 465 },
	{ "smtps", 465 }, { "lmtp", 24 }, { "imap", 143 }, { "imaps", 993 },
	{ "pop3", 110 }, { "pop3s", 995 }, { "sieve", 4190 },
};

int
master_cf_port(struct span text, uint16_t *out)
{
	struct servent *se;
	uint32_t n;
	char *name;

	if (num_parse_u32(text, 65535, &n) == 0) {
		*out = (uint16_t)n;
		return n == 0 ? -1 : 0;
	}
	name = span_dup(text);
	se = getservbyname(name, "tcp");
	mem_free(name);
	if (se != NULL) {
		*out = ntohs((uint16_t)se->s_port);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		if (span_is(text, ports[i].name)) {
			*out = ports[i].port;
			return 0;
		}
	}
	return -1;
}

static void
check_inet_name(struct checker *c, const char *name)
{
	struct span s = span_of(name), host, port;
	struct sock_addr addr;
	ptrdiff_t colon = span_rfind(s, ':');
	uint64_t v;

	if (s.len > 0 && s.p[s.len - 1] == ']')
		colon = -1;
	host = colon < 0 ? SPAN_EMPTY : span_sub(s, 0, (size_t)colon);
	port = colon < 0 ? s : span_from(s, (size_t)colon + 1);
	if (host.len > 0 && host.p[0] == '[' &&
	    sock_addr_parse(host, 0, &addr) == -1)
		bad(c, "bad service name \"%s\": not an address: \"%.*s\"",
		    name, SPAN_ARG(host));
	else if (host.len > 0 && host.p[0] != '[' &&
	    span_find(host, ':') >= 0)
		bad(c, "bad service name \"%s\": write IPv6 addresses as "
		    "[addr]:port", name);
	if (port.len > 0 && isdigit((unsigned char)port.p[0])) {
		if (num_parse_u64(port, 65535, &v) == -1 || v == 0)
			bad(c, "bad service name \"%s\": expected a port "
			    "from 1 to 65535", name);
	} else {
		char *p = span_dup(port);
		uint16_t number;

		if (master_cf_port(port, &number) == -1)
			bad(c, "bad service name \"%s\": unknown port \"%s\"",
			    name, p);
		mem_free(p);
	}
}

static void
check_local_name(struct checker *c, const struct service *s)
{
	struct sockaddr_un un;
	const char *n = s->name;

	if (n[0] == '\0' || n[0] == '/' || n[0] == '.' ||
	    strstr(n, "..") != NULL)
		bad(c, "bad service name \"%s\": expected a file name", n);
	for (const char *p = n; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) &&
		    strchr("_-./+@:", *p) == NULL) {
			bad(c, "bad service name \"%s\": '%c' is not allowed",
			    n, isprint((unsigned char)*p) ? *p : '?');
			break;
		}
	}
	if (strlen(conf.queue_directory) + strlen("/private/.tmp.") +
	    strlen(n) + 8 >= sizeof(un.sun_path))
		bad(c, "bad service name \"%s\": $queue_directory and it are "
		    "too long for a socket name", n);
}

/* "{ text }" without the braces, to mem_free(). */
static char *
unbraced(const char *text)
{
	struct span s = span_of(text);

	if (s.len >= 2 && s.p[0] == '{' && s.p[s.len - 1] == '}')
		s = span_trim(span_sub(s, 1, s.len - 2));
	return span_dup(s);
}

static void
check_args(struct checker *c, const struct service_text *t, struct service *s)
{
	size_t options = service_text_options(t);

	for (size_t i = 0; i < t->args.len; i++) {
		struct span name, value;
		struct why why = WHY_INIT;
		char *text;

		if (i >= options || strcmp(t->args.v[i], "-o") != 0) {
			*ARRAY_PUSH(&s->args) = unbraced(t->args.v[i]);
			continue;
		}
		if (i + 1 >= t->args.len) {
			bad(c, "-o without name=value");
			break;
		}
		text = unbraced(t->args.v[++i]);
		if (main_cf_split(span_of(text), &name, &value, &why) == -1) {
			bad(c, "-o %s: %s", text, why.text);
		} else {
			char *pair = mem_printf("%.*s=%.*s", SPAN_ARG(name),
			    SPAN_ARG(value));

			if (params_check_override(pair, c->origin, c->problem,
			    c->arg) == -1)
				c->errors++;
			*ARRAY_PUSH(&s->overrides) = pair;
		}
		mem_free(text);
	}
}

static void
service_fini(struct service *s)
{
	mem_free(s->name);
	mem_free(s->command);
	mem_free(s->origin);
	for (size_t i = 0; i < s->args.len; i++)
		mem_free(s->args.v[i]);
	for (size_t i = 0; i < s->overrides.len; i++)
		mem_free(s->overrides.v[i]);
	ARRAY_FINI(&s->args);
	ARRAY_FINI(&s->overrides);
}

static void
make_service(struct checker *c, const struct service_text *t,
    struct service *s)
{
	char *text;
	size_t type;

	*s = (struct service){ .type = SERVICE_UNIX };
	s->origin = mem_strdup(c->origin);
	s->name = expanded(c, t->columns[MASTER_NAME], MASTER_NAME);
	for (type = 0; type < ARRAY_LEN(type_names); type++)
		if (strcmp(t->columns[MASTER_TYPE], type_names[type]) == 0)
			break;
	if (type == ARRAY_LEN(type_names))
		bad(c, "bad value of the column type: \"%s\": expected inet, "
		    "unix, unix-dgram, fifo or pass",
		    t->columns[MASTER_TYPE]);
	else
		s->type = (enum service_type)type;
	s->private = flag(c, t->columns[MASTER_PRIVATE], MASTER_PRIVATE,
	    s->type != SERVICE_INET);
	if (s->type == SERVICE_INET && s->private)
		bad(c, "bad value of the column private: an inet service "
		    "cannot be private");
	s->unpriv = flag(c, t->columns[MASTER_UNPRIV], MASTER_UNPRIV, true);
	s->chroot = flag(c, t->columns[MASTER_CHROOT], MASTER_CHROOT, false);
	text = expanded(c, t->columns[MASTER_WAKEUP], MASTER_WAKEUP);
	check_wakeup(c, text, s);
	mem_free(text);
	text = expanded(c, t->columns[MASTER_MAXPROC], MASTER_MAXPROC);
	check_maxproc(c, text, s);
	mem_free(text);
	if (type < ARRAY_LEN(type_names)) {
		if (s->type == SERVICE_INET)
			check_inet_name(c, s->name);
		else
			check_local_name(c, s);
	}
	s->command = mem_strdup(t->columns[MASTER_COMMAND]);
	if (strchr(s->command, '/') != NULL || s->command[0] == '.' ||
	    s->command[0] == '-')
		bad(c, "bad value of the column command: \"%s\": expected the "
		    "name of a program in $daemon_directory", s->command);
	check_args(c, t, s);
}

int
master_cf_check(const struct service_text *text, const char *origin,
    params_problem_fn *problem, void *arg)
{
	struct checker c = { .problem = problem, .arg = arg,
	    .origin = origin };
	struct service s;

	make_service(&c, text, &s);
	service_fini(&s);
	return c.errors > 0 ? -1 : 0;
}

/* master_service_disable: "name/type", "type", "name.type" of old. */
static bool
is_disabled(const struct service *s)
{
	struct span rest = span_of(conf.master_service_disable), word;
	const char *type = service_type_name(s->type);
	bool found = false;

	while (!found && span_token(&rest, ", \t\r\n", &word)) {
		char *slash = mem_printf("%s/%s", s->name, type);
		char *dot = mem_printf("%s.%s", s->name, type);
		bool not = word.p[0] == '!';

		if (not)
			word = span_from(word, 1);
		if (span_is(word, type) || span_is(word, slash) ||
		    span_is(word, dot) || span_is(word, "static:all")) {
			mem_free(slash);
			mem_free(dot);
			return !not;
		}
		mem_free(slash);
		mem_free(dot);
	}
	return found;
}

/* Where an earlier line of the same name and type stands, or -1. */
static ptrdiff_t
index_of(const struct master_cf *m, const char *name, enum service_type type)
{
	for (size_t i = 0; i < m->services.len; i++)
		if (m->services.v[i].type == type &&
		    strcmp(m->services.v[i].name, name) == 0)
			return (ptrdiff_t)i;
	return -1;
}

static void
load_file(struct checker *c, const char *path, struct master_cf *out)
{
	struct master_cf_text text;

	if (master_cf_read(path, &text, c->problem, c->arg) == -1)
		c->errors++;
	for (size_t i = 0; i < text.services.len; i++) {
		const struct service_text *t = &text.services.v[i];
		char *origin = mem_printf("%s:%d", t->path, t->first);
		struct service s;
		ptrdiff_t at;

		c->origin = origin;
		make_service(c, t, &s);
		at = index_of(out, s.name, s.type);
		if (at >= 0) {
			struct service *old = &out->services.v[at];

			if (strncmp(old->origin, path, strlen(path)) == 0 &&
			    old->origin[strlen(path)] == ':')
				params_problem(c->problem, c->arg, false,
				    origin, "service %s/%s is here again: "
				    "this line is used, not line %s", s.name,
				    service_type_name(s.type),
				    old->origin + strlen(path) + 1);
			service_fini(old);
			*old = s;
		} else {
			*ARRAY_PUSH(&out->services) = s;
		}
		mem_free(origin);
	}
	c->origin = path;
	master_cf_text_fini(&text);
}

int
master_cf_load(const char *config_dir, struct master_cf *out,
    params_problem_fn *problem, void *arg)
{
	struct checker c = { .problem = problem, .arg = arg };
	struct why why = WHY_INIT;
	struct cf_paths drop_ins;
	char *path, *dir;
	size_t kept = 0;

	*out = (struct master_cf){ .services = ARRAY_EMPTY };
	if (config_dir == NULL)
		config_dir = params_config_dir();
	path = mem_printf("%s/master.cf", config_dir);
	load_file(&c, path, out);
	mem_free(path);
	dir = mem_printf("%s/master.cf.d", config_dir);
	if (cf_drop_ins(dir, ".cf", &drop_ins, &why) == -1) {
		if (problem != NULL)
			problem(arg, true, why.text);
		c.errors++;
	} else {
		for (size_t i = 0; i < drop_ins.list.len; i++)
			load_file(&c, drop_ins.list.v[i], out);
		cf_paths_fini(&drop_ins);
	}
	mem_free(dir);
	for (size_t i = 0; i < out->services.len; i++) {
		if (is_disabled(&out->services.v[i]))
			service_fini(&out->services.v[i]);
		else
			out->services.v[kept++] = out->services.v[i];
	}
	out->services.len = kept;
	return c.errors > 0 ? -1 : 0;
}

void
master_cf_fini(struct master_cf *m)
{
	for (size_t i = 0; i < m->services.len; i++)
		service_fini(&m->services.v[i]);
	ARRAY_FINI(&m->services);
}

const struct service *
master_cf_find(const struct master_cf *m, const char *name,
    enum service_type type)
{
	ptrdiff_t at = index_of(m, name, type);

	return at >= 0 ? &m->services.v[at] : NULL;
}
