#pragma once

#include <linux/netlink.h>
#include <napi.h>
#include <sys/socket.h>

#include "flow-datagram.h"
#include "poller.h"

// An event of conntrack takes about 400 bytes.
constexpr size_t kFlowDatagramMax = 2048;

// Conntrack's events of assured flows, on a netlink socket of the thread that made it; a strong reference to
// itself keeps it while it is polled.
class FlowEvents : public Napi::ObjectWrap<FlowEvents> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit FlowEvents(const Napi::CallbackInfo& info);
  ~FlowEvents() override;

 private:
  Napi::Value GetSlab(const Napi::CallbackInfo& info);
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value SetFilter(const Napi::CallbackInfo& info);
  Napi::Value Start(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  int OpenSocket(uint32_t buffer_bytes);
  void Receive();
  int ReceiveDatagrams();
  void Deliver(uint32_t count);
  void Shutdown();

  Napi::Reference<Napi::ArrayBuffer> slab_buffer_;
  FlowSlab* slab_ = nullptr;
  Napi::FunctionReference on_flows_;
  Poller* poller_ = nullptr;
  int fd_ = -1;
  bool failed_ = false;  // the callback threw, or the thread is ending

  mmsghdr headers_[kFlowBatchMax] = {};
  iovec vectors_[kFlowBatchMax] = {};
  sockaddr_nl senders_[kFlowBatchMax] = {};
  std::vector<uint8_t> slots_ = std::vector<uint8_t>(kFlowBatchMax * kFlowDatagramMax);
};
