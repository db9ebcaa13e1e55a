# SPDX-License-Identifier: ISC
$(eval $(call program,verify,verify,main.c,libexec))
