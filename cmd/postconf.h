/* SPDX-License-Identifier: ISC */
/*
 * postconf - show and edit main.cf and master.cf: what its files share.
 */
#ifndef CMD_POSTCONF_H
#define CMD_POSTCONF_H

#include "base/buf.h"
#include "base/cc.h"
#include "base/hash.h"
#include "base/span.h"

struct postconf {
	char		*config_dir;
	bool		 defaults;	/* -d */
	bool		 edit;		/* -e */
	bool		 exclude;	/* -X */
	bool		 comment;	/* -# */
	bool		 fold;		/* -f */
	bool		 hide_name;	/* -h */
	bool		 hide_value;	/* -H */
	bool		 only_set;	/* -n */
	bool		 expand;	/* -x */
	bool		 show_origin;	/* -O */
	bool		 services;	/* -M */
	bool		 fields;	/* -F */
	bool		 overrides;	/* -P */
	enum { TEMPLATES_NO, TEMPLATES_RAW, TEMPLATES_EXPANDED }
			 templates;	/* -t, -b */
	unsigned	 classes;	/* -C */
	struct hash	 defaults_of;	/* settings of services: name to text */
	struct {
		const char **v;
		size_t	 n;
	}		 set;		/* -o */
};

enum { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4, CLASS_ALL = 7 };

/* One setting in the form that the options ask for. */
void	postconf_print(const struct postconf *p, const char *name,
	    const char *value, const char *origin);
/* name is shown as prefix/name. */
int	postconf_show_main(struct postconf *p, int argc, char **argv);
int	postconf_show_master(struct postconf *p, int argc, char **argv);
int	postconf_edit_main(struct postconf *p, int argc, char **argv);
int	postconf_edit_master(struct postconf *p, int argc, char **argv);

/* Fill p->defaults_of from master.cf. */
void	postconf_read_services(struct postconf *p);
/* -t and -b: the texts of notices, from file or bounce_template_file. */
int	postconf_show_templates(const struct postconf *p, const char *file);
/* -T: what the TLS library is and can. */
void	postconf_show_tls(const char *mode);
/* -a, -A, -l, -m: one in a line. */
void	postconf_show_types(int option);

/*
 * The text of a configuration file, to be put back with what is changed: a
 * lock keeps other editors out, and the file is replaced as a whole.
 */
struct postconf_file {
	char		*path;
	int		 lock;
	struct buf	 text, out;
};
/* Exits with a message when it cannot be done. */
void	postconf_file_open(struct postconf_file *f, const char *dir,
	    const char *name);
void	postconf_file_commit(struct postconf_file *f);
/* Take the next physical line, with its newline, off *rest. */
bool	postconf_next_line(struct span *rest, struct span *line);
bool	postconf_is_comment(struct span line);	/* or empty */

#endif
