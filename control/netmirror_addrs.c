#include "control/netmirror_addrs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

void addrs_init(struct addrs *a, struct dp *dp)
{
	*a = (struct addrs){.dp = dp};
}

void addrs_fini(struct addrs *a)
{
	free(a->at);
	*a = (struct addrs){0};
}

static struct own_addr *find(struct addrs *a, const struct netlink_addr *addr)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->at[i].ifindex == addr->ifindex && a->at[i].addr.len == addr->addr.len &&
		    ip_addr_equal(&a->at[i].addr.addr, &addr->addr.addr))
			return &a->at[i];
	return NULL;
}

int addrs_set(struct addrs *a, const struct netlink_addr *addr)
{
	struct own_addr *own = find(a, addr);
	int err;

	if (!own) {
		if (a->n == a->room) {
			size_t room = a->room ? 2 * a->room : 16;
			struct own_addr *at = realloc(a->at, room * sizeof(*at));

			if (!at)
				return -ENOMEM;
			a->at = at;
			a->room = room;
		}
		err = dp_local_addr_add(a->dp, &addr->addr.addr);
		if (err)
			return err;
		own = &a->at[a->n++];
		*own = (struct own_addr){.ifindex = addr->ifindex, .addr = addr->addr};
	}
	own->generation = a->generation;
	return 0;
}

static int drop(struct addrs *a, struct own_addr *own)
{
	struct ip_addr gone = own->addr.addr;
	struct own_addr saved = *own;
	bool still = false;
	int err;

	*own = a->at[--a->n];
	for (size_t i = 0; i < a->n; i++)
		still = still || ip_addr_equal(&a->at[i].addr.addr, &gone);
	err = still ? 0 : dp_local_addr_del(a->dp, &gone);
	if (err)
		a->at[a->n++] = saved;
	return err;
}

int addrs_del(struct addrs *a, const struct netlink_addr *addr)
{
	struct own_addr *own = find(a, addr);

	return own ? drop(a, own) : 0;
}

void addrs_begin(struct addrs *a)
{
	a->generation++;
}

int addrs_sweep(struct addrs *a)
{
	int err = 0;

	for (size_t i = a->n; i-- > 0;) {
		int e = a->at[i].generation == a->generation ? 0 : drop(a, &a->at[i]);

		err = err ? err : e;
	}
	return err;
}
