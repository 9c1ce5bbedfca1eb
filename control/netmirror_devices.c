#include "control/netmirror_devices.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink.h"
#include "dataplane/dp.h"

void devices_fini(struct devices *d)
{
	free(d->at);
	*d = (struct devices){0};
}

// ---- which there are ----

// Where the ifindex stands, or would stand.
static size_t place_of(const struct devices *d, unsigned ifindex)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (d->at[mid].ifindex < ifindex)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t devices_number(const struct devices *d, unsigned ifindex)
{
	const size_t i = place_of(d, ifindex);

	return i < d->n && d->at[i].ifindex == ifindex ? d->at[i].number : DEVICE_NONE;
}

const struct device *devices_get(const struct devices *d, unsigned number)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->at[i].number == number)
			return &d->at[i];
	return NULL;
}

static int add(struct devices *d, const char *name, unsigned number, unsigned ifindex)
{
	const size_t i = place_of(d, ifindex);

	if (ifindex == 0 || (i < d->n && d->at[i].ifindex == ifindex))
		return 0;
	if (d->n == d->room) {
		const size_t room = d->room ? 2 * d->room : 32;
		struct device *at = reallocarray(d->at, room, sizeof(*at));

		if (!at)
			return -ENOMEM;
		d->at = at;
		d->room = room;
	}
	memmove(&d->at[i + 1], &d->at[i], (d->n - i) * sizeof(d->at[0]));
	d->n++;
	d->at[i] = (struct device){.number = number, .ifindex = ifindex};
	snprintf(d->at[i].name, sizeof(d->at[i].name), "%s", name);
	return 0;
}

static int read_ports(struct devices *d, const struct dp *dp, struct error *err)
{
	for (unsigned i = 0; i < dp_port_count(dp); i++) {
		struct dp_port_info info;
		int e = dp_port_info(dp, i, &info);

		if (e)
			return error_set(err, e, "port %u of the dataplane: %s", i, strerror(-e));
		e = add(d, info.name, i, info.tap_ifindex);
		if (e)
			return error_set(err, e, "out of memory");
	}
	return 0;
}

int devices_read(struct devices *d, const struct dp *dp, struct error *err)
{
	const size_t n = dp_ifaces(dp, NULL, 0);
	struct dp_iface_info *info = calloc(n + 1, sizeof(*info));
	int e;

	if (!info)
		return error_set(err, -ENOMEM, "out of memory");
	e = read_ports(d, dp, err);
	dp_ifaces(dp, info, n);
	for (size_t i = 0; i < n && !e; i++) {
		e = add(d, info[i].name, info[i].iface, info[i].ifindex);
		if (e)
			error_set(err, e, "out of memory");
	}
	free(info);
	return e;
}

void devices_forget(struct devices *d, unsigned number)
{
	const struct device *gone = devices_get(d, number);
	size_t i;

	if (!gone)
		return;
	i = (size_t)(gone - d->at);
	d->n--;
	memmove(&d->at[i], &d->at[i + 1], (d->n - i) * sizeof(d->at[0]));
}

// ---- their addresses ----

struct wanted { // of one device
	const struct ip_prefix *addrs;
	unsigned n;
};

static bool listed(const struct ip_prefix *list, unsigned n, const struct ip_prefix *a)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].len == a->len && ip_addr_equal(&list[i].addr, &a->addr))
			return true;
	return false;
}

static int addr_error(struct error *err, int code, const char *what, const struct ip_prefix *a,
		      const struct device *d)
{
	char text[IP_PREFIX_TEXT_MAX];

	return error_set(err, code, "cannot %s %s on %s: %s%s", what,
			 ip_prefix_format(a, text, sizeof(text)), d->name, strerror(-code),
			 code == -EPERM ? "; run as root or with CAP_NET_ADMIN" : "");
}

// Takes away what we once put there and is not wanted any more.
static int unset_addrs(struct netlink *ask, struct device *d, const struct wanted *want,
		       struct error *err)
{
	for (unsigned i = d->n_set; i-- > 0;) {
		int e;

		if (listed(want->addrs, want->n, &d->set[i]))
			continue;
		e = netlink_addr_del(ask, d->ifindex, &d->set[i]);
		if (e && e != -EADDRNOTAVAIL && e != -ENODEV)
			return addr_error(err, e, "delete", &d->set[i], d);
		d->set[i] = d->set[--d->n_set];
	}
	return 0;
}

static int set_addrs(struct netlink *ask, struct device *d, const struct wanted *want,
		     struct error *err)
{
	for (unsigned i = 0; i < want->n; i++) {
		int e = netlink_addr_set(ask, d->ifindex, &want->addrs[i]);

		if (e)
			return addr_error(err, e, "put", &want->addrs[i], d);
		if (!listed(d->set, d->n_set, &want->addrs[i]))
			d->set[d->n_set++] = want->addrs[i];
	}
	return 0;
}

static struct wanted wanted(const struct config_gateway *gw, const char *name)
{
	const struct config_iface *iface = config_iface_find(gw, name);

	for (size_t i = 0; i < gw->n_ports; i++)
		if (strcmp(gw->ports[i].name, name) == 0)
			return (struct wanted){gw->ports[i].addrs, gw->ports[i].n_addrs};
	return iface ? (struct wanted){iface->addrs, iface->n_addrs} : (struct wanted){NULL, 0};
}

int devices_configure(struct devices *d, struct netlink *ask, const struct config_gateway *gw,
		      struct error *err)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct wanted want = wanted(gw, d->at[i].name);
		// First the new ones: with an interface's last address the kernel deletes all
		// routes over it. And once more: it deletes the other addresses of a subnet
		// together with its first one.
		int e = set_addrs(ask, &d->at[i], &want, err);

		if (!e)
			e = unset_addrs(ask, &d->at[i], &want, err);
		if (!e)
			e = set_addrs(ask, &d->at[i], &want, err);
		if (e)
			return e;
	}
	return 0;
}
