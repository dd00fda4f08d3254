#include "libp2p/security/noise/noise_stream.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace dms::libp2p::noise {
namespace {

constexpr std::uint64_t kLastNonce = std::numeric_limits<std::uint64_t>::max() - 1;

}  // namespace

std::size_t NoiseStream::take_plain(MutableBytes into) {
  const std::size_t count = std::min(into.size(), plain_.size());
  if (count > 0) std::memcpy(into.data(), plain_.data(), count);
  plain_ = plain_.subspan(count);
  return count;
}

Result<std::optional<std::size_t>> NoiseStream::next_message() const {
  if (end_ - begin_ < kHeader) return std::nullopt;
  const BytesView arrived = in_.view().subspan(begin_);
  const std::size_t size = static_cast<std::size_t>(arrived[0] << 8 | arrived[1]);
  if (size < kTag) return fail(Errc::invalid_argument, "noise: a message of {} bytes has no room for its tag", size);
  if (end_ - begin_ < kHeader + size) return std::nullopt;
  if (received_ > kLastNonce) return fail(Errc::limit_exceeded, "noise: the nonces of this session are used up");
  return size;
}

/// The stream is over, but what was authentic before is still given.
Result<std::size_t> NoiseStream::break_off(Error why, std::size_t given) {
  broken_ = std::move(why).context(fmt::format("decrypting message {}", received_));
  raw_->abort();
  if (given > 0) return given;
  return std::unexpected(*broken_);
}

Result<std::size_t> NoiseStream::open_arrived(MutableBytes into) {
  std::size_t given = 0;
  while (plain_.empty() && given < into.size()) {
    Result<std::optional<std::size_t>> size = next_message();
    if (!size) return break_off(std::move(size.error()), given);
    if (!*size) break;
    const MutableBytes sealed = in_.view().subspan(begin_ + kHeader, **size);
    const MutableBytes rest = into.subspan(given);
    const bool fits = **size - kTag <= rest.size();
    // What does not fit waits for its reader where it lies, but not behind something that has been given already.
    if (!fits && given > 0) break;
    Result<MutableBytes> text = ciphers_.receive.open(received_++, {}, sealed, fits ? rest : sealed);
    if (!text) return break_off(std::move(text.error()), given);
    begin_ += kHeader + **size;
    if (!fits) plain_ = *text;
    given += fits ? text->size() : take_plain(rest);
  }
  return given;
}

void NoiseStream::make_room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (last_read_ >= in_.size())
      in_.grow();
    else
      in_.took(last_read_);
    return;
  }
  if (begin_ > 0) {
    std::memmove(in_.view().data(), in_.view().data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // Full without a whole message in it, or full at the first read: somebody sends much.
  if (end_ == in_.size() || last_read_ >= in_.size()) in_.grow();
}

Task<Result<std::size_t>> NoiseStream::read_some(MutableBytes into) {
  if (into.empty()) co_return std::size_t{0};
  if (broken_) co_return std::unexpected(*broken_);
  if (const std::size_t count = take_plain(into); count > 0) co_return count;
  for (;;) {
    CO_TRY(std::size_t given, open_arrived(into));
    if (given > 0) co_return given;
    make_room();
    Result<std::size_t> got = co_await raw_->read_some(in_.view().subspan(end_));
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) {
      if (begin_ == end_) co_return std::size_t{0};
      broken_ = Error(Errc::closed, "noise: the stream ended within a message");
      co_return std::unexpected(*broken_);
    }
    last_read_ = *got;
    end_ += *got;
  }
}

/// One message at out_[at]; the size of it.
Result<std::size_t> NoiseStream::seal_into_out(BytesView text, std::size_t at) {
  if (sent_ > kLastNonce) return fail(Errc::limit_exceeded, "noise: the nonces of this session are used up");
  const std::size_t size = text.size() + kTag;
  const MutableBytes out = out_.view().subspan(at, kHeader + size);
  out[0] = static_cast<std::uint8_t>(size >> 8);
  out[1] = static_cast<std::uint8_t>(size);
  TRY_VOID(ciphers_.send.seal(sent_++, {}, text, out.subspan(kHeader)));
  return kHeader + size;
}

Task<Result<void>> NoiseStream::write(BytesView from) {
  while (!from.empty()) {
    const std::size_t batch = std::min(from.size(), kMessagesPerWrite * kMaxPlain);
    const std::size_t sealed = batch + (batch + kMaxPlain - 1) / kMaxPlain * (kHeader + kTag);
    if (sealed > out_.size()) out_.grow(sealed);
    std::size_t at = 0;
    for (BytesView rest = from.first(batch); !rest.empty();) {
      const BytesView text = rest.first(std::min(rest.size(), kMaxPlain));
      CO_TRY(std::size_t size, seal_into_out(text, at));
      at += size;
      rest = rest.subspan(text.size());
    }
    from = from.subspan(batch);
    const BytesView ready = out_.view().first(at);
    CO_TRY_VOID(co_await raw_->write(ready));
    out_.took(at);
  }
  co_return Result<void>();
}

}  // namespace dms::libp2p::noise
