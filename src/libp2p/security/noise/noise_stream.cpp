#include "libp2p/security/noise/noise_stream.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace dms::libp2p::noise {
namespace {

constexpr std::size_t kLargeBuffer = 128 * 1024;
constexpr std::uint64_t kLastNonce = std::numeric_limits<std::uint64_t>::max() - 1;

}  // namespace

std::size_t NoiseStream::take_plain(MutableBytes into) {
  const std::size_t count = std::min(into.size(), plain_.size());
  std::memcpy(into.data(), plain_.data(), count);
  plain_ = plain_.subspan(count);
  return count;
}

Result<bool> NoiseStream::open_next() {
  if (end_ - begin_ < kHeader) return false;
  const std::size_t size = static_cast<std::size_t>(in_[begin_] << 8 | in_[begin_ + 1]);
  if (size < kTag) return fail(Errc::invalid_argument, "noise: a message of {} bytes has no room for its tag", size);
  if (end_ - begin_ < kHeader + size) return false;
  if (received_ > kLastNonce) return fail(Errc::limit_exceeded, "noise: the nonces of this session are used up");
  TRY(plain_, ciphers_.receive.open(received_++, {}, MutableBytes(in_).subspan(begin_ + kHeader, size)));
  begin_ += kHeader + size;
  return true;
}

void NoiseStream::make_room() {
  if (begin_ > 0) {
    std::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // Full without a whole message in it: somebody sends much, so be ready for it from now on.
  if (end_ == in_.size()) in_.resize(kLargeBuffer);
}

Task<Result<std::size_t>> NoiseStream::read_some(MutableBytes into) {
  if (into.empty()) co_return std::size_t{0};
  if (broken_) co_return fail(Errc::closed, "noise: the stream is broken");
  while (plain_.empty()) {
    Result<bool> opened = open_next();
    if (!opened) {
      broken_ = true;
      raw_->abort();
      co_return fail(opened.error(), "decrypting message {}", received_);
    }
    if (*opened) continue;
    make_room();
    Result<std::size_t> got = co_await raw_->read_some(MutableBytes(in_).subspan(end_));
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) {
      if (begin_ == end_) co_return std::size_t{0};
      broken_ = true;
      co_return fail(Errc::closed, "noise: the stream ended within a message");
    }
    end_ += *got;
  }
  co_return take_plain(into);
}

Result<void> NoiseStream::seal_into_out(BytesView text) {
  if (sent_ > kLastNonce) return fail(Errc::limit_exceeded, "noise: the nonces of this session are used up");
  const std::size_t size = text.size() + kTag;
  out_.push_back(static_cast<std::uint8_t>(size >> 8));
  out_.push_back(static_cast<std::uint8_t>(size));
  const std::size_t at = out_.size();
  append(out_, text);
  out_.resize(at + size);
  return ciphers_.send.seal(sent_++, {}, MutableBytes(out_).subspan(at));
}

Task<Result<void>> NoiseStream::write(BytesView from) {
  while (!from.empty()) {
    out_.clear();
    const std::size_t batch = std::min(from.size(), kMessagesPerWrite * kMaxPlain);
    out_.reserve(batch + (batch / kMaxPlain + 1) * (kHeader + kTag));
    for (BytesView rest = from.first(batch); !rest.empty();) {
      const BytesView text = rest.first(std::min(rest.size(), kMaxPlain));
      CO_TRY_VOID(seal_into_out(text));
      rest = rest.subspan(text.size());
    }
    from = from.subspan(batch);
    CO_TRY_VOID(co_await raw_->write(out_));
  }
  co_return Result<void>();
}

}  // namespace dms::libp2p::noise
