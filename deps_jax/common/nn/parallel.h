// Work on the threads that XLA has.
#pragma once

#include <algorithm>
#include <atomic>
#include <cassert>  // which ffi.h needs and does not include
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "xla/ffi/api/ffi.h"

namespace {

// Calls work(0) ... work(count - 1), each once, on the threads of XLA's pool and on this one.
// It waits only for calls that run already, so it ends also where the pool has no thread to spare.
inline void Parallel(xla::ffi::ThreadPool& pool, int64_t count,
                     const std::function<void(int64_t)>& work) {
  struct Shared {
    std::function<void(int64_t)> work;
    std::atomic<int64_t> next{0};
    int64_t done = 0;
    std::mutex mutex;
    std::condition_variable all_done;
  };
  auto shared = std::make_shared<Shared>();
  shared->work = work;
  auto run = [shared, count] {
    int64_t own = 0;
    for (int64_t i; (i = shared->next++) < count; ++own) shared->work(i);
    if (!own) return;
    std::lock_guard<std::mutex> lock(shared->mutex);
    if ((shared->done += own) == count) shared->all_done.notify_all();
  };
  int64_t helpers = std::min<int64_t>(pool.num_threads(), count) - 1;
  for (int64_t i = 0; i < helpers; ++i) pool.Schedule([run] { run(); });
  run();
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->all_done.wait(lock, [&] { return shared->done == count; });
}

}  // namespace
