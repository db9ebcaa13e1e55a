/* SPDX-License-Identifier: ISC */
/*
 * need_main_cf - for commands that go on when main.cf has errors, but would
 * act on another instance when there is none.
 */
#ifndef CMD_NEED_MAIN_CF_H
#define CMD_NEED_MAIN_CF_H

/* Ends the program with an error when it cannot be read; config_dir as
 * params_load() takes it. */
void	 need_main_cf(const char *config_dir);

#endif
