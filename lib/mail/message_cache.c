/* SPDX-License-Identifier: ISC */
/*
 * message_cache - see message_cache.h.
 *
 * Layout: HEAD bytes (below), then the strings one after the other.
 *
 *	u32 magic and version   u32 length of all
 *	u32 CRC32C of flags to the end, u32 to the end of MESSAGE_CACHE_SEARCH,
 *	u32 to the end of MESSAGE_CACHE_KEYS
 *	u32 flags               u64 crlf_size       u64 header_crlf
 *	i64 sent_s              u64 msgid           i32 zone_min
 *	u32 nrefs               u32 length of each string, in order
 */
#include "base/array.h"
#include "base/crc32c.h"
#include "base/num.h"
#include "mail/casemap.h"
#include "mail/charset.h"
#include "mail/date.h"
#include "mail/encoded.h"
#include "mail/envelope.h"
#include "mail/message_cache.h"
#include "mail/message_text.h"
#include "mail/signature.h"
#include "mail/subject.h"

#define MAGIC_ANY	0x4d433000u	/* "MC0", version */
#define MAGIC	(MAGIC_ANY + MESSAGE_CACHE_VERSION)

enum {					/* strings, in their order */
	STR_REFS, STR_SUBJECT, STR_FROM, STR_TO, STR_CC, STR_DISPLAY_FROM,
	STR_DISPLAY_TO,
	STR_SIGNATURE, STR_PLAIN, STR_START,
	STR_ENVELOPE, STR_STRUCTURE, STR_BODY, STR_PREVIEW, STRINGS
};

/* How many strings a part and those before it have. */
static const int part_strings[] = {
	[MESSAGE_CACHE_KEYS] = STR_DISPLAY_TO + 1,
	[MESSAGE_CACHE_SEARCH] = STR_START + 1,
	[MESSAGE_CACHE_ALL] = STRINGS,
};

enum {					/* offsets */
	AT_MAGIC = 0, AT_LEN = 4, AT_CRC_ALL = 8, AT_CRC_SEARCH = 12,
	AT_CRC_KEYS = 16, AT_FLAGS = 20, AT_SIZE = 24, AT_HEADER = 32,
	AT_SENT = 40, AT_MSGID = 48, AT_ZONE = 56, AT_NREFS = 60,
	AT_LENS = 64,
	HEAD = AT_LENS + 4 * STRINGS,
	LEN_MIN = 356			/* of a record of any version */
};

static const int part_crc[] = {
	[MESSAGE_CACHE_KEYS] = AT_CRC_KEYS,
	[MESSAGE_CACHE_SEARCH] = AT_CRC_SEARCH,
	[MESSAGE_CACHE_ALL] = AT_CRC_ALL,
};

/* --- message ids --------------------------------------------------------------- */

/* Good mixing, and the same on every machine and for ever. */
uint64_t
message_id_hash(struct span id)
{
	uint64_t h = 0x9e3779b97f4a7c15u ^ id.len;

	while (id.len >= 8) {
		h = (h ^ num_get_le64(id.p)) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
		id = span_from(id, 8);
	}
	for (size_t i = 0; i < id.len; i++)
		h = (h ^ (unsigned char)id.p[i]) * 0x100000001b3u;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	h ^= h >> 33;
	return h != 0 ? h : 1;
}

/*
 * The next message id of *in, without "<>", quotes and white space (RFC 5256
 * 3, "normalized form").  What has no '@' in the middle is none.
 */
static bool
next_id(struct span *in, struct buf *id)
{
	for (;;) {
		ptrdiff_t open = span_find(*in, '<'), close, at;
		struct span s;

		if (open < 0)
			return false;
		*in = span_from(*in, (size_t)open + 1);
		if ((close = span_find(*in, '>')) < 0)
			return false;
		s = span_sub(*in, 0, (size_t)close);
		if ((open = span_rfind(s, '<')) >= 0)
			s = span_from(s, (size_t)open + 1);
		*in = span_from(*in, (size_t)close + 1);
		buf_reset(id);
		for (size_t i = 0; i < s.len; i++) {
			if (s.p[i] == '\\' && i + 1 < s.len)
				i++;
			else if (s.p[i] == '"' || s.p[i] == ' ' ||
			    s.p[i] == '\t' || s.p[i] == '\r' ||
			    s.p[i] == '\n')
				continue;
			buf_add_char(id, s.p[i]);
		}
		at = span_find(buf_span(id), '@');
		if (at > 0 && (size_t)at + 1 < id->len)
			return true;
	}
}

typedef ARRAY(uint64_t) ids_t;

/* The ids of a field; the first and the last ones when there are many. */
static void
get_ids(struct span value, size_t max, ids_t *ids)
{
	struct buf id = BUF_INIT(BUF_UNLIMITED);
	size_t half = max / 2;

	while (value.p != NULL && next_id(&value, &id)) {
		if (ids->len == max) {
			if (max == 1)
				break;
			memmove(&ids->v[half], &ids->v[half + 1],
			    (max - half - 1) * sizeof(ids->v[0]));
			ids->len--;
		}
		*ARRAY_PUSH(ids) = message_id_hash(buf_span(&id));
	}
	buf_fini(&id);
}

/* --- sort keys -------------------------------------------------------------------- */

struct first_address {
	struct buf	*mailbox, *display;	/* may be NULL */
	bool		 seen;
};

/* Encoded words are in names only (RFC 2047 5). */
static void
put_key(struct span s, bool is_name, struct buf *out)
{
	struct buf utf8 = BUF_INIT(BUF_UNLIMITED), key = utf8;

	s = span_sub(s, 0, MESSAGE_CACHE_KEY_MAX);
	if (is_name)
		encoded_decode(s, &utf8);
	else
		charset_utf8(s, &utf8);
	casemap(buf_span(&utf8), &key);
	buf_add_span(out, span_sub(buf_span(&key), 0, MESSAGE_CACHE_KEY_MAX));
	buf_fini(&utf8);
	buf_fini(&key);
}

static void
on_address(void *arg, const struct address *a)
{
	struct first_address *f = arg;

	if (f->seen)
		return;
	f->seen = true;
	put_key(a->mailbox, false, f->mailbox);
	if (f->display == NULL)
		return;
	/* RFC 5957 3: the display name, or else mailbox@host; of a group
	 * its name. */
	if (a->name.len > 0)
		put_key(a->name, true, f->display);
	else {
		put_key(a->mailbox, false, f->display);
		if (a->host.len > 0) {
			buf_add_char(f->display, '@');
			put_key(a->host, false, f->display);
		}
	}
}

static void
put_address_keys(struct span value, struct buf *mailbox, struct buf *display)
{
	struct first_address f = { .mailbox = mailbox, .display = display };

	/* Only the first address is wanted: no need to read a long list. */
	if (value.p != NULL)
		envelope_addresses(span_sub(value, 0, 4096), on_address, &f);
}

/* --- encoding ---------------------------------------------------------------------- */

static bool
has_attachment(const struct message *m)
{
	for (const struct message_part *p = m->root; p != NULL;
	    p = message_part_next(p, true)) {
		struct span d = p->mime.disposition;

		if (d.p != NULL && span_casestarts(span_trim(d),
		    SPAN("attachment")))
			return true;
		/* Pictures in the text and signatures are none. */
		if (p->kind == MESSAGE_RFC822 && p->parent != NULL)
			return true;
		if (p->kind == MESSAGE_LEAF && p->mime.id.p == NULL &&
		    !span_caseends(p->subtype, SPAN("-signature")))
			return true;
	}
	return false;
}

struct encoder {
	struct buf	*out;
	size_t		 start;		/* of the record, in out */
	size_t		 str_start;	/* of the string under way */
	int		 str;		/* its number */
};

static void
end_string(struct encoder *e)
{
	num_put_le32(e->out->data + e->start + AT_LENS + 4 * e->str++,
	    (uint32_t)(e->out->len - e->str_start));
	e->str_start = e->out->len;
}

static size_t
record_len(const struct encoder *e)
{
	return e->out->len - e->start;
}

/* A record that grows too large goes without this string. */
static bool
drop_when_large(struct encoder *e)
{
	if (record_len(e) <= MESSAGE_CACHE_MAX - 64 * 1024)
		return false;
	buf_trunc(e->out, e->str_start);
	return true;
}

static uint32_t
put_wire_strings(struct encoder *e, const struct message *m)
{
	uint32_t flags = 0;

	message_put_envelope(m->root, e->out);
	if (drop_when_large(e))
		flags |= MESSAGE_NO_ENVELOPE;
	end_string(e);
	message_put_structure(m->root, true, e->out);
	if (drop_when_large(e))
		flags |= MESSAGE_NO_STRUCTURE;
	end_string(e);
	if (!(flags & MESSAGE_NO_STRUCTURE)) {
		message_put_structure(m->root, false, e->out);
		if (drop_when_large(e))
			flags |= MESSAGE_NO_STRUCTURE;
	}
	end_string(e);
	if (message_preview(m, e->out))
		flags |= MESSAGE_PREVIEW_WORDS;
	end_string(e);
	return flags;
}

static uint32_t
put_keys(struct encoder *e, const struct span *f)
{
	struct buf key[3];
	uint32_t flags = 0;

	for (int i = 0; i < 3; i++)
		key[i] = BUF_INIT(BUF_UNLIMITED);
	if (f[ENVELOPE_SUBJECT].p != NULL &&
	    subject_base(f[ENVELOPE_SUBJECT], e->out))
		flags |= MESSAGE_IS_REPLY;
	if (e->out->len - e->str_start > MESSAGE_CACHE_KEY_MAX)
		buf_trunc(e->out, e->str_start + MESSAGE_CACHE_KEY_MAX);
	end_string(e);
	put_address_keys(f[ENVELOPE_FROM], e->out, &key[0]);
	end_string(e);
	put_address_keys(f[ENVELOPE_TO], e->out, &key[1]);
	end_string(e);
	put_address_keys(f[ENVELOPE_CC], e->out, NULL);
	end_string(e);
	for (int i = 0; i < 2; i++) {
		buf_add_span(e->out, buf_span(&key[i]));
		end_string(e);
	}
	for (int i = 0; i < 3; i++)
		buf_fini(&key[i]);
	return flags;
}

static void
put_plain(struct encoder *e, const struct message *m)
{
	size_t n = 0;

	for (const struct message_part *p = m->root; p != NULL &&
	    n < MESSAGE_CACHE_PLAIN_MAX; p = message_part_next(p, true)) {
		uint8_t b[8];
		size_t at;

		if (p->body.len == 0 || p->body.len > UINT32_MAX)
			continue;
		at = (size_t)(p->body.p - m->bytes.p);
		if (at > UINT32_MAX || !message_text_is_plain(p))
			continue;
		num_put_le32(b, (uint32_t)at);
		num_put_le32(b + 4, (uint32_t)p->body.len);
		buf_add(e->out, b, sizeof(b));
		n++;
	}
	end_string(e);
}

/* References, the own id, the date: the fixed part. */
static uint32_t
put_thread(struct encoder *e, const struct span *f)
{
	ids_t refs = ARRAY_EMPTY, own = ARRAY_EMPTY;
	uint32_t flags = 0;
	uint8_t b[8];
	char *head;
	int64_t sent;
	int zone;

	get_ids(f[ENVELOPE_REFERENCES], MESSAGE_CACHE_REFS_MAX, &refs);
	if (refs.len == 0)
		get_ids(f[ENVELOPE_IN_REPLY_TO], 1, &refs);
	get_ids(f[ENVELOPE_MESSAGE_ID], 1, &own);
	for (size_t i = 0; i < refs.len; i++) {
		num_put_le64(b, refs.v[i]);
		buf_add(e->out, b, 8);
	}
	end_string(e);
	head = e->out->data + e->start;
	num_put_le32(head + AT_NREFS, (uint32_t)refs.len);
	if (own.len > 0) {
		num_put_le64(head + AT_MSGID, own.v[0]);
		flags |= MESSAGE_HAS_MSGID;
	}
	if (f[ENVELOPE_DATE].p != NULL &&
	    date_parse(f[ENVELOPE_DATE], &sent, &zone) == 0) {
		num_put_le64(head + AT_SENT, (uint64_t)sent);
		num_put_le32(head + AT_ZONE, (uint32_t)zone);
		flags |= MESSAGE_HAS_DATE;
	}
	ARRAY_FINI(&refs);
	ARRAY_FINI(&own);
	return flags;
}

/* What a search asks before it reads a text. */
static void
put_searched(struct encoder *e, const struct message *m)
{
	static const uint8_t room[SIGNATURE_SIZE];
	struct signature sig;
	size_t at = record_len(e);

	buf_add(e->out, room, sizeof(room));
	end_string(e);
	put_plain(e, m);
	signature_and_start(&sig, m, e->out);
	end_string(e);
	memcpy(e->out->data + e->start + at, sig.bits, SIGNATURE_SIZE);
}

/* Each goes on from the one of the part before. */
static void
put_checksums(char *p)
{
	size_t from = AT_FLAGS, to = HEAD;
	uint32_t crc = 0;
	int str = 0;

	for (int part = 0; part <= MESSAGE_CACHE_ALL; part++) {
		for (; str < part_strings[part]; str++)
			to += num_get_le32(p + AT_LENS + 4 * str);
		crc = crc32c(crc, p + from, to - from);
		num_put_le32(p + part_crc[part], crc);
		from = to;
	}
}

void
message_cache_encode(const struct message *m, struct buf *out)
{
	struct encoder e = { .out = out, .start = out->len };
	struct span f[ENVELOPE_FIELDS];
	uint8_t head[HEAD] = { 0 };
	uint32_t flags = 0;
	char *p;

	buf_add(out, head, HEAD);
	e.str_start = out->len;
	envelope_fields(m->root, f);
	flags |= put_thread(&e, f);
	flags |= put_keys(&e, f);
	put_searched(&e, m);
	flags |= put_wire_strings(&e, m);
	if (has_attachment(m))
		flags |= MESSAGE_HAS_ATTACHMENT;
	if (m->cut)
		flags |= MESSAGE_CUT;
	if (message_words_stand(m))
		flags |= MESSAGE_WORDS_STAND;
	p = out->data + e.start;
	num_put_le32(p + AT_MAGIC, MAGIC);
	num_put_le32(p + AT_LEN, (uint32_t)record_len(&e));
	num_put_le32(p + AT_FLAGS, flags);
	num_put_le64(p + AT_SIZE, m->crlf_size);
	num_put_le64(p + AT_HEADER, m->root->header_crlf);
	put_checksums(p);
}

/* --- decoding ---------------------------------------------------------------------- */

size_t
message_cache_len(struct span in)
{
	uint32_t len;

	if (in.len < LEN_MIN ||
	    (num_get_le32(in.p + AT_MAGIC) & ~0xffu) != MAGIC_ANY)
		return 0;
	len = num_get_le32(in.p + AT_LEN);
	return len >= LEN_MIN && len <= MESSAGE_CACHE_MAX && len <= in.len ?
	    len : 0;
}

/* The bytes of strings from first to (not) last, as the head tells them, which
 * may be more than there are. */
static uint64_t
strings_len(const char *p, int first, int last)
{
	uint64_t n = 0;

	for (int i = first; i < last; i++)
		n += num_get_le32(p + AT_LENS + 4 * i);
	return n;
}

int
message_cache_split(struct span in, struct message_cache_bytes *out)
{
	size_t len = message_cache_len(in), at = 0;
	int str = 0;

	if (len < HEAD || num_get_le32(in.p + AT_MAGIC) != MAGIC)
		return -1;
	for (int part = 0; part <= MESSAGE_CACHE_ALL; part++) {
		uint64_t n = strings_len(in.p, str, part_strings[part]) +
		    (part == 0 ? HEAD : 0);

		if (n > len - at)
			return -1;
		out->part[part] = span_sub(in, at, (size_t)n);
		at += (size_t)n;
		str = part_strings[part];
	}
	return at == len ? 0 : -1;
}

/* Each part has as many bytes as the head says that its strings have. */
static bool
lengths_are_right(const struct message_cache_bytes *in,
    enum message_cache_part part)
{
	struct span head = in->part[MESSAGE_CACHE_KEYS];
	int str = 0;

	if (head.len < HEAD || num_get_le32(head.p + AT_MAGIC) != MAGIC)
		return false;
	for (int p = 0; p <= (int)part; p++) {
		if (in->part[p].len != strings_len(head.p, str,
		    part_strings[p]) + (p == 0 ? HEAD : 0))
			return false;
		str = part_strings[p];
	}
	return true;
}

static int
take_apart(const struct message_cache_bytes *in, enum message_cache_part part,
    struct message_cache *c)
{
	struct span *const strings[STRINGS] = {
		&c->refs, &c->base_subject, &c->from, &c->to, &c->cc,
		&c->display_from, &c->display_to,
		&c->signature, &c->plain, &c->start,
		&c->envelope, &c->structure, &c->body, &c->preview,
	};
	const char *p = in->part[MESSAGE_CACHE_KEYS].p;
	int str = 0;

	for (int k = 0; k <= MESSAGE_CACHE_ALL; k++) {
		size_t at = k == 0 ? HEAD : 0;

		for (; str < part_strings[k]; str++) {
			size_t n = num_get_le32(p + AT_LENS + 4 * str);

			*strings[str] = k <= (int)part ?
			    span_make(in->part[k].p + at, n) : SPAN_EMPTY;
			at += n;
		}
	}
	c->nrefs = num_get_le32(p + AT_NREFS);
	if (c->refs.len != (uint64_t)c->nrefs * 8 ||
	    (part >= MESSAGE_CACHE_SEARCH &&
	    c->signature.len != SIGNATURE_SIZE))
		return -1;
	c->flags = num_get_le32(p + AT_FLAGS);
	c->crlf_size = num_get_le64(p + AT_SIZE);
	c->header_crlf = num_get_le64(p + AT_HEADER);
	c->sent_s = (int64_t)num_get_le64(p + AT_SENT);
	c->zone_min = (int32_t)num_get_le32(p + AT_ZONE);
	c->msgid = num_get_le64(p + AT_MSGID);
	return 0;
}

int
message_cache_decode(const struct message_cache_bytes *in,
    enum message_cache_part part, struct message_cache *c)
{
	struct span head = in->part[MESSAGE_CACHE_KEYS];
	uint32_t crc;

	if (!lengths_are_right(in, part))
		return -1;
	crc = crc32c(0, head.p + AT_FLAGS, head.len - AT_FLAGS);
	for (int p = 1; p <= (int)part; p++)
		crc = crc32c(crc, in->part[p].p, in->part[p].len);
	return crc == num_get_le32(head.p + part_crc[part]) ?
	    take_apart(in, part, c) : -1;
}

int
message_cache_whole(struct span in, struct message_cache *c)
{
	struct message_cache_bytes parts;

	return message_cache_split(in, &parts) == 0 ?
	    message_cache_decode(&parts, MESSAGE_CACHE_ALL, c) : -1;
}

int
message_cache_again(const struct message_cache_bytes *in,
    enum message_cache_part part, struct message_cache *c)
{
	return lengths_are_right(in, part) ? take_apart(in, part, c) : -1;
}

bool
message_cache_plain(const struct message_cache *c, size_t i, uint64_t *at,
    uint64_t *len)
{
	if (i >= c->plain.len / 8)
		return false;
	*at = num_get_le32(c->plain.p + i * 8);
	*len = num_get_le32(c->plain.p + i * 8 + 4);
	return true;
}

bool
message_cache_has(const struct message_cache *c, const struct message_key *k)
{
	return k->len > 0 && (message_key_is_in(c->start, k) || (k->word &&
	    c->flags & MESSAGE_PREVIEW_WORDS &&
	    message_plain_has(c->preview, k)));
}

uint64_t
message_cache_ref(const struct message_cache *c, uint32_t i)
{
	return i < c->nrefs ? num_get_le64(c->refs.p + (size_t)i * 8) : 0;
}
