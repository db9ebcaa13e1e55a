/* SPDX-License-Identifier: ISC */
/*
 * table_db - hash: and btree:, files of Berkeley DB that postmap makes.
 *
 * The files are those of Postfix and can be shared with it.  Keys and values
 * end with a NUL in files of Postfix's postmap and ours, and without one in
 * those of some other programs; which it is we learn from the first hit.
 *
 * We only read, without an environment and without memory mapping, so that a
 * file that shrinks under us is an error and not a signal.  The library trusts
 * what it reads: a damaged page can make it crash.  So the file's size is
 * compared with what its first page says, and files up to VERIFY_MAX are
 * verified when they are opened.  Errors are temporary.
 *
 * Writing goes to a new file that is renamed into place.
 *
 * No other file sees the types of Berkeley DB.
 */
#include "conf/table_priv.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/fd.h"

#define CACHE_BYTES	(256 * 1024)
#define WRITE_CACHE	(16 << 20)	/* makes a large table without I/O */
#define VERIFY_MAX	(16 << 20)
#define SUFFIX		".db"

struct dbfile {
	DB	*db;
	bool	 nul_known;	/* whether keys end with NUL is known ... */
	bool	 nul;		/* ... and this is the answer */
};

/* The library prints to standard error unless it is told otherwise. */
static void
quiet(const DB_ENV *env, const char *prefix, const char *message)
{
	log_debug("Berkeley DB: %s", message);
}

static DB *
new_handle(const char *path, uint32_t cache, struct why *why)
{
	DB *db;
	int e = db_create(&db, NULL, 0);

	if (e != 0) {
		why_set(why, "4.3.0", "open database %s: %s", path,
		    db_strerror(e));
		return NULL;
	}
	db->set_errcall(db, quiet);
	(void)db->set_cachesize(db, 0, cache, 1);
	return db;
}

/*
 * The size of the file must agree with its first page.  Layout of the first
 * page: magic at 12, version at 16, page size at 20, last page at 32.
 */
static int
check_size(const char *path, DBTYPE type, struct why *why)
{
	struct {
		uint32_t	lsn[2], pgno, magic, version, pagesize;
		uint8_t		kind[4];
		uint32_t	free, last_pgno;
	} page;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint32_t magic, pagesize, last;
	bool swapped;

	if (fd == -1)
		return why_errno(why, "4.3.5", "open database %s", path);
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    fd_pread_all(fd, &page, sizeof(page), 0) == -1) {
		(void)close(fd);
		return why_set(why, "4.3.0", "open database %s: not a "
		    "database", path);
	}
	(void)close(fd);
	swapped = page.magic == __builtin_bswap32(0x061561) ||
	    page.magic == __builtin_bswap32(0x053162);
	magic = swapped ? __builtin_bswap32(page.magic) : page.magic;
	pagesize = swapped ? __builtin_bswap32(page.pagesize) : page.pagesize;
	last = swapped ? __builtin_bswap32(page.last_pgno) : page.last_pgno;
	if (magic != 0x061561 && magic != 0x053162)
		return why_set(why, "4.3.0", "open database %s: not a hash "
		    "or btree database", path);
	if ((magic == 0x061561) != (type == DB_HASH))
		return why_set(why, "4.3.5", "open database %s: it is a %s "
		    "database", path, type == DB_HASH ? "btree" : "hash");
	if (pagesize < 512 || pagesize > 65536 ||
	    (pagesize & (pagesize - 1)) != 0 ||
	    ((uint64_t)last + 1) * pagesize > (uint64_t)st.st_size)
		return why_set(why, "4.3.0", "open database %s: the file is "
		    "damaged", path);
	return 0;
}

static int
verify(const char *path, struct why *why)
{
	struct stat st;
	DB *db;
	int e;

	if (stat(path, &st) == -1 || st.st_size > VERIFY_MAX)
		return 0;
	db = new_handle(path, CACHE_BYTES, why);
	if (db == NULL)
		return -1;
	/* Destroys the handle, whatever it returns. */
	e = db->verify(db, path, NULL, NULL, DB_NOORDERCHK);
	if (e != 0)
		return why_set(why, "4.3.0", "open database %s: the file is "
		    "damaged: %s", path, db_strerror(e));
	return 0;
}

static DB *
open_read(const char *path, DBTYPE type, struct why *why)
{
	DB *db;
	int e;

	if (check_size(path, type, why) == -1 || verify(path, why) == -1)
		return NULL;
	db = new_handle(path, CACHE_BYTES, why);
	if (db == NULL)
		return NULL;
	e = db->open(db, NULL, path, NULL, type, DB_RDONLY | DB_NOMMAP, 0);
	if (e != 0) {
		(void)db->close(db, DB_NOSYNC);
		why_set(why, "4.3.0", "open database %s: %s", path,
		    db_strerror(e));
		return NULL;
	}
	return db;
}

static DBTYPE
dbtype(const struct table_type *type)
{
	return type == &table_type_hash ? DB_HASH : DB_BTREE;
}

static int
db_open(struct table *t, struct why *why)
{
	DB *db = open_read(t->path, dbtype(t->type), why);
	struct dbfile *f;

	if (db == NULL)
		return -1;
	f = mem_zalloc(sizeof(*f));
	f->db = db;
	t->impl = f;
	return 0;
}

static void
db_close(struct table *t)
{
	struct dbfile *f = t->impl;

	(void)f->db->close(f->db, DB_NOSYNC);
	mem_free(f);
	t->impl = NULL;
}

static struct span
without_nul(const DBT *d)
{
	struct span s = span_make(d->data, d->size);

	if (s.len > 0 && s.p[s.len - 1] == '\0')
		s.len--;
	return s;
}

/* A key with or without a NUL behind it. */
static int
get_one(struct table *t, struct span key, bool nul, struct buf *out,
    struct why *why)
{
	struct dbfile *f = t->impl;
	char text[TABLE_KEY_MAX + 1];
	DBT k, v;
	int e;

	memset(&k, 0, sizeof(k));
	memset(&v, 0, sizeof(v));
	if (key.len > 0)
		memcpy(text, key.p, key.len);
	text[key.len] = '\0';
	k.data = text;
	k.size = (uint32_t)(key.len + (nul ? 1 : 0));
	e = f->db->get(f->db, NULL, &k, &v, 0);
	if (e == DB_NOTFOUND)
		return 0;
	if (e != 0)
		return why_set(why, "4.3.0", "table %s: read: %s", t->spec,
		    db_strerror(e));
	f->nul_known = true;
	f->nul = nul;
	return table_give(t, without_nul(&v), out, why);
}

static int
db_get(struct table *t, struct span key, struct buf *out, struct why *why)
{
	struct dbfile *f = t->impl;
	int rc = 0;

	if (!f->nul_known || f->nul)
		rc = get_one(t, key, true, out, why);
	if (rc == 0 && (!f->nul_known || !f->nul) && key.len > 0)
		rc = get_one(t, key, false, out, why);
	return rc;
}

/* All entries of an open handle. */
static int
walk(DB *db, const char *path, int (*fn)(void *arg, const DBT *k,
    const DBT *v), void *arg, struct why *why)
{
	DBC *cursor;
	DBT k, v;
	int e, rc = 0;

	memset(&k, 0, sizeof(k));
	memset(&v, 0, sizeof(v));
	e = db->cursor(db, NULL, &cursor, 0);
	if (e == 0) {
		while (rc == 0 && (e = cursor->get(cursor, &k, &v,
		    DB_NEXT)) == 0)
			rc = fn(arg, &k, &v);
		(void)cursor->close(cursor);
	}
	if (rc == 0 && e != DB_NOTFOUND && e != 0)
		return why_set(why, "4.3.0", "read database %s: %s", path,
		    db_strerror(e));
	return rc;
}

struct each {
	table_each_fn	*fn;
	void		*arg;
};

static int
each_one(void *arg, const DBT *k, const DBT *v)
{
	struct each *x = arg;

	return x->fn(x->arg, without_nul(k), without_nul(v)) ? 0 : 1;
}

static int
db_each(struct table *t, table_each_fn *fn, void *arg, struct why *why)
{
	struct dbfile *f = t->impl;
	struct each x = { .fn = fn, .arg = arg };

	return walk(f->db, t->path, each_one, &x, why) == -1 ? -1 : 0;
}

const struct table_type table_type_hash = {
	.name = "hash", .folds = true, .file_suffix = SUFFIX,
	.open = db_open, .get = db_get, .each = db_each, .close = db_close,
};

const struct table_type table_type_btree = {
	.name = "btree", .folds = true, .file_suffix = SUFFIX,
	.open = db_open, .get = db_get, .each = db_each, .close = db_close,
};

/* --- writing --------------------------------------------------------------------- */

struct table_writer {
	char	*path, *tmp;
	DB	*db;
	int	 lock;		/* the old file, locked; -1 when there is none */
};

bool
table_type_is_writable(struct span type)
{
	return span_is(type, "hash") || span_is(type, "btree");
}

/*
 * Lock the file that path names.  Who waited finds that the name now belongs
 * to a new file, and locks that.  The lock belongs to the descriptor, not to
 * the process, which would lose it when the file is read.  The descriptor; -1 when there is no file,
 * -2 with why.
 */
static int
lock_present(const char *path, struct why *why)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat a, b;
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd == -1 && errno == ENOENT)
			return -1;
		if (fd == -1) {
			why_errno(why, "4.3.0", "open %s", path);
			return -2;
		}
		while (fcntl(fd, F_OFD_SETLKW, &l) == -1) {
			if (errno != EINTR) {
				why_errno(why, "4.3.0", "lock %s", path);
				(void)close(fd);
				return -2;
			}
		}
		if (fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
		    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return fd;
		(void)close(fd);
	}
}

static int
copy_one(void *arg, const DBT *k, const DBT *v)
{
	struct table_writer *w = arg;
	DBT key, value;

	memset(&key, 0, sizeof(key));
	memset(&value, 0, sizeof(value));
	key.data = k->data;
	key.size = k->size;
	value.data = v->data;
	value.size = v->size;
	return w->db->put(w->db, NULL, &key, &value, 0) == 0 ? 0 : -1;
}

/* The owner of the source file, and the rights of what was there. */
static void
set_owner(const char *source, int flags, const char *tmp)
{
	struct stat st;

	if (!(flags & TABLE_KEEP_OWNER) || geteuid() != 0 ||
	    stat(source, &st) == -1)
		return;
	if (chown(tmp, st.st_uid, st.st_gid) == -1)
		log_warning("chown %s: %s", tmp, strerror(errno));
}

struct table_writer *
table_writer_new(const char *spec, int flags, mode_t mode, struct why *why)
{
	struct span s = span_of(spec), type;
	ptrdiff_t colon = span_find(s, ':');
	struct table_writer *w;
	const char *name;
	DBTYPE dbt;
	DB *old;
	int e;

	type = colon > 0 ? span_sub(s, 0, (size_t)colon) : SPAN_EMPTY;
	if (!table_type_is_writable(type) || spec[colon + 1] == '\0') {
		why_set(why, "4.3.5", "%s: only hash:file and btree:file can "
		    "be made", spec);
		return NULL;
	}
	name = spec + colon + 1;
	dbt = span_is(type, "hash") ? DB_HASH : DB_BTREE;
	w = mem_zalloc(sizeof(*w));
	w->path = mem_printf("%s%s", name, SUFFIX);
	w->tmp = mem_printf("%s.tmp.%ld", w->path, (long)getpid());
	w->lock = lock_present(w->path, why);
	if (w->lock == -2) {
		w->lock = -1;
		goto fail;
	}
	(void)unlink(w->tmp);
	w->db = new_handle(w->tmp, WRITE_CACHE, why);
	if (w->db == NULL)
		goto fail;
	e = w->db->open(w->db, NULL, w->tmp, NULL, dbt,
	    DB_CREATE | DB_EXCL, (int)mode);
	if (e != 0) {
		why_set(why, "4.3.0", "create %s: %s", w->tmp,
		    db_strerror(e));
		goto fail;
	}
	set_owner(name, flags, w->tmp);
	if ((flags & TABLE_UPDATE) && w->lock != -1) {
		old = open_read(w->path, dbt, why);
		if (old == NULL)
			goto fail;
		e = walk(old, w->path, copy_one, w, why);
		(void)old->close(old, DB_NOSYNC);
		if (e == -1) {
			if (why != NULL && why->text[0] == '\0')
				why_set(why, "4.3.0", "write %s: failed",
				    w->tmp);
			goto fail;
		}
	}
	return w;
fail:
	table_writer_abort(&w);
	return NULL;
}

static int
put_failed(const struct table_writer *w, int e, struct why *why)
{
	return why_set(why, "4.3.0", "write %s: %s", w->tmp, db_strerror(e));
}

/* Keys and values are written with a NUL, as Postfix's postmap does. */
static void
with_nul(struct span s, DBT *d, struct buf *b)
{
	buf_reset(b);
	buf_add_span(b, s);
	buf_add_char(b, '\0');
	memset(d, 0, sizeof(*d));
	d->data = b->data;
	d->size = (uint32_t)b->len;
}

int
table_writer_put(struct table_writer *w, struct span key, struct span value,
    bool replace, struct why *why)
{
	struct buf kb = BUF_INIT(BUF_UNLIMITED), vb = BUF_INIT(BUF_UNLIMITED);
	DBT k, v;
	int e;

	if (key.len > TABLE_KEY_MAX || value.len > TABLE_VALUE_MAX)
		return why_set(why, "4.3.5", "%s is too long: \"%.60s...\"",
		    key.len > TABLE_KEY_MAX ? "the key" : "the value of a key",
		    key.p);
	with_nul(key, &k, &kb);
	with_nul(value, &v, &vb);
	e = w->db->put(w->db, NULL, &k, &v, DB_NOOVERWRITE);
	if (e == DB_KEYEXIST && replace)
		e = w->db->put(w->db, NULL, &k, &v, 0) == 0 ? DB_KEYEXIST
		    : EIO;
	buf_fini(&kb);
	buf_fini(&vb);
	if (e == DB_KEYEXIST)
		return 0;
	return e == 0 ? 1 : put_failed(w, e, why);
}

int
table_writer_del(struct table_writer *w, struct span key, struct why *why)
{
	struct buf kb = BUF_INIT(BUF_UNLIMITED);
	DBT k;
	int e;

	if (key.len > TABLE_KEY_MAX)
		return 0;
	with_nul(key, &k, &kb);
	e = w->db->del(w->db, NULL, &k, 0);
	if (e == DB_NOTFOUND) {
		k.size--;
		e = k.size == 0 ? DB_NOTFOUND : w->db->del(w->db, NULL, &k, 0);
	}
	buf_fini(&kb);
	if (e == DB_NOTFOUND)
		return 0;
	return e == 0 ? 1 : put_failed(w, e, why);
}

static int
sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd == -1)
		return -1;
	rc = fsync(fd);
	(void)close(fd);
	return rc;
}

static int
sync_parent(const char *path)
{
	struct span s = span_of(path);
	ptrdiff_t slash = span_rfind(s, '/');
	char *dir = slash < 0 ? mem_strdup(".")
	    : span_dup(span_sub(s, 0, (size_t)(slash == 0 ? 1 : slash)));
	int rc = sync_path(dir);

	mem_free(dir);
	return rc;
}

int
table_writer_commit(struct table_writer **wp, struct why *why)
{
	struct table_writer *w = *wp;
	int e = w->db->close(w->db, 0), rc = 0;

	w->db = NULL;
	if (e != 0)
		rc = put_failed(w, e, why);
	else if (sync_path(w->tmp) == -1)
		rc = why_errno(why, "4.3.0", "sync %s", w->tmp);
	else if (rename(w->tmp, w->path) == -1)
		rc = why_errno(why, "4.3.0", "rename %s", w->tmp);
	else if (sync_parent(w->path) == -1)
		rc = why_errno(why, "4.3.0", "sync the directory of %s",
		    w->path);
	table_writer_abort(wp);
	return rc;
}

void
table_writer_abort(struct table_writer **wp)
{
	struct table_writer *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	if (w->db != NULL)
		(void)w->db->close(w->db, DB_NOSYNC);
	(void)unlink(w->tmp);		/* nothing there after a commit */
	if (w->lock != -1)
		(void)close(w->lock);
	mem_free(w->path);
	mem_free(w->tmp);
	mem_free(w);
}
