/* SPDX-License-Identifier: ISC */
/*
 * table_priv - what a table type gives to table.c.
 */
#ifndef CONF_TABLE_PRIV_H
#define CONF_TABLE_PRIV_H

#include "conf/table.h"

#define TABLE_NEST_MAX	20	/* pipemap:{unionmap:{...}} */

struct table_type {
	const char	*name;
	bool		 pattern;	/* see table_is_pattern() */
	bool		 folds;		/* keys are lower-cased in table.c */
	/* The file that is watched for changes is name and this; NULL: none. */
	const char	*file_suffix;
	/* Make t->impl from t->name.  -1 with why. */
	int	(*open)(struct table *t, struct why *why);
	int	(*get)(struct table *t, struct span key, struct buf *out,
		    struct why *why);
	int	(*each)(struct table *t, table_each_fn *fn, void *arg,
		    struct why *why);		/* NULL: cannot */
	void	(*close)(struct table *t);	/* frees t->impl */
};

struct table_stamp {
	dev_t		dev;
	ino_t		ino;
	off_t		size;
	struct timespec	mtime, ctime;
};

struct table {
	const struct table_type	*type;
	char			*spec;	/* as given */
	const char		*name;	/* in spec, behind the colon */
	int			 flags;
	unsigned		 nested;
	void			*impl;
	/* File-backed: */
	char			*path;
	struct table_stamp	 stamp;
	int64_t			 checked_ms;
	bool			 gone_logged;
	char			*broken;/* why it could not be opened again */
};

extern const struct table_type table_type_btree, table_type_cidr,
    table_type_debug, table_type_environ, table_type_fail, table_type_hash,
    table_type_inline, table_type_pcre, table_type_pipemap,
    table_type_randmap, table_type_regexp, table_type_static,
    table_type_texthash, table_type_unionmap, table_type_unix;

struct table *table_open_nested(struct span spec, int flags, unsigned nested,
	    struct why *why);
/* Append a value; -1 with why when out is full. */
int	 table_give(const struct table *t, struct span value, struct buf *out,
	    struct why *why);

/*
 * Take the next item off *rest: a word, or {text} to its closing brace.
 * Separators are comma and space.  The item is without the outer braces when
 * *braced.  1, 0 at the end, -1 when a brace is open.
 */
int	 table_next_item(struct span *rest, struct span *item, bool *braced);
/* The items of "{a, b}", each to the callback; -1 with why when a brace is
 * missing, there is none, or the callback says so. */
int	 table_each_item(const struct table *t, int (*fn)(struct table *t,
	    struct span item, struct why *why), struct table *mutable_t,
	    struct why *why);

/* Lower-case ASCII letters of s into b. */
void	 table_fold(struct span s, struct buf *b);

#endif
