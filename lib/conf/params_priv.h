/* SPDX-License-Identifier: ISC */
/*
 * params_priv - what the files of params share and nobody else needs.
 */
#ifndef CONF_PARAMS_PRIV_H
#define CONF_PARAMS_PRIV_H

#include "base/cc.h"
#include "base/hash.h"
#include "base/span.h"
#include "conf/main_cf.h"
#include "conf/params.h"

#define PARAM_VALUE_MAX	(1 << 20)	/* bytes of an expanded value */

struct params_state {
	struct main_cf	 cf;
	char		*config_dir;
	struct hash	 computed;	/* name to char *: COMPUTED values */
	struct hash	 undefined;	/* names already warned of */
};
/* What names mean now: the state that is built during a load, and the one in
 * use otherwise. */
extern struct params_state *params_loading;

struct params_load {
	struct params		 values;
	params_problem_fn	*problem;
	void			*arg;
	int			 flags;
	unsigned		 errors;
};

/* The default of a COMPUTED row as text, to mem_free(). */
char	*params_compute(const char *name);
/* The expanded value of a parameter during a load, to mem_free(); "" when it
 * is unset or broken.  For params_compute(). */
char	*params_loading_get(const char *name);
/* Whether main.cf or an override sets it. */
bool	 params_loading_is_set(const char *name);

/* How far a is from b: inserted, deleted, changed, swapped characters;
 * limit + 1 when that is more than limit. */
unsigned params_distance(const char *a, const char *b, unsigned limit);

/* The text, which is kept for ever. */
const char *params_intern(struct span s);
/* The list ends in NULL. */
bool	 params_in_list(const char *const *list, const char *name);

/* --- params_value.c ------------------------------------------------------------- */

/* What a row allows, for a message: "a number from 1 to 1000". */
void	 param_describe(const struct param_row *row, struct buf *out);
/* A number without unit has that of the default, as in Postfix. */
MUST_CHECK int param_parse_time(struct span s, const char *def, int64_t *out);
MUST_CHECK int param_parse_number(struct span s, const struct param_row *row,
	    int64_t *out);
/* Put an expanded value into its field; -1 when the row does not allow it. */
MUST_CHECK int param_store(struct params *p, const struct param_row *row,
	    struct span s);

/* --- params_names.c --------------------------------------------------------------- */

/* Set by daemon_main for one process; elsewhere they make no sense. */
extern const char *const params_not_in_main_cf[];
/* Warn of what is no name of a setting. */
void	 params_check_names(struct params_load *l);
void	 params_check_name(struct params_load *l, const struct main_cf_setting *s);
/* Report a value that its row does not allow. */
void	 params_bad_value(struct params_load *l, const struct param_row *row,
	    const char *origin, const char *value);

#endif
