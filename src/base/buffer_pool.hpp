// A pool of read buffers, so that a busy connection does not allocate memory for each read.
//
// Model
//  1. All buffers of a pool have one size. take() returns an idle one, or allocates one; the handle returns it to the
//     pool when it is destroyed.
//  2. At most `idle` unused buffers are kept; what is returned beyond that is freed. The number in use is bounded by
//     the users (each stream that is read has one), not here: take() never fails and never waits.
//  3. The most recently returned buffer is reused first: it is the likeliest to be in the processor's cache.
//  4. A buffer keeps the content of its last use. It is for bytes about to be overwritten; secrets must not be stored
//     in it.
//  5. A handle may outlive its pool: the buffer is then freed when the handle is destroyed.
//
// Threads: one lane. Cost: take() and return are a push and a pop; idle memory is idle * size.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace dms {

class BufferPool {
  using Memory = std::unique_ptr<std::uint8_t[]>;

  struct Store {
    Store(std::size_t buffer_size, std::size_t idle_at_most) : size(buffer_size), max_idle(idle_at_most) {
      idle.reserve(max_idle);  // a return allocates nothing
    }
    Memory take() {
      ++in_use;
      if (idle.empty()) return std::make_unique_for_overwrite<std::uint8_t[]>(size);
      Memory memory = std::move(idle.back());
      idle.pop_back();
      return memory;
    }
    void give_back(Memory memory) {
      --in_use;
      if (idle.size() < max_idle) idle.push_back(std::move(memory));
    }

    std::size_t size;
    std::size_t max_idle;
    std::size_t in_use = 0;
    std::vector<Memory> idle;
  };

 public:
  /// Buffers of `size` bytes, of which at most `idle` are kept.
  BufferPool(std::size_t size, std::size_t idle) : store_(std::make_shared<Store>(size, idle)) {}

  /// A buffer in use.
  class Buffer {
   public:
    Buffer(Buffer&& other) noexcept = default;
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(store_, other.store_);
      std::swap(memory_, other.memory_);
      return *this;
    }
    ~Buffer() {
      if (memory_ != nullptr) store_->give_back(std::move(memory_));
    }

    [[nodiscard]] MutableBytes bytes() const { return {memory_.get(), store_->size}; }

   private:
    friend class BufferPool;
    explicit Buffer(std::shared_ptr<Store> store) : store_(std::move(store)), memory_(store_->take()) {}
    std::shared_ptr<Store> store_;
    Memory memory_;
  };

  [[nodiscard]] Buffer take() { return Buffer(store_); }

  [[nodiscard]] std::size_t buffer_size() const { return store_->size; }
  [[nodiscard]] std::size_t idle() const { return store_->idle.size(); }
  [[nodiscard]] std::size_t in_use() const { return store_->in_use; }

 private:
  std::shared_ptr<Store> store_;
};

}  // namespace dms
