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
#include "conf/main_cf.h"
#include "conf/params.h"

static NORETURN void
usage(void)
{
	log_fatal("usage: postconf [-aAbdefFhHlmMnOpPtvxX#] [-c config_dir] "
	    "[-C class,...] [-o name=value] [-T mode] [name...]");
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
class_of(struct span name)
{
	static const struct {
		const char	*name;
		unsigned	 class;
	} classes[] = {
		{ "builtin", CLASS_BUILTIN }, { "service", CLASS_SERVICE },
		{ "user", CLASS_USER }, { "all", CLASS_ALL },
	};

	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (span_caseis(name, classes[i].name))
			return classes[i].class;
	log_fatal("bad parameter class: \"%.*s\": expected builtin, service, "
	    "user or all", SPAN_ARG(name));
}

static unsigned
classes_of(const char *list)
{
	struct span rest = span_of(list), word;
	unsigned classes = 0;

	while (span_token(&rest, ", \t\r\n", &word))
		classes |= class_of(word);
	return classes;
}

static void
check_override(const char *text)
{
	struct span name, value;
	struct why why = WHY_INIT;

	if (main_cf_split(span_of(text), &name, &value, &why) == -1)
		log_fatal("invalid parameter override: %s", why.text);
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
	if (p->templates != TEMPLATES_NO && (what + how > 0 || argc > 1))
		log_fatal("with -b -t specify at most one file");
}

static int
run(struct postconf *p, int argc, char **argv)
{
	bool edit = p->edit || p->exclude || p->comment;
	bool master = p->services || p->fields || p->overrides;
	int flags = PARAMS_KEEP_GOING;

	if (edit && master && params_load_flags(p->config_dir, NULL, 0, flags,
	    NULL, NULL) == -1)
		log_debug("the configuration has errors");
	if (edit)
		return master ? postconf_edit_master(p, argc, argv)
		    : postconf_edit_main(p, argc, argv);
	if (p->defaults)
		flags |= PARAMS_DEFAULTS;
	if (params_load_flags(p->config_dir, p->set.v, p->set.n, flags,
	    argc > 0 && !master ? report_errors : report, NULL) == -1)
		log_debug("the configuration has errors");
	if (p->templates != TEMPLATES_NO)
		return postconf_show_templates(p, argv[0]);
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
	while ((c = getopt(argc, argv, "+aAbc:C:deFfhHlmMno:OpPtT:vxX#")) != -1) {
		switch (c) {
		case 'b':
			p.templates = TEMPLATES_EXPANDED;
			break;
		case 'c':
			dir = optarg;
			break;
		case 'C':
			p.classes = classes_of(optarg);
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
		case 'a':
		case 'A':
		case 'l':
		case 'm':
			postconf_show_types(c);
			return 0;
		case 'M':
			p.services = true;
			break;
		case 'n':
			p.only_set = true;
			break;
		case 'o':
			check_override(optarg);
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
		case 't':
			p.templates = TEMPLATES_RAW;
			break;
		case 'T':
			postconf_show_tls(optarg);
			return 0;
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
	    p.templates == TEMPLATES_NO && strchr(argv[0], '=') != NULL)
		p.edit = true;
	rc = run(&p, argc, argv);
	if (fflush(stdout) == EOF)
		log_fatal("write standard output: %s", strerror(errno));
	hash_fini(&p.defaults_of, mem_free);
	mem_free(p.set.v);
	mem_free(p.config_dir);
	return rc;
}
