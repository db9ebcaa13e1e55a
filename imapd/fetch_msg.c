/* SPDX-License-Identifier: ISC */
/*
 * fetch_msg - what of a message is needed, when it is needed; see fetch.h.
 */
#include "imapd/fetch.h"

void
fetch_msg_init(struct fetch_msg *m, struct imap *im, uint32_t seq,
    struct arena *arena)
{
	m->im = im;
	m->box = im->box;
	m->seq = seq;
	m->arena = arena;
	m->has_record = m->has_content = false;
	m->has_parsed = m->has_header = m->damaged = false;
	if (!mailbox_message(im->box, seq, &m->m))
		memset(&m->m, 0, sizeof(m->m));
}

static void
forget_parsed(struct fetch_msg *m)
{
	if (m->has_parsed || m->has_header)
		message_fini(&m->parsed);
	m->has_parsed = m->has_header = false;
}

static void
forget_record(struct fetch_msg *m)
{
	if (m->has_record && m->record.hold != NULL)
		mailbox_content_done(&m->record);
	m->has_record = false;
}

void
fetch_msg_fini(struct fetch_msg *m)
{
	forget_parsed(m);
	if (m->has_content)
		mailbox_content_done(&m->content);
	forget_record(m);
	m->has_content = false;
}

void
fetch_msg_tell(const struct fetch_msg *m)
{
	if (m->damaged)
		buf_addf(&m->im->out, "* NO [CORRUPTION] Message with UID %u "
		    "is damaged: only what is left of it was read.\r\n",
		    (unsigned)m->m.uid);
}

/* Why something of it cannot be had. */
static void
note_error(struct fetch_msg *m)
{
	m->damaged |= account_error(m->im->account) == ACCOUNT_CORRUPT;
}

/* The bytes; of a damaged message what is left of it (the log says so). */
static int
load(struct fetch_msg *m, struct why *why)
{
	if (m->has_content)
		return 0;
	memset(&m->content, 0, sizeof(m->content));
	if (mailbox_content(m->box, m->m.uid, &m->content, why) < 0) {
		note_error(m);
		if (m->content.bytes.p == NULL)
			return -1;
	}
	m->has_content = true;
	return 0;
}

const struct message *
fetch_msg_parsed(struct fetch_msg *m, struct why *why)
{
	if (m->has_parsed)
		return &m->parsed;
	if (load(m, why) < 0)
		return NULL;
	forget_parsed(m);
	message_parse(&m->parsed, m->content.bytes);
	m->has_parsed = true;
	return &m->parsed;
}

const struct message *
fetch_msg_header(struct fetch_msg *m, struct why *why)
{
	struct message_part *root;

	if (m->has_parsed || m->has_header)
		return &m->parsed;
	if (load(m, why) < 0)
		return NULL;
	message_parse_header(&m->parsed, m->content.bytes);
	root = m->parsed.root;
	if (m->m.size < m->content.bytes.len ||
	    m->m.size < root->header_crlf + root->body.len) {
		/* The size is not this message's: count. */
		message_fini(&m->parsed);
		return fetch_msg_parsed(m, why);
	}
	m->parsed.crlf_size = m->m.size;
	root->body_crlf = m->m.size - root->header_crlf;
	m->has_header = true;
	return &m->parsed;
}

const struct message_cache *
fetch_msg_cache(struct fetch_msg *m, enum message_cache_part part,
    struct why *why)
{
	if (m->has_record && m->part >= part)
		return &m->cache;
	forget_record(m);
	if (mailbox_cache(m->box, m->m.uid, part, &m->record, &m->cache,
	    why) < 0) {
		note_error(m);
		return NULL;
	}
	m->has_record = true;
	m->part = part;
	return &m->cache;
}

bool
fetch_msg_lacks_word(struct fetch_msg *m, bool header,
    const struct message_key *k)
{
	struct why why = WHY_INIT;
	const struct message_cache *c;
	struct span bytes;

	if (!k->word || (c = fetch_msg_cache(m,
	    MESSAGE_CACHE_SEARCH, &why)) == NULL ||
	    !(c->flags & MESSAGE_WORDS_STAND) || load(m, &why) < 0 ||
	    m->damaged)
		return false;
	bytes = m->content.bytes;
	/* As stored it is not longer than as lines with CRLF. */
	if (header)
		bytes = span_sub(bytes, 0, (size_t)MIN(c->header_crlf,
		    bytes.len));
	return message_lacks_word(bytes, k);
}
