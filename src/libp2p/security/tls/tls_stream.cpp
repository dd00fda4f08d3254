#include "libp2p/security/tls/tls_stream.hpp"

#include <algorithm>

namespace dms::libp2p::tls {

Task<Result<std::size_t>> TlsStream::read_some(MutableBytes into) {
  if (into.empty()) co_return std::size_t{0};
  for (;;) {
    Result<std::optional<std::size_t>> count = session_->read(into);
    if (!count) {
      raw_->abort();
      co_return std::unexpected(count.error());
    }
    // Text is never left here between two steps of a write, so these are answers.
    if (session_->output().size() > kMaxAnswers) {
      raw_->abort();
      co_return fail(Errc::limit_exceeded, "tls: the peer requests one key update after the other");
    }
    if (*count) co_return **count;
    CO_TRY(std::size_t got, co_await raw_->read_some(session_->input()));
    if (got == 0) co_return fail(Errc::closed, "tls: the stream ended without close_notify");
    session_->received(got);
  }
}

/// Called by write() and close_write() only, one at a time; reading may add to output() meanwhile.
Task<Result<void>> TlsStream::flush() {
  while (!session_->output().empty()) {
    sending_.clear();
    std::swap(sending_, session_->output());
    CO_TRY_VOID(co_await raw_->write(sending_));
    const bool too_large = shrink_.shrink_after(sending_.size());
    sending_.clear();
    if (too_large && sending_.capacity() > Session::kIdleBuffer) Bytes().swap(sending_);
    // One large buffer serves both places.
    if (session_->output().empty()) std::swap(sending_, session_->output());
  }
  co_return Result<void>();
}

Task<Result<void>> TlsStream::write(BytesView from) {
  if (finished_) co_return fail(Errc::closed, "tls: this half of the stream is closed");
  while (!from.empty()) {
    const BytesView text = from.first(std::min(from.size(), kBatch));
    CO_TRY_VOID(session_->write(text));
    CO_TRY_VOID(co_await flush());
    from = from.subspan(text.size());
  }
  co_return Result<void>();
}

Task<Result<void>> TlsStream::close_write() {
  if (!std::exchange(finished_, true)) {
    CO_TRY_VOID(session_->finish());
    CO_TRY_VOID(co_await flush());
  }
  co_return co_await raw_->close_write();
}

}  // namespace dms::libp2p::tls
