/* SPDX-License-Identifier: ISC */
/*
 * need_main_cf - see need_main_cf.h.
 */
#include "cmd/need_main_cf.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/params.h"

void
need_main_cf(const char *config_dir)
{
	char *dir = params_choose_config_dir(config_dir);
	char *path = mem_printf("%s/main.cf", dir);

	if (access(path, R_OK) < 0)
		log_fatal("open %s: %m", path);
	mem_free(path);
	mem_free(dir);
}
