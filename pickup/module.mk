# SPDX-License-Identifier: ISC
$(eval $(call program,pickup,pickup,main.c,libexec))
