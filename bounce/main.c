/* SPDX-License-Identifier: ISC */
/*
 * bounce - delivery status notifications.
 *
 * qmgr asks for them (msg_bounce.h) with the message's envelope and a
 * descriptor of its content; they are composed from a template and handed to
 * cleanup.  The answer to qmgr comes when cleanup has made the notice
 * durable, so that the message it is about may be forgotten.
 */
#include "bounce/bounce.h"

#include "base/log.h"
#include "conf/params.h"
#include "daemon/daemon.h"

struct templates bounce_templates;

/* A template with an error must not stop bounces: the built-in text is used
 * until the file has been put right. */
static void
load_templates(void)
{
	struct why why = WHY_INIT;

	if (templates_load(&bounce_templates, conf.bounce_template_file,
	    &why) < 0)
		log_warning("%s; using the built-in templates", why.text);
}

static int
check(struct why *why)
{
	static const char *const classes[] = { "bounce", "2bounce", "data",
	    "delay", "policy", "protocol", "resource", "software" };
	struct span rest = span_of(conf.notify_classes), word;
	int rc = 0;

	if (templates_load(&bounce_templates, conf.bounce_template_file,
	    why) < 0) {
		log_error("%s: bounce_template_file: %s",
		    params_origin("bounce_template_file"), why->text);
		rc = -1;
	}
	while (span_token(&rest, " \t\r\n,", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(classes) && !span_is(word, classes[i]))
			i++;
		if (i < ARRAY_LEN(classes))
			continue;
		log_error("%s: notify_classes: \"%.*s\" is none",
		    params_origin("notify_classes"), SPAN_ARG(word));
		rc = -1;
	}
	*why = WHY_INIT;		/* all is said */
	return rc;
}

static int
start(struct why *why)
{
	load_templates();
	submit_start(daemon_loop());
	return 0;
}

static int
reload(struct why *why)
{
	load_templates();
	return 0;
}

static const struct daemon bounce = {
	.name	= "bounce",
	.check	= check,
	.start	= start,
	.accept	= request_accept,
	.reload	= reload,
};

int
main(int argc, char **argv)
{
	return daemon_main(&bounce, argc, argv);
}
