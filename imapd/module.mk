# SPDX-License-Identifier: ISC
$(eval $(call program,imapd,imapd,main.c,libexec))
