#pragma once

#include <linux/netlink.h>

#include <string>
#include <vector>

#include "record.h"

// ipset over netlink. An errno of 0 means done; from 4096 on they are ipset's own
// (linux/netfilter/ipset/ip_set.h).

struct IpsetHeader {
  std::string name;
  uint32_t entries;
};

// A hash:net with timeouts; the same one already there is no error.
int IpsetCreate(const std::string& name, uint32_t family, uint32_t max_entries);

// IPSET_CMD_DESTROY or IPSET_CMD_FLUSH.
int IpsetCommand(uint32_t command, const std::string& name);

// IPSET_CMD_ADD, which replaces the timeout of an entry already there, IPSET_CMD_DEL or IPSET_CMD_TEST.
// Returns index and errno of each record that the kernel refused, one after the other.
Answer<std::vector<uint32_t>> IpsetEntries(uint32_t command, const std::string& name,
                                           const std::vector<Record>& records);

Answer<std::vector<Record>> IpsetList(const std::string& name);

Answer<std::vector<IpsetHeader>> IpsetHeaders();

// The parsers of the last two, for one message.
void ReadIpsetEntries(const nlmsghdr* message, std::vector<Record>* entries);
void ReadIpsetHeader(const nlmsghdr* message, std::vector<IpsetHeader>* sets);
