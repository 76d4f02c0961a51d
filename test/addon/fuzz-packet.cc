// libFuzzer: a datagram as the kernel would put it into the slab.

#include <cstdlib>
#include <cstring>
#include <new>

#include "../../native/packet.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The datagram ends where the memory does: a byte further is a finding of AddressSanitizer.
  void* memory = nullptr;
  const size_t bytes = sizeof(Slab) + size;
  if (posix_memalign(&memory, alignof(Slab), bytes) != 0) abort();
  auto* slab = new (memory) Slab{};
  auto* start = static_cast<uint8_t*>(memory) + sizeof(Slab);
  if (size > 0) memcpy(start, data, size);

  Batch batch{slab};
  batch.awaited_seq = 1;
  Datagram datagram{start, size};
  while (datagram.left > 0) {
    ReadDatagram(&batch, &datagram);
    if (batch.count > kBatchMax) abort();
    if (datagram.left > 0 && batch.count < kBatchMax) abort();
    for (uint32_t i = 0; i < batch.count; i++) {
      const uint32_t* words = slab->packets + i * kPacketWords;
      const size_t end = size_t{words[kOffset]} + words[kLength];
      if (words[kLength] > 0 && (words[kOffset] < sizeof(Slab) || end > bytes)) abort();
      if (words[kFullLength] < words[kLength]) abort();
    }
    batch.count = 0;
  }
  free(memory);
  return 0;
}
