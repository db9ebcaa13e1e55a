/* SPDX-License-Identifier: ISC */
/*
 * The resolver with any address and sender (a NUL between them), and with
 * any result of transport_maps.
 *
 * It ends, a route has a transport, and what it was made from is bounded.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/params.h"
#include "io/fd.h"
#include "mail/address.h"
#include "route/resolve.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char main_cf[] =
	"myhostname = mail.here.test\n"
	"mydestination = here.test, localhost\n"
	"inet_interfaces = 127.0.0.1\n"
	"local_recipient_maps = inline:{ joe=x }\n"
	"alias_maps =\n"
	"virtual_alias_domains = alias.test\n"
	"virtual_alias_maps = inline:{ @catch.test=joe }\n"
	"virtual_mailbox_domains = box.test\n"
	"virtual_mailbox_maps = inline:{ bob@box.test=bob/ }\n"
	"relay_domains = relay.test\n"
	"relocated_maps = inline:{ old@here.test=new@else.test }\n"
	"transport_maps = regexp:{{/^t(.*)@/ $1}}\n"
	"append_dot_mydomain = yes\n"
	"resolve_null_domain = yes\n"
	"resolve_numeric_domain = yes\n"
	"sender_dependent_relayhost_maps = inline:{ @gw.test=[gw] }\n";

static struct resolver *
prepare(void)
{
	const char *tmp = getenv("TMPDIR");
	struct buf dir = BUF_INIT(BUF_UNLIMITED);
	struct buf path = BUF_INIT(BUF_UNLIMITED);
	struct why why = WHY_INIT;
	struct resolver *r;

	buf_addf(&dir, "%s/fuzz-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir.data) == NULL)
		abort();
	buf_addf(&path, "%s/main.cf", dir.data);
	if (fd_replace_file(AT_FDCWD, path.data, 0600, main_cf,
	    sizeof(main_cf) - 1) < 0 ||
	    params_load(dir.data, NULL, 0, NULL, NULL) < 0)
		abort();
	unlink(path.data);
	rmdir(dir.data);
	r = resolver_new(&why);
	if (r == NULL)
		log_fatal("%s", why.text);
	buf_fini(&dir);
	buf_fini(&path);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct resolver *r;
	static struct route route;
	struct span in = span_make(data, size), addr, sender;
	ptrdiff_t nul = span_find(in, '\0');

	if (r == NULL) {
		r = prepare();
		route_init(&route);
	}
	addr = nul < 0 ? in : span_sub(in, 0, (size_t)nul);
	sender = nul < 0 ? SPAN_EMPTY : span_from(in, (size_t)nul + 1);
	resolver_resolve(r, addr, sender, RESOLVE_LISTED, &route);
	if (route.status == ROUTE_TEMPFAIL && route.why.text[0] == '\0')
		abort();
	if (route.status == ROUTE_OK && (route.address.len == 0 ||
	    route.address.len > 2 * ADDRESS_MAX + 300 ||
	    route.class < ROUTE_LOCAL || route.class > ROUTE_DEFAULT))
		abort();
	return 0;
}
