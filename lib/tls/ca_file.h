/* SPDX-License-Identifier: ISC */
/*
 * ca_file - where the system keeps the certificates of the authorities that it
 * trusts.
 */
#ifndef TLS_CA_FILE_H
#define TLS_CA_FILE_H

/* The first of the known places that can be read; "" without. */
const char *tls_system_ca_file(void);

#endif
