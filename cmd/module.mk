# SPDX-License-Identifier: ISC
$(eval $(call program,postqueue,cmd,main_postqueue.c,sbin))
$(eval $(call program,postsuper,cmd,main_postsuper.c,sbin))
$(eval $(call program,postcat,cmd,main_postcat.c,sbin))
$(eval $(call program,postmap,cmd,main_postmap.c,sbin))
$(eval $(call program,postalias,cmd,main_postalias.c,sbin))
