#include "libp2p/security/noise/noise_stream.hpp"

#include <algorithm>
#include <cstring>

namespace dms::libp2p::noise {

// ---- reading --------------------------------------------------------------------------------------------------------

std::size_t NoiseStream::take_plain(MutableBytes into) {
  const std::size_t count = std::min(into.size(), plain_.size());
  if (count > 0) std::memcpy(into.data(), plain_.data(), count);
  plain_ = plain_.subspan(count);
  return count;
}

Result<std::optional<std::size_t>> NoiseStream::next_message() const {
  if (end_ - begin_ < kHeader) return std::nullopt;
  const BytesView header = in_.view().subspan(begin_, kHeader);
  const std::size_t size = static_cast<std::size_t>(header[0] << 8 | header[1]);
  if (size < CipherState::kTag)
    return fail(Errc::invalid_argument, "a message of {} bytes is too short for a tag", size);
  if (end_ - begin_ < kHeader + size) return std::nullopt;
  return kHeader + size;
}

/// Text that was authentic before the failure is still returned.
Result<std::size_t> NoiseStream::fail_for_good(Error why, std::size_t given) {
  failure_ = std::move(why).context("noise");
  raw_->abort();
  if (given > 0) return given;
  return std::unexpected(*failure_);
}

Result<MutableBytes> NoiseStream::open_next(std::size_t size, MutableBytes into) {
  const MutableBytes sealed = in_.view().subspan(begin_ + kHeader, size - kHeader);
  begin_ += size;
  TRY(const MutableBytes text, ciphers_.receive.open({}, sealed, into.empty() ? sealed : into));
  empty_in_a_row_ = text.empty() ? empty_in_a_row_ + 1 : 0;
  if (empty_in_a_row_ > kMaxEmpty)
    return fail(Errc::limit_exceeded, "{} messages in a row without text", empty_in_a_row_);
  return text;
}

Result<std::size_t> NoiseStream::open_arrived(MutableBytes into) {
  std::size_t given = 0;
  while (plain_.empty() && given < into.size()) {
    const Result<std::optional<std::size_t>> size = next_message();
    if (!size) return fail_for_good(size.error(), given);
    if (!*size) break;
    const MutableBytes rest = into.subspan(given);
    const bool fits = **size - kOverhead <= rest.size();
    // A message that does not fit waits where it arrived, but not behind text that this call returns.
    if (!fits && given > 0) break;
    Result<MutableBytes> text = open_next(**size, fits ? rest : MutableBytes());
    if (!text) return fail_for_good(std::move(text.error()), given);
    if (!fits) plain_ = *text;
    given += fits ? text->size() : take_plain(rest);
  }
  return given;
}

void NoiseStream::make_space() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (last_read_ >= in_.size())
      in_.grow();
    else
      in_.used(last_read_);
    return;
  }
  if (begin_ > 0) {
    std::memmove(in_.view().data(), in_.view().data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // Full without a whole message in it, or filled by the last read: the peer sends a lot.
  if (end_ == in_.size() || last_read_ >= in_.size()) in_.grow();
}

Task<Result<std::size_t>> NoiseStream::read_some(MutableBytes into) {
  if (into.empty()) co_return std::size_t{0};
  if (const std::size_t count = take_plain(into); count > 0) co_return count;
  if (failure_) co_return std::unexpected(*failure_);
  for (;;) {
    CO_TRY(std::size_t given, open_arrived(into));
    if (given > 0) co_return given;
    make_space();
    CO_TRY(std::size_t got, co_await raw_->read_some(in_.view().subspan(end_)));
    if (got == 0 && begin_ == end_) co_return std::size_t{0};
    if (got == 0) {
      failure_ = Error(Errc::closed, "noise: the stream ended within a message");
      co_return std::unexpected(*failure_);
    }
    last_read_ = got;
    end_ += got;
  }
}

// ---- writing --------------------------------------------------------------------------------------------------------

Result<std::size_t> NoiseStream::seal_all(BytesView text) {
  const std::size_t messages = (text.size() + kMaxPlain - 1) / kMaxPlain;
  const std::size_t size = text.size() + messages * kOverhead;
  if (size > out_.size()) out_.grow(size);
  MutableBytes space = out_.view().first(size);
  while (!text.empty()) {
    const BytesView piece = text.first(std::min(text.size(), kMaxPlain));
    const std::size_t sealed = piece.size() + CipherState::kTag;
    space[0] = static_cast<std::uint8_t>(sealed >> 8);
    space[1] = static_cast<std::uint8_t>(sealed);
    TRY_VOID(ciphers_.send.seal({}, piece, space.subspan(kHeader, sealed)));
    text = text.subspan(piece.size());
    space = space.subspan(kHeader + sealed);
  }
  return size;
}

Task<Result<void>> NoiseStream::write(BytesView from) {
  constexpr std::size_t kBatch = kBusyBuffer / (kMaxPlain + kOverhead) * kMaxPlain;
  while (!from.empty()) {
    const BytesView text = from.first(std::min(from.size(), kBatch));
    CO_TRY(const std::size_t size, seal_all(text));
    const BytesView ready = out_.view().first(size);
    CO_TRY_VOID(co_await raw_->write(ready));
    out_.used(size);
    from = from.subspan(text.size());
  }
  co_return Result<void>();
}

}  // namespace dms::libp2p::noise
