# SPDX-License-Identifier: ISC
$(eval $(call program,session,session,main.c,libexec,imapd pop3d))
