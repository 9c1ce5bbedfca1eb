#include "dataplane/iface.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/fib.h"
#include "dataplane/port.h"
#include "dataplane/punt.h"
#include "dataplane/tap.h"
#include "dataplane/tunnel.h"

int ifaces_create(struct dp *dp)
{
	dp->ifaces = calloc(1, sizeof(*dp->ifaces));
	return dp->ifaces ? 0 : -ENOMEM;
}

static void iface_free(void *p)
{
	struct iface *iface = p;

	if (!iface)
		return;
	tap_close(iface->fd);
	free(iface);
}

void ifaces_destroy(struct dp *dp)
{
	if (!dp->ifaces)
		return;
	for (unsigned i = 0; i < DP_IFACES_MAX; i++)
		iface_free(atomic_load(&dp->ifaces->slot[i]));
	free(dp->ifaces);
	dp->ifaces = NULL;
}

struct iface *iface_get(const struct dp *dp, unsigned number)
{
	if (number < DP_IFACE_FIRST || number >= DP_IFACE_FIRST + DP_IFACES_MAX || !dp->ifaces)
		return NULL;
	return atomic_load_explicit(&dp->ifaces->slot[number - DP_IFACE_FIRST],
				    memory_order_acquire);
}

bool iface_exists(const struct dp *dp, unsigned number)
{
	return iface_get(dp, number) != NULL;
}

unsigned iface_port(const struct dp *dp, unsigned number)
{
	return (number - DP_IFACE_FIRST) % dp->n_ports;
}

// Of a tunnel that is left over from an interface that has gone.
static bool is_bound(const struct dp *dp, unsigned number)
{
	for (uint32_t i = 0; i < dp->tunnels->n_slots; i++)
		if (dp->tunnels->slot[i] && dp->tunnels->slot[i]->iface == number)
			return true;
	return false;
}

static struct iface_sum sum_up(const struct dp *dp, unsigned number)
{
	struct iface_sum sum = {0};

	for (unsigned i = 0; i < dp->n_workers; i++) {
		const struct iface_count *c = &dp->workers[i]->iface_count[number - DP_IFACE_FIRST];

		sum.in_packets += counter_read(&c->in_packets);
		sum.in_bytes += counter_read(&c->in_bytes);
		sum.out_packets += counter_read(&c->out_packets);
		sum.out_bytes += counter_read(&c->out_bytes);
	}
	return sum;
}

static unsigned choose_number(const struct dp *dp)
{
	for (unsigned i = 0; i < DP_IFACES_MAX; i++) {
		const unsigned slot = (dp->ifaces->next + i) % DP_IFACES_MAX;
		const unsigned number = DP_IFACE_FIRST + slot;

		if (!iface_exists(dp, number) && !is_bound(dp, number))
			return number;
	}
	return DP_IFACE_NONE;
}

int dp_iface_add(struct dp *dp, const char *name, uint16_t mtu, unsigned *out, struct error *err)
{
	const unsigned number = choose_number(dp);
	struct iface *iface;
	int ret;

	if (number == DP_IFACE_NONE)
		return error_set(err, -ENOSPC, "more than %d tunnel interfaces", DP_IFACES_MAX);
	if (!dp->ports[iface_port(dp, number)].from_linux)
		return error_set(err, -ENOTSUP, "a tunnel interface needs ports with a TAP");
	iface = calloc(1, sizeof(*iface));
	if (!iface)
		return error_set(err, -ENOMEM, "out of memory");
	iface->fd = -1;
	iface->number = number;
	iface->before = sum_up(dp, number);
	snprintf(iface->name, sizeof(iface->name), "%s", name);
	ret = tap_open_tun(name, mtu, &iface->fd, &iface->ifindex, err);
	if (ret)
		goto out;
	// Before it can be read: the punt thread looks it up.
	atomic_store_explicit(&dp->ifaces->slot[number - DP_IFACE_FIRST], iface,
			      memory_order_release);
	ret = punt_watch(dp, number, iface->fd);
	if (ret) {
		atomic_store(&dp->ifaces->slot[number - DP_IFACE_FIRST], NULL);
		error_set(err, ret, "interface %s: cannot be watched: %s", name, strerror(-ret));
		goto out;
	}
	dp->ifaces->next = number - DP_IFACE_FIRST + 1;
	atomic_fetch_add_explicit(&dp->n_ifaces, 1, memory_order_relaxed);
	*out = number;
	return 0;
out:
	iface_free(iface);
	return ret;
}

int dp_iface_del(struct dp *dp, unsigned number)
{
	struct iface *iface = iface_get(dp, number);

	if (!iface)
		return -ENOENT;
	fib_forget_iface(dp, number);
	punt_unwatch(dp, iface->fd);
	atomic_store_explicit(&dp->ifaces->slot[number - DP_IFACE_FIRST], NULL,
			      memory_order_release);
	atomic_fetch_sub_explicit(&dp->n_ifaces, 1, memory_order_relaxed);
	dp_defer_free(dp, iface_free, iface);
	return 0;
}

int dp_iface_set_carrier(struct dp *dp, unsigned number, bool on)
{
	const struct iface *iface = iface_get(dp, number);

	return iface ? tap_set_carrier(iface->fd, on) : -ENOENT;
}

unsigned dp_iface_find(const struct dp *dp, const char *name)
{
	for (unsigned i = DP_IFACE_FIRST; i < DP_IFACE_FIRST + DP_IFACES_MAX; i++) {
		const struct iface *iface = iface_get(dp, i);

		if (iface && strcmp(iface->name, name) == 0)
			return i;
	}
	return DP_IFACE_NONE;
}

const char *dp_iface_name(const struct dp *dp, unsigned number)
{
	const struct iface *iface = iface_get(dp, number);

	return iface ? iface->name : NULL;
}

static void fill_info(const struct dp *dp, const struct iface *iface, struct dp_iface_info *out)
{
	const struct iface_sum now = sum_up(dp, iface->number);

	*out = (struct dp_iface_info){
		.name = iface->name,
		.iface = iface->number,
		.ifindex = iface->ifindex,
		.to_linux_packets = counter_read(&iface->to_linux_packets),
		.from_linux_packets = counter_read(&iface->from_linux_packets),
	};
	out->in_packets = now.in_packets - iface->before.in_packets;
	out->in_bytes = now.in_bytes - iface->before.in_bytes;
	out->out_packets = now.out_packets - iface->before.out_packets;
	out->out_bytes = now.out_bytes - iface->before.out_bytes;
}

size_t dp_ifaces(const struct dp *dp, struct dp_iface_info *out, size_t max)
{
	struct dp_iface_info *of[DP_IFACES_MAX] = {NULL}; // by number
	size_t n = 0;

	for (unsigned i = 0; i < DP_IFACES_MAX; i++) {
		const struct iface *iface = iface_get(dp, DP_IFACE_FIRST + i);

		if (!iface)
			continue;
		if (n < max) {
			of[i] = &out[n];
			fill_info(dp, iface, &out[n]);
		}
		n++;
	}
	for (uint32_t i = 0; i < dp->tunnels->n_slots; i++) {
		const struct tunnel *t = dp->tunnels->slot[i];
		struct dp_iface_info *info = t && t->iface ? of[t->iface - DP_IFACE_FIRST] : NULL;
		uint16_t mtu;

		if (!info)
			continue;
		info->tunnels++;
		if (!tunnel_sa(t))
			continue;
		info->up++;
		mtu = dp_tunnel_inner_mtu(dp, i);
		if (mtu && (!info->inner_mtu || mtu < info->inner_mtu))
			info->inner_mtu = mtu;
	}
	return n;
}
