/* SPDX-License-Identifier: ISC */
/*
 * generic - see generic.h.  Each address is asked for once a message, all of
 * them at a time; the tables are looked up by rewrite.
 */
#include "smtp/generic.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "conf/params.h"
#include "daemon/daemon.h"
#include "io/fd.h"
#include "mail/address.h"
#include "mail/mime.h"
#include "smtp/tables.h"

#define PIECE		(32u * 1024)	/* bytes read at a time */
#define FIELD_MAX	(1u << 20)	/* bytes of one field; cleanup allows less */

struct answer {
	struct generic	*g;
	struct span	 to;		/* p NULL: not in the table */
	struct table_query *query;
};

struct generic {
	struct arena	 arena;
	struct hash	 by_addr;	/* struct answer */
	const char	*maps;
	bool		 propagate;
	size_t		 pending;
	bool		 header_done;
	struct why	 why;
	struct loop_defer over;
	generic_fn	*fn;
	void		*arg;
};

bool
generic_is_address_field(struct span name)
{
	static const char *const names[] = {
		"From", "To", "Cc", "Bcc", "Sender", "Reply-To",
		"Return-Path", "Return-Receipt-To", "Errors-To",
		"Disposition-Notification-To", "Mail-Followup-To",
		"Apparently-To", "Resent-From", "Resent-Sender",
		"Resent-Reply-To", "Resent-To", "Resent-Cc", "Resent-Bcc",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_caseis(name, names[i]))
			return true;
	return false;
}

/* --- answers ------------------------------------------------------------------------ */

static void
on_over(void *arg)
{
	struct generic *g = arg;

	g->fn(g->arg, &g->why);
}

static void
done_if_all(struct generic *g)
{
	if (g->pending == 0)
		loop_defer(daemon_loop(), &g->over);
}

static void
on_answer(void *arg, int rc, struct span value, const char *text)
{
	struct answer *a = arg;
	struct generic *g = a->g;

	a->query = NULL;
	if (rc > 0)
		a->to = span_make(arena_span_dup(&g->arena, value), value.len);
	else if (rc < 0)
		(void)why_set(&g->why, "4.3.0", "generic map lookup problem: "
		    "%s", text);
	g->pending--;
	done_if_all(g);
}

static void
ask(struct generic *g, struct span addr)
{
	struct hash_entry *h;
	struct answer *a;
	bool made;

	if (addr.len == 0 || addr.len > ADDRESS_MAX)
		return;
	h = hash_enter(&g->by_addr, addr, &made);
	if (!made)
		return;
	a = arena_zalloc(&g->arena, sizeof(*a));
	a->g = g;
	h->value = a;
	g->pending++;
	a->query = tables_map(g->maps, addr, g->propagate, on_answer, a);
}

/* --- the addresses of the header ------------------------------------------------------- */

static void
on_address(void *arg, const struct address_item *item)
{
	ask(arg, item->addr);
}

static void
on_header(void *arg, enum mime_section s, const struct header_field *f)
{
	if (s == MIME_PRIMARY && generic_is_address_field(f->name))
		(void)address_list_each(f->value,
		    (size_t)conf.header_address_token_limit, on_address, arg);
}

static void
on_header_end(void *arg, enum mime_section s, bool blank)
{
	struct generic *g = arg;

	g->header_done = true;
}

static void
on_body(void *arg, struct span bytes, bool line_start)
{
}

static int
ask_header(struct generic *g, int fd, uint64_t offset, uint64_t len,
    struct why *why)
{
	static const struct mime_ops ops = { on_header, on_header_end,
	    on_body };
	struct mime_options o = { .header_max = FIELD_MAX, .line_max = 2048,
	    .boundary_max = 256 };
	struct mime *m = mime_new(&o, &ops, g);
	char *piece = mem_alloc(PIECE);
	int rc = 0;

	while (len > 0 && !g->header_done) {
		size_t n = (size_t)MIN(len, PIECE);

		if (fd_pread_all(fd, piece, n, (off_t)offset) < 0) {
			rc = why_errno(why, "4.3.0", "cannot read the "
			    "message");
			break;
		}
		mime_write(m, span_make(piece, n));
		offset += n;
		len -= n;
	}
	mime_finish(m);
	mime_free(&m);
	mem_free(piece);
	return rc;
}

/* --- public ----------------------------------------------------------------------------- */

struct generic *
generic_start(const char *maps, bool propagate, const struct envelope *e,
    int fd, uint64_t offset, uint64_t len, generic_fn *fn, void *arg,
    struct why *why)
{
	struct generic *g = mem_zalloc(sizeof(*g));

	g->arena = ARENA_INIT;
	g->by_addr = HASH_INIT;
	g->maps = maps;
	g->propagate = propagate;
	g->fn = fn;
	g->arg = arg;
	g->over = (struct loop_defer){ .fn = on_over, .arg = g };
	ask(g, e->sender);
	for (size_t i = 0; i < e->rcpts.len; i++)
		ask(g, e->rcpts.v[i].addr);
	if (ask_header(g, fd, offset, len, why) < 0)
		generic_free(&g);
	else
		done_if_all(g);
	return g;
}

static void
cancel(struct hash_entry *h, void *arg)
{
	struct answer *a = h->value;

	tables_cancel(&a->query);
}

void
generic_free(struct generic **gp)
{
	struct generic *g = *gp;

	*gp = NULL;
	if (g == NULL)
		return;
	hash_each(&g->by_addr, cancel, NULL);
	hash_fini(&g->by_addr, NULL);
	loop_defer_cancel(&g->over);
	arena_fini(&g->arena);
	mem_free(g);
}

struct span
generic_find(const struct generic *g, struct span addr)
{
	const struct answer *a = g == NULL ? NULL :
	    hash_get(&g->by_addr, addr);

	return a != NULL && a->to.p != NULL ? a->to : addr;
}
