/* SPDX-License-Identifier: ISC */
/*
 * master_cf - the input is a master.cf.  What is accepted has what the header
 * promises.
 */
#include "conf_dir.h"

#include "conf/master_cf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool loaded;
	struct master_cf m;

	if (size > 8192)
		return 0;
	conf_dir_write("master.cf", data, size);
	if (!loaded && params_load(conf_dir, NULL, 0, NULL, NULL) == -1)
		abort();
	loaded = true;
	if (master_cf_load(conf_dir, &m, ignore_problem, NULL) == 0) {
		for (size_t i = 0; i < m.services.len; i++) {
			const struct service *s = &m.services.v[i];

			if (s->name[0] == '\0' || s->command[0] == '\0' ||
			    s->maxproc < 0 || s->wakeup < 0 ||
			    (s->type == SERVICE_INET && s->private) ||
			    master_cf_find(&m, s->name, s->type) != s)
				abort();
			for (size_t j = 0; j < s->overrides.len; j++)
				if (strchr(s->overrides.v[j], '=') == NULL)
					abort();
		}
	}
	master_cf_fini(&m);
	return 0;
}
