/* SPDX-License-Identifier: ISC */
/*
 * qmsg: queue files survive crashes at any byte and faults at any call.
 */
#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "queue/qmsg.h"
#include "queue/queue_id.h"

static char dir[80];
static struct spool spool;
static char id[QUEUE_ID_MAX];

static void
setup(void)
{
	const char *tmp = getenv("TMPDIR");
	struct why why = WHY_INIT;

	snprintf(dir, sizeof(dir), "%s/qmsg.XXXXXX",
	    tmp != NULL && strlen(tmp) < 60 ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_msg(spool_create(dir, getuid(), getgid(), &why) == 0, "%s",
	    why.text);
	ck_assert_int_eq(spool_open(&spool, dir, &why), 0);
	queue_id_make(1795310235123456, 0x1234ab, id);
}

static void
teardown(void)
{
	char *cmd = mem_printf("rm -rf '%s'", dir);

	spool_close(&spool);
	ck_assert_int_eq(system(cmd), 0);
	mem_free(cmd);
}

static int
content_fd(const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/content", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	/* Not through lib/io, whose calls are failed. */
	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static int
create(struct why *why)
{
	struct envelope e = ENVELOPE_INIT;
	struct qmsg_content c;
	int rc;

	e.queue_id = span_of(id);
	e.sender = SPAN("a@b");
	e.next_us = 1795310235123456;
	*ARRAY_PUSH(&e.rcpts) = (struct rcpt){ .addr = SPAN("c@d") };
	c.fd = content_fd("..Subject: x\n\nbody\n");
	c.offset = 2;
	c.len = 17;
	rc = qfile_create(&spool, SPOOL_DEFERRED, &e, &c, why);
	close(c.fd);
	envelope_fini(&e);
	return rc;
}

static struct qfile *
must_open(void)
{
	struct why why = WHY_INIT;
	struct qfile *f = qfile_open(&spool, SPOOL_DEFERRED, span_of(id),
	    &why);

	ck_assert_msg(f != NULL, "%s", why.text);
	return f;
}

static int
set_state(struct qfile *f, const char *text, struct why *why)
{
	struct envelope e = *qfile_envelope(f);
	struct rcpt r = e.rcpts.v[0];

	/* A copy: the arrays of f's envelope go with the switch. */
	e.rcpts.v = NULL;
	e.rcpts.len = e.rcpts.alloc = 0;
	e.attrs.v = NULL;
	e.attrs.len = e.attrs.alloc = 0;
	r.text = span_of(text);
	e.next_us += 1000000;
	e.attempts++;
	*ARRAY_PUSH(&e.rcpts) = r;
	int rc = qfile_set_state(f, &e, why);

	ARRAY_FINI(&e.rcpts);
	return rc;
}

static int64_t seen_us;
static int seen;

static bool
on_file(void *arg, const char *name, int64_t next_us,
    int64_t changed_us)
{
	ck_assert_str_eq(name, id);
	seen_us = next_us;
	seen++;
	return true;
}

START_TEST(a_file_keeps_message_and_states)
{
	struct why why = WHY_INIT;
	struct qfile *f;
	struct qmsg_content c;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	char path[SPOOL_PATH_MAX];

	spool_path(SPOOL_DEFERRED, span_of(id), path);
	ck_assert_int_eq(strncmp(path, "deferred/ab/", 12), 0);
	ck_assert_int_eq(create(&why), 0);
	for (int i = 0; i < 5; i++) {
		char text[32];

		f = must_open();
		ck_assert_uint_eq(qfile_envelope(f)->attempts, i);
		c = qfile_content(f);
		ck_assert_uint_eq(c.len, 17);
		buf_reset(&b);
		ck_assert_int_eq(fd_pread_all(c.fd, buf_reserve(&b, c.len),
		    c.len, (off_t)c.offset), 0);
		ck_assert_int_eq(memcmp(b.data, "Subject: x\n\nbody\n", 17), 0);
		snprintf(text, sizeof(text), "reason %d", i);
		ck_assert_int_eq(set_state(f, text, &why), 0);
		ck_assert(span_is(qfile_envelope(f)->rcpts.v[0].text, text));
		ck_assert_int_eq(qfile_sync(f, &why), 0);
		qfile_close(&f);
		seen = 0;
		ck_assert_int_eq(qfile_each(&spool, SPOOL_DEFERRED, on_file,
		    NULL, &why), 0);
		ck_assert_int_eq(seen, 1);
		ck_assert_int_eq(seen_us, 1795310235123456 +
		    (i + 1) * INT64_C(1000000));
	}
	ck_assert_int_eq(qfile_move(&spool, span_of(id), SPOOL_DEFERRED,
	    SPOOL_HOLD, &why), 0);
	ck_assert_ptr_null(qfile_open(&spool, SPOOL_DEFERRED, span_of(id),
	    &why));
	f = qfile_open(&spool, SPOOL_HOLD, span_of(id), &why);
	ck_assert_ptr_nonnull(f);
	qfile_close(&f);
	ck_assert_int_eq(qfile_remove(&spool, SPOOL_HOLD, span_of(id), &why),
	    0);
	ck_assert_int_eq(qfile_remove(&spool, SPOOL_HOLD, span_of(id), &why),
	    -1);
	ck_assert_int_eq(qfile_remove(&spool, SPOOL_HOLD, SPAN("../log/lock"),
	    &why), -1);
	buf_fini(&b);
}
END_TEST

/* Cut, or garbled, at each byte: the message and the states before it, or
 * "damaged"; never something else. */
START_TEST(a_file_cut_at_any_byte)
{
	struct why why = WHY_INIT;
	char path[SPOOL_PATH_MAX];
	struct buf image = BUF_INIT(BUF_UNLIMITED);
	struct qfile *f;
	struct stat st;
	off_t one, two;
	int fd;

	spool_path(SPOOL_DEFERRED, span_of(id), path);
	ck_assert_int_eq(create(&why), 0);
	ck_assert_int_eq(fstatat(spool.dirfd, path, &st, 0), 0);
	one = st.st_size;
	f = must_open();
	ck_assert_int_eq(set_state(f, "first", &why), 0);
	ck_assert_int_eq(fstatat(spool.dirfd, path, &st, 0), 0);
	two = st.st_size;
	ck_assert_int_eq(set_state(f, "second", &why), 0);
	qfile_close(&f);
	ck_assert_int_eq(fd_read_file(spool.dirfd, path, &image), 0);
	for (size_t n = 0; n <= image.len; n++) {
		unsigned attempts;

		fd = openat(spool.dirfd, path, O_RDWR | O_TRUNC);
		ck_assert_int_eq(fd_write_all(fd, image.data, n), 0);
		if (_i == 1 && n < image.len) {	/* garbage behind */
			char rest[64];

			memset(rest, image.data[n] ^ 0x55, sizeof(rest));
			ck_assert_int_eq(fd_write_all(fd, rest, 64), 0);
		}
		close(fd);
		why = WHY_INIT;
		f = qfile_open(&spool, SPOOL_DEFERRED, span_of(id), &why);
		if ((off_t)n < one) {
			ck_assert_msg(f == NULL, "at %zu", n);
			ck_assert_str_eq(why.code, "4.3.0");
			continue;
		}
		ck_assert_msg(f != NULL, "at %zu: %s", n, why.text);
		attempts = qfile_envelope(f)->attempts;
		ck_assert_uint_le(attempts, 2);
		if (n == image.len)
			ck_assert_uint_eq(attempts, 2);
		if ((off_t)n == two)
			ck_assert_uint_ge(attempts, 1);
		/* The next state takes the torn one's place. */
		ck_assert_int_eq(set_state(f, "third", &why), 0);
		qfile_close(&f);
		f = must_open();
		ck_assert_uint_eq(qfile_envelope(f)->attempts, attempts + 1);
		ck_assert(span_is(qfile_envelope(f)->rcpts.v[0].text,
		    "third"));
		qfile_close(&f);
	}
	buf_fini(&image);
}
END_TEST

START_TEST(the_nth_call_fails)
{
	for (unsigned n = 1;; n++) {
		struct why why = WHY_INIT;
		struct qfile *f;
		bool ok;

		fault_arm(n, ENOSPC);
		ok = create(&why) == 0;
		fault_arm(0, 0);
		f = qfile_open(&spool, SPOOL_DEFERRED, span_of(id), &why);
		if (!ok) {
			ck_assert_ptr_null(f);
			continue;
		}
		ck_assert_ptr_nonnull(f);
		qfile_close(&f);
		ck_assert_uint_gt(n, 3);
		break;
	}
	for (unsigned n = 1;; n++) {
		struct why why = WHY_INIT;
		struct qfile *f = must_open();
		unsigned before = qfile_envelope(f)->attempts;
		bool ok;

		fault_arm(n, EIO);
		ok = set_state(f, "x", &why) == 0;
		fault_arm(0, 0);
		qfile_close(&f);
		f = must_open();
		ck_assert_uint_eq(qfile_envelope(f)->attempts, before + ok);
		qfile_close(&f);
		if (ok)
			break;
	}
}
END_TEST

START_TEST(a_record_is_taken_apart)
{
	struct why why = WHY_INIT;
	struct envelope e;
	struct span content;
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	char le[4];

	ck_assert_int_eq(qmsg_parse(QREC_MESSAGE, SPAN("abc"), &e, &content,
	    &why), -1);
	buf_add(&b, "\0\0\0\0", 4);
	e = ENVELOPE_INIT;
	e.sender = SPAN("s@x");
	envelope_encode(&b, &e);
	num_put_le32(le, (uint32_t)b.len - 4);
	memcpy(b.data, le, 4);
	ck_assert_int_eq(qmsg_parse(QREC_LARGE, buf_span(&b), &e, &content,
	    &why), 0);
	ck_assert_uint_eq(content.len, 0);
	envelope_fini(&e);
	buf_add_str(&b, "content");
	ck_assert_int_eq(qmsg_parse(QREC_LARGE, buf_span(&b), &e, &content,
	    &why), -1);
	ck_assert_int_eq(qmsg_parse(QREC_MESSAGE, buf_span(&b), &e, &content,
	    &why), 0);
	ck_assert(span_is(content, "content"));
	ck_assert(span_is(e.sender, "s@x"));
	envelope_fini(&e);
	ck_assert_int_eq(qmsg_parse(QREC_STATE, buf_span(&b), &e, &content,
	    &why), -1);
	b.data[3] = 1;
	ck_assert_int_eq(qmsg_parse(QREC_MESSAGE, buf_span(&b), &e, &content,
	    &why), -1);
	buf_fini(&b);
}
END_TEST

Suite *
suite(void)
{
	Suite *s = suite_create("qmsg");
	TCase *t = tcase_create("qmsg");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_file_keeps_message_and_states);
	tcase_add_loop_test(t, a_file_cut_at_any_byte, 0, 2);
	tcase_add_test(t, the_nth_call_fails);
	tcase_add_test(t, a_record_is_taken_apart);
	suite_add_tcase(s, t);
	return s;
}
