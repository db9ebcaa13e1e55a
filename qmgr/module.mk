# SPDX-License-Identifier: ISC
$(eval $(call program,qmgr,qmgr,main.c,libexec))
