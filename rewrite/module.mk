# SPDX-License-Identifier: ISC
$(eval $(call program,rewrite,rewrite,main.c,libexec))
