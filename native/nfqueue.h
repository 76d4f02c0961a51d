#pragma once

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <napi.h>
#include <sys/socket.h>

#include <vector>

#include "packet.h"
#include "poller.h"
#include "reply-sender.h"

// A range of NFQUEUE queues on one netlink socket. Lives on the thread that made it; a strong reference
// to itself keeps it while it is polled.
class PacketQueue : public Napi::ObjectWrap<PacketQueue> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit PacketQueue(const Napi::CallbackInfo& info);
  ~PacketQueue() override;

 private:
  struct BoundQueue {
    uint16_t number;
    uint32_t last_id;  // the last packet seen
    bool owed;         // whether packets up to it may have no verdict, since it could not be sent
  };

  Napi::Value GetSlab(const Napi::CallbackInfo& info);
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Bind(const Napi::CallbackInfo& info);
  Napi::Value OpenReplies(const Napi::CallbackInfo& info);
  Napi::Value Start(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  int OpenSocket(uint32_t buffer_bytes);
  int Configure(nlmsghdr* request);
  void Receive();
  int ReceiveDatagrams();
  Datagram DatagramIn(int slot);
  void Deliver(Batch* batch);
  void SendVerdicts(uint32_t count);
  void PutVerdicts(BoundQueue* queue, uint32_t count);
  void AcceptAllAndUnbind();
  void Shutdown();

  void Reserve(size_t messages);
  nlmsghdr* Put(uint16_t command, uint16_t queue);
  int Send();

  double* counters() { return slab_->counters; }

  const uint32_t copy_bytes_;
  Napi::Reference<Napi::ArrayBuffer> slab_buffer_;
  Slab* slab_ = nullptr;
  Napi::FunctionReference on_batch_;
  std::vector<BoundQueue> queues_;
  ReplySender replies_;
  Poller* poller_ = nullptr;
  int fd_ = -1;
  uint32_t seq_ = 0;
  bool delivering_ = false;
  bool closing_ = false;  // asked for during the callback
  bool failed_ = false;   // the callback threw, or the thread is ending

  mmsghdr headers_[kBatchMax] = {};
  iovec vectors_[kBatchMax] = {};
  std::vector<uint8_t> outbox_;  // messages to go in one datagram
  nlmsghdr* last_ = nullptr;     // the last of them
};
