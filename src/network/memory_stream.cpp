#include "network/memory_stream.hpp"

#include <algorithm>

namespace dms::network {

class MemoryLink::End final : public ByteStream {
 public:
  End(std::shared_ptr<MemoryLink> link, bool opener) : link_(std::move(link)), opener_(opener) {}
  ~End() override { abort(); }

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    Direction& in = link_->directions_[opener_ ? 1 : 0];
    while (in.arrived.empty()) {
      if (in.ended) co_return std::size_t{0};
      if (link_->broken_) co_return fail(Errc::closed, "read: the stream was reset");
      CO_TRY_VOID(co_await in.readable.wait());
    }
    const Bytes& first = in.arrived.front();
    const std::size_t count = std::min(into.size(), first.size() - in.taken);
    std::copy_n(first.begin() + static_cast<std::ptrdiff_t>(in.taken), count, into.begin());
    in.taken += count;
    in.unread -= count;
    if (in.taken == first.size()) {
      in.arrived.pop_front();
      in.taken = 0;
    }
    in.writable.notify_all();
    co_return count;
  }

  Task<Result<void>> write(BytesView from) override {
    Direction& out = link_->directions_[opener_ ? 0 : 1];
    while (!from.empty()) {
      if (link_->broken_ || out.closed) co_return fail(Errc::closed, "write: the stream was reset or closed");
      const std::size_t count = std::min(from.size(), kWindow - out.unread);
      if (count == 0) {
        CO_TRY_VOID(co_await out.writable.wait());
        continue;
      }
      Bytes data = to_bytes(from.first(count));
      from = from.subspan(count);
      if (link_->gate_ && !link_->gate_(opener_, data)) {
        link_->reset();
        continue;
      }
      out.unread += count;
      link_->deliver(opener_, std::move(data));
    }
    co_return Result<void>();
  }

  Task<Result<void>> close_write() override {
    Direction& out = link_->directions_[opener_ ? 0 : 1];
    if (!link_->broken_ && !std::exchange(out.closed, true)) link_->deliver(opener_, {});
    co_return Result<void>();
  }

  // As a muxed stream: what was written before close_write() still arrives, else the other end reads a reset.
  void abort() override {
    const Direction& out = link_->directions_[opener_ ? 0 : 1];
    if (out.closed)
      link_->directions_[opener_ ? 1 : 0].writable.notify_all();
    else
      link_->reset();
  }

 private:
  std::shared_ptr<MemoryLink> link_;
  bool opener_;
};

std::unique_ptr<ByteStream> MemoryLink::end(bool opener) { return std::make_unique<End>(shared_from_this(), opener); }

void MemoryLink::reset() {
  broken_ = true;
  for (Direction& direction : directions_) {
    if (!direction.ended) {
      direction.arrived.clear();
      direction.taken = 0;
    }
    direction.readable.notify_all();
    direction.writable.notify_all();
  }
}

void MemoryLink::deliver(bool forth, Bytes data) {
  if (latency_ == Duration{}) return arrive(forth, std::move(data));
  Lane& lane = *lanes_[forth ? 1 : 0];
  lane.call_at(lane.now() + latency_, [link = shared_from_this(), forth, data = std::move(data)]() mutable {
    link->arrive(forth, std::move(data));
  });
}

void MemoryLink::arrive(bool forth, Bytes data) {
  if (broken_) return;
  Direction& direction = directions_[forth ? 0 : 1];
  if (data.empty())
    direction.ended = true;
  else
    direction.arrived.push_back(std::move(data));
  direction.readable.notify_all();
}

}  // namespace dms::network
