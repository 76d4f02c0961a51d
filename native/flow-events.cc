#include "flow-events.h"

#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "netlink.h"

namespace {

// Rounds of reception per wake-up, so that the thread still does its other work.
constexpr int kRoundsPerWakeUp = 16;

}  // namespace

Napi::Function FlowEvents::Define(Napi::Env env) {
  return DefineClass(
      env, "FlowEvents",
      {InstanceAccessor<&FlowEvents::GetSlab>("slab"), InstanceMethod<&FlowEvents::Open>("open"),
       InstanceMethod<&FlowEvents::SetFilter>("setFilter"), InstanceMethod<&FlowEvents::Start>("start"),
       InstanceMethod<&FlowEvents::Close>("close")});
}

FlowEvents::FlowEvents(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FlowEvents>(info) {
  auto buffer = Napi::ArrayBuffer::New(info.Env(), sizeof(FlowSlab));
  if (buffer.IsEmpty()) return;  // out of memory: the exception is pending
  slab_buffer_ = Napi::Persistent(buffer);
  slab_ = static_cast<FlowSlab*>(buffer.Data());
  for (uint32_t i = 0; i < kFlowBatchMax; i++) {
    vectors_[i] = {slots_.data() + i * kFlowDatagramMax, kFlowDatagramMax};
    headers_[i].msg_hdr.msg_name = &senders_[i];
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
  }
}

FlowEvents::~FlowEvents() { Shutdown(); }

Napi::Value FlowEvents::GetSlab(const Napi::CallbackInfo&) { return slab_buffer_.Value(); }

Napi::Value FlowEvents::Open(const Napi::CallbackInfo& info) {
  const uint32_t bytes = info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0;
  return Napi::Number::New(info.Env(), fd_ >= 0 ? EALREADY : OpenSocket(bytes));
}

int FlowEvents::OpenSocket(uint32_t buffer_bytes) {
  fd_ = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd_ < 0) return errno;
  // Beyond the system's limit only the first user namespace's administrator may go.
  if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) != 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
  }
  // A socket without an address of its own counts as the sender of what the kernel sends, and is left out.
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  return bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0 ? 0 : errno;
}

// Takes a classic BPF program, as an array of struct sock_filter, for the messages that are to come.
Napi::Value FlowEvents::SetFilter(const Napi::CallbackInfo& info) {
  int error = EINVAL;
  if (info[0].IsTypedArray() && info[0].As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    std::vector<sock_filter> program(
        std::min<size_t>(bytes.ByteLength() / sizeof(sock_filter), BPF_MAXINSNS));
    if (!program.empty()) memcpy(program.data(), bytes.Data(), program.size() * sizeof(sock_filter));
    const sock_fprog filter = {static_cast<uint16_t>(program.size()), program.data()};
    error = setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0 ? 0 : errno;
  }
  return Napi::Number::New(info.Env(), error);
}

Napi::Value FlowEvents::Start(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction() || poller_ != nullptr) return Napi::Number::New(info.Env(), EINVAL);
  for (const int group : {NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY}) {
    if (setsockopt(fd_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return Napi::Number::New(info.Env(), errno);
  }
  on_flows_ = Napi::Persistent(info[0].As<Napi::Function>());
  int error = 0;
  poller_ = Poller::Start(
      Env(), fd_, [this] { Receive(); }, [this] { Shutdown(); }, &error);
  if (poller_ != nullptr) Ref();
  return Napi::Number::New(info.Env(), error);
}

void FlowEvents::Receive() {
  Napi::HandleScope scope(Env());
  failed_ = false;
  for (int round = 0; round < kRoundsPerWakeUp; round++) {
    const int received = ReceiveDatagrams();
    uint32_t count = 0;
    for (int i = 0; i < received; i++) {
      const auto& header = headers_[i].msg_hdr;
      if (senders_[i].nl_pid != 0) {
        // Any process with CAP_NET_ADMIN can write to the socket.
        slab_->counters[kFlowForeign]++;
      } else if ((header.msg_flags & MSG_TRUNC) != 0) {
        slab_->counters[kFlowTruncated]++;
      } else {
        count = ReadFlowEvents(vectors_[i].iov_base, headers_[i].msg_len, slab_, count);
      }
    }
    if (count > 0) Deliver(count);
    if (fd_ < 0 || failed_ || (received >= 0 && received < static_cast<int>(kFlowBatchMax))) return;
  }
}

// Returns how many datagrams are in the slots; 0 if none waits, -1 after an error worth another try.
int FlowEvents::ReceiveDatagrams() {
  for (auto& header : headers_) header.msg_hdr.msg_namelen = sizeof(sockaddr_nl);
  const int received = recvmmsg(fd_, headers_, kFlowBatchMax, MSG_DONTWAIT, nullptr);
  if (received >= 0) return received;
  if (errno == EAGAIN) return 0;
  slab_->counters[errno == ENOBUFS ? kFlowOverruns
                  : errno == EINTR ? kFlowInterrupted
                                   : kFlowReceiveErrors]++;
  return -1;
}

void FlowEvents::Deliver(uint32_t count) {
  const napi_env env = Env();
  napi_value argument = nullptr, exception = nullptr;
  napi_create_uint32(env, count, &argument);
  const napi_status status =
      napi_make_callback(env, nullptr, Value(), on_flows_.Value(), 1, &argument, nullptr);
  // Without an exception, a failure means that the thread is ending.
  if (status == napi_pending_exception) napi_get_and_clear_last_exception(env, &exception);
  failed_ = status != napi_ok;
  if (exception == nullptr) return;
  slab_->counters[kFlowCallbackErrors]++;
  napi_fatal_exception(env, exception);
}

void FlowEvents::Close(const Napi::CallbackInfo&) { Shutdown(); }

void FlowEvents::Shutdown() {
  if (fd_ < 0) return;
  if (poller_ != nullptr) {
    poller_->Stop();
    poller_ = nullptr;
    Unref();
  }
  close(fd_);
  fd_ = -1;
}
