# SPDX-License-Identifier: ISC
$(eval $(call program,local,local,main_local.c,libexec))
$(eval $(call program,virtual,local,main_virtual.c,libexec))
$(eval $(call program,pipe,local,main_pipe.c,libexec))
$(eval $(call program,spawn,local,main_spawn.c,libexec))
