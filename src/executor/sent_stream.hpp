// The connection of a request that was sent already: an HttpClient reads the answer, and what it writes is dropped.
#pragma once

#include <memory>
#include <utility>

#include "runtime/stream.hpp"

namespace dms::executor {

class SentStream final : public ByteStream {
 public:
  explicit SentStream(std::unique_ptr<ByteStream> from) : from_(std::move(from)) {}
  Task<Result<std::size_t>> read_some(MutableBytes into) override { return from_->read_some(into); }
  Task<Result<void>> write(BytesView) override { co_return Result<void>(); }
  Task<Result<void>> close_write() override { co_return Result<void>(); }
  void abort() override { from_->abort(); }

 private:
  std::unique_ptr<ByteStream> from_;
};

}  // namespace dms::executor
