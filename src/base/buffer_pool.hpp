// Buffers for reading that are lent and given back, so that a busy wire does not ask the allocator for each read.
//
// Model
//  1. All buffers of a pool have one size. take() lends an idle one, or makes one; the handle gives it back when it
//     goes.
//  2. At most `idle` buffers are kept for the next borrower; what is given back beyond that is freed. How many are out
//     is bounded by whoever borrows (each stream that is read has one), not here: take() never fails and never waits.
//  3. The newest idle buffer is lent first: it is the likeliest to be in the processor's cache.
//  4. A buffer holds what its last borrower left in it. It is for bytes about to be overwritten; secrets do not belong
//     into it.
//  5. A handle may outlive its pool: the buffer is then freed when it is given back.
//
// Threads: one lane's. Cost: take() and giving back are a push and a pop; memory is idle * size when nobody reads.
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
      idle.reserve(max_idle);  // giving back allocates nothing
    }
    Memory take() {
      ++lent;
      if (idle.empty()) return std::make_unique_for_overwrite<std::uint8_t[]>(size);
      Memory memory = std::move(idle.back());
      idle.pop_back();
      return memory;
    }
    void give_back(Memory memory) {
      --lent;
      if (idle.size() < max_idle) idle.push_back(std::move(memory));
    }

    std::size_t size;
    std::size_t max_idle;
    std::size_t lent = 0;
    std::vector<Memory> idle;
  };

 public:
  /// Buffers of `size` bytes, of which at most `idle` are kept.
  BufferPool(std::size_t size, std::size_t idle) : store_(std::make_shared<Store>(size, idle)) {}

  /// A buffer on loan.
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
  [[nodiscard]] std::size_t lent() const { return store_->lent; }

 private:
  std::shared_ptr<Store> store_;
};

}  // namespace dms
