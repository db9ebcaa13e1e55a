/* SPDX-License-Identifier: ISC */
/*
 * main_cf - the text of main.cf: names and values as written, and where.
 *
 * Knows nothing of which names there are; params.c does.  A name set twice in
 * one file is warned of, the later one wins; a drop-in silently wins over
 * main.cf and over the drop-ins before it, and an override over all files.
 */
#ifndef CONF_MAIN_CF_H
#define CONF_MAIN_CF_H

#include "base/array.h"
#include "base/cc.h"
#include "base/hash.h"
#include "base/span.h"
#include "base/why.h"
#include "conf/params.h"

#define MAIN_CF_SETTINGS_MAX	100000	/* names in all files together */

struct main_cf_setting {
	char	*name, *value;
	char	*origin;	/* "/etc/mansio/main.cf:12", "-o" */
	bool	 override;
};

struct main_cf {
	ARRAY(struct main_cf_setting *) settings;	/* in order */
	struct hash	 by_name;	/* to struct main_cf_setting */
	unsigned	 errors;
};

#define MAIN_CF_INIT	((struct main_cf){ .by_name = HASH_INIT })

/*
 * Read main.cf and main.cf.d/?*.cf.  A missing main.cf is an error, a missing
 * main.cf.d is not.  Problems are counted in m->errors.
 */
void	 main_cf_read(struct main_cf *m, const char *config_dir,
	    params_problem_fn *problem, void *arg);
/* One "name=value" or "{ name = value }" of a command line or master.cf. */
void	 main_cf_override(struct main_cf *m, const char *text,
	    const char *origin, params_problem_fn *problem, void *arg);
/*
 * The settings that came from files, as bytes, and back: no file is read, the
 * origins stay.  -1: these bytes were not made by main_cf_pack().
 */
void	 main_cf_pack(const struct main_cf *m, struct buf *out);
MUST_CHECK int main_cf_unpack(struct main_cf *m, struct span packed);
const struct main_cf_setting *main_cf_find(const struct main_cf *m,
	    const char *name);
void	 main_cf_fini(struct main_cf *m);

/*
 * Split "name = value"; both without outer space.  0, or -1 with why: no
 * name, no '='.
 */
MUST_CHECK int main_cf_split(struct span line, struct span *name,
	    struct span *value, struct why *why);
/* Report a problem as "origin: text". */
void	 params_problem(params_problem_fn *problem, void *arg, bool is_error,
	    const char *origin, const char *fmt, ...) PRINTF(5, 6);

#endif
