#include "libp2p/muxers/yamux/session.hpp"

#include <algorithm>

#include "libp2p/muxers/yamux/stream_state.hpp"

namespace dms::libp2p::yamux {

static_assert(Memory::kGuaranteed >= kInitialWindow);
static_assert(Session::kUncounted >= Session::kMaxChunk + FrameHeader::kSize);

namespace {

Error connection_ended() {
  return Error(Errc::closed, "yamux: reading").context(EndedErrc::connection, "yamux: the connection has ended");
}

}  // namespace

class YamuxStream final : public ByteStream {
 public:
  explicit YamuxStream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
  ~YamuxStream() override {
    if (state_->session != nullptr) state_->session->release_stream(state_);
  }
  Task<Result<std::size_t>> read_some(MutableBytes into) override;
  Task<Result<void>> write(BytesView from) override {
    if (state_->session == nullptr) return ended();
    return state_->session->write_stream(state_, from);
  }
  Task<Result<void>> close_write() override {
    if (state_->session == nullptr && !state_->fin_sent) co_return fail(Errc::closed, "yamux: the stream has ended");
    if (state_->session == nullptr) co_return Result<void>();
    co_return state_->session->finish_stream(*state_);
  }
  void abort() override {
    state_->read_reset = state_->write_reset = true;
    state_->received.clear();
    if (state_->session != nullptr) state_->session->reset_stream(*state_);
  }

 private:
  static Task<Result<void>> ended() { co_return fail(Errc::closed, "yamux: the stream has ended"); }
  std::shared_ptr<StreamState> state_;
};

// What has arrived stays readable after the stream was forgotten or the session has ended.
Task<Result<std::size_t>> YamuxStream::read_some(MutableBytes into) {
  if (into.empty()) co_return std::size_t{0};
  StreamState& state = *state_;
  std::size_t count = 0;
  while (count == 0 && state.received.size() == 0) {
    if (state.read_reset) co_return fail(Errc::closed, "yamux: the stream was reset");
    if (state.fin_received) co_return std::size_t{0};
    if (state.session == nullptr) co_return std::unexpected(connection_ended());
    state.wanted = into;
    Result<void> waited = co_await state.readable.wait();
    state.wanted = {};
    count = std::exchange(state.given, std::size_t{0});
    if (!waited && count == 0) co_return std::unexpected(waited.error());
  }
  const std::size_t kept = state.received.pop(into.subspan(count));
  if (state.session != nullptr) state.session->reopen_window(state);
  co_return count + kept;
}

Session::Session(Lane& lane, std::unique_ptr<ByteStream> wire, Side side, Options options)
    : lane_(lane),
      wire_(std::move(wire)),
      side_(side),
      options_(options),
      next_id_(side == Side::dialer ? 1 : 2),
      memory_(std::make_shared<Memory>(options.max_buffered)),
      last_received_(lane.now()),
      nursery_(lane, "yamux session") {
  nursery_.spawn(read_loop());
  nursery_.spawn(write_loop());
  if (options_.keep_alive > 0s) nursery_.spawn(keep_alive_loop());
}

Session::~Session() = default;

// ---- opening and accepting ------------------------------------------------------------------------------------------

Task<Result<std::unique_ptr<ByteStream>>> Session::open_stream() {
  while (!closing() &&
         (unacknowledged_ >= options_.max_unacknowledged || outbound_streams() >= options_.max_outbound_streams))
    CO_TRY_VOID(co_await may_open_.wait());
  if (!ended_ && remote_going_)
    co_return fail(Errc::closed, "yamux: the peer accepts no more streams (GO_AWAY, code {})",
                   static_cast<std::uint32_t>(*remote_reason_));
  if (closing()) co_return fail(Errc::closed, "yamux: the connection is ending");
  if (next_id_ > 0xffff'fff0U)
    co_return fail(Errc::limit_exceeded, "yamux: the stream ids of this connection are used up");
  auto state = std::make_shared<StreamState>(memory_);
  state->id = next_id_;
  next_id_ += 2;
  state->session = this;
  state->pending_flags = kSyn;
  streams_.emplace(state->id, state);
  ++unacknowledged_;
  std::unique_ptr<ByteStream> stream = std::make_unique<YamuxStream>(std::move(state));
  co_return std::move(stream);
}

Task<Result<std::unique_ptr<ByteStream>>> Session::accept_stream() {
  for (;;) {
    while (backlog_.empty()) {
      if (ended_) co_return fail(Errc::closed, "yamux: the connection has ended");
      CO_TRY_VOID(co_await accepted_.wait());
    }
    StatePtr state = std::move(backlog_.front());
    backlog_.pop_front();
    if (state->read_reset) continue;
    state->acknowledged = true;
    if (state->session != nullptr)
      queue_for(*state, FrameType::window_update, kAck, 0);  // otherwise it ended while it waited
    std::unique_ptr<ByteStream> stream = std::make_unique<YamuxStream>(std::move(state));
    co_return std::move(stream);
  }
}

// ---- streams --------------------------------------------------------------------------------------------------------

Task<Result<void>> Session::write_stream(StatePtr state, BytesView from) {
  // `this` may be destroyed once the state no longer points to it; it is used only after that check.
  const std::shared_ptr<std::size_t> writers = writers_;
  struct Count {
    std::size_t& n;
    explicit Count(std::size_t& count) : n(count) { ++n; }
    ~Count() { --n; }
  } count(*writers);
  while (!from.empty()) {
    if (state->write_reset) co_return fail(Errc::closed, "yamux: the stream was reset");
    if (state->session == nullptr) co_return fail(Errc::closed, "yamux: the connection has ended");
    if (state->fin_sent) co_return fail(Errc::closed, "yamux: this half of the stream is closed");
    if (state->send_window == 0) {
      CO_TRY_VOID(co_await state->writable.wait());
      continue;
    }
    const std::size_t size = std::min<std::size_t>({from.size(), state->send_window, kMaxChunk});
    if (outbound() >= options_.max_outbound ||
        !reserve_outbound(outbound() + FrameHeader::kSize + size, MemoryScope::Use::optional)) {
      CO_TRY_VOID(co_await out_space_.wait());
      continue;
    }
    state->send_window -= static_cast<std::uint32_t>(size);
    queue_for(*state, FrameType::data, kNone, static_cast<std::uint32_t>(size), from.first(size));
    from = from.subspan(size);
    if (*writers > 1 && !from.empty()) co_await yield_turn(lane_);
  }
  co_return Result<void>();
}

Result<void> Session::finish_stream(StreamState& state) {
  if (state.write_reset) return fail(Errc::closed, "yamux: the stream was reset");
  if (state.fin_sent) return {};
  state.fin_sent = true;
  queue_for(state, FrameType::data, kFin, 0);
  drop_if_done(state);
  return {};
}

void Session::release_stream(const StatePtr& state) {
  if (!state->fin_sent) {
    reset_stream(*state);
    return;
  }
  state->released = true;
  state->received.clear();
  if (!state->fin_received && !state->inbound) {
    const Lingering lingering{std::exchange(state->acknowledged, true), lane_.now() + kReleaseGrace};
    lingering_.emplace(state->id, lingering);
    if (!std::exchange(ending_lingering_, true)) nursery_.spawn(end_lingering());
  } else if (!state->fin_received) {
    if (released_.size() >= kMaxReleased) released_.erase(released_.begin());
    released_.push_back(state->id);
  }
  forget(*state);
}

void Session::reset_stream(StreamState& state) {
  if (state.session == nullptr) return;
  if (state.announced) queue({FrameType::window_update, kRst, state.id, 0});
  state.read_reset = state.write_reset = true;
  forget(state);
}

void Session::drop_if_done(StreamState& state) {
  if (state.fin_sent && state.fin_received) forget(state);
}

/// Removes the stream. What it has received stays readable through its ByteStream, unless that was reset.
void Session::forget(StreamState& state) {
  if (state.session == nullptr) return;
  state.session = nullptr;
  if (state.read_reset) state.received.clear();
  memory_->shrink_windows(state.target_window - kInitialWindow);
  if (state.target_window > kInitialWindow && !closing()) {
    pings_left_ = kRttSeries;
    next_ping_of_series();
  }
  if (state.inbound) --inbound_;
  if (!state.inbound && !state.acknowledged) --unacknowledged_;
  if (!state.inbound) may_open_.notify_one();
  if (payload_of_ && payload_of_.get() == &state) payload_of_.reset();
  state.readable.notify_all();
  state.writable.notify_all();
  streams_.erase(state.id);  // may destroy `state`
}

/// A released outbound stream has ended.
void Session::forget_lingering(std::uint32_t id) {
  const auto it = lingering_.find(id);
  if (!it->second.acknowledged) --unacknowledged_;
  lingering_.erase(it);
  may_open_.notify_one();
}

/// Resets released outbound streams that the peer does not end.
Task<void> Session::end_lingering() {
  while (!ended_ && !lingering_.empty()) {
    const auto earlier = [](const auto& a, const auto& b) { return a.second.until < b.second.until; };
    const auto [id, first] = *std::ranges::min_element(lingering_, earlier);
    if (lane_.now() < first.until) {
      Result<void> slept = co_await sleep_until(first.until);
      if (!slept) co_return;
      continue;
    }
    queue({FrameType::window_update, kRst, id, 0});
    forget_lingering(id);
  }
  ending_lingering_ = false;
}

/// The peer has accepted an outbound stream.
void Session::acknowledged() {
  --unacknowledged_;
  may_open_.notify_one();
}

void Session::reopen_window(StreamState& state) {
  if (state.fin_received || state.released) return;
  const std::uint64_t held = std::uint64_t{state.receive_window} + state.received.size();
  if (state.target_window < held || state.target_window - held < state.target_window / 2) return;
  const SteadyTime now = lane_.now();
  const std::optional<Duration> round_trip = rtt();
  const bool limited_by_window = round_trip && now - state.reopened < 2 * *round_trip && state.reopened != SteadyTime{};
  const std::uint32_t more =
      std::min(state.target_window, options_.max_window - std::min(options_.max_window, state.target_window));
  if (limited_by_window && extra_windows() + more <= options_.max_window_total && memory_->grow_windows(more))
    state.target_window += more;
  const auto delta = static_cast<std::uint32_t>(state.target_window - held);
  state.receive_window += delta;
  state.reopened = now;
  queue_for(state, FrameType::window_update, kNone, delta);
  if (!ping_open_ && now - last_ping_ >= kRttInterval) send_ping();
}

// ---- sending --------------------------------------------------------------------------------------------------------

void Session::queue(const FrameHeader& header, BytesView payload) {
  if (ended_) return;
  append(out_, header.encode());
  append(out_, payload);
  (void)reserve_outbound(outbound(),
                         MemoryScope::Use::required);  // answers; a refused reservation is repeated with the next frame
  out_ready_.notify_one();
}

void Session::queue_for(StreamState& state, FrameType type, std::uint16_t flags, std::uint32_t length,
                        BytesView payload) {
  flags |= std::exchange(state.pending_flags, std::uint16_t{0});
  state.announced = true;
  queue({type, flags, state.id, length}, payload);
}

/// `bytes` are or will be in the buffer or being written. One frame is never refused, so that writers make progress.
Result<void> Session::reserve_outbound(std::size_t bytes, MemoryScope::Use use) {
  return memory_->set_outbound(bytes - std::min(bytes, kUncounted), use);
}

void Session::next_ping_of_series() {
  if (ping_open_ || pings_left_ == 0) return;
  --pings_left_;
  send_ping();
}

void Session::send_ping() {
  ping_open_ = true;
  last_ping_ = lane_.now();
  queue({FrameType::ping, kSyn, 0, ++ping_value_});
}

Task<void> Session::write_loop() {
  Bytes batch;
  while (!ended_) {
    if (out_.empty()) {
      drained_.notify_all();
      Result<void> waited = co_await out_ready_.wait();
      if (!waited) break;
      continue;
    }
    batch.clear();
    std::swap(batch, out_);
    writing_ = batch.size();
    Result<void> written = co_await with_timeout(options_.write_timeout, wire_->write(batch));
    writing_ = 0;
    (void)reserve_outbound(outbound(), MemoryScope::Use::required);
    if (!written) {
      terminate(written.error().context("yamux: writing"));
      break;
    }
    if (options_.bytes_sent != nullptr) options_.bytes_sent->add(batch.size());
    out_space_.notify_all();
    const bool too_large = shrink_.shrink_after(batch.size());
    if (too_large && batch.capacity() > kIdleRead) Bytes().swap(batch);
    if (too_large && out_.empty() && out_.capacity() > kIdleRead) Bytes().swap(out_);
  }
  drained_.notify_all();
}

// ---- the session ----------------------------------------------------------------------------------------------------

Task<void> Session::keep_alive_loop() {
  while (!ended_) {
    Result<void> slept = co_await sleep_until(last_received_ + options_.keep_alive);
    if (!slept) co_return;
    if (ended_ || lane_.now() - last_received_ < options_.keep_alive) continue;
    send_ping();
    slept = co_await sleep_for(options_.keep_alive);
    if (!slept) co_return;
    if (lane_.now() - last_received_ >= 2 * options_.keep_alive) {
      terminate(Error(Errc::deadline_exceeded, "yamux: the peer has not answered"));
      co_return;
    }
  }
}

void Session::prove_alive(Duration limit) {
  if (ended_ || std::exchange(proving_, true)) return;
  nursery_.spawn(await_sign_of_life(limit));
}

Task<void> Session::await_sign_of_life(Duration limit) {
  const SteadyTime asked = lane_.now();
  send_ping();
  const Result<void> slept = co_await sleep_for(limit);
  proving_ = false;
  if (slept && last_received_ < asked) terminate(Error(Errc::deadline_exceeded, "yamux: the peer has not answered"));
}

void Session::terminate(Error why) {
  if (ended_) return;
  ended_ = true;
  reason_ = std::move(why);
  wire_->abort();
  // Unread bytes stay with their streams; everything else ends here.
  while (!streams_.empty()) {
    const StatePtr state = streams_.begin()->second;
    forget(*state);
  }
  backlog_.clear();
  out_.clear();
  (void)memory_->set_outbound(0, MemoryScope::Use::required);
  for (Notify* notify : {&out_ready_, &out_space_, &accepted_, &may_open_, &drained_, &end_}) notify->notify_all();
  if (on_end_) on_end_();
}

void Session::on_end(Callback callback) {
  on_end_ = std::move(callback);
  if (ended_) on_end_();
}

void Session::go_away(GoAway reason) {
  if (ended_ || local_going_) return;
  local_going_ = true;
  queue({FrameType::go_away, kNone, 0, static_cast<std::uint32_t>(reason)});
  may_open_.notify_all();
}

std::optional<Duration> Session::rtt() const {
  if (rtts_.empty()) return std::nullopt;
  return *std::ranges::min_element(rtts_);
}

void Session::abort() { terminate(Error(Errc::closed, "yamux: the connection was aborted")); }

/// Writes what is left, closes the writing half, and waits for the peer to close: closing a socket with unread bytes in
/// it makes the system discard what was just sent.
Task<Result<void>> Session::shut_down() {
  while (outbound() > 0 && !ended_) CO_TRY_VOID(co_await drained_.wait());
  if (ended_) co_return Result<void>();
  CO_TRY_VOID(co_await wire_->close_write());
  while (!ended_) CO_TRY_VOID(co_await end_.wait());
  co_return Result<void>();
}

Task<void> Session::close() {
  go_away(GoAway::normal);
  const TaskContext context = co_await this_task();
  // The caller may be cancelled already: shutting down has its own scope, bounded by its own timer.
  CancelScope scope;
  ScopedTimer timer(lane_, lane_.now() + options_.linger, [&scope] { scope.cancel(Errc::deadline_exceeded); });
  Task<Result<void>> last = shut_down();
  last.set_context({context.lane, &scope});
  (void)co_await std::move(last);
  terminate(Error(Errc::closed, "yamux: the connection was closed here"));
  co_await nursery_.close();
}

}  // namespace dms::libp2p::yamux
