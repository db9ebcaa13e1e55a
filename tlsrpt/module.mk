# SPDX-License-Identifier: ISC
$(eval $(call program,tlsrpt,tlsrpt,main.c,libexec))
