#include "dataplane/device.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <libgen.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "dataplane/af_packet.h"
#include "dataplane/eal.h"
#include "dataplane/ike_filter.h"
#include "lib/log.h"
#include "lib/suggest.h"

enum {
	AF_PACKET_BLOCK = 65536,    // bytes, of one piece of kernel memory
	AF_PACKET_RING = 8 << 20,   // bytes, of each direction
	AF_PACKET_FRAME_MIN = 2048, // bytes
	AF_PACKET_QUEUES_MAX = 64,
	AF_PACKET_FRAME_EXTRA = 100, // bytes beside the IP packet: the ring's header, Ethernet
};

enum { CAP_BIT_NET_ADMIN = 12, CAP_BIT_NET_RAW = 13 }; // linux/capability.h

static bool has_capability(int bit)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	if (!f)
		return true; // the kernel will tell
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	fclose(f);
	return (caps >> bit & 1) != 0;
}

// ---- PCI ----

int device_pci_address(const char *device, char *buf, size_t size)
{
	unsigned domain = 0, bus, dev, function;
	int end = 0;

	if (sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &function, &end) != 4) {
		domain = 0;
		if (sscanf(device, "%2x:%2x.%1x%n", &bus, &dev, &function, &end) != 3)
			return -EINVAL;
	}
	if (device[end] != '\0' && device[end] != ',')
		return -EINVAL;
	snprintf(buf, size, "%04x:%02x:%02x.%x", domain, bus, dev, function);
	return 0;
}

bool device_is_pci(const char *device)
{
	char address[32];

	return device_pci_address(device, address, sizeof(address)) == 0;
}

bool device_same(const char *a, const char *b)
{
	char one[32], two[32];
	const size_t len = strcspn(a, ",");

	if (device_pci_address(a, one, sizeof(one)) == 0 &&
	    device_pci_address(b, two, sizeof(two)) == 0)
		return strcmp(one, two) == 0;
	return len == strcspn(b, ",") && strncmp(a, b, len) == 0;
}

unsigned device_first(const struct dp_port_params *ports, unsigned i)
{
	unsigned first = 0;

	while (first < i && !device_same(ports[first].device, ports[i].device))
		first++;
	return first;
}

static int check_pci(const struct dp_port_params *port, struct error *err)
{
	static const char *const usable[] = {"vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core",
					     "mlx5_core"};
	char address[32], path[256], link[PATH_MAX];
	const char *driver;
	ssize_t n;

	device_pci_address(port->device, address, sizeof(address));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	if (access(path, F_OK) != 0)
		return error_set(err, -ENODEV,
				 "port %s: there is no PCI device %s on this machine (lspci -D "
				 "lists them)",
				 port->name, address);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return error_set(err, -ENODEV,
				 "port %s: PCI device %s has no driver: bind it with "
				 "'dpdk-devbind.py -b vfio-pci %s'",
				 port->name, address, address);
	link[n] = '\0';
	driver = basename(link);
	for (size_t i = 0; i < sizeof(usable) / sizeof(usable[0]); i++)
		if (strcmp(driver, usable[i]) == 0)
			return 0;
	return error_set(err, -EBUSY,
			 "port %s: PCI device %s is in the hands of the kernel driver %s: bind it "
			 "with 'dpdk-devbind.py -b vfio-pci %s'",
			 port->name, address, driver, address);
}

// ---- devices over a Linux interface ----

// The interface that a device string names; false without one.
static bool iface_of(const char *device, char *name, size_t size)
{
	const char *p = strstr(device, ",iface=");
	size_t len;

	if (!p || p[strlen(",iface=")] == '/') // net_vhost: a socket
		return false;
	p += strlen(",iface=");
	len = strcspn(p, ",");
	if (len >= size)
		len = size - 1;
	memcpy(name, p, len);
	name[len] = '\0';
	return true;
}

// These drivers make the interface that iface= names; the others stand on one that is there.
static bool makes_iface(const char *device)
{
	static const char *const drivers[] = {"net_tap", "net_tun", "net_virtio_user",
					      "virtio_user"};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (strncmp(device, drivers[i], strlen(drivers[i])) == 0)
			return true;
	return false;
}

static int no_such_iface(const struct dp_port_params *port, const char *name, struct error *err)
{
	const char *known[256], *nearest;
	struct if_nameindex *all = if_nameindex();
	size_t n = 0;
	int ret;

	for (struct if_nameindex *i = all; i && i->if_index && n < 256; i++)
		known[n++] = i->if_name;
	nearest = suggest_nearest(name, known, n);
	ret = error_set(err, -ENODEV,
			"port %s: device '%s': Linux has no interface '%s' here%s%s%s (ip link "
			"lists them)",
			port->name, port->device, name, nearest ? "; did you mean '" : "",
			nearest ? nearest : "", nearest ? "'?" : "");
	if (all)
		if_freenameindex(all);
	return ret;
}

// An address on that interface makes Linux answer there too, beside our TAP.
static void warn_of_addresses(const struct dp_port_params *port, const char *name)
{
	char text[INET6_ADDRSTRLEN];
	struct ifaddrs *all;

	if (getifaddrs(&all) != 0)
		return;
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!i->ifa_addr || strcmp(i->ifa_name, name) != 0 ||
		    i->ifa_addr->sa_family != AF_INET)
			continue;
		inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, text,
			  sizeof(text));
		log_warn(LOG_NET,
			 "port %s: the interface %s underneath has the address %s in Linux, which "
			 "will answer beside us: take it away (ip addr flush dev %s) and give it "
			 "to the port",
			 port->name, name, text, name);
	}
	freeifaddrs(all);
}

static bool iface_is_up(const char *name)
{
	struct ifaddrs *all;
	bool up = true;

	if (getifaddrs(&all) != 0)
		return true;
	for (struct ifaddrs *i = all; i; i = i->ifa_next)
		if (strcmp(i->ifa_name, name) == 0)
			up = (i->ifa_flags & IFF_UP) != 0;
	freeifaddrs(all);
	return up;
}

void device_check_mtu(const struct dp_port_params *port, const char *why)
{
	struct ifreq ifr = {0};
	char name[IFNAMSIZ];
	int sock;

	if (makes_iface(port->device) || !iface_of(port->device, name, sizeof(name))) {
		log_warn(LOG_NET, "port %s: device '%s' does not take an MTU of %u bytes: %s",
			 port->name, port->device, port->mtu, why);
		return;
	}
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(sock, SIOCGIFMTU, &ifr) == 0 && ifr.ifr_mtu < port->mtu)
		log_warn(LOG_NET,
			 "port %s: the interface %s underneath has an MTU of %d bytes and DPDK "
			 "cannot "
			 "change it: ip link set %s mtu %u",
			 port->name, name, ifr.ifr_mtu, name, port->mtu);
	close(sock);
}

static int check_iface(const struct dp_port_params *port, const char *name, struct error *err)
{
	if (makes_iface(port->device)) {
		if (if_nametoindex(name) == 0)
			return 0;
		return error_set(err, -EEXIST,
				 "port %s: device '%s' makes an interface '%s', and Linux already "
				 "has one: choose another name (iface=)",
				 port->name, port->device, name);
	}
	if (if_nametoindex(name) == 0)
		return no_such_iface(port, name, err);
	if (!has_capability(CAP_BIT_NET_RAW))
		return error_set(err, -EPERM,
				 "port %s: no permission to open packet sockets on %s: run as root "
				 "or with CAP_NET_RAW",
				 port->name, name);
	if (!iface_is_up(name))
		log_warn(LOG_NET, "port %s: the interface %s underneath is down: ip link set %s up",
			 port->name, name, name);
	warn_of_addresses(port, name);
	return 0;
}

// ---- every device ----

static int check_tap(const struct dp_port_params *port, struct error *err)
{
	if (strlen(port->name) >= IFNAMSIZ)
		return error_set(err, -EINVAL,
				 "port %s: its name is also that of a Linux interface and must be "
				 "shorter than %d characters",
				 port->name, IFNAMSIZ);
	if (if_nametoindex(port->name) != 0)
		return error_set(err, -EEXIST,
				 "port %s: Linux already has an interface '%s', and the port's TAP "
				 "needs that name: rename one of them",
				 port->name, port->name);
	if (!has_capability(CAP_BIT_NET_ADMIN))
		return error_set(err, -EPERM,
				 "port %s: no permission to create a TAP interface: run as root or "
				 "with CAP_NET_ADMIN",
				 port->name);
	if (access("/dev/net/tun", F_OK) != 0)
		return error_set(err, -ENODEV,
				 "port %s: /dev/net/tun is missing: load the module (modprobe tun) "
				 "or pass the device into the container",
				 port->name);
	return 0;
}

int device_check(const struct dp_port_params *port, struct error *err)
{
	char iface[IFNAMSIZ * 2];
	int ret = 0;

	if (port->tap)
		ret = check_tap(port, err);
	if (ret)
		return ret;
	if (device_is_pci(port->device))
		return check_pci(port, err);
	if (iface_of(port->device, iface, sizeof(iface)))
		return check_iface(port, iface, err);
	return 0;
}

static bool is_af_packet(const char *device)
{
	return strncmp(device, "net_af_packet", strlen("net_af_packet")) == 0;
}

unsigned device_frame_size(const struct dp_port_params *port)
{
	const char *given = strstr(port->device, ",framesz=");
	unsigned size = AF_PACKET_FRAME_MIN;

	if (!is_af_packet(port->device))
		return 0;
	if (given)
		return (unsigned)strtoul(given + strlen(",framesz="), NULL, 10);
	while (size < (unsigned)port->mtu + AF_PACKET_FRAME_EXTRA)
		size *= 2; // the driver wants whole frames in a block
	return size;
}

// How many queues the user asks for.
static unsigned queues_of(const char *device)
{
	const char *given = strstr(device, ",qpairs=");
	const unsigned long n = given ? strtoul(given + strlen(",qpairs="), NULL, 10) : 1;

	return n >= 1 && n <= AF_PACKET_QUEUES_MAX ? (unsigned)n : 0;
}

// The device string with what serves us best where the user chose nothing, and with one queue more
// than he chose, for IKE. The figures are explained in docs/packet-path.md.
static void with_defaults(const struct dp_port_params *port, char *buf, size_t size)
{
	const char *device = port->device, *qpairs = strstr(device, ",qpairs=");
	const size_t before = qpairs ? (size_t)(qpairs - device) : strlen(device);
	const unsigned frame = device_frame_size(port), queues = queues_of(device);
	size_t len = (size_t)snprintf(buf, size, "%s", device);

	if (!is_af_packet(device) || len >= size)
		return;
	if (queues > 0)
		len = (size_t)snprintf(buf, size, "%.*s%s,qpairs=%u", (int)before, device,
				       qpairs ? qpairs + 1 + strcspn(qpairs + 1, ",") : "",
				       queues + 1);
	if (len >= size)
		return;
	if (!strstr(device, "framesz=") && !strstr(device, "blocksz=") &&
	    !strstr(device, "framecnt="))
		len += (size_t)snprintf(buf + len, size - len, ",blocksz=%u,framesz=%u,framecnt=%u",
					AF_PACKET_BLOCK, frame, AF_PACKET_RING / frame);
	if (len < size && !strstr(device, "qdisc_bypass="))
		snprintf(buf + len, size - len, ",qdisc_bypass=1");
}

static int no_device(const struct dp_port_params *port, int code, struct error *err)
{
	const char *text = eal_log_text();

	if (device_is_pci(port->device))
		return error_set(err, code,
				 "port %s: DPDK could not take over PCI device %s%s%s (busy in "
				 "another process? IOMMU on?)",
				 port->name, port->device, *text ? ": " : "", text);
	return error_set(
		err, code, "port %s: %s '%s'%s%s; examples: %s", port->name,
		strstr(text, "failed to parse") ? "no DPDK driver has the name of the device"
						: "DPDK cannot open the device",
		port->device, *text ? ": " : "", text, "0000:01:00.1, net_af_packet0,iface=eth1");
}

// Makes the device of a string, with its sockets steered if it has any.
static int probe(const struct dp_port_params *port, const char *text,
		 const struct ike_mark_key *key, bool *steered)
{
	static struct ike_filter filter; // too large for a stack
	const unsigned queues = is_af_packet(port->device) ? queues_of(port->device) : 0;
	int ret;

	if (queues > 0) {
		ike_filter_build(&filter, key, queues);
		af_packet_steer(&filter);
	}
	ret = rte_dev_probe(text);
	*steered = af_packet_steer_end();
	if (ret == 0 && queues > 0 && !*steered)
		log_warn(LOG_NET,
			 "port %s: this Linux does not let a filter choose the queue of a packet "
			 "(PACKET_FANOUT_CBPF): a flood of IKE takes the room of ESP",
			 port->name);
	return ret;
}

int device_open(const struct dp_port_params *port, const struct ike_mark_key *key, uint16_t *id,
		bool *steered, struct error *err)
{
	bool before[RTE_MAX_ETHPORTS];
	char text[DEVICE_TEXT_MAX];
	uint16_t p;

	*steered = false;
	if (device_is_pci(port->device))
		device_pci_address(port->device, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(port->device, ","), port->device);
	if (rte_eth_dev_get_port_by_name(text, id) == 0)
		return 0; // probed by EAL
	if (device_is_pci(port->device))
		return no_device(port, -ENODEV, err);

	for (p = 0; p < RTE_MAX_ETHPORTS; p++)
		before[p] = rte_eth_dev_is_valid_port(p);
	with_defaults(port, text, sizeof(text));
	eal_log_clear();
	if (probe(port, text, key, steered) < 0)
		return no_device(port, -ENODEV, err);
	for (p = 0; p < RTE_MAX_ETHPORTS; p++) {
		if (!before[p] && rte_eth_dev_is_valid_port(p)) {
			*id = p;
			return 0;
		}
	}
	return error_set(err, -ENODEV, "port %s: device '%s' is not a network device", port->name,
			 port->device);
}
