# SPDX-License-Identifier: ISC
$(eval $(call program,authd,authd,main.c,libexec))
