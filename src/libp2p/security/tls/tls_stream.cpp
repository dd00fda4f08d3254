#include "libp2p/security/tls/tls_stream.hpp"

#include <algorithm>

namespace dms::libp2p::tls {

Task<Result<std::size_t>> TlsStream::read_some(MutableBytes into) {
  if (into.empty()) co_return std::size_t{0};
  for (;;) {
    Result<std::optional<std::size_t>> count = engine_->read(into);
    if (!count) {
      raw_->abort();
      co_return std::unexpected(count.error());
    }
    // Between two steps of a write nothing else lies there.
    if (engine_->out().size() > kMaxAnswers) {
      raw_->abort();
      co_return fail(Errc::limit_exceeded, "tls: the peer asks for new keys again and again");
    }
    if (*count) co_return **count;
    CO_TRY(std::size_t got, co_await raw_->read_some(engine_->room()));
    if (got == 0) co_return fail(Errc::closed, "tls: the stream ended without close_notify");
    engine_->arrived(got);
  }
}

/// Only from write() and close_write(), of which one is under way at a time; reading may add to out() meanwhile.
Task<Result<void>> TlsStream::flush() {
  while (!engine_->out().empty()) {
    sending_.clear();
    std::swap(sending_, engine_->out());
    CO_TRY_VOID(co_await raw_->write(sending_));
    const bool too_large = patience_.ends_after(sending_.size());
    sending_.clear();
    if (too_large && sending_.capacity() > Engine::kIdleRoom) Bytes().swap(sending_);
    // One large buffer serves both places.
    if (engine_->out().empty()) std::swap(sending_, engine_->out());
  }
  co_return Result<void>();
}

Task<Result<void>> TlsStream::write(BytesView from) {
  if (finished_) co_return fail(Errc::closed, "tls: this half of the stream is closed");
  while (!from.empty()) {
    const BytesView text = from.first(std::min(from.size(), kBatch));
    CO_TRY_VOID(engine_->write(text));
    CO_TRY_VOID(co_await flush());
    from = from.subspan(text.size());
  }
  co_return Result<void>();
}

Task<Result<void>> TlsStream::close_write() {
  if (!std::exchange(finished_, true)) {
    CO_TRY_VOID(engine_->finish());
    CO_TRY_VOID(co_await flush());
  }
  co_return co_await raw_->close_write();
}

}  // namespace dms::libp2p::tls
