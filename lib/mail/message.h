/* SPDX-License-Identifier: ISC */
/*
 * message - one message in memory as IMAP sees it: a tree of parts, with the
 * sizes and line counts of its CRLF form (RFC 9051 2.3, RFC 2045-2049).
 *
 * The bytes lie in one span that stays the caller's and must outlive the
 * message; lines in it end in LF or CRLF, also mixed.  Nothing is copied:
 * parts are spans of those bytes.  What IMAP shows is the CRLF form: each LF
 * without a CR before it becomes CR LF, a NUL becomes 0x80 (a literal cannot
 * hold one), every other byte stays.  All sizes named "crlf" count that form.
 *
 * Bounded whatever the message is: at most MESSAGE_PARTS_MAX parts and
 * MESSAGE_DEPTH_MAX levels; what is beyond is body of the part it lies in.
 * Nothing recurses deeper than that.  There is no message that fails to
 * parse: where MIME is broken, parts end where Dovecot ends them.
 */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cc.h"
#include "base/span.h"

#define MESSAGE_DEPTH_MAX	100	/* multiparts and attached messages */
#define MESSAGE_PARTS_MAX	10000
#define MESSAGE_BOUNDARY_MAX	998	/* bytes; RFC 2046 5.1.1 says 70 */

enum message_kind {
	MESSAGE_LEAF,			/* application, image, … */
	MESSAGE_TEXT,			/* text: BODY has a line count */
	MESSAGE_MULTIPART,		/* its children are the parts */
	MESSAGE_RFC822			/* its one child is the message in it */
};

enum message_encoding {			/* RFC 2045 6 */
	ENCODING_IDENTITY,		/* 7bit, 8bit, binary, none */
	ENCODING_QP,
	ENCODING_BASE64,
	ENCODING_UNKNOWN
};

/* The fields of a MIME header, as stored; p is NULL for one that is absent. */
struct message_mime {
	struct span	type, encoding, id, description;
	struct span	disposition, md5, language, location;
};

struct message_part {
	struct message_part	*parent;	/* NULL: the message itself */
	struct message_part	*child;		/* the first one */
	struct message_part	*next;		/* sibling */
	struct span		 header;	/* with the blank line, if any */
	struct span		 body;
	uint64_t		 header_crlf;	/* bytes */
	uint64_t		 body_crlf;
	uint32_t		 body_lines;	/* line ends in the body */
	uint16_t		 depth;		/* 0: the message itself */
	enum message_kind	 kind;
	enum message_encoding	 encoding;
	struct message_mime	 mime;
	/* Of Content-Type; p is NULL when there is none that can be read. */
	struct span		 type, subtype, params;
};

struct message {
	struct span		 bytes;		/* as stored */
	struct message_part	*root;
	uint64_t		 crlf_size;	/* RFC822.SIZE */
	uint32_t		 nparts;
	bool			 is_crlf;	/* stored form = CRLF form */
	bool			 cut;		/* a limit was reached */
	struct arena		 arena;		/* of the tree */
};

/* Parse.  m need not be initialised; the tree is freed by message_fini(). */
void	 message_parse(struct message *m, struct span bytes);
void	 message_fini(struct message *m);
/*
 * The same for the header of the message alone: root has no children and
 * root->body is all the rest, not counted (body_crlf and crlf_size are 0).
 */
void	 message_parse_header(struct message *m, struct span bytes);

/*
 * The part after p in the order of the message, NULL after the last one; without
 * into_messages what lies in attached messages is passed over.
 */
const struct message_part *message_part_next(const struct message_part *p,
	    bool into_messages);

/*
 * Take the next field off *in, a header section, as message_parse() sees
 * fields: a line that is no field is a field with an empty name.  False at
 * the blank line or the end.
 */
struct message_field {
	struct span	name;		/* without space before the colon */
	struct span	value;		/* after the colon, folds included */
	struct span	whole;		/* with its line end */
};
bool	 message_field_next(struct span *in, struct message_field *f);
/* The first field of the part with this name; false: none. */
bool	 message_field_find(const struct message_part *p, const char *name,
	    struct message_field *f);

/* --- what FETCH shows (RFC 9051 7.5.2) ------------------------------------ */

/*
 * "(…)": the header of p, which is the message or an attached one, as
 * ENVELOPE.  Strings are quoted, or literals where IMAP needs that; they are
 * raw (RFC 2047 undone by nobody), unfolded.
 */
void	 message_put_envelope(const struct message_part *p, struct buf *out);
/* "(…)": BODYSTRUCTURE, or BODY when not extended. */
void	 message_put_structure(const struct message_part *p, bool extended,
	    struct buf *out);
/* An nstring: NIL when s.p is NULL, quoted, or a literal ("{3}\r\nabc"). */
void	 message_put_nstring(struct span s, struct buf *out);

/* --- sections (RFC 9051 6.4.5) -------------------------------------------- */

#define SECTION_DEPTH_MAX	128	/* numbers in "1.2.3" */
#define SECTION_FIELDS_MAX	1000	/* names in HEADER.FIELDS */

enum section_what {
	SECTION_ALL,			/* BODY[], BODY[1] */
	SECTION_HEADER, SECTION_TEXT,	/* of the message, or attached one */
	SECTION_FIELDS, SECTION_FIELDS_NOT,
	SECTION_MIME			/* the header of a part */
};

struct section {
	enum section_what	 what;
	size_t			 npath;
	uint32_t		 path[SECTION_DEPTH_MAX];
	struct span		*fields;	/* names, of the arena given */
	size_t			 nfields;
};

/*
 * Read what stands between the brackets: "", "1.2", "HEADER", "1.MIME",
 * "2.HEADER.FIELDS (From To)", names also quoted.  fields live in a; the
 * names are spans of in.  0, or -1 when it is no section.
 */
MUST_CHECK int section_parse(struct span in, struct arena *a,
	    struct section *s);
/* As it is shown in the answer, without the brackets. */
void	 section_put(const struct section *s, struct buf *out);

/*
 * The bytes of a section: spans of stored bytes one after the other, and the
 * size of their CRLF form.  Reading goes on where it has stopped, so a large
 * part can be sent piece by piece.
 */
struct section_text {
	struct span	 one;		/* the only piece, mostly */
	struct span	*pieces;	/* more: in the arena given */
	size_t		 npieces;
	uint64_t	 crlf_size;	/* bytes, all of it */
	size_t		 piece, off;	/* private: where reading is */
	uint64_t	 at;		/* of crlf_size, where reading is */
	bool		 raw;		/* the bytes as they are: what BINARY
					 * has decoded */
	bool		 half;		/* private: the CR of an LF was read */
};

/*
 * Find a section.  0, or -1: the message has no such part (FETCH answers an
 * empty string, as Dovecot does).  RFC 3501 6.4.5: a message without multipart has part 1, its body.
 */
MUST_CHECK int section_find(const struct message *m, const struct section *s,
	    struct arena *a, struct section_text *t);
/* bytes, which are not of a message, as a section: they come as they are. */
void	 section_raw(struct section_text *t, struct span bytes);
/* Go to byte at of the CRLF form (clamped to its end). */
void	 section_seek(struct section_text *t, uint64_t at);
/* Append at most n bytes of the CRLF form from here and go on after them. */
size_t	 section_read(struct section_text *t, size_t n, struct buf *out);
/* Append s in CRLF form. */
void	 message_put_crlf(struct span s, struct buf *out);
/* The size of s in CRLF form; lines may be NULL. */
uint64_t message_crlf_size(struct span s, uint32_t *lines);

/* --- BINARY (RFC 9051 6.4.5, RFC 3516) ------------------------------------ */

enum binary_result {
	BINARY_OK,
	BINARY_NO_PART,			/* an empty string, size 0 */
	BINARY_UNKNOWN_CTE		/* NO [UNKNOWN-CTE] */
};

/* The part that a path of numbers names; NULL: none. */
const struct message_part *message_part_find(const struct message *m,
	    const uint32_t *path, size_t npath);
/*
 * Append the part's body with its transfer encoding undone (not its
 * charset); text that is not encoded is in CRLF form.  A multipart, an
 * attached message and the whole message come as BODY[…] shows them.  out
 * grows at most by the size of the CRLF form.
 */
enum binary_result message_binary(const struct message *m,
	    const uint32_t *path, size_t npath, struct buf *out);
/* BINARY.SIZE: the bytes message_binary() would append. */
enum binary_result message_binary_size(const struct message *m,
	    const uint32_t *path, size_t npath, uint64_t *size);

/*
 * Whether a part that says it is binary has NULs, so that BODY cannot show it
 * (RFC 3516 6); and the message with all parts that say so in base64, as put()
 * is shown it, piece by piece: 0, or what put() has returned that is not 0.
 */
bool	 message_is_binary(const struct message *m);
int	 message_put_base64(const struct message *m,
	    int (*put)(void *arg, struct span s), void *arg);

#endif
