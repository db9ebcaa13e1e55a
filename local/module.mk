# SPDX-License-Identifier: ISC
ifneq ($(wildcard lib/conf/table.c),)
$(eval $(call program,local,local,main_local.c,libexec))
$(eval $(call program,virtual,local,main_virtual.c,libexec))
endif
