// For fuzzing and benchmarks: a stream that reads given bytes, then ends, and takes whatever is written.
#pragma once

#include <algorithm>

#include "runtime/stream.hpp"

namespace dms {

class ScriptedStream final : public ByteStream {
 public:
  explicit ScriptedStream(BytesView script) : rest_(script) {}
  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    const std::size_t count = std::min(into.size(), rest_.size());
    std::copy_n(rest_.begin(), count, into.begin());
    rest_ = rest_.subspan(count);
    co_return count;
  }
  Task<Result<void>> write(BytesView) override { co_return Result<void>(); }
  Task<Result<void>> close_write() override { co_return Result<void>(); }
  void abort() override { rest_ = {}; }

 private:
  BytesView rest_;
};

}  // namespace dms
