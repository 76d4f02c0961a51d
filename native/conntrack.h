#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <vector>

#include "record.h"

// Deletes every flow whose original source lies in one of `sources`. Returns how many, or a negative errno.
int DeleteConnections(const std::vector<Record>& sources);

// Writes the request that deletes exactly the flow that `flow`, a message of a dump, describes; false if its
// original source lies in none of `sources`.
constexpr size_t kDeletionMax = 512;
bool PutDeletion(const nlmsghdr* flow, const std::vector<Record>& sources, uint8_t (&buffer)[kDeletionMax]);
