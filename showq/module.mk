# SPDX-License-Identifier: ISC
$(eval $(call program,showq,showq,main.c,libexec))
