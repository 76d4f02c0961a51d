#pragma once

#include <sys/socket.h>

#include "reply.h"
#include "slab.h"

// Sends the answers of one batch by raw sockets, one for each family, in one system call each.
class ReplySender {
 public:
  ReplySender() = default;
  ~ReplySender() { Close(); }
  ReplySender(const ReplySender&) = delete;
  ReplySender& operator=(const ReplySender&) = delete;

  // Opens the sockets, whose packets carry the firewall mark `mark`. Returns an errno: EPERM without
  // CAP_NET_RAW. A kernel without IPv6 is no error: then nobody asks by it either.
  int Open(uint32_t mark);
  void Close();

  // Answers the packets of the batch in `slab` whose verdict is kSlip, and counts what became of it there.
  void SendAnswers(Slab* slab, uint32_t count);

 private:
  void Flush(int fd, uint32_t count, double* counters);

  int v4_ = -1;
  int v6_ = -1;
  uint8_t replies_[kBatchMax][kReplyMax];
  sockaddr_storage targets_[kBatchMax] = {};
  iovec vectors_[kBatchMax] = {};
  mmsghdr headers_[kBatchMax] = {};
};
