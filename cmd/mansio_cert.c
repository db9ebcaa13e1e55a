/* SPDX-License-Identifier: ISC */
/*
 * mansio cert - look at certificates, judge those that are configured, make
 * new ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/span.h"
#include "cmd/mansio.h"
#include "conf/params.h"
#include "conf/table.h"
#include "io/fd.h"
#include "tls/chain.h"
#include "tls/make_cert.h"
#include "tls/named.h"
#include "tls/show_cert.h"

#define FILE_SEPARATORS	", \t\r\n"
#define DAYS_DEFAULT	820
#define DAYS_MAX	36500
#define DAY_S		86400
/* A clock that is a little slow must not find it invalid. */
#define BEFORE_S	3600

static void
read_pem(const char *path, struct buf *text)
{
	*text = BUF_INIT(TLS_FILE_MAX);
	if (fd_read_file(AT_FDCWD, path, text) < 0)
		log_fatal("%s: %m", path);
}

/* --- show ----------------------------------------------------------------------- */

static int
show_file(const char *path, bool as_pem)
{
	struct buf text, out = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	int rc;

	read_pem(path, &text);
	rc = as_pem ? tls_cert_public(buf_span(&text), &out, &why) :
	    tls_cert_show(buf_span(&text), &out, &why);
	if (rc < 0)
		fprintf(stderr, "mansio: %s: %s\n", path, why.text);
	else if (!as_pem)
		printf("%s\n", path);
	fputs(out.data, stdout);
	buf_wipe(&text);
	buf_fini(&out);
	return rc < 0 ? MANSIO_FAILED : MANSIO_OK;
}

/* Files that only hold a key have nothing to show. */
static void
show_named(void *arg, const struct tls_named *n)
{
	struct hash *seen = arg;
	struct span rest = n->table ? SPAN_EMPTY : span_of(n->value), word;

	while (span_token(&rest, FILE_SEPARATORS, &word)) {
		struct buf text, out = BUF_INIT(BUF_UNLIMITED);
		struct why why = WHY_INIT;
		char *path;
		bool first;

		hash_enter(seen, word, &first);
		if (!first)
			continue;
		path = span_dup(word);
		read_pem(path, &text);
		if (tls_cert_show(buf_span(&text), &out, &why) == 0)
			printf("%s (%s)\n%s\n", path, n->who, out.data);
		buf_wipe(&text);
		buf_fini(&out);
		mem_free(path);
	}
}

static void
show_configured(void)
{
	struct hash seen = HASH_INIT;

	tls_named_each(show_named, &seen);
	if (seen.count == 0)
		printf("no certificate is configured\n");
	hash_fini(&seen, NULL);
}

static int
cert_show(int argc, char **argv)
{
	bool as_pem = argc > 1 && strcmp(argv[1], "-p") == 0;
	int first = as_pem ? 2 : 1, rc = MANSIO_OK;

	if (as_pem && argc < 3)
		return mansio_usage("cert");
	if (argc == first) {
		mansio_load();
		show_configured();
		return MANSIO_OK;
	}
	for (int i = first; i < argc; i++)
		if (show_file(argv[i], as_pem) != MANSIO_OK)
			rc = MANSIO_FAILED;
	return rc;
}

/* --- check ----------------------------------------------------------------------- */

/* Takes set; NULL: who is followed by why. */
static int
judge(const char *who, struct tls_set *set, const struct why *why)
{
	if (set == NULL) {
		printf("%s: %s\n", who, why->text);
		return MANSIO_FAILED;
	}
	for (size_t i = 0; i < tls_set_count(set); i++)
		printf("%s: %s: good for %lld days\n", who,
		    tls_set_origin(set, i),
		    (long long)(tls_set_not_after(set, i) - time(NULL)) /
		    DAY_S);
	tls_set_free(&set);
	return MANSIO_OK;
}

static int
check_one(const char *who, struct span files)
{
	struct why why = WHY_INIT;

	return judge(who, tls_set_load(files, TLS_SET_DATES, &why), &why);
}

static bool
check_name(void *arg, struct span key, struct span value)
{
	struct why why = WHY_INIT;
	char *name = span_dup(key);
	int *rc = arg;

	if (judge(name, tls_set_of_sni(value, TLS_SET_DATES, &why), &why) !=
	    MANSIO_OK)
		*rc = MANSIO_FAILED;
	mem_free(name);
	return true;
}

/* What clients get who ask for a name. */
static int
check_names(const struct tls_named *n)
{
	struct why why = WHY_INIT;
	struct maps *m;
	int rc = MANSIO_OK;

	m = maps_new(n->param, n->value, TABLE_FOLD, &why);
	if (m == NULL || maps_each(m, check_name, &rc, &why) < 0) {
		printf("%s: %s: %s\n", n->origin, n->param, why.text);
		rc = MANSIO_FAILED;
	}
	maps_free(&m);
	return rc;
}

struct check {
	int	rc;
	bool	any;
};

static void
check_named(void *arg, const struct tls_named *n)
{
	struct check *c = arg;
	struct why why = WHY_INIT;
	struct tls_set *set;
	int rc;

	if (n->table) {
		rc = check_names(n);
	} else {
		c->any = true;
		set = tls_set_load(span_of(n->value), TLS_SET_DATES, &why);
		if (set == NULL)
			printf("%s: %s: ", n->origin, n->param);
		rc = judge(n->who, set, &why);
	}
	if (rc != MANSIO_OK)
		c->rc = rc;
}

static int
cert_check(int argc, char **argv)
{
	struct check c = { .rc = MANSIO_OK };

	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			if (check_one("file", span_of(argv[i])) != MANSIO_OK)
				c.rc = MANSIO_FAILED;
		return c.rc;
	}
	mansio_load();
	tls_named_each(check_named, &c);
	if (!c.any)
		printf("no certificate is configured\n");
	return c.rc;
}

/* --- selfsign ----------------------------------------------------------------------- */

static void
write_new(const char *path, struct span text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		log_fatal("%s is there already", path);
	if (fd < 0 || fd_write_all(fd, text.p, text.len) < 0 ||
	    fsync(fd) < 0)
		log_fatal("%s: %m", path);
	fd_close(&fd);
}

static enum tls_key_type
key_type(const char *name)
{
	if (strcmp(name, "ecdsa") == 0)
		return TLS_KEY_ECDSA;
	if (strcmp(name, "rsa") == 0)
		return TLS_KEY_RSA;
	if (strcmp(name, "ed25519") == 0)
		return TLS_KEY_ED25519;
	log_fatal("unknown kind of key \"%s\": ecdsa, rsa or ed25519", name);
}

static int
cert_selfsign(int argc, char **argv)
{
	struct tls_cert_request r = { .not_before_s = -BEFORE_S };
	struct buf issuer = BUF_INIT(TLS_FILE_MAX);
	struct buf pem = BUF_INIT(BUF_UNLIMITED), cert = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	int64_t days = DAYS_DEFAULT;
	int c;

	optind = 1;
	while ((c = getopt(argc, argv, "+AC:d:t:u")) != -1) {
		switch (c) {
		case 'A':
			r.ca = true;
			break;
		case 'C':
			read_pem(optarg, &issuer);
			break;
		case 'd':
			if (num_parse_i64(span_of(optarg), 1, DAYS_MAX,
			    &days) < 0)
				log_fatal("bad number of days \"%s\"", optarg);
			break;
		case 't':
			r.type = key_type(optarg);
			break;
		case 'u':
			r.client = true;
			break;
		default:
			return mansio_usage("cert");
		}
	}
	if (argc - optind < 2)
		return mansio_usage("cert");
	r.lifetime_s = days * DAY_S + BEFORE_S;
	r.cn = argv[optind + 1];
	if (!r.ca) {
		r.names = (const char *const *)&argv[optind + 1];
		r.nnames = (size_t)(argc - optind - 1);
	}
	r.issuer = buf_span(&issuer);
	if (tls_make_cert(&r, &pem, &cert, &why) < 0)
		log_fatal("%s", why.text);
	/* The key, its certificate, and who issued it where it is no root. */
	buf_add_span(&pem, buf_span(&cert));
	write_new(argv[optind], buf_span(&pem));
	buf_wipe(&pem);
	buf_wipe(&issuer);
	buf_fini(&cert);
	return MANSIO_OK;
}

int
mansio_cert(int argc, char **argv)
{
	static const struct {
		const char	*name;
		int		(*run)(int, char **);
	} verbs[] = {
		{ "show", cert_show }, { "check", cert_check },
		{ "selfsign", cert_selfsign },
	};

	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return mansio_usage(argv[0]);
}
