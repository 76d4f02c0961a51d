#pragma once

#include <node_api.h>
#include <uv.h>

#include <functional>

// Watches a socket on the event loop of an environment. libuv needs the handle until it has closed it, which
// may be after its owner is gone: hence it deletes itself.
class Poller {
 public:
  // Calls `on_readable` when there is something to read or an error to fetch, and `on_exit` when the thread
  // ends while it is polled, by when `Stop` must be called. Returns null and an errno if it cannot.
  static Poller* Start(napi_env env, int fd, std::function<void()> on_readable, std::function<void()> on_exit,
                       int* error);

  // No call comes any more; then the socket may be closed.
  void Stop();

 private:
  Poller() = default;
  ~Poller() = default;
  static void OnPoll(uv_poll_t* handle, int status, int events);

  uv_poll_t handle_;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::function<void()> on_readable_;
  std::function<void()> on_exit_;
};
