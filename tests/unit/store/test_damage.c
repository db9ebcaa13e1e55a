/* SPDX-License-Identifier: ISC */
/*
 * damage: bytes change, ends go missing, in any file of a packed account.
 * Whatever it is: nothing crashes, no message has other bytes than it was
 * delivered with, messages that the damage does not touch are there, new ones
 * can come, and none of these gets a UID that was in use.
 *
 * DAMAGE_TURNS says how many times; the seed of a failure is shown.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "mail/message_cache.h"
#include "store/account.h"
#include "store/mailbox.h"

#define MESSAGES	30
#define TURNS		96
#define CHILD_S		60	/* a loop without an end is a failure, too */

static struct why why;
static char dir[64], base[80], copy[80];
static uint32_t state;

static uint32_t
any(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(state >> 4) * n >> 28);
}

static void PRINTF(1, 2)
shell(const char *fmt, ...)
{
	char cmd[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	ck_assert_int_eq(system(cmd), 0);
}

static void
message_text(struct buf *b, unsigned i)
{
	buf_addf(b, "From: a@example.test\nSubject: number %u\n"
	    "Message-ID: <%u@example.test>\n\n", i, i);
	for (unsigned k = 0; k < 5 + i; k++)
		buf_addf(b, "line %u of message %u\n", k, i);
}

static struct account *
open_account(void)
{
	struct account_options o = {
		.format = STORE_PACKED, .flags = STORE_MAKE_BASE,
		.base = base, .path = "user", .owner = "user",
		.quota = { QUOTA_UNLIMITED, QUOTA_UNLIMITED, QUOTA_UNLIMITED },
		.depth_limit = 9, .count_limit = 99,
		.expunge_delay_s = 1000000,
	};

	return account_open(&o, &why);
}

/* One message, by itself: a record in the journal of its own. */
static int
add(struct account *a, uint32_t box, unsigned i, uint32_t *uid)
{
	struct append_info info = { .flags = i % 3 == 0 ? STORE_SEEN : 0 };
	struct append *ap = append_begin(a, box, NULL, 0, &why);
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct uid_result r = { .to = NULL };
	int rc = -1;

	message_text(&b, i);
	if (ap != NULL && append_next(ap, &info, &why) == 0 &&
	    append_data(ap, buf_span(&b), &why) == 0)
		rc = append_commit(ap, &r, &why);
	if (rc == 0 && uid != NULL)
		*uid = r.to->v[0].lo;
	append_free(&ap);
	buf_fini(&b);
	return rc;
}

static void
build(void)
{
	struct account *a;
	struct mailbox *m;
	struct mailbox_content c;
	struct message_cache rec;
	uint32_t box;

	a = open_account();
	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(account_create(a, SPAN("x"), 0, &box, &why), 0);
	for (unsigned i = 0; i < MESSAGES; i++)
		ck_assert_int_eq(add(a, i % 2 ? box : ACCOUNT_INBOX, i, NULL),
		    0);
	/* An index and a cache of both. */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(mailbox_rebuild(a, i ? box : ACCOUNT_INBOX,
		    &why), 0);
		m = mailbox_open(a, i ? box : ACCOUNT_INBOX, 0, &why);
		for (uint32_t n = 1; n <= mailbox_count(m); n++) {
			ck_assert_int_eq(mailbox_cache(m, mailbox_uid(m, n),
			    MESSAGE_CACHE_ALL, &c, &rec, &why), 0);
			mailbox_content_done(&c);
		}
		mailbox_close(&m);
	}
	ck_assert_int_eq(account_sync(a, &why), 0);
	account_close(&a);
}

static void
setup(void)
{
	const char *t = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/damageXXXXXX",
	    t != NULL && strlen(t) < 40 ? t : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(base, sizeof(base), "%s/mail", dir);
	snprintf(copy, sizeof(copy), "%s/copy", dir);
	ck_assert_int_eq(mkdir(base, 0700), 0);
	account_warm();
	build();
	shell("cp -a '%s' '%s'", base, copy);
}

static void
teardown(void)
{
	shell("rm -rf '%s'", dir);
}

/* --- damage ----------------------------------------------------------------------- */

enum harm { FLIP, CUT, ZERO, REMOVE, HARMS };

static const char *const harm_names[] = { "flip", "cut", "zero", "remove" };

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One of the account's files, always the same for the same number. */
static char *
choose(const char *ext)
{
	char *path = mem_printf("%s/user", base);
	ARRAY(char *) names = ARRAY_EMPTY;
	DIR *d = opendir(path);
	struct dirent *e;
	char *one = NULL;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL)
		if (span_ends(span_of(e->d_name), span_of(ext)))
			*ARRAY_PUSH(&names) = mem_printf("%s/%s", path,
			    e->d_name);
	closedir(d);
	if (names.len > 0) {
		qsort(names.v, names.len, sizeof(names.v[0]), by_name);
		one = mem_strdup(names.v[any((uint32_t)names.len)]);
	}
	for (size_t i = 0; i < names.len; i++)
		mem_free(names.v[i]);
	ARRAY_FINI(&names);
	mem_free(path);
	return one;
}

static void
harm(const char *path, enum harm h)
{
	int fd = open(path, O_RDWR);
	uint8_t zeros[64] = { 0 }, byte;
	struct stat st;
	off_t at;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	at = (off_t)any((uint32_t)MAX(st.st_size, 1));
	switch (h) {
	case FLIP:
		if (pread(fd, &byte, 1, at) == 1) {
			byte ^= (uint8_t)(1u << any(8));
			ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
		}
		break;
	case CUT:
		ck_assert_int_eq(ftruncate(fd, at), 0);
		break;
	case ZERO:
		ck_assert_int_gt(pwrite(fd, zeros, MIN(sizeof(zeros),
		    (size_t)MAX(st.st_size - at, 1)), at), 0);
		break;
	default:
		ck_assert_int_eq(unlink(path), 0);
		break;
	}
	close(fd);
}

/* --- what is left ------------------------------------------------------------------- */

/* In the forked process, of which check knows nothing. */
#define NEED(cond, ...) do {						\
	if (!(cond)) {							\
		printf(__VA_ARGS__);					\
		printf("\n");						\
		fflush(stdout);						\
		_exit(1);						\
	}								\
} while (0)

/* How many messages are there as they were; none may be otherwise. */
static unsigned
count_whole(struct account *a, uint32_t box, unsigned flags, uint32_t *top)
{
	struct mailbox *m = mailbox_open(a, box, flags, &why);
	unsigned whole = 0;

	*top = 0;
	if (m == NULL)
		return 0;
	for (uint32_t n = 1; n <= mailbox_count(m); n++) {
		struct buf b = BUF_INIT(BUF_UNLIMITED);
		uint32_t uid = mailbox_uid(m, n);
		struct mailbox_content c;
		struct message_cache rec;
		struct mailbox_message msg;
		unsigned number;

		*top = MAX(*top, uid);
		NEED(mailbox_message(m, n, &msg), "no message %u", n);
		if (mailbox_cache(m, uid, MESSAGE_CACHE_ALL, &c, &rec,
		    &why) == 0)
			mailbox_content_done(&c);
		if (mailbox_content(m, uid, &c, &why) == 0) {
			const char *at = memmem(c.bytes.p, c.bytes.len,
			    "number ", 7);

			NEED(at != NULL && sscanf(at + 7, "%u",
			    &number) == 1, "uid %u is no message", uid);
			message_text(&b, number);
			NEED(span_eq(buf_span(&b), c.bytes),
			    "uid %u has other bytes", uid);
			whole++;
		}
		mailbox_content_done(&c);
		buf_fini(&b);
	}
	mailbox_close(&m);
	return whole;
}

/* In a process of its own.  0: all as it has to be. */
static void
judge(const char *ext, enum harm h, unsigned flags)
{
	struct account *a = open_account();
	const struct account_box *b;
	uint32_t box[2] = { ACCOUNT_INBOX, 0 }, top, uid;
	unsigned whole = 0, found = 0;
	bool index = strcmp(ext, ".idx") == 0 || strcmp(ext, ".cch") == 0;

	NEED(a != NULL, "the account does not open: %s", why.text);
	for (size_t i = 0; i < account_count(a); i++) {
		b = account_box(a, i);
		if (b->box > ACCOUNT_INBOX)
			box[1] = b->box;
	}
	for (int i = 0; i < 2; i++) {
		if (box[i] == 0)
			continue;
		found++;
		whole += count_whole(a, box[i], flags, &top);
		/* Life goes on. */
		NEED(add(a, box[i], 99, &uid) == 0, "append: %s",
		    why.text);
		NEED(uid > top && uid > MESSAGES / 2,
		    "uid %u was in use", uid);
		NEED(count_whole(a, box[i], flags, &top) > 0,
		    "nothing is there");
	}
	account_close(&a);
	/* What can be made anew is worth nothing; else a byte is a message. */
	if (index)
		NEED(whole == MESSAGES, "%u messages", whole);
	else if (h == FLIP)
		NEED(found == 2 && whole >= MESSAGES - 1,
		    "%u of %u messages, %u mailboxes", whole, MESSAGES, found);
}

static const char *const exts[] = { ".jrn", ".seg", ".idx", ".cch" };

/* Every damage is reported; here that is noise. */
static void
quiet(enum log_level level, const char *line)
{
}

START_TEST(any_damage_is_survived)
{
	const char *turns = getenv("DAMAGE_TURNS");
	int failures = 0;
	int n = turns != NULL ? (int)strtol(turns, NULL, 10) : TURNS;

	for (int i = 0; i < n; i++) {
		const char *ext = exts[i % (int)ARRAY_LEN(exts)];
		enum harm h = (enum harm)(i / 4 % HARMS);
		char *path;
		pid_t pid;
		int st;

		state = (uint32_t)i * 2654435761u + 1;
		shell("rm -rf '%s' && cp -a '%s' '%s'", base, copy, base);
		path = choose(ext);
		if (path == NULL)
			continue;
		harm(path, h);
		pid = fork();
		if (pid == 0) {
			alarm(CHILD_S);
			log_set_hook(quiet);
			judge(ext, h, i / 16 % 2 ? MAILBOX_LATER : 0);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &st, 0), pid);
		if (st != 0) {
			printf("turn %d, %s of %s: status %x\n", i,
			    harm_names[h], strrchr(path, '/'), (unsigned)st);
			failures++;
		}
		mem_free(path);
	}
	fflush(stdout);
	ck_assert_int_eq(failures, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("damage");
	TCase *t = tcase_create("damage");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, any_damage_is_survived);
	tcase_set_timeout(t, 600);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
