// A bounded queue between tasks of one lane. When it is full, the sender chooses to wait (send) or to be refused
// (try_send).
#pragma once

#include <deque>

#include "base/assert.hpp"
#include "runtime/task.hpp"

namespace dms {

template <class T>
class Channel {
 public:
  explicit Channel(std::size_t capacity) : capacity_(capacity) {
    DMS_ASSERT(capacity > 0, "a channel needs a capacity: what is sent waits in it even if a receiver waits");
  }

  /// False if the channel is full or closed; `value` is then untouched.
  [[nodiscard]] bool try_send(T&& value) {
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(value));
    not_empty_.notify_one();
    return true;
  }

  /// Waits while the channel is full. Errc::closed once closed.
  Task<Result<void>> send(T value) {
    while (!closed_ && items_.size() >= capacity_) CO_TRY_VOID(co_await not_full_.wait());
    if (closed_) co_return fail(Errc::closed, "the channel is closed");
    items_.push_back(std::move(value));
    not_empty_.notify_one();
    co_return Result<void>();
  }

  /// The oldest item. Errc::closed once closed and empty.
  Task<Result<T>> receive() {
    while (items_.empty()) {
      if (closed_) co_return fail(Errc::closed, "the channel is closed");
      CO_TRY_VOID(co_await not_empty_.wait());
    }
    DMS_DEBUG_ASSERT(items_.size() <= capacity_, "{} items in a channel for {}", items_.size(), capacity_);
    T value = std::move(items_.front());
    items_.pop_front();
    not_full_.notify_one();
    co_return std::move(value);
  }

  std::optional<T> try_receive() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> value(std::move(items_.front()));
    items_.pop_front();
    not_full_.notify_one();
    return value;
  }

  /// Senders are refused from now on; receivers get the remaining items, then Errc::closed.
  void close() {
    closed_ = true;
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  std::size_t capacity_;
  std::deque<T> items_;
  bool closed_ = false;
  Notify not_empty_;
  Notify not_full_;
};

}  // namespace dms
