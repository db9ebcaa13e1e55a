# SPDX-License-Identifier: ISC
$(eval $(call program,pop3d,pop3d,main.c,libexec))
