/* SPDX-License-Identifier: ISC */
/*
 * thread - see thread.h.  The numbers are the steps of RFC 5256 3 REFERENCES.
 *
 * A tree of nodes, named by their index; 0 is the root that has all threads.
 * A node without a message is a dummy: an id that somebody referred to.
 */
#include "base/array.h"
#include "base/mem.h"
#include "mail/thread.h"

#define NONE		UINT32_MAX
#define ASK_EVERY	(1u << 16)	/* steps between two calls of alive */

struct node {
	uint32_t	parent, child, next;	/* NONE: there is none */
	uint32_t	msg;		/* index, or NONE: a dummy */
};

struct threader {
	const struct thread_msg	*msgs;
	size_t			 n;
	ARRAY(struct node)	 nodes;
	ARRAY(uint32_t)		 tmp;
	/* Open addressing: from an id, or a subject, to a node. */
	uint32_t		*table;
	size_t			 mask, used;
	ARRAY(uint64_t)		 ids;		/* of the nodes; 0: none */
	bool			 (*alive)(void *arg);
	void			*arg;
	uint32_t		 steps;
	bool			 dead;
};

static bool
go_on(struct threader *t)
{
	if (++t->steps % ASK_EVERY == 0 && t->alive != NULL &&
	    !t->alive(t->arg))
		t->dead = true;
	return !t->dead;
}

/* --- the tree --------------------------------------------------------------------- */

static uint32_t
new_node(struct threader *t, uint32_t msg)
{
	uint32_t i = (uint32_t)t->nodes.len;

	*ARRAY_PUSH(&t->nodes) = (struct node){ NONE, NONE, NONE, msg };
	*ARRAY_PUSH(&t->ids) = 0;
	return i;
}

static void
unlink_node(struct threader *t, uint32_t i)
{
	struct node *v = t->nodes.v;
	uint32_t *p;

	if (v[i].parent == NONE)
		return;
	for (p = &v[v[i].parent].child; *p != i; p = &v[*p].next)
		(void)go_on(t);
	*p = v[i].next;
	v[i].parent = v[i].next = NONE;
}

/* The newest child first: they are sorted in the end. */
static void
link_node(struct threader *t, uint32_t parent, uint32_t i)
{
	struct node *v = t->nodes.v;

	v[i].parent = parent;
	v[i].next = v[parent].child;
	v[parent].child = i;
}

/* Whether i is parent, or above it. */
static bool
is_above(struct threader *t, uint32_t i, uint32_t parent)
{
	if (t->nodes.v[i].child == NONE && i != parent)
		return false;
	for (; parent != NONE && go_on(t); parent = t->nodes.v[parent].parent)
		if (parent == i)
			return true;
	return t->dead;
}

/* --- 1: ids to nodes ---------------------------------------------------------------- */

static void
make_table(struct threader *t, size_t entries)
{
	size_t size = 16;

	while (size < entries * 2)
		size *= 2;
	mem_free(t->table);
	t->table = mem_alloc_array(size, sizeof(*t->table));
	memset(t->table, 0xff, size * sizeof(*t->table));
	t->mask = size - 1;
}

/* Where id is, or would be. */
static uint32_t *
find_id(struct threader *t, uint64_t id)
{
	size_t i = (size_t)(id * 0x9e3779b97f4a7c15u >> 20) & t->mask;

	while (t->table[i] != NONE && t->ids.v[t->table[i]] != id)
		i = (i + 1) & t->mask;
	return &t->table[i];
}

/* The table is made anew when it is half full. */
static void
enter_id(struct threader *t, uint64_t id, uint32_t node, uint32_t *slot)
{
	*slot = node;
	t->ids.v[node] = id;
	if (++t->used * 2 <= t->mask)
		return;
	make_table(t, t->used * 2);
	for (uint32_t i = 0; i < t->ids.len; i++)
		if (t->ids.v[i] != 0)
			*find_id(t, t->ids.v[i]) = i;
}

static uint32_t
node_of(struct threader *t, uint64_t id)
{
	uint32_t *slot = find_id(t, id), node = *slot;

	if (node == NONE) {
		node = new_node(t, NONE);
		enter_id(t, id, node, slot);
	}
	return node;
}

/*
 * The messages' own nodes are 1 to n.  Of messages with the same id the first
 * one has it; those without one are found by nobody.
 */
static void
make_nodes(struct threader *t)
{
	make_table(t, t->n);
	(void)new_node(t, NONE);			/* the root */
	for (size_t i = 0; i < t->n; i++) {
		uint32_t node = new_node(t, (uint32_t)i), *slot;

		if (t->msgs[i].msgid == 0)
			continue;
		slot = find_id(t, t->msgs[i].msgid);
		if (*slot == NONE)
			enter_id(t, t->msgs[i].msgid, node, slot);
	}
}

static void
link_references(struct threader *t)
{
	for (size_t i = 0; i < t->n && !t->dead; i++) {
		const struct thread_msg *m = &t->msgs[i];
		uint32_t me = (uint32_t)i + 1, prev = NONE;

		/* (A) each reference is the parent of the next */
		for (uint32_t r = 0; r < m->nrefs && go_on(t); r++) {
			uint32_t node = node_of(t, m->refs[r]);

			if (prev != NONE && prev != node &&
			    t->nodes.v[node].parent == NONE &&
			    !is_above(t, node, prev))
				link_node(t, prev, node);
			prev = node;
		}
		/* (B) and the last one the message's */
		unlink_node(t, me);
		if (prev != NONE && prev != me && !is_above(t, me, prev))
			link_node(t, prev, me);
	}
}

/* --- 2, 3: one root, no dummies where none are needed --------------------------- */

static size_t
count_children(const struct threader *t, uint32_t i)
{
	size_t n = 0;

	for (uint32_t c = t->nodes.v[i].child; c != NONE;
	    c = t->nodes.v[c].next)
		n++;
	return n;
}

static void
gather_roots(struct threader *t)
{
	for (uint32_t i = (uint32_t)t->nodes.len; i-- > 1;)
		if (t->nodes.v[i].parent == NONE)
			link_node(t, 0, i);
}

/* The children of i take its place among its siblings. */
static void
promote_children(struct threader *t, uint32_t i)
{
	struct node *v = t->nodes.v;
	uint32_t parent = v[i].parent, c = v[i].child, next;

	for (; c != NONE; c = next) {
		next = v[c].next;
		link_node(t, parent, c);
	}
	v[i].child = NONE;
}

/*
 * All nodes below the root, children after their parents, in tmp.  (A part of
 * the tree that hangs on nothing is not reached; there is none.)
 */
static void
list_nodes(struct threader *t)
{
	t->tmp.len = 0;
	*ARRAY_PUSH(&t->tmp) = 0;
	for (size_t i = 0; i < t->tmp.len; i++)
		for (uint32_t c = t->nodes.v[t->tmp.v[i]].child; c != NONE;
		    c = t->nodes.v[c].next)
			*ARRAY_PUSH(&t->tmp) = c;
}

static void
prune_dummies(struct threader *t)
{
	struct node *v = t->nodes.v;

	list_nodes(t);
	/* From the leaves up: what is below is pruned already.  A list of
	 * siblings is taken apart and made again, for in a singly linked one
	 * removing is slow. */
	for (size_t i = t->tmp.len; i-- > 0 && go_on(t);) {
		uint32_t parent = t->tmp.v[i], c = v[parent].child, next;

		v[parent].child = NONE;
		for (; c != NONE; c = next) {
			next = v[c].next;
			v[c].parent = v[c].next = NONE;
			if (v[c].msg != NONE) {
				link_node(t, parent, c);
				continue;
			}
			if (v[c].child == NONE)
				continue;		/* (A) */
			v[c].parent = parent;
			if (parent != 0 || v[v[c].child].next == NONE)
				promote_children(t, c);	/* (B) */
			else
				link_node(t, parent, c);
		}
	}
}

/* --- 4, 6: sorting ------------------------------------------------------------------- */

/* The message that stands for a node: its own, or its first child's. */
static uint32_t
msg_of(const struct threader *t, uint32_t i)
{
	if (t->nodes.v[i].msg == NONE && t->nodes.v[i].child != NONE)
		i = t->nodes.v[i].child;
	return t->nodes.v[i].msg;
}

static int
by_date(const void *a, const void *b, void *arg)
{
	const struct threader *t = arg;
	uint32_t i = msg_of(t, *(const uint32_t *)a);
	uint32_t j = msg_of(t, *(const uint32_t *)b);

	if (i == NONE || j == NONE || i == j)
		return 0;
	if (t->msgs[i].sent_s != t->msgs[j].sent_s)
		return t->msgs[i].sent_s < t->msgs[j].sent_s ? -1 : 1;
	/* RFC 5256 2.2: the same date, the order of the mailbox */
	return i < j ? -1 : 1;
}

static void
sort_children(struct threader *t, uint32_t parent)
{
	struct node *v = t->nodes.v;
	uint32_t *list;
	size_t n = count_children(t, parent), i = 0;

	if (n < 2)
		return;
	list = mem_alloc_array(n, sizeof(*list));
	for (uint32_t c = v[parent].child; c != NONE; c = v[c].next)
		list[i++] = c;
	qsort_r(list, n, sizeof(*list), by_date, t);
	v[parent].child = NONE;
	for (i = n; i-- > 0;)
		link_node(t, parent, list[i]);
	mem_free(list);
}

/* The threads; the children of dummies before them. */
static void
sort_threads(struct threader *t)
{
	for (uint32_t c = t->nodes.v[0].child; c != NONE && go_on(t);
	    c = t->nodes.v[c].next)
		if (t->nodes.v[c].msg == NONE)
			sort_children(t, c);
	sort_children(t, 0);
}

static void
sort_all(struct threader *t)
{
	list_nodes(t);
	for (size_t i = t->tmp.len; i-- > 0 && go_on(t);)
		sort_children(t, t->tmp.v[i]);
}

/* --- 5: threads with the same subject ---------------------------------------------- */

static struct span
subject_of(const struct threader *t, uint32_t i)
{
	uint32_t m = msg_of(t, i);

	return m != NONE ? t->msgs[m].base_subject : SPAN_EMPTY;
}

/* A dummy is neither reply nor forward, whatever its first child is. */
static bool
is_reply(const struct threader *t, uint32_t i)
{
	uint32_t m = t->nodes.v[i].msg;

	return m != NONE && t->msgs[m].is_reply;
}

static bool
is_dummy(const struct threader *t, uint32_t i)
{
	return t->nodes.v[i].msg == NONE;
}

static uint64_t
hash_subject(struct span s)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return h ^ h >> 29;
}

static uint32_t *
find_subject(struct threader *t, struct span s)
{
	size_t i = (size_t)hash_subject(s) & t->mask;

	while (t->table[i] != NONE &&
	    !span_eq(subject_of(t, t->table[i]), s) && go_on(t))
		i = (i + 1) & t->mask;
	return &t->table[i];
}

/* (B) */
static void
make_subject_table(struct threader *t)
{
	make_table(t, count_children(t, 0));
	for (uint32_t c = t->nodes.v[0].child; c != NONE && go_on(t);
	    c = t->nodes.v[c].next) {
		struct span s = subject_of(t, c);
		uint32_t *slot;

		if (s.len == 0)
			continue;
		slot = find_subject(t, s);
		if (*slot == NONE ||
		    (!is_dummy(t, *slot) && is_dummy(t, c)) ||
		    (is_reply(t, *slot) && !is_reply(t, c)))
			*slot = c;
	}
}

/*
 * One child more.  The first one stays the first, because it gives a dummy its
 * subject; the order of the others is made in the end.
 */
static void
append_child(struct threader *t, uint32_t parent, uint32_t i)
{
	struct node *v = t->nodes.v;
	uint32_t first = v[parent].child;

	if (first == NONE) {
		link_node(t, parent, i);
		return;
	}
	v[i].parent = parent;
	v[i].next = v[first].next;
	v[first].next = i;
}

/* (C) cur, which is off the root's list, joins the thread in *slot. */
static void
merge(struct threader *t, uint32_t *slot, uint32_t cur, uint32_t *place)
{
	uint32_t old = *slot, dummy;

	if (is_dummy(t, old) && is_dummy(t, cur)) {
		uint32_t c = t->nodes.v[cur].child, next;

		t->nodes.v[cur].child = NONE;
		for (; c != NONE; c = next) {
			next = t->nodes.v[c].next;
			append_child(t, old, c);
		}
	} else if (is_dummy(t, old) ||
	    (is_reply(t, cur) && !is_reply(t, old)))
		append_child(t, old, cur);
	else {
		dummy = new_node(t, NONE);
		/* It takes old's place among the threads. */
		place[old] = dummy;
		t->nodes.v[old].next = NONE;
		append_child(t, dummy, old);
		append_child(t, dummy, cur);
		*slot = dummy;
	}
}

static void
merge_subjects(struct threader *t)
{
	size_t n = count_children(t, 0), i = 0;
	uint32_t *list = mem_alloc_array(n + 1, sizeof(*list)), c;
	/* What stands in a thread's place in the end; itself, mostly. */
	size_t all = t->nodes.len;
	uint32_t *place = mem_alloc_array(all, sizeof(*place));

	for (c = 0; c < all; c++)
		place[c] = c;
	for (c = t->nodes.v[0].child; c != NONE; c = t->nodes.v[c].next)
		list[i++] = c;
	for (i = 0; i < n && go_on(t); i++) {
		struct span s = subject_of(t, list[i]);
		uint32_t *slot;

		if (s.len == 0)
			continue;
		slot = find_subject(t, s);
		c = list[i];
		if (*slot == c || *slot == NONE || place[c] != c)
			continue;
		list[i] = NONE;
		t->nodes.v[c].parent = t->nodes.v[c].next = NONE;
		merge(t, slot, c, place);
	}
	t->nodes.v[0].child = NONE;
	for (i = n; i-- > 0;)
		if (list[i] != NONE)
			link_node(t, 0, place[list[i]]);
	mem_free(list);
	mem_free(place);
}

/* --- the answer ------------------------------------------------------------------------ */

/*
 * Depth first without recursion.  A node with one child goes on in the same
 * parentheses, each of several children opens its own (RFC 5256 5).
 */
static int
put_thread(struct threader *t, uint32_t top, struct buf *out)
{
	struct node *v = t->nodes.v;
	uint32_t i = top;
	bool space = false;

	if (buf_put_char(out, '(') < 0)
		return -1;
	for (;;) {
		if (v[i].msg != NONE) {
			if (buf_printf(out, "%s%u", space ? " " : "",
			    t->msgs[v[i].msg].num) < 0)
				return -1;
			space = true;
		}
		if (v[i].child != NONE) {
			bool one = v[v[i].child].next == NONE;

			if (!one) {
				if (buf_put_str(out, space ? " (" : "(") < 0)
					return -1;
				space = false;
			}
			i = v[i].child;
			continue;
		}
		/* Up to the next one that has a sibling; an only child was
		 * in its parent's parentheses. */
		while (i != top && v[i].next == NONE) {
			uint32_t p = v[i].parent;

			if (v[p].child != i && buf_put_char(out, ')') < 0)
				return -1;
			i = p;
		}
		if (i == top)
			break;
		if (buf_put_str(out, ")(") < 0)
			return -1;
		space = false;
		i = v[i].next;
	}
	return buf_put_char(out, ')');
}

static int
put_threads(struct threader *t, struct buf *out)
{
	for (uint32_t c = t->nodes.v[0].child; c != NONE && go_on(t);
	    c = t->nodes.v[c].next)
		if (put_thread(t, c, out) < 0)
			return -1;
	return 0;
}

/* --- ORDEREDSUBJECT ---------------------------------------------------------------- */

static void
ordered_subject(struct threader *t)
{
	(void)new_node(t, NONE);
	make_table(t, t->n);
	for (size_t i = 0; i < t->n; i++)
		(void)new_node(t, (uint32_t)i);
	t->tmp.len = 0;
	for (size_t i = 0; i < t->n; i++)
		*ARRAY_PUSH(&t->tmp) = (uint32_t)i + 1;
	if (t->n > 0)
		qsort_r(t->tmp.v, t->n, sizeof(t->tmp.v[0]), by_date, t);
	/* In the order of dates: the first of a subject has the others. */
	for (size_t i = 0; i < t->n && go_on(t); i++) {
		uint32_t me = t->tmp.v[i];
		uint32_t *slot = find_subject(t, subject_of(t, me));

		if (*slot == NONE) {
			*slot = me;
			link_node(t, 0, me);
		} else
			link_node(t, *slot, me);
	}
	sort_all(t);
}

static void
references(struct threader *t)
{
	make_nodes(t);
	link_references(t);
	if (t->dead)
		return;
	gather_roots(t);
	prune_dummies(t);
	sort_threads(t);
	make_subject_table(t);
	merge_subjects(t);
	sort_all(t);
}

int
thread_messages(enum thread_algorithm alg, const struct thread_msg *msgs,
    size_t n, struct buf *out, bool (*alive)(void *arg), void *arg)
{
	struct threader t = { .msgs = msgs, .n = n, .alive = alive,
	    .arg = arg };
	size_t start = out->len;
	int rc = -1;

	if (alg == THREAD_REFERENCES)
		references(&t);
	else
		ordered_subject(&t);
	if (!t.dead)
		rc = put_threads(&t, out);
	if (t.dead)
		rc = -1;
	if (rc < 0)
		buf_trunc(out, start);
	ARRAY_FINI(&t.nodes);
	ARRAY_FINI(&t.tmp);
	mem_free(t.table);
	ARRAY_FINI(&t.ids);
	return rc;
}
