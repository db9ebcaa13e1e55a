/* SPDX-License-Identifier: ISC */
/*
 * Text: encoded words, charsets, casemapping, base subjects, and search.
 *
 * The first byte chooses the charset and the size of pieces.  All results are
 * UTF-8 whatever comes in, pieces change nothing, and a search finds what is
 * there and its signature never denies it.
 */
#include <stdlib.h>

#include "base/utf8.h"
#include "mail/casemap.h"
#include "mail/charset.h"
#include "mail/encoded.h"
#include "mail/message_cache.h"
#include "mail/message_text.h"
#include "mail/signature.h"
#include "mail/subject.h"
#include "mail/transfer.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
check_charset(struct span in, const char *name, size_t step)
{
	struct buf whole = BUF_INIT(BUF_UNLIMITED), b = whole;
	struct charset c;

	(void)charset_convert(span_of(name), in, &whole);
	must(utf8_valid(buf_span(&whole)));
	(void)charset_init(&c, span_of(name));
	for (size_t at = 0; at < in.len; at += step)
		charset_write(&c, span_sub(in, at, step), &b);
	charset_finish(&c, &b);
	must(utf8_valid(buf_span(&b)));
	/* What is wrong may be told apart in another way; else it is equal. */
	if (span_search(buf_span(&whole), SPAN("\xef\xbf\xbd")) < 0 &&
	    span_search(buf_span(&b), SPAN("\xef\xbf\xbd")) < 0)
		must(span_eq(buf_span(&whole), buf_span(&b)));
	buf_fini(&whole);
	buf_fini(&b);
}

static void
check_transfer(struct span in, enum message_encoding e, bool crlf, size_t step)
{
	struct buf whole = BUF_INIT(BUF_UNLIMITED), b = whole;
	struct transfer t;

	transfer_init(&t, e, crlf);
	transfer_write(&t, in, &whole);
	transfer_finish(&t, &whole);
	transfer_fini(&t);
	must(whole.len <= message_crlf_size(in, NULL));
	transfer_init(&t, e, crlf);
	for (size_t at = 0; at < in.len; at += step)
		transfer_write(&t, span_sub(in, at, step), &b);
	transfer_finish(&t, &b);
	transfer_fini(&t);
	/* Long lines of quoted-printable may lose their last space. */
	must(e == ENCODING_QP || span_eq(buf_span(&whole), buf_span(&b)));
	buf_fini(&whole);
	buf_fini(&b);
}

static void
check_words(struct span in)
{
	struct buf a = BUF_INIT(BUF_UNLIMITED), b = a;

	encoded_decode(in, &a);
	must(utf8_valid(buf_span(&a)));
	buf_reset(&a);
	casemap(in, &a);
	must(utf8_valid(buf_span(&a)));
	must(a.len <= in.len * CASEMAP_GROWTH);
	casemap(buf_span(&a), &b);
	buf_reset(&a);
	(void)subject_base(in, &a);
	must(utf8_valid(buf_span(&a)));
	buf_fini(&a);
	buf_fini(&b);
}

/* Keys from a message's own text must be found in it. */
struct keys {
	struct span	text;
	struct buf	found;
	size_t		at, len;
};

static bool
take_key(void *arg, struct span text)
{
	struct keys *k = arg;

	if (text.len <= k->at)
		return true;
	buf_add_span(&k->found, span_sub(text, k->at, k->len));
	return false;
}

static void
check_search(struct span in, size_t at, size_t len)
{
	struct keys k = { .found = BUF_INIT(BUF_UNLIMITED), .at = at,
	    .len = len };
	struct signature_query q;
	struct signature sig;
	struct message m;
	struct message_key key;
	struct message_cache c;
	struct buf record = BUF_INIT(BUF_UNLIMITED), own = record;

	message_parse(&m, in);
	(void)message_text_each(&m, TEXT_HEADER | TEXT_MIME | TEXT_BODY,
	    take_key, &k);
	message_key_of(&key, k.found.data, k.found.len);
	must(message_has_text(&m, &key));
	signature_of_message(&sig, &m);
	signature_query(&q, buf_span(&k.found));
	must(signature_may_contain(sig.bits, &q));
	/* (Key, without what no word has.) */
	for (size_t i = 0; i < k.found.len; i++)
		if (k.found.data[i] > ' ')
			buf_add_char(&own, k.found.data[i]);
		else if (own.len > 0)
			break;
	/* What plain bytes say is true. */
	buf_reset(&k.found);
	casemap(span_sub(in, at * 16, len % 16), &k.found);
	message_key_of(&key, k.found.data, k.found.len);
	for (const struct message_part *p = m.root; p != NULL;
	    p = message_part_next(p, true))
		if (message_text_is_plain(p) &&
		    message_plain_has(p->body, &key))
			must(message_has_body(&m, &key));
	buf_reset(&record);
	message_cache_encode(&m, &record);
	must(message_cache_whole(buf_span(&record), &c) == 0);
	must(c.start.len <= SIGNATURE_START_MAX);
	/* A word of the message's own text is not lacking either. */
	for (size_t i = 0; i < 2; i++) {
		if (message_cache_has(&c, &key))
			must(message_has_body(&m, &key));
		if (c.flags & MESSAGE_WORDS_STAND &&
		    message_has_text(&m, &key))
			must(!message_lacks_word(in, &key));
		message_key_of(&key, own.data, own.len);
	}
	buf_fini(&own);
	buf_fini(&record);
	message_fini(&m);
	buf_fini(&k.found);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "utf-8", "iso-8859-1",
	    "windows-1252", "iso-8859-2", "gb18030", "shift_jis",
	    "iso-2022-jp", "utf-7", "utf-16", "euc-kr", "big5", "koi8-r",
	    "x-unknown" };
	struct span in;
	size_t step;

	if (size < 3)
		return 0;
	step = 1 + data[1] % 64;
	in = span_make(data + 3, size - 3);
	check_charset(in, names[data[0] % ARRAY_LEN(names)], step);
	check_transfer(in, data[0] % 4, data[0] & 64, step);
	check_words(in);
	check_search(in, data[1], data[2]);
	return 0;
}
