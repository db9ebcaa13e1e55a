/* SPDX-License-Identifier: ISC */
/*
 * What an IMAP client sends after its login: the whole engine on a scratch
 * account.
 */
#include "engine.h"

#define MESSAGE "From: a@b\r\nSubject: =?utf-8?q?=C3=A4?=\r\n" \
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n" \
	"--b\r\n\r\ntext\r\n--b\r\n" \
	"Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n"

static const char *const mail[] = {
	MESSAGE, MESSAGE, MESSAGE, MESSAGE, NULL
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	engine_run(&imap_engine, "L0", mail, data, size);
	buf_fini(&said);
	return 0;
}
