# SPDX-License-Identifier: ISC
$(eval $(call program,smtp,smtp,main_smtp.c,libexec))
$(eval $(call program,lmtp,smtp,main_lmtp.c,libexec))
