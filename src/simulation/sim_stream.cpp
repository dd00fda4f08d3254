#include "simulation/sim_stream.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace dms {

std::uint16_t SimSockets::ephemeral_port() {
  DMS_ASSERT(listeners.size() <= kLastPort - kFirstPort, "every ephemeral port of a node has a listener");
  do last_port = last_port == kLastPort ? kFirstPort : static_cast<std::uint16_t>(last_port + 1);
  while (listeners.contains(last_port));
  return last_port;
}

std::pair<std::shared_ptr<SimPipe>, std::shared_ptr<SimPipe>> SimPipe::pair(SimClock& clock, SimLinks& links,
                                                                            const SimSockets& a, const SimSockets& b) {
  auto forth = std::make_shared<SimPipe>(clock, links, a, b);
  auto back = std::make_shared<SimPipe>(clock, links, b, a);
  forth->back_ = back;
  back->back_ = forth;
  return {std::move(forth), std::move(back)};
}

std::size_t SimPipe::writable_bytes(std::size_t wanted) const {
  const std::size_t window = link().stream_window();
  return unread_ >= window ? 0 : std::min({wanted, window - unread_, link().segment_size()});
}

SimPipe::Place SimPipe::reserve(std::size_t bytes) {
  const SteadyTime leaves = links_.reserve(from_.node, to_.node, bytes, clock_.now());
  return {leaves - link().transmission(link().queue), leaves};
}

void SimPipe::send(Bytes data, SteadyTime leaves) {
  unread_ += data.size();
  SteadyTime arrives = std::max(leaves, clock_.now()) + links_.delay(from_.node, to_.node);
  if (!in_flight_.empty()) arrives = std::max(arrives, in_flight_.back().arrives);
  in_flight_.push_back({std::move(data), arrives, clock_.now()});
  schedule_delivery();
}

void SimPipe::send_reset() {
  clock_.schedule(clock_.now() + links_.delay(from_.node, to_.node), 0, [self = shared_from_this()] {
    if (!self->links_.is_cut(self->from_.node, self->to_.node)) self->break_up();
  });
}

void SimPipe::schedule_delivery() {
  if (delivery_scheduled_ || in_flight_.empty()) return;
  delivery_scheduled_ = true;
  clock_.schedule(std::max(in_flight_.front().arrives, clock_.now()), 0,
                  [self = shared_from_this()] { self->deliver(); });
}

void SimPipe::deliver() {
  delivery_scheduled_ = false;
  if (broken_ || in_flight_.empty()) return;
  const bool silent = orphan_ && !to_.alive;
  if (links_.is_cut(from_.node, to_.node) || silent) {
    if (clock_.now() - in_flight_.front().sent > link().give_up) return silent ? break_both() : break_up();
    in_flight_.front().arrives = clock_.now() + link().retransmit;
    return schedule_delivery();
  }
  if (orphan_) return break_both();
  Segment segment = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (segment.data.empty())
    ended_ = true;
  else
    arrived_.push_back(std::move(segment.data));
  readable_.notify_all();
  schedule_delivery();
}

std::size_t SimPipe::take(MutableBytes into) {
  std::size_t count = 0;
  while (count < into.size() && !arrived_.empty()) {
    const BytesView rest = BytesView(arrived_.front()).subspan(taken_);
    const std::size_t n = std::min(into.size() - count, rest.size());
    std::memcpy(into.data() + count, rest.data(), n);
    count += n;
    taken_ += n;
    if (n < rest.size()) break;
    arrived_.pop_front();
    taken_ = 0;
  }
  DMS_ASSERT(count <= unread_, "{} bytes read of {} that were sent", count, unread_);
  unread_ -= count;
  writable_.notify_all();
  return count;
}

void SimPipe::orphan() {
  orphan_ = true;
  readable_.notify_all();
}

void SimPipe::break_both() {
  break_up();
  if (auto other = back_.lock()) other->break_up();
}

void SimPipe::break_up() {
  broken_ = true;
  in_flight_.clear();
  arrived_.clear();
  readable_.notify_all();
  writable_.notify_all();
}

SimStream::SimStream(SimSockets& node, PipePtr in, PipePtr out, std::optional<UserId> peer_user)
    : node_(node), number_(++node.last_stream), in_(std::move(in)), out_(std::move(out)), peer_user_(peer_user) {
  node_.streams.emplace(number_, this);
}

SimStream::~SimStream() {
  abort();
  node_.streams.erase(number_);
}

Task<Result<std::size_t>> SimStream::read_some(MutableBytes into) {
  while (powered_off_ || !in_->has_data()) {
    if (powered_off_) co_return fail(Errc::closed, "read: this node has lost power");
    if (in_->broken()) co_return fail(Errc::closed, "read: connection reset");
    if (in_->ended()) co_return std::size_t{0};
    CO_TRY_VOID(co_await in_->readable().wait());
  }
  co_return in_->take(into);
}

Task<Result<void>> SimStream::write(BytesView from) {
  SimPipe& out = *out_;
  while (!from.empty()) {
    CO_TRY_VOID(may_write());
    const std::size_t n = out.writable_bytes(from.size());
    if (n == 0) {
      CO_TRY_VOID(co_await out.writable().wait());
      continue;
    }
    const SimPipe::Place place = out.reserve(n);
    if (place.enters > out.now()) {
      CO_TRY_VOID(co_await sleep_until(place.enters));
      CO_TRY_VOID(may_write());
    }
    out.send(to_bytes(from.first(n)), place.leaves);
    from = from.subspan(n);
  }
  co_return Result<void>();
}

Task<Result<void>> SimStream::close_write() {
  if (!closed_ && !powered_off_ && !out_->broken()) out_->send({}, out_->reserve(0).leaves);
  closed_ = true;
  co_return Result<void>();
}

void SimStream::abort() {
  if (powered_off_ || (in_->broken() && out_->broken())) return;
  const bool finished = closed_ && in_->ended() && !in_->has_data();
  if (!in_->broken()) in_->break_up();
  if (finished || out_->broken()) return;  // both halves ended in order: nothing to reset
  out_->send_reset();
  closed_ = true;
}

void SimStream::power_off() {
  powered_off_ = true;
  in_->orphan();
  out_->writable().notify_all();
}

Result<void> SimStream::may_write() const {
  if (powered_off_) return fail(Errc::closed, "write: this node has lost power");
  if (out_->broken()) return fail(Errc::closed, "write: connection reset");
  if (closed_) return fail(Errc::closed, "write: this half is closed");
  return {};
}

}  // namespace dms
