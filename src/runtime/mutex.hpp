// Mutual exclusion for tasks of one lane whose critical section contains waits.
//
//     Mutex::Lock lock = co_await mutex_.lock();   // until the end of the scope
//
// Model
//  1. At most one Lock exists. Tasks get it in the order of their calls of lock().
//  2. Waiting in lock() cannot be cancelled, so a critical section contains only waits that are certain to end soon,
//     such as a write to the database.
//  3. Where it may take long, all use lock_unless_cancelled(). A wait that is cancelled may cost another one its place.
//
// Threads: one lane. Cost: a task; while the mutex is free no wait. The mutex outlives its locks and waiters.
#pragma once

#include <utility>

#include "runtime/task.hpp"

namespace dms {

class Mutex {
 public:
  class Lock {
   public:
    Lock(Lock&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Lock& operator=(Lock&&) = delete;
    ~Lock() {
      if (mutex_ != nullptr) mutex_->unlock();
    }

   private:
    friend class Mutex;
    explicit Lock(Mutex& mutex) : mutex_(&mutex) {}
    Mutex* mutex_;
  };

  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() { DMS_ASSERT(!locked_ && waiting_ == 0, "a mutex is destroyed while it is used"); }

  Task<Lock> lock() {
    if (locked_ || waiting_ > 0) {
      ++waiting_;
      do (void)co_await unlocked_.wait_shielded();
      while (locked_);
      --waiting_;
    }
    locked_ = true;
    co_return Lock(*this);
  }
  /// Fails with Errc::cancelled or Errc::deadline_exceeded, then without the lock.
  Task<Result<Lock>> lock_unless_cancelled() {
    if (locked_ || waiting_ > 0) {
      ++waiting_;
      Result<void> waited;
      do waited = co_await unlocked_.wait();
      while (waited && locked_);
      --waiting_;
      if (!waited) {
        if (!locked_) unlocked_.notify_one();  // who came while this one was counted as waiting
        co_return std::unexpected(waited.error());
      }
    }
    locked_ = true;
    co_return Lock(*this);
  }
  [[nodiscard]] bool locked() const { return locked_; }

 private:
  void unlock() {
    locked_ = false;
    unlocked_.notify_one();
  }

  bool locked_ = false;
  std::size_t waiting_ = 0;
  Notify unlocked_;
};

}  // namespace dms
