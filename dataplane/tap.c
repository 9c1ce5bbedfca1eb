#include "dataplane/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(struct error *err, const char *name, const char *what)
{
	const int code = errno;

	return error_set(err, -code, "interface %s: cannot %s: %s%s", name, what, strerror(code),
			 code == EPERM			    ? " (run as root or with CAP_NET_ADMIN)"
			 : code == ENOENT || code == ENODEV ? " (modprobe tun)"
			 : code == EBUSY		    ? " (there is one of that name already)"
							    : "");
}

static struct ifreq request(const char *name)
{
	struct ifreq ifr = {0};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	return ifr;
}

static int configure(int sock, const char *name, const struct mac_addr *mac, uint16_t mtu,
		     struct error *err)
{
	struct ifreq ifr = request(name);

	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	if (mac != NULL)
		memcpy(ifr.ifr_hwaddr.sa_data, mac->bytes, sizeof(mac->bytes));
	if (mac != NULL && ioctl(sock, SIOCSIFHWADDR, &ifr) != 0)
		return fail(err, name, "set the MAC address");
	ifr = request(name);
	ifr.ifr_mtu = mtu;
	if (ioctl(sock, SIOCSIFMTU, &ifr) != 0)
		return fail(err, name, "set the MTU");
	ifr = request(name);
	if (ioctl(sock, SIOCGIFFLAGS, &ifr) != 0)
		return fail(err, name, "read the flags");
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, &ifr) != 0)
		return fail(err, name, "bring it up");
	return 0;
}

// Without a MAC address: TUN.
static int open_device(const char *name, const struct mac_addr *mac, uint16_t mtu, int *out,
		       unsigned *ifindex, struct error *err)
{
	struct ifreq ifr = request(name);
	int sock = -1, ret;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return fail(err, name, "open /dev/net/tun");
	ifr.ifr_flags = (short)((mac != NULL ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_TUN_EXCL);
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		ret = fail(err, name, "create it");
		goto out;
	}
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0) {
		ret = fail(err, name, "open a socket");
		goto out;
	}
	ret = configure(sock, name, mac, mtu, err);
	if (ret)
		goto out;
	*ifindex = if_nametoindex(name);
	*out = fd;
	fd = -1;
out:
	if (sock >= 0)
		close(sock);
	if (fd >= 0)
		close(fd);
	return ret;
}

int tap_open(const char *name, const struct mac_addr *mac, uint16_t mtu, int *fd, unsigned *ifindex,
	     struct error *err)
{
	return open_device(name, mac, mtu, fd, ifindex, err);
}

int tap_open_tun(const char *name, uint16_t mtu, int *fd, unsigned *ifindex, struct error *err)
{
	return open_device(name, NULL, mtu, fd, ifindex, err);
}

int tap_set_carrier(int fd, bool on)
{
	const int carrier = on;

	return ioctl(fd, TUNSETCARRIER, &carrier) == 0 ? 0 : -errno;
}

void tap_close(int fd)
{
	if (fd >= 0)
		close(fd);
}
