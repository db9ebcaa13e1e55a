/* SPDX-License-Identifier: ISC */
/*
 * postconf_about - what the mail system has built in: types of tables, locks
 * and logins, the TLS library, the texts of notices.
 */
#include "cmd/postconf.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"
#include "conf/table.h"
#include "conf/template.h"
#include "tls/show_cert.h"

void
postconf_show_types(int option)
{
	switch (option) {
	case 'a':		/* smtpd's logins are authd's */
	case 'A':		/* smtp has mechanisms of its own */
		(void)puts("mansio");
		break;
	case 'l':
		(void)puts("flock\nfcntl\ndotlock");
		break;
	case 'm':
		for (const char *const *t = table_types(); *t != NULL; t++)
			(void)puts(*t);
		break;
	}
}

void
postconf_show_tls(const char *mode)
{
	if (strcmp(mode, "compile-version") == 0)
		(void)puts(tls_library(true));
	else if (strcmp(mode, "run-version") == 0)
		(void)puts(tls_library(false));
	else if (strcmp(mode, "public-key-algorithms") == 0)
		(void)puts(tls_key_types());
	else
		log_fatal("bad mode: \"-T %s\": expected compile-version, "
		    "run-version or public-key-algorithms", mode);
}

static void
show_raw(const struct template *t)
{
	(void)printf("Charset: %s\nFrom: %s\nSubject: %s\n", t->charset,
	    t->from, t->subject);
	if (t->postmaster_subject != NULL)
		(void)printf("Postmaster-Subject: %s\n",
		    t->postmaster_subject);
	(void)printf("\n%s", t->text);
}

static void
show_expanded(const struct template *t, const char *name)
{
	struct buf b = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;

	if (template_expand_settings(t->text, &b, &why) == -1)
		log_warning("%s: %s", name, why.text);
	(void)fputs(b.data, stdout);
	buf_fini(&b);
}

int
postconf_show_templates(const struct postconf *p, const char *file)
{
	struct templates ts;
	struct why why = WHY_INIT;

	templates_init(&ts);
	if (file == NULL)
		file = conf.bounce_template_file;
	if (templates_load(&ts, file, &why) == -1)
		log_fatal("%s", why.text);
	for (int k = 0; k < TEMPLATE_KINDS; k++) {
		const char *name = template_name(k);
		size_t stem = strlen(name) - strlen("template");

		if (k > 0)
			(void)putchar('\n');
		if (p->templates == TEMPLATES_EXPANDED) {
			(void)printf("expanded_%.*stext = <<EOF\n",
			    (int)stem, name);
			show_expanded(&ts.t[k], name);
		} else {
			(void)printf("%s = <<EOF\n", name);
			show_raw(&ts.t[k]);
		}
		(void)puts("EOF");
	}
	templates_fini(&ts);
	return 0;
}
