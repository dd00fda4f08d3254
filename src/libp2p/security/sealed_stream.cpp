#include "libp2p/security/sealed_stream.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace dms::libp2p {

SealedStream::SealedStream(std::unique_ptr<ByteStream> raw, const Shape& shape, BytesView arrived)
    : raw_(std::move(raw)), shape_(shape), end_(arrived.size()) {
  if (end_ > kBusyBuffer) std::abort();
  if (end_ > in_.size()) in_.grow(end_);
  std::ranges::copy(arrived, in_.view().begin());
}

// ---- reading --------------------------------------------------------------------------------------------------------

std::size_t SealedStream::take_plain(MutableBytes into) {
  const std::size_t count = std::min(into.size(), plain_.size());
  if (count > 0) std::memcpy(into.data(), plain_.data(), count);
  plain_ = plain_.subspan(count);
  return count;
}

Result<std::optional<std::size_t>> SealedStream::next_record() const {
  if (end_ - begin_ < shape_.header) return std::nullopt;
  TRY(const std::size_t size, record_size(in_.view().subspan(begin_, shape_.header)));
  if (end_ - begin_ < size) return std::nullopt;
  return size;
}

/// The stream is over, but what was authentic before is still given.
Result<std::size_t> SealedStream::break_off(Error why, std::size_t given) {
  broken_ = std::move(why).context(std::string(shape_.protocol));
  raw_->abort();
  if (given > 0) return given;
  return std::unexpected(*broken_);
}

Result<MutableBytes> SealedStream::open_next(std::size_t size, MutableBytes into) {
  const MutableBytes record = in_.view().subspan(begin_, size);
  begin_ += size;
  const MutableBytes sealed = record.subspan(shape_.header);
  TRY(const MutableBytes text, open(record.first(shape_.header), sealed, into.empty() ? sealed : into));
  empty_in_a_row_ = text.empty() ? empty_in_a_row_ + 1 : 0;
  if (empty_in_a_row_ > kMaxEmpty)
    return fail(Errc::limit_exceeded, "{} records in a row that carry nothing", empty_in_a_row_);
  return text;
}

Result<std::size_t> SealedStream::open_arrived(MutableBytes into) {
  std::size_t given = 0;
  while (plain_.empty() && !text_ended_ && given < into.size()) {
    const Result<std::optional<std::size_t>> size = next_record();
    if (!size) return break_off(size.error(), given);
    if (!*size) break;
    const MutableBytes rest = into.subspan(given);
    const bool fits = **size - shape_.header - crypto::Aead::kTagSize <= rest.size();
    // What does not fit waits for its reader where it lies, but not behind something that has been given already.
    if (!fits && given > 0) break;
    Result<MutableBytes> text = open_next(**size, fits ? rest : MutableBytes());
    if (!text) return break_off(std::move(text.error()), given);
    if (!fits) plain_ = *text;
    given += fits ? text->size() : take_plain(rest);
  }
  return given;
}

void SealedStream::make_room() {
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
  // Full without a whole record in it, or full at the first read: somebody sends much.
  if (end_ == in_.size() || last_read_ >= in_.size()) in_.grow();
}

Result<std::size_t> SealedStream::on_wire_end() {
  const bool between = begin_ == end_;
  if (between && shape_.goodbye.empty()) return std::size_t{0};
  broken_ =
      Error(Errc::closed, between ? fmt::format("{}: the stream ended without {}", shape_.protocol, shape_.goodbye)
                                  : fmt::format("{}: the stream ended within a record", shape_.protocol));
  return std::unexpected(*broken_);
}

Task<Result<std::size_t>> SealedStream::read_some(MutableBytes into) {
  if (into.empty()) co_return std::size_t{0};
  if (const std::size_t count = take_plain(into); count > 0) co_return count;
  if (broken_) co_return std::unexpected(*broken_);
  for (;;) {
    CO_TRY(std::size_t given, open_arrived(into));
    if (given > 0 || text_ended_) co_return given;
    make_room();
    Result<std::size_t> got = co_await raw_->read_some(in_.view().subspan(end_));
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return on_wire_end();
    last_read_ = *got;
    end_ += *got;
  }
}

// ---- writing --------------------------------------------------------------------------------------------------------

Result<std::size_t> SealedStream::seal_all(BytesView text) {
  const std::size_t records = (text.size() + shape_.max_text - 1) / shape_.max_text;
  const std::size_t size = text.size() + records * shape_.overhead;
  if (size > out_.size()) out_.grow(size);
  MutableBytes room = out_.view().first(size);
  while (!text.empty()) {
    const BytesView piece = text.first(std::min(text.size(), shape_.max_text));
    const MutableBytes record = room.first(piece.size() + shape_.overhead);
    TRY_VOID(seal(piece, record));
    text = text.subspan(piece.size());
    room = room.subspan(record.size());
  }
  return size;
}

Task<Result<void>> SealedStream::write(BytesView from) {
  while (!from.empty()) {
    const BytesView text = from.first(std::min(from.size(), batch()));
    CO_TRY(const std::size_t size, seal_all(text));
    const BytesView ready = out_.view().first(size);
    CO_TRY_VOID(co_await raw_->write(ready));
    out_.took(size);
    from = from.subspan(text.size());
  }
  co_return Result<void>();
}

}  // namespace dms::libp2p
