/* SPDX-License-Identifier: ISC */
/*
 * settings - what daemons start with: the settings of the configuration that
 * was accepted last.
 *
 * Between two reloads main.cf is an administrator's desk: half an edit may lie
 * there when a daemon has to be started.  So daemons get the settings from us,
 * in a sealed file in memory, and read main.cf themselves only in a reload,
 * which we have checked.
 */
#include "master/master.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/log.h"
#include "conf/params.h"
#include "io/fd.h"

static struct buf kept = BUF_INIT(BUF_UNLIMITED);

void
settings_keep(void)
{
	int fd = memfd_create("main.cf", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	buf_reset(&kept);
	params_snapshot(&kept);
	fd_close(&master.settings_fd);
	if (fd < 0 || fd_pwrite_all(fd, kept.data, kept.len, 0) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE) < 0) {
		log_warning("cannot keep the settings, daemons will read "
		    "main.cf: %m");
		fd_close(&fd);
	}
	master.settings_fd = fd;
}

void
settings_restore(void)
{
	if (params_load_snapshot(buf_span(&kept), master.config_dir,
	    master.overrides.v, master.overrides.len, NULL, NULL) < 0)
		log_error("the old settings cannot be restored");
}
