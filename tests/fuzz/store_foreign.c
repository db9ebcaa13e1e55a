/* SPDX-License-Identifier: ISC */
/*
 * What other mail servers keep beside messages: the first byte says which
 * file it is.  Whatever is in it, what comes out can be stored.
 */
#include "store/foreign_mbox.h"
#include "store/uidls.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
check_words(const struct foreign *f)
{
	for (size_t i = 0; i < f->words.len; i++) {
		if (!foreign_word_ok(span_of(f->words.v[i])))
			__builtin_trap();
	}
	for (size_t i = 0; i < FOREIGN_LETTERS; i++) {
		if (f->letters[i] >= (int32_t)f->words.len)
			__builtin_trap();
	}
}

static void
check_message(struct hash_entry *e, void *arg)
{
	const struct foreign_message *m = e->value;
	const struct foreign *f = arg;

	if ((m->uidl != NULL && !uidls_id_ok(span_of(m->uidl))) ||
	    (m->uid != 0 && m->uid >= f->uidnext && m->uid != UINT32_MAX) ||
	    span_find(e->key, ':') >= 0)
		__builtin_trap();
	for (size_t i = 0; i < m->words.len; i++) {
		if (m->words.v[i] >= f->words.len)
			__builtin_trap();
	}
}

/* UIDs ascend, and no byte is looked at twice as another message. */
static void
read_mbox(struct foreign *f, struct span in)
{
	struct foreign_mail m = { .text = BUF_INIT(BUF_UNLIMITED) };
	struct foreign_mbox b;
	uint32_t last = 0;
	size_t bytes = 0;

	if (foreign_mbox_init(&b, f, in) < 0)
		return;
	while (foreign_mbox_next(&b, &m)) {
		bytes += m.text.len;
		if (m.uid != 0 && m.uid <= last)
			__builtin_trap();
		last = m.uid != 0 ? m.uid : last;
		for (size_t i = 0; i < m.words.len; i++) {
			if (!foreign_word_ok(m.words.v[i]))
				__builtin_trap();
		}
	}
	/* A last line may get its end. */
	if (bytes > in.len + 1 || b.rest.len > 0)
		__builtin_trap();
	foreign_mail_fini(&m);
}

static void
read_ids(struct span in)
{
	struct buf text = BUF_INIT(UIDLS_FILE_MAX);
	struct uidls u;

	buf_add_span(&text, in);
	if (uidls_parse(&u, &text) == 0) {
		for (size_t i = 0; i < u.v.len; i++) {
			struct span id = uidls_find(&u, u.v.v[i].uid);

			if (!uidls_id_ok(id) || (i > 0 &&
			    u.v.v[i].uid < u.v.v[i - 1].uid))
				__builtin_trap();
		}
	}
	uidls_fini(&u);
	buf_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct why why = WHY_INIT;
	struct foreign f;
	struct span in;

	if (n == 0)
		return 0;
	in = span_make(p + 1, n - 1);
	foreign_init(&f);
	if (p[0] == 'd' && foreign_uidlist(&f, in, &why) < 0 &&
	    why.text[0] == '\0')
		__builtin_trap();
	if (p[0] == 'k')
		foreign_keywords(&f, in);
	if (p[0] == 'c' && foreign_courier_uids(&f, in, &why) == 0 &&
	    f.uidvalidity == 0)
		__builtin_trap();
	if (p[0] == 'p' && foreign_courier_pop3(&f, in, &why) < 0 &&
	    why.text[0] == '\0')
		__builtin_trap();
	if (p[0] == 'l')
		foreign_courier_list(&f, in);
	if (p[0] == 'w')
		foreign_courier_words(&f, SPAN("base"), in);
	if (p[0] == 'm')
		read_mbox(&f, in);
	if (p[0] == 'u')
		read_ids(in);
	check_words(&f);
	hash_each(&f.messages, check_message, &f);
	foreign_fini(&f);
	return 0;
}
