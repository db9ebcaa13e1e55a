/* SPDX-License-Identifier: ISC */
/*
 * main_cf - the input is a main.cf; it is read, expanded and checked, and
 * every setting is asked for.
 */
#include "conf_dir.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look(const char *name, const char *value, const char *origin, void *arg)
{
	char *v = params_get(name);

	if (params_raw(name) == NULL || params_origin(name) == NULL)
		abort();
	(void)params_kind(name);
	(void)params_transport_int(name, "destination_concurrency_limit", 1);
	mem_free(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 8192)
		return 0;
	conf_dir_write("main.cf", data, size);
	if (params_load_flags(conf_dir, NULL, 0, PARAMS_KEEP_GOING,
	    ignore_problem, NULL) == 0 && conf.hopcount_limit < 1)
		abort();
	if (size < 512)
		params_each(look, NULL);
	return 0;
}
