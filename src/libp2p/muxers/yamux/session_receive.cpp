// The receiving half of a yamux session.
#include <algorithm>
#include <cstring>

#include "base/log.hpp"
#include "libp2p/muxers/yamux/session.hpp"
#include "libp2p/muxers/yamux/stream_state.hpp"
#include "libp2p/transports/elastic_buffer.hpp"

namespace dms::libp2p::yamux {

// ---- what arrives ---------------------------------------------------------------------------------------------------

Task<void> Session::read_loop() {
  ElasticBuffer buffer(kIdleRead, kBusyRead);
  send_ping();  // measures the round trip, for the windows
  while (!dead_) {
    Result<std::size_t> got = co_await wire_->read_some(buffer.view());
    if (!got || *got == 0) {
      die(got ? Error(Errc::closed, "yamux: the other side has closed the connection")
              : got.error().context("yamux: reading"));
      co_return;
    }
    heard_ = lane_.now();
    for (BytesView rest = BytesView(buffer.view()).first(*got); !rest.empty() && !dead_;) {
      Result<std::size_t> used = consume(rest);
      if (!used) {
        local_going_ = false;  // a normal goodbye may have been said before
        go_away(GoAway::protocol_error);
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
    // Readers whose buffers are full go first, so that what comes next finds them waiting again.
    if (*got >= kMaxChunk) co_await yield_turn(lane_);
    if (*got >= buffer.size())
      buffer.grow();
    else
      buffer.took(*got);
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
    case FrameType::go_away: on_go_away(header); return {};
    default: return on_stream_header(header);
  }
}

void Session::on_ping(const FrameHeader& header) {
  if (header.has(kSyn)) {
    queue({FrameType::ping, kAck, 0, header.length});
  } else if (ping_open_ && header.length == ping_value_) {
    ping_open_ = false;
    if (rtts_.size() >= kRttSamples) rtts_.erase(rtts_.begin());
    rtts_.push_back(lane_.now() - pinged_);
    next_ping_of_series();
  }
}

void Session::on_go_away(const FrameHeader& header) {
  remote_going_ = true;
  remote_reason_ = static_cast<GoAway>(header.length);
  may_open_.notify_all();
}

/// A frame for a stream that is not on the books: refused, ended, or let go before its sender had ended it.
void Session::on_orphan(const FrameHeader& header) {
  const bool data = header.type == FrameType::data && header.length > 0;
  // Its sender has ended it, or has to be told to.
  const bool done = data || header.has(kFin) || header.has(kRst);
  if (const auto ours = lingering_.find(header.stream); ours != lingering_.end()) {
    if (header.has(kAck) && !std::exchange(ours->second.acknowledged, true)) acknowledged();
    if (!done) return;
    forget_lingering(header.stream);
  } else if (done) {
    const auto theirs = std::ranges::find(let_go_, header.stream);
    if (theirs == let_go_.end()) return;
    let_go_.erase(theirs);
  }
  if (data) queue({FrameType::window_update, kRst, header.stream, 0});
}

/// A new stream, or nothing if it was refused with a reset.
Result<Session::StatePtr> Session::on_syn(const FrameHeader& header) {
  const bool from_dialer = header.stream % 2 == 1;
  if (from_dialer == (side_ == Side::dialer))
    return fail(Errc::invalid_argument, "yamux: the other side opened stream {}, whose number is ours", header.stream);
  if (streams_.contains(header.stream) || std::ranges::find(let_go_, header.stream) != let_go_.end())
    return fail(Errc::invalid_argument, "yamux: stream {} was opened twice", header.stream);
  // Opened and taken back before anybody accepted: they count only until the place is needed.
  if (backlog_.size() >= options_.accept_backlog)
    std::erase_if(backlog_, [](const StatePtr& waiting) { return waiting->read_reset; });
  if (local_going_ || inbound_ >= options_.max_inbound_streams || backlog_.size() >= options_.accept_backlog) {
    queue({FrameType::window_update, kRst, header.stream, 0});
    return StatePtr();
  }
  auto state = std::make_shared<StreamState>(memory_);
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
  if (!state) {
    on_orphan(header);
    return {};
  }

  if (header.has(kAck) && !state->inbound && !state->acknowledged) {
    state->acknowledged = true;
    acknowledged();
  }
  if (header.has(kRst)) {
    state->write_reset = true;
    state->read_reset = !state->fin_received;
    forget(*state);
    return {};
  }
  if (header.type == FrameType::window_update) {
    const std::uint64_t window = std::uint64_t{state->send_window} + header.length;
    if (window > 0xffff'ffffU)
      return fail(Errc::invalid_argument, "yamux: the window of stream {} overflows", header.stream);
    state->send_window = static_cast<std::uint32_t>(window);
    state->writable.notify_all();
    if (header.has(kFin)) on_ended(*state);
    return {};
  }
  if (header.length > state->receive_window || (state->fin_received && header.length > 0))
    return fail(Errc::invalid_argument, "yamux: {} bytes for stream {}, whose window is {}", header.length,
                header.stream, state->fin_received ? 0 : state->receive_window);
  state->receive_window -= header.length;
  if (header.length == 0) on_data({});
  return {};
}

/// The other side writes no more.
void Session::on_ended(StreamState& state) {
  state.fin_received = true;
  state.readable.notify_all();
  drop_if_done(state);
}

/// A piece of the current frame's payload. Its end may be the end of the other side's half.
void Session::on_data(BytesView bytes) {
  const StatePtr state = payload_of_;
  if (payload_left_ == 0) payload_of_.reset();
  if (!state || state->session == nullptr) return;
  if (!bytes.empty()) {
    // Nothing waits in front of these bytes, or the reader would not wait.
    const std::size_t direct = std::min(bytes.size(), state->wanted.size() - state->given);
    if (direct > 0) std::memcpy(state->wanted.data() + state->given, bytes.data(), direct);
    state->given += direct;
    bytes = bytes.subspan(direct);
    if (Result<void> kept = state->received.push(bytes); !kept) {
      log::debug("libp2p", "yamux: stream {} is reset: {}", state->id, kept.error().to_string());
      reset_stream(*state);
      return;
    }
    state->readable.notify_all();
  }
  if (payload_left_ == 0 && payload_fin_) on_ended(*state);
}

}  // namespace dms::libp2p::yamux
