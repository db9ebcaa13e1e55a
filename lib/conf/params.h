/* SPDX-License-Identifier: ISC */
/*
 * params - every setting of main.cf: one row, one truth.
 *
 * params.def has a row per parameter; this header makes the struct from it.
 * A process reads its settings once, with params_load(), before it gives up
 * privileges; afterwards they are plain typed fields of the global conf:
 *
 *	stream_set_deadline(s, conf.smtpd_timeout * 1000);
 *
 * Strings are expanded ($name) and belong to conf.  Times are seconds, sizes
 * bytes; "unlimited" is PARAM_UNLIMITED.
 */
#ifndef CONF_PARAMS_H
#define CONF_PARAMS_H

#include "base/cc.h"
#include "base/why.h"
#include "base/buf.h"
#include "base/span.h"

#define PARAM_UNLIMITED	INT64_MAX
/* In front of the text that describes a default found at run time. */
#define COMPUTED(how)	"\001" how

/*
 * Rows, in alphabetical order:
 *   P_STR (name, "default",            readers, "paragraph")  expanded
 *   P_RAW (name, "default",            readers, "paragraph")  not expanded
 *   P_BOOL(name, "yes" or "no",        readers, "paragraph")
 *   P_INT (name, "default", min, max,  readers, "paragraph")  a count
 *   P_SIZE(name, "default", min, max,  readers, "paragraph")  bytes
 *   P_TIME(name, "default", min, max,  readers, "paragraph")  seconds
 *   P_ENUM(name, "default", "a b c",   readers, "paragraph")  one of these
 * A default may use $name and ${name?...}.  readers is one string of program
 * names, "smtpd cleanup", from which each page's list is made; "" stands for
 * every program.  A maximum of PARAM_UNLIMITED allows the value "unlimited".
 * An empty default of P_ENUM allows the empty value.
 */
struct params {
#define P_STR(n, d, r, t)		const char *n;
#define P_RAW(n, d, r, t)		const char *n;
#define P_ENUM(n, d, v, r, t)		const char *n;
#define P_BOOL(n, d, r, t)		bool n;
#define P_INT(n, d, lo, hi, r, t)	int64_t n;
#define P_SIZE(n, d, lo, hi, r, t)	int64_t n;
#define P_TIME(n, d, lo, hi, r, t)	int64_t n;
#include "conf/params.def"
#undef P_STR
#undef P_RAW
#undef P_ENUM
#undef P_BOOL
#undef P_INT
#undef P_SIZE
#undef P_TIME
};

extern struct params conf;

/*
 * The rows themselves, sorted by name, for what lists or documents them.
 */
enum param_type {
	PARAM_STR, PARAM_RAW, PARAM_ENUM, PARAM_BOOL, PARAM_INT, PARAM_SIZE,
	PARAM_TIME
};
struct param_row {
	const char	*name;
	enum param_type	 type;
	const char	*def;		/* text; see COMPUTED */
	const char	*min, *max;	/* numbers: as written in params.def */
	const char	*values;	/* P_ENUM */
	const char	*readers, *text;
	size_t		 offset;	/* in struct params */
	int64_t		 lo, hi;
};
const struct param_row *params_rows(size_t *n);
/* A value as the row of that name takes it, which is of a number, a size or a
 * time.  0, or -1. */
MUST_CHECK int params_number(const char *name, struct span value,
	    int64_t *out);
const struct param_row *params_row(const char *name);	/* or NULL */
/* A setting of Postfix that has no meaning here (yet). */
bool	 params_is_known(const char *name);
/* The setting that says today what this one said; or NULL. */
const char *params_name_today(const char *name);
enum param_origin {
	PARAM_BUILTIN,		/* has a row */
	PARAM_SERVICE,		/* "<transport>_destination_..." */
	PARAM_POSTFIX,		/* see params_is_known() */
	PARAM_USER,		/* used as $name, restriction class */
	PARAM_UNKNOWN
};
/* What kind of name this is in the loaded configuration. */
enum param_origin params_kind(const char *name);

/* One problem in the configuration: "/etc/mansio/main.cf:12: text". */
typedef void params_problem_fn(void *arg, bool is_error, const char *line);

/*
 * Read config_dir/main.cf, main.cf.d/?*.cf (lexical order, later wins), then
 * the overrides ("name=value", n of them, from -o and master.cf), expand,
 * check, and fill conf.  All problems are reported, not only the first.
 * 0, or -1 when there was an error (conf is then unchanged).
 *
 * config_dir NULL is the environment variable MAIL_CONFIG or the built-in
 * directory.  Loading again (reload) is allowed: strings of conf that were
 * read before stay good for the life of the process.
 */
MUST_CHECK int params_load(const char *config_dir,
	    const char *const *overrides, size_t n,
	    params_problem_fn *problem, void *arg);

/*
 * The raw text of a parameter from the loaded configuration, known to the
 * table or not ("smtpd_restriction_classes" members, "foo_destination_...");
 * NULL when it is not set and has no default.
 */
const char *params_raw(const char *name);
/* Expand $name, ${name}, ${name?x}, ${name:x}, ${name?{x}:{y}} and the
 * comparison ${{a}=={b}?{x}:{y}}; 0 or -1 with why. */
MUST_CHECK int params_expand(const char *text, struct buf *out,
	    struct why *why);
/* params_raw() and params_expand() in one; the caller mem_free()s; NULL when
 * unset. */
char	*params_get(const char *name);
/* "<transport>_<suffix>" (an integer or time), or the default_<suffix>. */
int64_t	 params_transport_int(const char *transport, const char *suffix,
	    int64_t fallback);
/* All such suffixes, "_destination_rate_delay"; the last is NULL.  And what
 * one has by default, "$default_destination_rate_delay", to mem_free(), or
 * NULL when nothing here reads it. */
const char *const *params_transport_suffixes(void);
char	*params_transport_default(const char *suffix);
/* Where the value came from: "/etc/mansio/main.cf:12", "default", "-o". */
const char *params_origin(const char *name);
/* The parameter that a value is written at: name, or, where it is not set and
 * its default is "$other", what that one's value is taken from. */
const char *params_source(const char *name);

const char *params_config_dir(void);
/* config_dir as params_load() takes it: NULL is the default.  mem_free(). */
char	*params_choose_config_dir(const char *config_dir);

/*
 * For programs that look at a configuration which may be wrong (postconf,
 * check): as params_load(), but what could be read is kept even when there
 * were errors, and conf gets the defaults in the places of bad values.
 */
enum {
	PARAMS_KEEP_GOING = 1,
	PARAMS_DEFAULTS = 2	/* do not read main.cf at all */
};
MUST_CHECK int params_load_flags(const char *config_dir,
	    const char *const *overrides, size_t n, int flags,
	    params_problem_fn *problem, void *arg);
/*
 * For commands that must work while main.cf has errors, as stopping must:
 * errors are told, and what could be read is used.  -1 only when there is no
 * main.cf to read, for then we would act on another instance.
 */
MUST_CHECK int params_load_anyhow(const char *config_dir,
	    const char *const *overrides, size_t n,
	    params_problem_fn *problem, void *arg);
/*
 * What the files said in the loaded configuration, as bytes, and a load from
 * such bytes instead of files: master starts its daemons with what it has
 * checked, whatever the files say by then.  Overrides are not in it, and
 * names are not checked once more.
 */
void	 params_snapshot(struct buf *out);
MUST_CHECK int params_load_snapshot(struct span snapshot,
	    const char *config_dir, const char *const *overrides, size_t n,
	    params_problem_fn *problem, void *arg);
/*
 * Call fn while these overrides, of a service of master.cf, stand on top of
 * the loaded configuration, which is as it was afterwards.  Bad values are
 * passed over without a word: those who load them for good speak of them.
 */
void	 params_with(const char *const *overrides, size_t n,
	    void (*fn)(void *arg), void *arg);
/*
 * Whether "name=value" could be given as override to params_load(): known
 * name (warning), allowed value.  For master.cf.  -1 when it is an error.
 */
MUST_CHECK int params_check_override(const char *text, const char *origin,
	    params_problem_fn *problem, void *arg);
/* The default of a row as text, not expanded, computed where it must be. */
const char *params_default(const struct param_row *row);
/* Call fn for each setting in the configuration, in order of name. */
void	 params_each(void (*fn)(const char *name, const char *value,
	    const char *origin, void *arg), void *arg);

#endif
