#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "record.h"

// A socket that listens, as it crosses into JavaScript; src/kernel/listeners.ts unpacks it.
struct Listener {
  uint8_t address[16];  // that it is bound to, all zero for any; IPv4 in the first four bytes
  uint32_t inode;
  uint16_t port;
  uint8_t family;  // AF_INET or AF_INET6
  uint8_t unused;
};

static_assert(sizeof(Listener) == 24);

// A host has some hundred at most. Beyond these, which some user of it has opened to no good end, the rest is
// not told.
constexpr size_t kListenersMax = 4096;

// TCP sockets of both families that listen in this network namespace. The kernel goes through their table
// alone, however many connections there are. No capability is needed; ENOENT: the kernel has no tcp_diag.
Answer<std::vector<Listener>> TcpListeners();

// False for a message that is no listening socket.
bool ReadListener(const nlmsghdr* message, Listener* listener);
