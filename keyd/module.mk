# SPDX-License-Identifier: ISC
$(eval $(call program,keyd,keyd,main.c,libexec))
