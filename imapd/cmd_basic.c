/* SPDX-License-Identifier: ISC */
/*
 * cmd_basic - CAPABILITY, NOOP, CHECK, LOGOUT, ID, ENABLE, NAMESPACE.
 */
#include "conf/params.h"
#include "imapd/compress.h"
#include "imapd/imap.h"

/*
 * What a client may count on after its login.  A word stands here only when
 * all of its RFC works.
 */
static const char capabilities[] =
    "IMAP4rev1 IMAP4rev2 SASL-IR ENABLE ID IDLE LITERAL+ NAMESPACE CHILDREN "
    "UNSELECT UIDPLUS MULTIAPPEND MOVE CONDSTORE QRESYNC ESEARCH SEARCHRES "
    "WITHIN SORT SORT=DISPLAY THREAD=ORDEREDSUBJECT THREAD=REFERENCES ESORT "
    "I18NLEVEL=1 LIST-EXTENDED LIST-STATUS LIST-MYRIGHTS LIST-METADATA SPECIAL-USE "
    "CREATE-SPECIAL-USE STATUS=SIZE BINARY OBJECTID SAVEDATE PREVIEW "
    "UTF8=ACCEPT COMPRESS=DEFLATE METADATA ACL RIGHTS=kxte QUOTA "
    "QUOTA=RES-STORAGE QUOTA=RES-MESSAGE QUOTA=RES-MAILBOX PARTIAL UIDONLY "
    "REPLACE INPROGRESS NOTIFY CATENATE URL-PARTIAL CONTEXT=SEARCH "
    "CONTEXT=SORT SEARCH=FUZZY MULTISEARCH UIDBATCHES";

void
imap_capability_put(const struct imap *im, struct buf *out)
{
	buf_add_str(out, capabilities);
	/* RFC 8437 8: there are reasons to switch it off. */
	if (conf.imapd_unauthenticate)
		buf_add_str(out, " UNAUTHENTICATE");
	/* RFC 9208 3.1: where SETQUOTA works. */
	if (quota_may_set(im))
		buf_add_str(out, " QUOTASET");
	/* RFC 9738 3 */
	if (conf.imapd_message_limit > 0)
		buf_addf(out, " MESSAGELIMIT=%ju",
		    (uintmax_t)conf.imapd_message_limit);
	else if (conf.imapd_save_limit > 0)
		buf_addf(out, " SAVELIMIT=%ju",
		    (uintmax_t)conf.imapd_save_limit);
	/* RFC 7889: without a number there is none for all mailboxes. */
	buf_add_str(out, " APPENDLIMIT");
	if (append_limit() <= UINT32_MAX)
		buf_addf(out, "=%ju", (uintmax_t)append_limit());
}

void
cmd_capability(struct imap *im, struct scan *s)
{
	if (!scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	buf_add_str(&im->out, "* CAPABILITY ");
	imap_capability_put(im, &im->out);
	buf_add_str(&im->out, "\r\n");
	imap_done(im);
}

void
cmd_noop(struct imap *im, struct scan *s)
{
	if (!scan_end(s))
		imap_refuse(im, s);
	else
		imap_done(im);
}

void
cmd_logout(struct imap *im, struct scan *s)
{
	if (!scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	buf_add_str(&im->out, "* BYE Logging out\r\n");
	imap_done(im);
	im->how = "Logged out";
	im->mode = MODE_END;
	im->state = STATE_LOGOUT;
}

void
cmd_compress(struct imap *im, struct scan *s)
{
	struct span word;

	if (!scan_sp(s) || !scan_atom(s, &word) || !scan_end(s)) {
		imap_refuse(im, s);
	} else if (!span_caseis(word, "DEFLATE")) {
		imap_bad(im, NULL, "Unknown compression mechanism.");
	} else if (compress_active(im->conn->stream)) {
		/* RFC 4978 3: NO is for another layer that compresses. */
		imap_bad(im, "COMPRESSIONACTIVE",
		    "DEFLATE is active already.");
	} else {
		im->compress = true;
		imap_ok(im, NULL, "Begin compression.");
	}
}

/* RFC 2971 3.3: at most 30 pairs, 30 and 1024 bytes; we keep none. */
bool
imap_scan_id(struct scan *s)
{
	struct span key, value;

	if (!scan_sp(s))
		return false;
	if (scan_take_word(s, "NIL"))
		return scan_end(s);
	if (!scan_open(s))
		return false;
	while (!scan_is(s, ')')) {
		if (!scan_string(s, &key) || !scan_sp(s) ||
		    !scan_nstring(s, &value))
			return false;
		if (!scan_is(s, ')') && !scan_sp(s))
			return false;
	}
	return scan_close(s) && scan_end(s);
}

void
imap_put_id(struct buf *out)
{
	buf_add_str(out, "* ID (\"name\" ");
	put_string(out, span_of(conf.imapd_id_send));
	buf_add_str(out, ")\r\n");
}

void
cmd_id(struct imap *im, struct scan *s)
{
	if (!imap_scan_id(s)) {
		imap_refuse(im, s);
		return;
	}
	imap_put_id(&im->out);
	imap_done(im);
}

/* RFC 5161; words that we do not know are passed over. */
static const struct { const char *word; unsigned bits; } enables[] = {
	{ "CONDSTORE", ENABLED_CONDSTORE },
	/* RFC 7162 3.2.3: QRESYNC brings CONDSTORE with it. */
	{ "QRESYNC", ENABLED_QRESYNC | ENABLED_CONDSTORE },
	{ "UTF8=ACCEPT", ENABLED_UTF8 },
	{ "IMAP4rev2", ENABLED_REV2 },
	{ "UIDONLY", ENABLED_UIDONLY },
};

void
cmd_enable(struct imap *im, struct scan *s)
{
	struct buf said = BUF_INIT(BUF_UNLIMITED);
	unsigned now = im->enabled, named = 0;
	struct span word;

	do {
		if (!scan_sp(s) || !scan_atom(s, &word)) {
			imap_refuse(im, s);
			buf_fini(&said);
			return;
		}
		for (size_t i = 0; i < ARRAY_LEN(enables); i++) {
			if (!span_caseis(word, enables[i].word) ||
			    (named & 1u << i))
				continue;
			/* Also what was on before, as Dovecot does: clients
			 * look for the word they asked for. */
			named |= 1u << i;
			now |= enables[i].bits;
			buf_addf(&said, " %s", enables[i].word);
		}
	} while (scan_is(s, ' '));
	if (!scan_end(s)) {
		imap_refuse(im, s);
	} else {
		if ((now & ENABLED_CONDSTORE))
			sync_condstore(im);
		im->enabled = now;
		buf_addf(&im->out, "* ENABLED%s\r\n", said.data);
		imap_ok(im, NULL, "Enabled.");
	}
	buf_fini(&said);
}

static void
put_namespace(struct imap *im, const char *prefix)
{
	/* Users with ids of their own see nobody else's mail. */
	if (prefix[0] == '\0' || !im->conn->user->is_virtual) {
		buf_add_str(&im->out, " NIL");
		return;
	}
	buf_add_str(&im->out, " ((");
	put_prefix(im, &im->out, span_of(prefix));
	buf_add_str(&im->out, " \"/\"))");
}

void
cmd_namespace(struct imap *im, struct scan *s)
{
	if (!scan_end(s)) {
		imap_refuse(im, s);
		return;
	}
	buf_add_str(&im->out, "* NAMESPACE ((\"\" \"/\"))");
	put_namespace(im, conf.store_namespace_others);
	put_namespace(im, conf.store_shared_accounts[0] != '\0' ?
	    conf.store_namespace_shared : "");
	buf_add_str(&im->out, "\r\n");
	imap_done(im);
}
