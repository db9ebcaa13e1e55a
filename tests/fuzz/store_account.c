/* SPDX-License-Identifier: ISC */
/*
 * The files of an account as its hostile owner may write them, checksums and
 * all: journals made of any records, an index, a cache file.  Whatever they
 * say, opening, reading and compacting them touches only what is there.
 *
 * The first byte says which file the rest is; 255: the change journal.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"
#include "mail/message_cache.h"
#include "store/index.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static char	 dir[128];

static void
empty_dir(void)
{
	char path[200];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/user", dir);
	if ((d = opendir(path)) == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		(void)unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

static void
remove_dir(void)
{
	char path[200];

	empty_dir();
	snprintf(path, sizeof(path), "%s/user", dir);
	(void)rmdir(path);
	(void)rmdir(dir);
}

static void
quiet(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static void
start(void)
{
	const char *t = getenv("TMPDIR");

	if (dir[0] == '\0') {
		snprintf(dir, sizeof(dir), "%s/accountXXXXXX",
		    t != NULL && strlen(t) < 80 ? t : "/tmp");
		if (mkdtemp(dir) == NULL)
			abort();
		atexit(remove_dir);
		(void)setenv("MANSIO_STORE_EPOCH", "fuzz", 1);
		log_set_hook(quiet);
	}
}

static void
put_file(const char *name, struct span s)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/user/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || fd_write_all(fd, s.p, s.len) < 0)
		abort();
	close(fd);
}

/* Records u8 type, u8 modseq, u16 length, payload, with right checksums. */
static void
journal_of(struct span in, uint32_t box, struct buf *out)
{
	struct packed_head h = {
		.uidvalidity = 7, .box = box, .generation = 9,
		.state = { .turn = 1, .uidnext = 1, .reserved = 5000,
		    .tail = PACKED_START, .modseq = 1, .totals = true },
	};
	uint8_t raw[PACKED_START];

	packed_head_encode(&h, raw);
	buf_add(out, raw, sizeof(raw));
	while (in.len >= 4) {
		const uint8_t *p = (const uint8_t *)in.p;
		size_t n = num_get_le16(p + 2);

		in = span_from(in, 4);
		packed_record_encode(out, p[0], p[1], span_sub(in, 0, n));
		in = span_from(in, n);
	}
}

/* A journal with a few messages. */
static void
journal_of_messages(struct buf *out)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);

	journal_of(SPAN(""), 1, out);
	for (uint32_t uid = 1; uid <= 4; uid++) {
		struct packed_arrival a = { .uid = uid, .segment = 1,
		    .offset = 64 * uid, .len = 16, .cache_len = 400 * (uid % 2) };

		buf_reset(&b);
		packed_arrival_encode(&b, &a);
		packed_record_encode(out, PACKED_ARRIVAL, uid, buf_span(&b));
	}
	buf_fini(&b);
}

/* A cache file: entries u8 UID, u8, u16 length, record, with right heads. */
static void
cache_of(struct span in, struct buf *out)
{
	char head[32] = "MNSOCCH2";
	uint8_t h[16];

	num_put_le64(head + 8, 9);
	num_put_le64(head + 16, 1);
	buf_add(out, head, sizeof(head));
	while (in.len >= 4) {
		const uint8_t *p = (const uint8_t *)in.p;
		size_t n = MIN((size_t)num_get_le16(p + 2), in.len - 4);

		num_put_le32(h, 0x45484343);
		num_put_le32(h + 4, p[0]);
		num_put_le32(h + 8, (uint32_t)n);
		num_put_le32(h + 12, crc32c(0, h, 12) ^ (p[1] == 255));
		buf_add(out, h, sizeof(h));
		buf_add_span(out, span_sub(in, 4, n));
		while (out->len % 8 != 0)
			buf_add_char(out, '\0');
		in = span_from(in, 4 + n);
	}
}

/* An index that says what the input says, with right checksums. */
static void
index_of(struct span in, struct buf *out)
{
	struct index_head h = { .nrecords = 0 };
	char head[INDEX_HEAD] = { 0 };

	memcpy(&h, in.p, MIN(in.len, sizeof(h)));
	in = span_from(in, sizeof(h));
	memcpy(h.magic, INDEX_MAGIC, sizeof(h.magic));
	h.order = INDEX_ORDER;
	h.record_size = sizeof(struct record);
	h.generation = 9;
	h.uidvalidity = 7;
	memset(h.mailboxid, 0, sizeof(h.mailboxid));
	h.tail = PACKED_START;
	h.len = in.len;
	h.body_crc = crc32c(0, in.p, in.len);
	h.crc = crc32c(0, &h, offsetof(struct index_head, crc));
	memcpy(head, &h, sizeof(h));
	buf_add(out, head, sizeof(head));
	buf_add_span(out, in);
}

static bool
count_one(void *arg, const struct mailbox_deleted *d)
{
	(*(size_t *)arg) += d->uid != 0;
	return true;
}

static void
count_change(void *arg, const struct account_change *ch)
{
	(*(size_t *)arg) += ch->box;
}

static void
look(struct account *a, uint32_t box)
{
	struct mailbox *m = mailbox_open(a, box, MAILBOX_RECENT, NULL);
	struct mailbox_status st;
	struct mailbox_changes c;
	struct ranges gone = RANGES_INIT;
	size_t n = 0;

	(void)!account_status(a, box, &st, NULL);
	if (m == NULL)
		return;
	(void)!mailbox_refresh(m, MAILBOX_EXPUNGES, &c, NULL);
	for (uint32_t seq = 1; seq <= MIN(mailbox_count(m), 50); seq++) {
		struct mailbox_message msg;
		struct mailbox_content bytes;
		struct message_cache record;
		const uint32_t *v;

		if (!mailbox_message(m, seq, &msg) || (seq > 1 &&
		    msg.uid <= mailbox_uid(m, seq - 1)))
			__builtin_trap();
		for (uint32_t k = mailbox_kwset(m, msg.kwset, &v); k-- > 0;)
			if (mailbox_keyword(m, v[k]) == NULL)
				__builtin_trap();
		(void)!mailbox_content(m, msg.uid, &bytes, NULL);
		mailbox_content_done(&bytes);
		if (mailbox_cache(m, msg.uid, &bytes, &record, NULL) == 0)
			mailbox_content_done(&bytes);
	}
	(void)!mailbox_vanished(m, 3, &gone, NULL);
	ranges_fini(&gone);
	mailbox_close(&m);
	(void)!mailbox_deleted(a, box, count_one, &n, NULL);
	(void)mailbox_compact(a, box, true, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct account_options o = {
		.format = STORE_PACKED, .base = dir, .path = "user",
		.owner = "user", .name_limit = 255, .depth_limit = 16,
		.count_limit = 100, .quota.storage = ACCOUNT_UNLIMITED,
		.quota.messages = ACCOUNT_UNLIMITED,
		.quota.mailboxes = ACCOUNT_UNLIMITED,
	};
	struct buf file = BUF_INIT(BUF_UNLIMITED);
	struct span in = span_from(span_make(p, n), 1);
	struct account_state now;
	struct account_usage u;
	struct account *a;
	char path[200];

	if (n < 1 || n > 65536)
		return 0;
	start();
	snprintf(path, sizeof(path), "%s/user", dir);
	empty_dir();
	(void)mkdir(path, 0700);
	put_file("00000001.seg", span_make(p, n));
	journal_of(p[0] % 4 == 0 ? in : SPAN(""), 1, &file);
	put_file("00000001.jrn", buf_span(&file));
	buf_reset(&file);
	if (p[0] % 4 == 1) {
		journal_of(in, 0, &file);
		put_file("account.jrn", buf_span(&file));
	} else if (p[0] % 4 == 2) {
		index_of(in, &file);
		put_file("00000001.idx", buf_span(&file));
	} else if (p[0] == UINT8_MAX) {
		journal_of(in, 0, &file);
		put_file("changes.jrn", buf_span(&file));
	} else if (p[0] % 4 == 3) {
		journal_of_messages(&file);
		put_file("00000001.jrn", buf_span(&file));
		buf_reset(&file);
		cache_of(in, &file);
		put_file("00000001.cch", buf_span(&file));
	}
	a = account_open(&o, NULL);
	if (a != NULL) {
		for (size_t i = 0; i < MIN(account_count(a), 20); i++) {
			const struct account_box *b = account_box(a, i);

			if (account_find(a, span_of(b->name)) == NULL)
				__builtin_trap();
			if (b->box != 0 && b->box < 4)
				look(a, b->box);
		}
		(void)!account_usage(a, &u, NULL);
		(void)!account_changes(a, NULL, &now, count_change, &n, NULL);
		now.number = 2;
		(void)!account_changes(a, &now, &now, count_change, &n, NULL);
		account_close(&a);
	}
	buf_fini(&file);
	return 0;
}
