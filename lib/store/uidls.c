/* SPDX-License-Identifier: ISC */
/*
 * uidls - reading and writing the file of unique ids; see uidls.h.
 *
 * It lies where its user may write to, so nothing in it is believed: what is
 * no line is passed over.
 */
#include "store/uidls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fault.h"
#include "io/fd.h"
#include "store/mailbox_internal.h"

#define HEAD	"mansio-uidl 1 "

bool
uidls_id_ok(struct span id)
{
	for (size_t i = 0; i < id.len; i++) {
		if (id.p[i] < 0x21 || id.p[i] > 0x7e)
			return false;
	}
	return id.len > 0 && id.len <= UIDLS_ID_MAX;
}

void
uidls_fini(struct uidls *u)
{
	ARRAY_FINI(&u->v);
	buf_fini(&u->text);
}

static int
by_uid(const void *a, const void *b)
{
	const struct uidls_line *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	/* The later line holds. */
	return x->id.p < y->id.p ? -1 : x->id.p > y->id.p;
}

/* "UID id". */
static bool
parse_line(struct span line, struct uidls_line *out)
{
	ptrdiff_t blank = span_find(line, ' ');

	if (blank < 0 || num_parse_u32(span_sub(line, 0, (size_t)blank),
	    UINT32_MAX, &out->uid) < 0)
		return false;
	out->id = span_from(line, (size_t)blank + 1);
	return out->uid != 0 && uidls_id_ok(out->id);
}

int
uidls_parse(struct uidls *u, struct buf *text)
{
	struct span rest, line;
	struct uidls_line one;
	bool sorted = true;

	*u = (struct uidls){ .text = *text };
	*text = BUF_INIT(text->max);
	rest = buf_span(&u->text);
	/* What has no end was not finished. */
	rest.len = (size_t)(span_rfind(rest, '\n') + 1);
	if (!span_line(&rest, &line) || !span_starts(line, SPAN(HEAD)) ||
	    num_parse_u32(span_from(line, sizeof(HEAD) - 1), UINT32_MAX,
	    &u->uidvalidity) < 0)
		return -1;
	while (span_line(&rest, &line)) {
		if (!parse_line(line, &one))
			continue;
		sorted &= u->v.len == 0 ||
		    u->v.v[u->v.len - 1].uid < one.uid;
		*ARRAY_PUSH(&u->v) = one;
	}
	if (!sorted)
		qsort(u->v.v, u->v.len, sizeof(u->v.v[0]), by_uid);
	return 0;
}

int
uidls_load(struct uidls *u, int dir, const char *name, uint32_t uidvalidity,
    struct why *why)
{
	struct buf text = BUF_INIT(UIDLS_FILE_MAX);
	struct stat st;
	char *to;
	int fd, rc = -1;

	*u = (struct uidls){ .text = BUF_INIT(0) };
	fd = packed_open_checked(dir, name, O_RDONLY);
	if (fd < 0)
		return errno == ENOENT ? 0 : store_fail(why, "cannot open",
		    name);
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > UIDLS_FILE_MAX) {
		(void)why_set(why, "", "%s is too large", name);
	} else if ((to = buf_reserve(&text, (size_t)st.st_size)) == NULL ||
	    fd_pread_all(fd, to, (size_t)st.st_size, 0) < 0) {
		(void)store_fail(why, "cannot read", name);
	} else {
		buf_commit(&text, (size_t)st.st_size);
		rc = uidls_parse(u, &text) == 0 &&
		    u->uidvalidity == uidvalidity;
		if (rc == 0) {
			uidls_fini(u);
			*u = (struct uidls){ .text = BUF_INIT(0) };
		}
		u->file = st;
	}
	close(fd);
	buf_fini(&text);
	return rc;
}

struct span
uidls_find(const struct uidls *u, uint32_t uid)
{
	size_t lo = 0, hi = u->v.len;

	/* The first one behind uid. */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (u->v.v[mid].uid <= uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && u->v.v[lo - 1].uid == uid ? u->v.v[lo - 1].id :
	    SPAN_EMPTY;
}

/* A new file, or the one that is there, when it is of this UIDVALIDITY. */
static int
open_for(int dir, const char *name, const char *tmp, uint32_t uidvalidity,
    struct buf *text, bool *fresh, struct why *why)
{
	struct uidls u;
	int fd, rc = uidls_load(&u, dir, name, uidvalidity, why);

	if (rc < 0)
		return -1;
	/* Behind a line that was not finished. */
	if (rc == 1 && u.text.len > 0 && u.text.data[u.text.len - 1] != '\n')
		buf_add_char(text, '\n');
	uidls_fini(&u);
	*fresh = rc == 0;
	if (rc == 1) {
		fd = packed_open_checked(dir, name, O_RDWR | O_APPEND);
	} else {
		buf_addf(text, HEAD "%" PRIu32 "\n", uidvalidity);
		(void)unlinkat(dir, tmp, 0);
		fd = fault_openat(dir, tmp, O_RDWR | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	return fd >= 0 ? fd : store_fail(why, "cannot write to", name);
}

int
uidls_add(int dir, const char *name, uint32_t uidvalidity,
    const struct uidls_line *v, size_t n, struct why *why)
{
	struct buf text = BUF_INIT(BUF_UNLIMITED);
	char tmp[PACKED_NAME_MAX + 40];
	bool fresh;
	int fd, rc = -1;

	snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", name, (long)getpid());
	fd = open_for(dir, name, tmp, uidvalidity, &text, &fresh, why);
	if (fd < 0)
		goto out;
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "%" PRIu32 " %.*s\n", v[i].uid,
		    SPAN_ARG(v[i].id));
	if (fd_write_all(fd, text.data, text.len) < 0 ||
	    fault_fdatasync(fd) < 0 ||
	    (fresh && (fault_renameat(dir, tmp, dir, name) < 0 ||
	    fault_fsync(dir) < 0))) {
		(void)store_fail(why, "cannot write to", name);
		if (fresh)
			(void)unlinkat(dir, tmp, 0);
	} else {
		rc = 0;
	}
	close(fd);
out:
	buf_fini(&text);
	return rc;
}

/* --- of a mailbox -------------------------------------------------------------------- */

void
uidls_name(const struct mailbox *m, char out[PACKED_NAME_MAX])
{
	if (m->md != NULL)
		snprintf(out, PACKED_NAME_MAX, UIDLS_ALONE_NAME);
	else
		packed_name(m->box, UIDLS_SUFFIX, out);
}

static void
load_uidls(struct mailbox *m)
{
	struct why why = WHY_INIT;
	char name[PACKED_NAME_MAX];

	m->uidls = mem_zalloc(sizeof(*m->uidls));
	uidls_name(m, name);
	if (uidls_load(m->uidls, m->p->dirfd, name, mailbox_uidvalidity(m),
	    &why) < 0)
		log_error("%s: %s: clients fetch its messages anew",
		    m->p->path, why.text);
}

struct span
mailbox_uidl(struct mailbox *m, uint32_t seq)
{
	if (m->uidls == NULL)
		load_uidls(m);
	return m->uidls->v.len == 0 ? SPAN_EMPTY :
	    uidls_find(m->uidls, mailbox_uid(m, seq));
}

bool
mailbox_uidls_hold(const struct mailbox *m)
{
	char name[PACKED_NAME_MAX];
	struct stat st;

	if (m->uidls == NULL)
		return true;
	uidls_name(m, name);
	if (fstatat(m->p->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && m->uidls->file.st_nlink == 0;
	return store_same_file(&st, &m->uidls->file);
}

void
mailbox_uidls_free(struct mailbox *m)
{
	if (m->uidls != NULL)
		uidls_fini(m->uidls);
	mem_free(m->uidls);
	m->uidls = NULL;
}
