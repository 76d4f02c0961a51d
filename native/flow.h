#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "record.h"

// A TCP connection as conntrack knows it, on its way to JavaScript; src/kernel/flows.ts has the same layout.
// All numbers are in host order.
struct Flow {
  uint8_t source[16];  // of the original direction, network order; IPv4 in the first four bytes
  uint16_t source_port;
  uint16_t destination_port;  // before any DNAT
  uint8_t family;             // AF_INET or AF_INET6
  uint8_t state;              // enum tcp_conntrack; 0 if the message did not say
  uint8_t destroyed;          // 1: the kernel has forgotten it, and these are its last numbers
  uint8_t unused;
  uint32_t id;  // CTA_ID
  uint32_t unused2;
  double start_ms;  // Unix time; 0 without nf_conntrack_timestamp
  double stop_ms;   // when it was destroyed; 0 if it is not
  double to_server_packets;
  double to_server_bytes;
  double to_client_packets;
  double to_client_bytes;
};

static_assert(sizeof(Flow) == 80);

// Reads an IPCTNL_MSG_CT_NEW or _DELETE; false unless it tells of an assured TCP flow and names both its
// ends.
bool ReadFlow(const nlmsghdr* message, Flow* flow);

// Bit n % 8 of byte n / 8 stands for destination port n.
constexpr size_t kPortSetBytes = 65536 / 8;

// Every assured TCP flow of both families to a port of `ports`, a port set.
Answer<std::vector<Flow>> AssuredFlows(const std::vector<uint8_t>& ports);
