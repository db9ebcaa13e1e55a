/* SPDX-License-Identifier: ISC */
/*
 * account - user names, and what the user databases say of them.
 *
 * Databases are asked in order: authd_password_file, then what
 * authd_password_maps lists; the first that has the user answers.  Each
 * answers with a line as in authd_password_file, so nobody behind this file
 * knows where an account came from.  A database that cannot be read is a
 * temporary failure for those that the ones before it did not have.
 */
#include "authd/authd.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/saslprep.h"
#include "auth/userfile.h"
#include "authd/passwd_file.h"
#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rnd.h"
#include "conf/params.h"
#include "conf/table.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "mail/address.h"

#define SEED_LEN	32
#define SALT_LEN	16

struct source {
	enum { SOURCE_TABLE, SOURCE_PASSWD_FILE, SOURCE_PAM } kind;
	char			*name;
	struct table		*table;
	struct passwd_file	*file;
};

static struct {
	struct userfile	file;
	struct stat	seen;
	bool		read;
} users;
static ARRAY(struct source) sources;
static unsigned char seed[SEED_LEN];

/* --- names ----------------------------------------------------------------------- */

/* authd_username_format: %u the local part, %d the domain; what a missing
 * domain leaves of "%u@%d" is "%u". */
static int
format_name(struct span local, struct span domain, struct buf *out)
{
	for (const char *p = conf.authd_username_format; *p != '\0'; p++) {
		struct span s = span_make(p, 1);

		if (p[0] == '@' && p[1] == '%' && p[2] == 'd' &&
		    domain.len == 0) {
			p += 2;
			continue;
		}
		if (p[0] == '%' && p[1] != '\0') {
			p++;
			s = *p == 'u' ? local : *p == 'd' ? domain :
			    span_make(p, 1);
		}
		if (buf_put_span(out, s) < 0)
			return -1;
	}
	return 0;
}

int
account_name(struct span typed, struct span realm, struct buf *out)
{
	struct buf same = BUF_INIT(AUTH_NAME_MAX);
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain;
	int rc = -1;

	buf_reset(out);
	if (saslprep(typed, &same) < 0)
		goto out;	/* RFC 4616 2 */
	address_fold(buf_span(&same), true, &low);
	address_split(buf_span(&low), &local, &domain);
	if (local.len == 0 || (domain.p != NULL && domain.len == 0) ||
	    !sasl_name_ok(typed) || span_find(buf_span(&same), ':') >= 0)
		goto out;
	if (domain.p == NULL)
		domain = realm.len > 0 ? realm :
		    span_of(conf.authd_default_domain);
	if (domain.len > 0 && place_is_system_domain(domain))
		domain = SPAN("");	/* joe@our.host is the user joe */
	rc = format_name(local, domain, out);
	if (rc == 0 && out->len == 0)
		rc = -1;
out:
	buf_fini(&same);
	buf_fini(&low);
	return rc;
}

/* --- authd_password_file ------------------------------------------------------------ */

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Read it again when it is another one: a new account works at once. */
static int
users_refresh(struct why *why)
{
	const char *path = conf.authd_password_file;
	struct userfile fresh;
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno != ENOENT)
			return why_errno(why, "4.3.0", "%s", path);
		memset(&st, 0, sizeof(st));
	}
	if (users.read && same_file(&st, &users.seen))
		return 0;
	if (userfile_read(&fresh, path, why) < 0)
		return -1;
	if (users.read)
		userfile_fini(&users.file);
	users.file = fresh;
	users.seen = st;
	users.read = true;
	return 0;
}

/*
 * The file is root's, and its group is ours: authd reads it and cannot change
 * it.  It may have been made before we had a group of our own.
 */
static void
give_to_our_group(void)
{
	const char *path = conf.authd_password_file;
	struct stat st;

	if (geteuid() != 0 || lstat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != 0 || st.st_gid == daemon_own_gid())
		return;
	if (lchown(path, 0, daemon_own_gid()) < 0 || chmod(path, 0640) < 0)
		log_warning("%s: cannot give it to our group: %m", path);
}

/* --- authd_password_maps -------------------------------------------------------------- */

static void
source_fini(struct source *s)
{
	table_close(&s->table);
	passwd_file_free(&s->file);
	mem_free(s->name);
}

static int
add_source(struct span word, struct why *why)
{
	struct source s = { .kind = SOURCE_TABLE };

	if (span_starts(word, SPAN("pam:"))) {
		s.kind = SOURCE_PAM;
		s.name = span_dup(span_from(word, 4));
	} else if (span_starts(word, SPAN("passwd-file:"))) {
		s.kind = SOURCE_PASSWD_FILE;
		s.name = span_dup(span_from(word, 12));
		s.file = passwd_file_new(s.name);
	} else {
		s.name = span_dup(word);
		s.table = table_open(s.name, TABLE_FOLD, why);
		if (s.table == NULL) {
			why_prefix(why, "authd_password_maps");
			mem_free(s.name);
			return -1;
		}
	}
	*ARRAY_PUSH(&sources) = s;
	return 0;
}

/* What makes the salts of users who are not there; the same after a restart. */
static void
read_seed(void)
{
	char *path = mem_printf("%s/authd.seed", conf.data_directory);
	struct buf b = BUF_INIT(SEED_LEN);

	if (fd_read_file(AT_FDCWD, path, &b) == 0 && b.len == SEED_LEN) {
		memcpy(seed, b.data, SEED_LEN);
	} else {
		rnd_bytes(seed, SEED_LEN);
		if (fd_replace_file(AT_FDCWD, path, 0600, seed, SEED_LEN) < 0)
			log_info("cannot keep %s: %m; made-up salts change "
			    "with every start", path);
	}
	buf_wipe(&b);
	mem_free(path);
}

int
accounts_open(struct why *why)
{
	struct span rest = span_of(conf.authd_password_maps), word;

	give_to_our_group();
	read_seed();
	while (span_token(&rest, " \t\r\n,", &word))
		if (add_source(word, why) < 0)
			return -1;
	return 0;
}

void
accounts_close(void)
{
	for (size_t i = 0; i < sources.len; i++)
		source_fini(&sources.v[i]);
	ARRAY_FINI(&sources);
}

int
accounts_reload(struct why *why)
{
	struct span rest = span_of(conf.authd_password_maps), word;

	accounts_close();
	while (span_token(&rest, " \t\r\n,", &word))
		if (daemon_judge(add_source(word, why), why) < 0)
			return -1;
	return 0;
}

static int
check_username_format(struct why *why)
{
	for (const char *p = conf.authd_username_format; *p != '\0'; p++) {
		if (*p != '%')
			continue;
		p++;
		if (*p != 'u' && *p != 'd' && *p != '%')
			return why_set(why, "", "authd_username_format: "
			    "\"%s\": only %%u and %%d are known",
			    conf.authd_username_format);
	}
	return 0;
}

int
accounts_check(struct why *why)
{
	int rc = users_refresh(why);

	if (rc < 0)
		why_prefix(why, "authd_password_file");
	if (daemon_judge(rc, why) < 0 ||
	    daemon_judge(check_username_format(why), why) < 0)
		return -1;
	return accounts_reload(why);
}

/* --- one account ------------------------------------------------------------------------- */

void
account_init(struct account *a)
{
	*a = (struct account){
		.name = BUF_INIT(AUTH_NAME_MAX),
		.text = BUF_INIT(TABLE_VALUE_MAX),
		.home = BUF_INIT(AUTH_PATH_MAX),
	};
}

void
account_fini(struct account *a)
{
	buf_fini(&a->name);
	buf_wipe(&a->text);
	buf_fini(&a->home);
	a->found = false;
}

/* 1 found, 0 not, -1 why. */
static int
ask_source(struct source *s, struct account *a, struct span name,
    struct why *why)
{
	switch (s->kind) {
	case SOURCE_TABLE:
		return table_get(s->table, name, &a->text, why);
	case SOURCE_PASSWD_FILE:
		return passwd_file_get(s->file, name, a, why);
	default:
		/* System users have no domain. */
		if (span_find(name, '@') >= 0)
			return 0;
		a->pam_service = s->name;
		return 1;
	}
}

int
user_find(struct account *a, struct span name, struct why *why)
{
	struct span line;
	int rc = 0;

	if (buf_put_span(&a->name, name) < 0)
		return 0;
	if (users_refresh(why) < 0)
		return -1;
	if (userfile_line(&users.file, name, &line)) {
		buf_add_span(&a->text, line);
		a->in_file = true;
		rc = 1;
	}
	for (size_t i = 0; rc == 0 && i < sources.len; i++)
		rc = ask_source(&sources.v[i], a, name, why);
	if (rc < 0)
		return -1;
	a->found = rc > 0;
	userline_parse(&a->line, buf_span(&a->text));
	return 0;
}

/*
 * Half of them as those of an import look, half as all others: neither tells
 * that the user is not there.
 */
void
account_fake_keys(struct span name, enum digest d, struct scram_keys *out)
{
	unsigned char mac[DIGEST_MAX];

	memset(out, 0, sizeof(*out));
	digest_hmac(DIGEST_SHA256, span_make(seed, sizeof(seed)), name, mac);
	memcpy(out->salt, mac, SALT_LEN);
	out->salt_len = SALT_LEN;
	out->iterations = d == DIGEST_SHA256 && (mac[SALT_LEN] & 1)
	    ? SCRAM_ITERATIONS_LIGHT : (unsigned)conf.authd_scram_iterations;
	rnd_bytes(out->stored, digest_len(d));
	rnd_bytes(out->server, digest_len(d));
}
