# SPDX-License-Identifier: ISC
$(eval $(call program,smtpd,smtpd,main.c,libexec))
$(eval $(call program,lmtpd,smtpd,main_lmtpd.c,libexec))
