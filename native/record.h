#pragma once

#include <cstdint>

// An address range between JavaScript and the kernel; src/kernel/records.ts packs and unpacks it.
struct Record {
  uint8_t address[16];  // network order; IPv4 in the first four bytes
  uint8_t length;       // of the prefix, in bits
  uint8_t family;       // AF_INET or AF_INET6
  uint16_t unused;
  uint32_t timeout;  // seconds, host order; 0 for none
};

static_assert(sizeof(Record) == 24);

// What the kernel answered: a value unless `error` is an errno.
template <typename T>
struct Answer {
  int error;
  T value;
};
