/* SPDX-License-Identifier: ISC */
#include "authd/upgrade.h"

void
upgrade_account(const struct account *a, struct span password)
{
}

void
upgrade_app_used(const struct account *a, const struct app_password *app)
{
}
