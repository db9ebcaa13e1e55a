/* SPDX-License-Identifier: ISC */
/*
 * mansio user - the accounts of virtual mailboxes: add, import, list, delete.
 *
 * An account is a line in authd_password_file and a row of the first table in
 * virtual_mailbox_maps that can be written (hash, btree, texthash); of a hash
 * or btree table the text file beside it is changed and the table made from
 * it, so postmap(1) and an editor go on working.  The mailbox is made by the
 * first mail.  Two of these commands at once wait for each other.
 *
 * The row is made before the password, and deleted after it: what a crash
 * leaves is at most a mailbox that nobody can log in to, and doing it again
 * mends that.  What changes an account that exists is in mansio_account.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "auth/password.h"
#include "auth/saslprep.h"
#include "auth/userfile.h"
#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/mansio.h"
#include "conf/cf_file.h"
#include "conf/table.h"
#include "conf/table_text.h"
#include "io/fd.h"
#include "mail/address.h"

#define IMPORT_FULL	200	/* accounts that get the full hash at once */
#define IMPORT_MAX	(64u << 20)	/* bytes of the file */
#define IMPORT_THREADS	16

struct account {
	char		*address;
	struct span	 password;
	struct span	 old;		/* the line's text, or "" */
	struct buf	 hash;		/* and the new one */
	struct why	 why;
};

struct users {
	int		 lock;
	struct userfile	 file;
	char		*spec, *source;	/* "hash:/x/vmailbox", "/x/vmailbox" */
	ARRAY(struct account) accounts;
};

/* --- addresses ------------------------------------------------------------------ */

/*
 * What can be an account: what has a domain of ours, and whose two halves can
 * be names of directories.  The lower-case form, or NULL with why.
 */
static char *
check_address(struct match_list *domains, struct span text, struct why *why)
{
	struct buf same = BUF_INIT(BUF_UNLIMITED);
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain;
	int ours;
	bool typable = saslprep(span_trim(text), &same) == 0;

	address_fold(typable ? buf_span(&same) : span_trim(text), true, &low);
	address_split(buf_span(&low), &local, &domain);
	if (domain.p == NULL || local.len == 0 || domain.len == 0) {
		why_set(why, "5.1.3", "\"%s\" is not an address user@domain",
		    low.data);
		goto bad;
	}
	if (local.len > 64 || !address_domain_valid(domain, ADDRESS_UTF8) ||
	    !utf8_valid(local)) {
		why_set(why, "5.1.3", "\"%s\" is not a valid address",
		    low.data);
		goto bad;
	}
	for (size_t i = 0; i < local.len; i++) {
		unsigned char c = (unsigned char)local.p[i];

		if (c <= ' ' || c == 127 ||
		    strchr("/:,;\"\\<>()[]@", c) != NULL ||
		    (i == 0 && (c == '.' || c == '#' || c == '-'))) {
			why_set(why, "5.1.3", "\"%s\": the local part of an "
			    "account may not contain '%c'%s", low.data,
			    c < ' ' ? '?' : c, i == 0 ? " first" : "");
			goto bad;
		}
	}
	if (!typable) {
		why_set(why, "5.1.3", "\"%s\" has characters that no login "
		    "may have", low.data);
		goto bad;
	}
	ours = match_list_string(domains, domain, why);
	if (ours < 0)
		goto bad;
	if (ours == 0) {
		why_set(why, "5.1.2", "%.*s is not in virtual_mailbox_domains "
		    "(%s)", SPAN_ARG(domain), params_origin(
		    "virtual_mailbox_domains"));
		goto bad;
	}
	buf_fini(&same);
	return buf_take(&low);
bad:
	buf_fini(&same);
	buf_fini(&low);
	return NULL;
}

/* store_path_format for an address: %d domain, %n local part, %u both. */
static char *
mailbox_path(const char *address)
{
	struct buf out = BUF_INIT(BUF_UNLIMITED);
	struct span local, domain;

	address_split(span_of(address), &local, &domain);
	for (const char *p = conf.store_path_format; *p != '\0'; p++) {
		if (*p != '%') {
			buf_add_char(&out, *p);
			continue;
		}
		switch (*++p) {
		case 'd':
			buf_add_span(&out, domain);
			break;
		case 'n':
			buf_add_span(&out, local);
			break;
		case 'u':
			buf_add_str(&out, address);
			break;
		case '%':
			buf_add_char(&out, '%');
			break;
		default:
			log_fatal("store_path_format: unknown %%%c", *p);
		}
	}
	if (out.len == 0 || out.data[out.len - 1] != '/')
		buf_add_char(&out, '/');
	return buf_take(&out);
}

/* --- the table ------------------------------------------------------------------- */

/* The first table of virtual_mailbox_maps that we can write. */
static void
choose_table(struct users *u)
{
	static const char *const kinds[] = { "hash:", "btree:", "texthash:" };
	struct span rest = span_of(conf.virtual_mailbox_maps), t;

	while (span_token(&rest, " \t\r\n,", &t)) {
		for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
			struct span k = span_of(kinds[i]);

			if (!span_starts(t, k) || t.len == k.len)
				continue;
			u->spec = span_dup(t);
			u->source = span_dup(span_from(t, k.len));
			return;
		}
	}
	log_fatal("virtual_mailbox_maps (%s) names no table that can be "
	    "written (hash, btree, texthash): \"%s\"",
	    params_origin("virtual_mailbox_maps"), conf.virtual_mailbox_maps);
}

/* The text without the rows of these addresses, and with the new ones. */
static void
edit_source(struct users *u, bool add, struct buf *out)
{
	struct hash set = HASH_INIT;
	struct buf old = BUF_INIT(CF_FILE_MAX);
	struct span in, line;
	bool dropping = false;

	for (size_t i = 0; i < u->accounts.len; i++)
		(void)hash_put(&set, span_of(u->accounts.v[i].address), u);
	if (fd_read_file(AT_FDCWD, u->source, &old) < 0 && errno != ENOENT)
		log_fatal("cannot read %s: %m", u->source);
	in = buf_span(&old);
	while (span_line(&in, &line)) {
		struct span rest = line, key;
		struct buf low = BUF_INIT(BUF_UNLIMITED);

		/* A continuation belongs to the row before. */
		bool more = line.len > 0 && (line.p[0] == ' ' ||
		    line.p[0] == '\t');
		if (!more) {
			dropping = false;
			if (span_token(&rest, " \t", &key) &&
			    key.p[0] != '#') {
				address_fold(key, true, &low);
				dropping = hash_get(&set, buf_span(&low)) !=
				    NULL;
			}
		}
		buf_fini(&low);
		if (dropping)
			continue;
		buf_add_span(out, line);
		buf_add_char(out, '\n');
	}
	for (size_t i = 0; add && i < u->accounts.len; i++) {
		char *path = mailbox_path(u->accounts.v[i].address);

		buf_addf(out, "%s\t%s\n", u->accounts.v[i].address, path);
		mem_free(path);
	}
	hash_fini(&set, NULL);
	buf_fini(&old);
}

static void
make_table(struct users *u, const struct buf *text)
{
	struct table_writer *w;
	struct why why = WHY_INIT;
	struct cf_file f;
	struct cf_line line;
	int rc;

	if (span_starts(span_of(u->spec), SPAN("texthash:")))
		return;
	w = table_writer_new(u->spec, 0, 0644, &why);
	if (w == NULL)
		log_fatal("%s", why.text);
	cf_file_from(&f, u->source, buf_span(text));
	while ((rc = cf_file_next(&f, &line, &why)) == 1) {
		struct buf low = BUF_INIT(BUF_UNLIMITED);
		struct span k, v;

		if (table_text_split(line.text, &k, &v) == TABLE_LINE_BAD) {
			log_warning("%s:%d: not \"key value\": left out",
			    u->source, line.first);
			continue;
		}
		address_fold(k, true, &low);
		if (table_writer_put(w, buf_span(&low), v, true, &why) < 0) {
			table_writer_abort(&w);
			log_fatal("%s", why.text);
		}
		buf_fini(&low);
	}
	cf_file_close(&f);
	if (rc < 0 || table_writer_commit(&w, &why) < 0) {
		table_writer_abort(&w);
		log_fatal("%s", why.text);
	}
}

static void
change_table(struct users *u, bool add)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	struct stat st;
	mode_t mode = stat(u->source, &st) == 0 ? st.st_mode & 0777 : 0644;

	edit_source(u, add, &text);
	if (fd_replace_file(AT_FDCWD, u->source, mode, text.data,
	    text.len) < 0)
		log_fatal("cannot write %s: %m", u->source);
	make_table(u, &text);
	buf_fini(&text);
}

/* --- passwords -------------------------------------------------------------------- */

static struct termios tty_was;
static bool tty_changed;

static void
tty_restore(int signo)
{
	if (tty_changed)
		(void)tcsetattr(0, TCSAFLUSH, &tty_was);
	if (signo != 0) {
		signal(signo, SIG_DFL);
		raise(signo);
	}
}

static void
read_line(struct buf *out)
{
	char c;
	ssize_t n;

	while ((n = read(0, &c, 1)) == 1 && c != '\n')
		if (buf_put_char(out, c) < 0)
			log_fatal("the password is too long");
	if (n < 0)
		log_fatal("cannot read the password: %m");
	if (out->len > 0 && out->data[out->len - 1] == '\r')
		buf_trunc(out, out->len - 1);
}

void
mansio_ask_password(const char *address, struct buf *out)
{
	struct buf twice = BUF_INIT(PASSWORD_MAX + 2);
	struct termios t;

	if (!isatty(0)) {
		read_line(out);
		return;
	}
	if (tcgetattr(0, &tty_was) == 0) {
		t = tty_was;
		t.c_lflag &= ~(tcflag_t)ECHO;
		tty_changed = true;
		signal(SIGINT, tty_restore);
		signal(SIGTERM, tty_restore);
		(void)tcsetattr(0, TCSAFLUSH, &t);
	}
	fprintf(stderr, "Password for %s: ", address);
	read_line(out);
	fprintf(stderr, "\nAgain: ");
	read_line(&twice);
	fprintf(stderr, "\n");
	tty_restore(0);
	if (!span_eq(buf_span(out), buf_span(&twice)))
		log_fatal("the two are not the same");
	buf_wipe(&twice);
}

struct hashing {
	struct users		*u;
	atomic_size_t		 next;
	enum password_cost	 cost;
};

static void *
hash_some(void *arg)
{
	struct hashing *h = arg;
	size_t i;

	while ((i = atomic_fetch_add(&h->next, 1)) < h->u->accounts.len) {
		struct account *a = &h->u->accounts.v[i];

		a->hash = BUF_INIT(BUF_UNLIMITED);
		if (password_line(a->password, h->cost, a->old, &a->hash,
		    &a->why) < 0 && a->why.text[0] == '\0')
			(void)why_set(&a->why, "4.3.0", "cannot hash");
	}
	return NULL;
}

static void
hash_all(struct users *u)
{
	struct hashing h = { .u = u, .cost =
	    u->accounts.len > IMPORT_FULL ? PASSWORD_LIGHT : PASSWORD_FULL };
	pthread_t threads[IMPORT_THREADS];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = 0, want = (size_t)MIN(MAX(cpus, 1), IMPORT_THREADS);

	/* This thread is one of them. */
	while (n + 1 < MIN(want, u->accounts.len) &&
	    pthread_create(&threads[n], NULL, hash_some, &h) == 0)
		n++;
	(void)hash_some(&h);
	while (n > 0)
		pthread_join(threads[--n], NULL);
}

/* --- the commands ------------------------------------------------------------------ */

static void
begin(struct users *u, bool change)
{
	struct why why = WHY_INIT;

	*u = (struct users){ .lock = -1 };
	log_set_fatal_status(MANSIO_FAILED);
	mansio_load();
	choose_table(u);
	if (change) {
		u->lock = open(params_config_dir(), O_RDONLY | O_DIRECTORY |
		    O_CLOEXEC);
		if (u->lock < 0 || flock(u->lock, LOCK_EX) < 0)
			log_fatal("cannot lock %s: %m", params_config_dir());
	}
	if (userfile_read(&u->file, conf.authd_password_file, &why) < 0)
		log_fatal("%s", why.text);
}

static void
end(struct users *u)
{
	for (size_t i = 0; i < u->accounts.len; i++) {
		mem_free(u->accounts.v[i].address);
		buf_wipe(&u->accounts.v[i].hash);
	}
	ARRAY_FINI(&u->accounts);
	userfile_fini(&u->file);
	mem_free(u->spec);
	mem_free(u->source);
	fd_close(&u->lock);
}

static struct match_list *
our_domains(void)
{
	struct why why = WHY_INIT;
	struct match_list *m = match_list_new("virtual_mailbox_domains",
	    conf.virtual_mailbox_domains, 0, &why);

	if (m == NULL)
		log_fatal("%s", why.text);
	return m;
}

/* Hash, make the rows, then the passwords. */
static void
store_accounts(struct users *u)
{
	struct why why = WHY_INIT;

	for (size_t i = 0; i < u->accounts.len; i++)
		(void)userfile_line(&u->file,
		    span_of(u->accounts.v[i].address),
		    &u->accounts.v[i].old);
	hash_all(u);
	for (size_t i = 0; i < u->accounts.len; i++) {
		if (u->accounts.v[i].why.text[0] != '\0')
			log_fatal("%s: %s", u->accounts.v[i].address,
			    u->accounts.v[i].why.text);
	}
	change_table(u, true);
	for (size_t i = 0; i < u->accounts.len; i++)
		(void)userfile_put(&u->file,
		    span_of(u->accounts.v[i].address),
		    buf_span(&u->accounts.v[i].hash));
	if (userfile_write(&u->file, &why) < 0)
		log_fatal("%s", why.text);
	mansio_give_users_to_authd();
}

static int
user_add(const char *text)
{
	struct match_list *domains;
	struct buf password = BUF_INIT(PASSWORD_MAX + 2);
	struct why why = WHY_INIT;
	struct users u;
	char *address;

	begin(&u, true);
	domains = our_domains();
	address = check_address(domains, span_of(text), &why);
	match_list_free(&domains);
	if (address == NULL) {
		log_error("%s", why.text);
		return why.code[0] == '5' ? EX_DATAERR : MANSIO_FAILED;
	}
	if (userfile_has(&u.file, span_of(address))) {
		log_error("%s exists already", address);
		return EX_CANTCREAT;
	}
	mansio_ask_password(address, &password);
	if (password.len == 0) {
		log_error("no password on standard input");
		return EX_DATAERR;
	}
	*ARRAY_PUSH(&u.accounts) = (struct account){
		.address = address, .password = buf_span(&password),
	};
	store_accounts(&u);
	buf_wipe(&password);
	end(&u);
	return MANSIO_OK;
}

static int
user_import(const char *path)
{
	struct match_list *domains;
	struct buf all = BUF_INIT(IMPORT_MAX);
	struct hash seen = HASH_INIT;
	struct span in, line;
	struct users u;
	unsigned bad = 0, added = 0;
	int number = 0;

	if (strcmp(path, "-") == 0)
		path = "/dev/stdin";
	if (fd_read_file(AT_FDCWD, path, &all) < 0)
		log_fatal("cannot read %s: %m", path);
	begin(&u, true);
	domains = our_domains();
	in = buf_span(&all);
	while (span_line(&in, &line)) {
		ptrdiff_t colon = span_find(line, ':');
		struct why why = WHY_INIT;
		char *address = NULL;

		number++;
		if (line.len == 0 || line.p[0] == '#')
			continue;
		if (colon <= 0 || (size_t)colon + 1 == line.len)
			(void)why_set(&why, "5.5.2",
			    "not a line \"address:password\"");
		else
			address = check_address(domains, span_sub(line, 0,
			    (size_t)colon), &why);
		if (address != NULL && hash_put(&seen, span_of(address),
		    &u) != NULL) {
			(void)why_set(&why, "5.5.2", "%s is there twice",
			    address);
			mem_free(address);
			address = NULL;
		}
		if (address != NULL && line.len - (size_t)colon - 1 >
		    PASSWORD_MAX) {
			(void)why_set(&why, "5.5.2", "the password is longer "
			    "than %d bytes", PASSWORD_MAX);
			mem_free(address);
			address = NULL;
		}
		if (address == NULL) {
			/* All of them, but not without end. */
			if (++bad <= 100)
				log_error("%s:%d: %s", path, number,
				    why.text);
			continue;
		}
		added += !userfile_has(&u.file, span_of(address));
		*ARRAY_PUSH(&u.accounts) = (struct account){
			.address = address,
			.password = span_from(line, (size_t)colon + 1),
		};
	}
	match_list_free(&domains);
	hash_fini(&seen, NULL);
	if (bad > 0) {
		log_error("%s: %u bad lines; nothing was imported", path,
		    bad);
		return EX_DATAERR;
	}
	if (u.accounts.len > 0)
		store_accounts(&u);
	printf("%u accounts added, %zu passwords replaced\n", added,
	    u.accounts.len - added);
	buf_wipe(&all);
	end(&u);
	return MANSIO_OK;
}

static int
compare(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static int
user_list(bool json)
{
	ARRAY(char *) names = ARRAY_EMPTY;
	struct users u;

	begin(&u, false);
	for (size_t i = 0; i < u.file.lines.len; i++) {
		const struct userfile_line *l = &u.file.lines.v[i];

		if (l->address_len > 0)
			*ARRAY_PUSH(&names) = mem_strndup(l->text,
			    l->address_len);
	}
	if (names.len > 0)
		qsort(names.v, names.len, sizeof(names.v[0]), compare);
	/* Addresses were checked when they were added: nothing in them needs
	 * quoting in JSON. */
	if (json)
		printf("[");
	for (size_t i = 0; i < names.len; i++) {
		if (json)
			printf("%s\n {\"address\": \"%s\"}", i > 0 ? "," : "",
			    names.v[i]);
		else
			printf("%s\n", names.v[i]);
		mem_free(names.v[i]);
	}
	if (json)
		printf("\n]\n");
	ARRAY_FINI(&names);
	end(&u);
	return fflush(stdout) == 0 ? MANSIO_OK : MANSIO_FAILED;
}

static int
user_delete(const char *text)
{
	struct buf low = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct users u;

	begin(&u, true);
	address_fold(span_trim(span_of(text)), true, &low);
	if (!userfile_delete(&u.file, buf_span(&low))) {
		log_error("there is no account %s", low.data);
		return EX_NOUSER;
	}
	if (userfile_write(&u.file, &why) < 0)
		log_fatal("%s", why.text);
	*ARRAY_PUSH(&u.accounts) = (struct account){
		.address = buf_take(&low),
	};
	change_table(&u, false);
	end(&u);
	return MANSIO_OK;
}

int
mansio_user(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "add") == 0 && argc == 3)
		return user_add(argv[2]);
	if (strcmp(what, "import") == 0 && argc == 3)
		return user_import(argv[2]);
	if (strcmp(what, "list") == 0 && argc == 2)
		return user_list(false);
	if (strcmp(what, "list") == 0 && argc == 3 &&
	    (strcmp(argv[2], "--json") == 0 || strcmp(argv[2], "-j") == 0))
		return user_list(true);
	if (strcmp(what, "delete") == 0 && argc == 3)
		return user_delete(argv[2]);
	return argc > 2 ? mansio_account(argc, argv) : mansio_usage("user");
}
