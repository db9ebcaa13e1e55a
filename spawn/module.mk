# SPDX-License-Identifier: ISC
$(eval $(call program,spawn,spawn,main.c,libexec,local))
