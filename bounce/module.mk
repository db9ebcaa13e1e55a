# SPDX-License-Identifier: ISC
$(eval $(call program,bounce,bounce,main.c,libexec))
