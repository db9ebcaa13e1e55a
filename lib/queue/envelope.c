/* SPDX-License-Identifier: ISC */
/*
 * envelope - see envelope.h.
 *
 * Numbers travel as 8 bytes little-endian, texts as they are; what is zero or
 * empty is left out.  No text holds NUL, CR or LF, so none can end a line of
 * a log, a header or a protocol: the encoder turns such a byte into '?' and
 * cuts what is longer than ENVELOPE_VALUE_MAX, so that what was encoded can
 * always be decoded; the decoder refuses both.
 *
 * A list of recipients or attributes is decoded in one pass; keys that belong
 * to a recipient are an error before the first one.
 */
#include <unistd.h>

#include "base/num.h"
#include "base/rnd.h"
#include "queue/envelope.h"

#define ROW_HEAD	6	/* u16 key, u32 length */

/* Stored on disk: numbers are never changed or used again. */
enum key {
	KEY_QUEUE_ID = 1, KEY_TRACE_ID, KEY_ARRIVAL, KEY_SENDER, KEY_FLAGS,
	KEY_DSN_RET, KEY_DSN_ENVID, KEY_CLIENT_NAME, KEY_CLIENT_ADDR,
	KEY_CLIENT_PORT, KEY_HELO, KEY_PROTOCOL, KEY_LOGIN, KEY_SASL_METHOD,
	KEY_TLS, KEY_SUBMIT_UID, KEY_HOLD_UNTIL, KEY_DELIVER_BY,
	KEY_PRIORITY, KEY_FILTER, KEY_REDIRECT, KEY_SIZE, KEY_NEXT,
	KEY_ATTEMPTS, KEY_WARNED, KEY_ATTR_NAME, KEY_ATTR_VALUE,

	KEY_RCPT = 100,		/* begins a recipient: its address */
	KEY_RCPT_ORIG, KEY_RCPT_ORCPT, KEY_RCPT_NOTIFY, KEY_RCPT_FATE,
	KEY_RCPT_DSN, KEY_RCPT_TEXT, KEY_RCPT_RELAY, KEY_RCPT_TRIED,
};

static bool
bad_byte(char c)
{
	return c == '\0' || c == '\r' || c == '\n';
}

static void
put_head(struct buf *b, enum key key, size_t len)
{
	char *p = buf_reserve(b, ROW_HEAD);

	if (p == NULL) {
		char head[ROW_HEAD] = { 0 };

		buf_add(b, head, sizeof(head));	/* says that max is too low */
		return;
	}
	num_put_le16(p, (uint16_t)key);
	num_put_le32(p + 2, (uint32_t)len);
	buf_commit(b, ROW_HEAD);
}

static void
put_text(struct buf *b, enum key key, struct span s)
{
	size_t at, n = MIN(s.len, (size_t)ENVELOPE_VALUE_MAX);

	put_head(b, key, n);
	at = b->len;
	if (n > 0)
		buf_add(b, s.p, n);
	for (size_t i = 0; i < n; i++)
		if (bad_byte(b->data[at + i]))
			b->data[at + i] = '?';
}

static void
put_some(struct buf *b, enum key key, struct span s)
{
	if (s.len > 0)
		put_text(b, key, s);
}

static void
put_num(struct buf *b, enum key key, uint64_t v)
{
	uint8_t le[8];

	if (v == 0)
		return;
	put_head(b, key, sizeof(le));
	num_put_le64(le, v);
	buf_add(b, le, sizeof(le));
}

void
envelope_encode(struct buf *b, const struct envelope *e)
{
	put_some(b, KEY_QUEUE_ID, e->queue_id);
	put_some(b, KEY_TRACE_ID, e->trace_id);
	put_num(b, KEY_ARRIVAL, (uint64_t)e->arrival_us);
	put_some(b, KEY_SENDER, e->sender);
	put_num(b, KEY_FLAGS, e->flags);
	put_num(b, KEY_DSN_RET, e->dsn_ret);
	put_some(b, KEY_DSN_ENVID, e->dsn_envid);
	put_some(b, KEY_CLIENT_NAME, e->client_name);
	put_some(b, KEY_CLIENT_ADDR, e->client_addr);
	put_num(b, KEY_CLIENT_PORT, e->client_port);
	put_some(b, KEY_HELO, e->helo);
	put_some(b, KEY_PROTOCOL, e->protocol);
	put_some(b, KEY_LOGIN, e->login);
	put_some(b, KEY_SASL_METHOD, e->sasl_method);
	put_some(b, KEY_TLS, e->tls);
	put_num(b, KEY_SUBMIT_UID, e->submit_uid);
	put_num(b, KEY_HOLD_UNTIL, (uint64_t)e->hold_until_us);
	put_num(b, KEY_DELIVER_BY, (uint64_t)e->deliver_by_us);
	put_num(b, KEY_PRIORITY, (uint64_t)(int64_t)e->priority);
	put_some(b, KEY_FILTER, e->filter);
	put_some(b, KEY_REDIRECT, e->redirect);
	put_num(b, KEY_SIZE, e->size);
	put_num(b, KEY_NEXT, (uint64_t)e->next_us);
	put_num(b, KEY_ATTEMPTS, e->attempts);
	put_num(b, KEY_WARNED, e->warned);
	for (size_t i = 0; i < e->attrs.len; i++) {
		put_text(b, KEY_ATTR_NAME, e->attrs.v[i].name);
		put_text(b, KEY_ATTR_VALUE, e->attrs.v[i].value);
	}
	for (size_t i = 0; i < e->rcpts.len; i++) {
		const struct rcpt *r = &e->rcpts.v[i];

		put_text(b, KEY_RCPT, r->addr);
		put_some(b, KEY_RCPT_ORIG, r->orig);
		put_some(b, KEY_RCPT_ORCPT, r->dsn_orcpt);
		put_num(b, KEY_RCPT_NOTIFY, r->dsn_notify);
		put_num(b, KEY_RCPT_FATE, r->fate);
		put_some(b, KEY_RCPT_DSN, r->dsn);
		put_some(b, KEY_RCPT_TEXT, r->text);
		put_some(b, KEY_RCPT_RELAY, r->relay);
		put_num(b, KEY_RCPT_TRIED, (uint64_t)r->tried_us);
	}
}

/* --- decoding ----------------------------------------------------------------- */

static int
text(struct span v, struct span *out)
{
	if (v.len > ENVELOPE_VALUE_MAX)
		return -1;
	for (size_t i = 0; i < v.len; i++)
		if (bad_byte(v.p[i]))
			return -1;
	*out = v;
	return 0;
}

static int
num(struct span v, uint64_t max, uint64_t *out)
{
	uint64_t n;

	if (v.len != 8)
		return -1;
	n = num_get_le64(v.p);
	if (n > max)
		return -1;
	*out = n;
	return 0;
}

static int
num32(struct span v, uint32_t *out)
{
	uint64_t n;

	if (num(v, UINT32_MAX, &n) < 0)
		return -1;
	*out = (uint32_t)n;
	return 0;
}

static int
num_time(struct span v, int64_t *out)
{
	uint64_t n;

	if (num(v, INT64_MAX, &n) < 0)
		return -1;
	*out = (int64_t)n;
	return 0;
}

static int
num_int(struct span v, int64_t min, int64_t max, int *out)
{
	uint64_t n;

	if (num(v, UINT64_MAX, &n) < 0 || (int64_t)n < min || (int64_t)n > max)
		return -1;
	*out = (int)(int64_t)n;
	return 0;
}

static int
decode_rcpt(struct rcpt *r, unsigned key, struct span v)
{
	switch (key) {
	case KEY_RCPT_ORIG:	return text(v, &r->orig);
	case KEY_RCPT_ORCPT:	return text(v, &r->dsn_orcpt);
	case KEY_RCPT_NOTIFY:	return num32(v, &r->dsn_notify);
	case KEY_RCPT_FATE:
		if (num32(v, &r->fate) < 0 || r->fate > RCPT_REMOVED)
			return -1;
		return 0;
	case KEY_RCPT_DSN:	return text(v, &r->dsn);
	case KEY_RCPT_TEXT:	return text(v, &r->text);
	case KEY_RCPT_RELAY:	return text(v, &r->relay);
	case KEY_RCPT_TRIED:	return num_time(v, &r->tried_us);
	default:		return 0;
	}
}

static int
decode_row(struct envelope *e, unsigned key, struct span v)
{
	uint64_t n;
	int warned;

	switch (key) {
	case KEY_QUEUE_ID:	return text(v, &e->queue_id);
	case KEY_TRACE_ID:
		if (v.len >= TRACE_ID_MAX)
			return -1;
		return text(v, &e->trace_id);
	case KEY_ARRIVAL:	return num_time(v, &e->arrival_us);
	case KEY_SENDER:	return text(v, &e->sender);
	case KEY_FLAGS:		return num32(v, &e->flags);
	case KEY_DSN_RET:	return num32(v, &e->dsn_ret);
	case KEY_DSN_ENVID:	return text(v, &e->dsn_envid);
	case KEY_CLIENT_NAME:	return text(v, &e->client_name);
	case KEY_CLIENT_ADDR:	return text(v, &e->client_addr);
	case KEY_CLIENT_PORT:	return num32(v, &e->client_port);
	case KEY_HELO:		return text(v, &e->helo);
	case KEY_PROTOCOL:	return text(v, &e->protocol);
	case KEY_LOGIN:		return text(v, &e->login);
	case KEY_SASL_METHOD:	return text(v, &e->sasl_method);
	case KEY_TLS:		return text(v, &e->tls);
	case KEY_SUBMIT_UID:	return num32(v, &e->submit_uid);
	case KEY_HOLD_UNTIL:	return num_time(v, &e->hold_until_us);
	case KEY_DELIVER_BY:	return num_time(v, &e->deliver_by_us);
	case KEY_PRIORITY:	return num_int(v, -9, 9, &e->priority);
	case KEY_FILTER:	return text(v, &e->filter);
	case KEY_REDIRECT:	return text(v, &e->redirect);
	case KEY_SIZE:
		if (num(v, UINT64_MAX, &n) < 0)
			return -1;
		e->size = n;
		return 0;
	case KEY_NEXT:		return num_time(v, &e->next_us);
	case KEY_ATTEMPTS:	return num32(v, &e->attempts);
	case KEY_WARNED:
		if (num_int(v, 0, 1, &warned) < 0)
			return -1;
		e->warned = warned != 0;
		return 0;
	case KEY_ATTR_NAME:
		if (e->attrs.len == ENVELOPE_ATTR_MAX)
			return -1;
		return text(v, &ARRAY_PUSH(&e->attrs)->name);
	case KEY_ATTR_VALUE:
		if (e->attrs.len == 0)
			return -1;
		return text(v, &e->attrs.v[e->attrs.len - 1].value);
	case KEY_RCPT:
		if (e->rcpts.len == ENVELOPE_RCPT_MAX)
			return -1;
		return text(v, &ARRAY_PUSH(&e->rcpts)->addr);
	default:
		if (key < KEY_RCPT)
			return 0;	/* of a later version */
		if (e->rcpts.len == 0)
			return -1;
		return decode_rcpt(&e->rcpts.v[e->rcpts.len - 1], key, v);
	}
}

int
envelope_decode(struct envelope *e, struct span in, struct why *why)
{
	size_t at = 0;

	*e = ENVELOPE_INIT;
	while (at < in.len) {
		unsigned key;
		uint32_t len;

		if (in.len - at < ROW_HEAD) {
			why_set(why, "4.3.0", "envelope ends in a row's head");
			goto bad;
		}
		key = num_get_le16(in.p + at);
		len = num_get_le32(in.p + at + 2);
		at += ROW_HEAD;
		if (len > in.len - at) {
			why_set(why, "4.3.0", "envelope ends in key %u", key);
			goto bad;
		}
		if (decode_row(e, key, span_make(in.p + at, len)) < 0) {
			why_set(why, "4.3.0", "envelope: bad value or over a "
			    "limit, key %u", key);
			goto bad;
		}
		at += len;
	}
	return 0;
bad:
	envelope_fini(e);
	return -1;
}

struct span
envelope_attr(const struct envelope *e, const char *name)
{
	for (size_t i = 0; i < e->attrs.len; i++)
		if (span_is(e->attrs.v[i].name, name))
			return e->attrs.v[i].value;
	return SPAN_EMPTY;
}

void
envelope_fini(struct envelope *e)
{
	ARRAY_FINI(&e->rcpts);
	ARRAY_FINI(&e->attrs);
	*e = ENVELOPE_INIT;
}

void
trace_id_make(char out[TRACE_ID_MAX])
{
	static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
	/* Not a secret, so random bytes are taken for many at once; not by
	 * two processes, though. */
	static uint8_t pool[1024];
	static size_t used = sizeof(pool);
	static pid_t owner;
	enum { N = 16 };

	if (used + N > sizeof(pool) || owner != getpid()) {
		rnd_bytes(pool, sizeof(pool));
		used = 0;
		owner = getpid();
	}
	for (size_t i = 0; i < N; i++)
		out[i] = alphabet[pool[used++] & 31];
	out[N] = '\0';
}
