# SPDX-License-Identifier: ISC
$(eval $(call program,quotad,quotad,main.c,libexec))
