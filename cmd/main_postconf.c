/* SPDX-License-Identifier: ISC */
/*
 * postconf - show and edit the configuration; see postconf(1).
 */
#include <errno.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/postconf.h"
#include "conf/params.h"
#include "conf/table.h"

static NORETURN void
usage(void)
{
	log_fatal("usage: postconf [-defFhHlmMnOpPvxX#] [-c config_dir] "
	    "[-C class] [-o name=value] [name...]");
}

static void
report(void *arg, bool is_error, const char *line)
{
	log_warning("%s", line);
}

/* Warnings about other settings would be in the way of scripts that ask for
 * one. */
static void
report_errors(void *arg, bool is_error, const char *line)
{
	if (is_error)
		log_warning("%s", line);
}

static unsigned
class_of(const char *name)
{
	static const struct {
		const char	*name;
		unsigned	 class;
	} classes[] = {
		{ "builtin", CLASS_BUILTIN }, { "service", CLASS_SERVICE },
		{ "user", CLASS_USER }, { "all", CLASS_ALL },
	};

	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (strcmp(classes[i].name, name) == 0)
			return classes[i].class;
	log_fatal("bad parameter class: \"%s\": expected builtin, service, "
	    "user or all", name);
}

static void
show_table_types(void)
{
	for (const char *const *t = table_types(); *t != NULL; t++)
		(void)puts(*t);
}

static void
check_options(struct postconf *p, int argc)
{
	int what = p->services + p->fields + p->overrides;
	int how = p->edit + p->exclude + p->comment;

	if (what > 1)
		log_fatal("specify one of -F -M -P");
	if (how > 1)
		log_fatal("specify one of -e -X -#");
	if (p->defaults && p->only_set)
		log_fatal("specify one of -d -n");
	if (how == 1 && (p->defaults || p->only_set || p->expand ||
	    p->fold || p->hide_name || p->hide_value || p->set.n > 0))
		log_fatal("with -e -X -# specify none of -d -f -h -H -n -o "
		    "-x");
	if (p->fields && (p->exclude || p->comment))
		log_fatal("with option -F, do not specify -X or -#");
	if (p->overrides && p->comment)
		log_fatal("with option -P, do not specify -#");
	if (p->services && (p->hide_name || p->hide_value))
		log_fatal("with option -M, do not specify -h or -H");
	if (what == 1 && (p->defaults || p->only_set))
		log_fatal("with -F -M -P specify none of -d -n");
	if ((p->exclude || p->comment) && argc == 0)
		log_fatal("-X or -# requires at least one name");
	if (p->edit && argc == 0)
		log_fatal("-e requires at least one name=value");
	if (p->hide_name && p->hide_value)
		log_fatal("specify one of -h -H");
}

static int
run(struct postconf *p, int argc, char **argv)
{
	bool edit = p->edit || p->exclude || p->comment;
	bool master = p->services || p->fields || p->overrides;
	int flags = PARAMS_KEEP_GOING;

	if (edit)
		return master ? postconf_edit_master(p, argc, argv)
		    : postconf_edit_main(p, argc, argv);
	if (p->defaults)
		flags |= PARAMS_DEFAULTS;
	if (params_load_flags(p->config_dir, p->set.v, p->set.n, flags,
	    argc > 0 && !master ? report_errors : report, NULL) == -1)
		log_debug("the configuration has errors");
	return master ? postconf_show_master(p, argc, argv)
	    : postconf_show_main(p, argc, argv);
}

int
main(int argc, char **argv)
{
	struct postconf p = { .classes = CLASS_ALL };
	const char *dir = NULL;
	int c, rc;

	log_set_tag("postconf");
	p.set.v = mem_alloc_array((size_t)argc, sizeof(*p.set.v));
	while ((c = getopt(argc, argv, "+c:C:deFfhHlmMno:OpPvxX#")) != -1) {
		switch (c) {
		case 'c':
			dir = optarg;
			break;
		case 'C':
			p.classes = class_of(optarg);
			break;
		case 'd':
			p.defaults = true;
			break;
		case 'e':
			p.edit = true;
			break;
		case 'f':
			p.fold = true;
			break;
		case 'F':
			p.fields = true;
			break;
		case 'h':
			p.hide_name = true;
			break;
		case 'H':
			p.hide_value = true;
			break;
		case 'l':
			(void)puts("flock\nfcntl\ndotlock");
			return 0;
		case 'm':
			show_table_types();
			return 0;
		case 'M':
			p.services = true;
			break;
		case 'n':
			p.only_set = true;
			break;
		case 'o':
			p.set.v[p.set.n++] = optarg;
			break;
		case 'O':
			p.show_origin = true;
			break;
		case 'p':		/* the default */
			break;
		case 'P':
			p.overrides = true;
			break;
		case 'v':
			log_set_debug(true);
			break;
		case 'x':
			p.expand = true;
			break;
		case 'X':
			p.exclude = true;
			break;
		case '#':
			p.comment = true;
			break;
		default:
			usage();
		}
	}
	argc -= optind;
	argv += optind;
	check_options(&p, argc);
	p.config_dir = params_choose_config_dir(dir);
	/* As with "postconf name=value" of Postfix. */
	if (!p.exclude && !p.comment && !p.edit && argc > 0 &&
	    strchr(argv[0], '=') != NULL)
		p.edit = true;
	rc = run(&p, argc, argv);
	if (fflush(stdout) == EOF)
		log_fatal("write standard output: %s", strerror(errno));
	mem_free(p.set.v);
	mem_free(p.config_dir);
	return rc;
}
