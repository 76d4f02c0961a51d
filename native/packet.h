#pragma once

#include <cstddef>
#include <cstdint>

#include "slab.h"

// The batch being put together from datagrams, and the answer awaited from the kernel, if any.
struct Batch {
  Slab* slab;
  uint32_t count = 0;
  uint32_t awaited_seq = 0;  // of a request: 0 for none, as verdicts have
  bool answered = false;
  int answer = 0;  // errno
};

// What is still to be read of a datagram that lies in the slab.
struct Datagram {
  uint8_t* at;
  size_t left;
};

// Reads messages until the datagram is used up or the batch is full; call again after delivering it. No
// length in the datagram is believed. Damaged messages and the kernel's errors are counted in the slab.
void ReadDatagram(Batch* batch, Datagram* datagram);
