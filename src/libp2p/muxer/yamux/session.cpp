#include "libp2p/muxer/yamux/session.hpp"

#include <algorithm>

#include "libp2p/muxer/yamux/stream_state.hpp"

namespace dms::libp2p::yamux {

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
    if (state_->session != nullptr) state_->session->reset_stream(*state_);
  }

 private:
  static Task<Result<void>> ended() { co_return fail(Errc::closed, "yamux: the stream has ended"); }
  std::shared_ptr<StreamState> state_;
};

// What has arrived can be read also after the session has ended, unless the stream was reset.
Task<Result<std::size_t>> YamuxStream::read_some(MutableBytes into) {
  if (into.empty()) co_return std::size_t{0};
  while (state_->received.size() == 0) {
    if (state_->reset) co_return fail(Errc::closed, "yamux: the stream was reset");
    if (state_->fin_received) co_return std::size_t{0};
    if (state_->session == nullptr) co_return fail(Errc::closed, "yamux: the connection has ended");
    CO_TRY_VOID(co_await state_->readable.wait());
  }
  const std::size_t count = state_->received.pop(into);
  if (state_->session != nullptr) {
    state_->session->buffered_ -= count;
    state_->session->reopen_window(*state_);
  }
  co_return count;
}

Session::Session(Lane& lane, std::unique_ptr<ByteStream> wire, Side side, Options options)
    : lane_(lane),
      wire_(std::move(wire)),
      side_(side),
      options_(options),
      next_id_(side == Side::dialer ? 1 : 2),
      heard_(lane.now()),
      nursery_(lane, "yamux session") {
  nursery_.spawn(read_loop());
  nursery_.spawn(write_loop());
  if (options_.keep_alive > 0s) nursery_.spawn(keep_alive_loop());
}

Session::~Session() = default;

// ---- opening and accepting ------------------------------------------------------------------------------------------

Task<Result<std::unique_ptr<ByteStream>>> Session::open_stream() {
  while (!closing() && unacknowledged_ >= options_.max_unacknowledged) CO_TRY_VOID(co_await may_open_.wait());
  if (closing()) co_return fail(Errc::closed, "yamux: the connection is ending");
  if (streams_.size() - inbound_ >= options_.max_outbound_streams)
    co_return fail(Errc::limit_exceeded, "yamux: {} streams to this peer are open", options_.max_outbound_streams);
  if (next_id_ > 0xffff'fff0U)
    co_return fail(Errc::limit_exceeded, "yamux: the stream ids of this connection are used up");
  auto state = std::make_shared<StreamState>();
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
      if (dead_) co_return fail(Errc::closed, "yamux: the connection has ended");
      CO_TRY_VOID(co_await accepted_.wait());
    }
    StatePtr state = std::move(backlog_.front());
    backlog_.pop_front();
    if (state->session == nullptr) continue;  // reset while it waited
    state->acknowledged = true;
    queue_for(*state, FrameType::window_update, kAck, 0);
    std::unique_ptr<ByteStream> stream = std::make_unique<YamuxStream>(std::move(state));
    co_return std::move(stream);
  }
}

// ---- the life of a stream -------------------------------------------------------------------------------------------

/// Lets everybody else who is ready on this lane go first.
static Task<void> yield_turn(Lane& lane) {
  Notify turn;
  bool come = false;
  lane.post([&] {
    come = true;
    turn.notify_all();
  });
  while (!come) (void)co_await turn.wait_shielded();
}

Task<Result<void>> Session::write_stream(StatePtr state, BytesView from) {
  // `this` may be gone once the state no longer points here; every look at it comes after that check.
  const std::shared_ptr<std::size_t> writers = writers_;
  struct Count {
    std::size_t& n;
    explicit Count(std::size_t& count) : n(count) { ++n; }
    ~Count() { --n; }
  } count(*writers);
  while (!from.empty()) {
    if (state->reset) co_return fail(Errc::closed, "yamux: the stream was reset");
    if (state->session == nullptr) co_return fail(Errc::closed, "yamux: the connection has ended");
    if (state->fin_sent) co_return fail(Errc::closed, "yamux: this half of the stream is closed");
    if (state->send_window == 0) {
      CO_TRY_VOID(co_await state->writable.wait());
      continue;
    }
    if (outbound() >= options_.max_outbound) {
      CO_TRY_VOID(co_await out_room_.wait());
      continue;
    }
    const std::size_t size = std::min<std::size_t>({from.size(), state->send_window, kMaxChunk});
    state->send_window -= static_cast<std::uint32_t>(size);
    queue_for(*state, FrameType::data, kNone, static_cast<std::uint32_t>(size), from.first(size));
    from = from.subspan(size);
    if (*writers > 1 && !from.empty()) co_await yield_turn(lane_);
  }
  co_return Result<void>();
}

Result<void> Session::finish_stream(StreamState& state) {
  if (state.reset) return fail(Errc::closed, "yamux: the stream was reset");
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
  buffered_ -= state->received.size();
  state->received.clear();
  forget(*state);
}

void Session::reset_stream(StreamState& state) {
  if (state.session == nullptr) return;
  if (state.announced) queue({FrameType::window_update, kRst, state.id, 0});
  state.reset = true;
  forget(state);
}

void Session::drop_if_done(StreamState& state) {
  if (state.fin_sent && state.fin_received) forget(state);
}

/// Takes the stream off the books. What it has received stays readable for whoever holds it.
void Session::forget(StreamState& state) {
  if (state.session == nullptr) return;
  state.session = nullptr;
  buffered_ -= state.received.size();  // what stays readable is bounded by the stream's window
  if (state.reset) state.received.clear();
  extra_windows_ -= state.target_window - kInitialWindow;
  if (state.inbound) --inbound_;
  if (!state.inbound && !state.acknowledged) {
    --unacknowledged_;
    may_open_.notify_one();
  }
  if (payload_of_ && payload_of_.get() == &state) payload_of_.reset();
  state.readable.notify_all();
  state.writable.notify_all();
  streams_.erase(state.id);  // may destroy `state`
}

void Session::reopen_window(StreamState& state) {
  if (state.fin_received || state.released) return;
  const std::uint64_t held = std::uint64_t{state.receive_window} + state.received.size();
  if (state.target_window < held || state.target_window - held < state.target_window / 2) return;
  // Half a window within two round trips means that the window, not the wire or the reader, sets the pace.
  const Duration since = lane_.now() - state.reopened;
  const bool limited_by_window = rtt_ && since < 2 * *rtt_ && state.reopened != SteadyTime{};
  const std::uint32_t more =
      std::min(state.target_window, options_.max_window - std::min(options_.max_window, state.target_window));
  if (limited_by_window && extra_windows_ + more <= options_.max_window_total) {
    state.target_window += more;
    extra_windows_ += more;
  }
  const auto delta = static_cast<std::uint32_t>(state.target_window - held);
  state.receive_window += delta;
  state.reopened = lane_.now();
  queue_for(state, FrameType::window_update, kNone, delta);
}

// ---- what leaves ----------------------------------------------------------------------------------------------------

void Session::queue(const FrameHeader& header, BytesView payload) {
  if (dead_) return;
  append(out_, header.encode());
  append(out_, payload);
  out_ready_.notify_one();
}

void Session::queue_for(StreamState& state, FrameType type, std::uint16_t flags, std::uint32_t length,
                        BytesView payload) {
  flags |= std::exchange(state.pending_flags, std::uint16_t{0});
  state.announced = true;
  queue({type, flags, state.id, length}, payload);
}

void Session::send_ping() {
  ping_open_ = true;
  pinged_ = lane_.now();
  queue({FrameType::ping, kSyn, 0, ++ping_value_});
}

Task<void> Session::write_loop() {
  Bytes batch;
  while (!dead_) {
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
    if (!written) {
      die(written.error().context("yamux: writing"));
      break;
    }
    out_room_.notify_all();
    if (batch.capacity() > 2 * options_.max_outbound) Bytes().swap(batch);
  }
  drained_.notify_all();
}

// ---- what arrives ---------------------------------------------------------------------------------------------------

Task<void> Session::read_loop() {
  Bytes buffer(64 * 1024);
  send_ping();  // measures the round trip, for the windows
  while (!dead_) {
    Result<std::size_t> got = co_await wire_->read_some(buffer);
    if (!got || *got == 0) {
      die(got ? Error(Errc::closed, "yamux: the other side has closed the connection")
              : got.error().context("yamux: reading"));
      co_return;
    }
    heard_ = lane_.now();
    for (BytesView rest = BytesView(buffer).first(*got); !rest.empty() && !dead_;) {
      Result<std::size_t> used = consume(rest);
      if (!used) {
        queue({FrameType::go_away, kNone, 0, static_cast<std::uint32_t>(GoAway::protocol_error)});
        local_going_ = true;
        while (outbound() > 0 && !dead_) {
          Result<void> waited = co_await drained_.wait();
          if (!waited) break;
        }
        die(used.error());
        co_return;
      }
      rest = rest.subspan(*used);
      // Tiny frames may each ask for an answer.
      while (answers_full() && !dead_) {
        Result<void> waited = co_await out_room_.wait();
        if (!waited) co_return;
      }
    }
  }
}

/// Takes a header or a piece of payload from `bytes`; says how much.
Result<std::size_t> Session::consume(BytesView bytes) {
  if (payload_left_ > 0) {
    const std::size_t size = std::min<std::size_t>(bytes.size(), payload_left_);
    payload_left_ -= static_cast<std::uint32_t>(size);
    on_data(bytes.first(size));
    return size;
  }
  const std::size_t size = std::min(bytes.size(), header_.size() - header_size_);
  std::copy_n(bytes.begin(), size, header_.begin() + static_cast<std::ptrdiff_t>(header_size_));
  header_size_ += size;
  if (header_size_ == header_.size()) {
    header_size_ = 0;
    TRY(FrameHeader header, FrameHeader::decode(header_));
    TRY_VOID(on_header(header));
  }
  return size;
}

Result<void> Session::on_header(const FrameHeader& header) {
  switch (header.type) {
    case FrameType::ping: on_ping(header); return {};
    case FrameType::go_away:
      remote_going_ = true;
      may_open_.notify_all();
      return {};
    default: return on_stream_header(header);
  }
}

void Session::on_ping(const FrameHeader& header) {
  if (header.has(kSyn)) {
    queue({FrameType::ping, kAck, 0, header.length});
  } else if (ping_open_ && header.length == ping_value_) {
    ping_open_ = false;
    rtt_ = lane_.now() - pinged_;
  }
}

/// A new stream, or nothing if it was refused with a reset.
Result<Session::StatePtr> Session::on_syn(const FrameHeader& header) {
  const bool from_dialer = header.stream % 2 == 1;
  if (from_dialer == (side_ == Side::dialer))
    return fail(Errc::invalid_argument, "yamux: the other side opened stream {}, whose number is ours", header.stream);
  if (header.stream <= last_inbound_)
    return fail(Errc::invalid_argument, "yamux: stream {} was opened twice", header.stream);
  last_inbound_ = header.stream;
  if (local_going_ || inbound_ >= options_.max_inbound_streams || backlog_.size() >= options_.accept_backlog) {
    queue({FrameType::window_update, kRst, header.stream, 0});
    return StatePtr();
  }
  auto state = std::make_shared<StreamState>();
  state->id = header.stream;
  state->inbound = true;
  state->announced = true;
  state->session = this;
  streams_.emplace(state->id, state);
  ++inbound_;
  backlog_.push_back(state);
  accepted_.notify_one();
  return state;
}

Result<void> Session::on_stream_header(const FrameHeader& header) {
  StatePtr state;
  if (header.has(kSyn)) {
    TRY(state, on_syn(header));
  } else if (auto it = streams_.find(header.stream); it != streams_.end()) {
    state = it->second;
  }
  if (header.type == FrameType::data) {
    payload_left_ = header.length;
    payload_of_ = state;
    payload_fin_ = header.has(kFin);
  }
  if (!state) return {};  // refused just now, or let go before: whatever comes is dropped

  if (header.has(kAck) && !state->inbound && !state->acknowledged) {
    state->acknowledged = true;
    --unacknowledged_;
    may_open_.notify_one();
  }
  if (header.has(kRst)) {
    state->reset = true;
    forget(*state);
    return {};
  }
  if (header.type == FrameType::window_update) {
    const std::uint64_t window = std::uint64_t{state->send_window} + header.length;
    if (window > 0xffff'ffffU)
      return fail(Errc::invalid_argument, "yamux: the window of stream {} overflows", header.stream);
    state->send_window = static_cast<std::uint32_t>(window);
    state->writable.notify_all();
    if (header.has(kFin)) {
      state->fin_received = true;
      state->readable.notify_all();
      drop_if_done(*state);
    }
    return {};
  }
  if (header.length > state->receive_window || (state->fin_received && header.length > 0))
    return fail(Errc::invalid_argument, "yamux: {} bytes for stream {}, whose window is {}", header.length,
                header.stream, state->fin_received ? 0 : state->receive_window);
  state->receive_window -= header.length;
  if (buffered_ + header.length > options_.max_buffered) {
    reset_stream(*state);
    return {};
  }
  if (header.length == 0) on_data({});
  return {};
}

/// A piece of the current frame's payload. Its end may be the end of the other side's half.
void Session::on_data(BytesView bytes) {
  const StatePtr state = payload_of_;
  if (payload_left_ == 0) payload_of_.reset();
  if (!state || state->session == nullptr) return;
  if (!bytes.empty()) {
    state->received.push(bytes);
    buffered_ += bytes.size();
    state->readable.notify_all();
  }
  if (payload_left_ == 0 && payload_fin_) {
    state->fin_received = true;
    state->readable.notify_all();
    drop_if_done(*state);
  }
}

// ---- the life of the session ----------------------------------------------------------------------------------------

Task<void> Session::keep_alive_loop() {
  while (!dead_) {
    Result<void> slept = co_await sleep_until(heard_ + options_.keep_alive);
    if (!slept) co_return;
    if (dead_ || lane_.now() - heard_ < options_.keep_alive) continue;
    send_ping();
    slept = co_await sleep_for(options_.keep_alive);
    if (!slept) co_return;
    if (lane_.now() - heard_ >= 2 * options_.keep_alive) {
      die(Error(Errc::deadline_exceeded, "yamux: the other side has not answered"));
      co_return;
    }
  }
}

void Session::die(Error why) {
  if (dead_) return;
  dead_ = true;
  reason_ = std::move(why);
  wire_->abort();
  // Unread bytes stay with their streams; everything else ends here.
  while (!streams_.empty()) {
    const StatePtr state = streams_.begin()->second;
    forget(*state);
  }
  backlog_.clear();
  out_.clear();
  for (Notify* notify : {&out_ready_, &out_room_, &accepted_, &may_open_, &drained_, &ended_}) notify->notify_all();
}

void Session::abort() { die(Error(Errc::closed, "yamux: the connection was aborted")); }

/// Writes what is left, says that no more comes, and waits for the other side to hang up: closing a socket with unread bytes
/// in it would make the system discard what we have just sent.
Task<Result<void>> Session::part() {
  while (outbound() > 0 && !dead_) CO_TRY_VOID(co_await drained_.wait());
  if (dead_) co_return Result<void>();
  CO_TRY_VOID(co_await wire_->close_write());
  while (!dead_) CO_TRY_VOID(co_await ended_.wait());
  co_return Result<void>();
}

Task<void> Session::close() {
  if (!dead_ && !local_going_) {
    local_going_ = true;
    queue({FrameType::go_away, kNone, 0, static_cast<std::uint32_t>(GoAway::normal)});
  }
  const TaskContext context = co_await this_task();
  // The owner may be under cancellation already: the lingering has its own scope, bounded by its own timer.
  CancelScope scope;
  ScopedTimer timer(lane_, lane_.now() + options_.linger, [&scope] { scope.cancel(Errc::deadline_exceeded); });
  Task<Result<void>> farewell = part();
  farewell.set_context({context.lane, &scope});
  (void)co_await std::move(farewell);
  die(Error(Errc::closed, "yamux: the connection was closed here"));
  co_await nursery_.close();
}

}  // namespace dms::libp2p::yamux
