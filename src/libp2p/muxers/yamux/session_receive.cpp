// The receiving half of a yamux session.
#include <algorithm>
#include <cstring>

#include "base/log.hpp"
#include "libp2p/muxers/yamux/session.hpp"
#include "libp2p/muxers/yamux/stream_state.hpp"
#include "libp2p/transports/elastic_buffer.hpp"

namespace dms::libp2p::yamux {

Task<void> Session::read_loop() {
  ElasticBuffer buffer(kIdleRead, kBusyRead);
  send_ping();  // measures the round trip for the windows
  while (!ended_) {
    Result<std::size_t> got = co_await wire_->read_some(buffer.view());
    if (!got || *got == 0) {
      terminate(got ? Error(Errc::closed, "yamux: the peer has closed the connection")
                    : got.error().context("yamux: reading"));
      co_return;
    }
    last_received_ = lane_.now();
    if (options_.bytes_received != nullptr) options_.bytes_received->add(*got);
    for (BytesView rest = BytesView(buffer.view()).first(*got); !rest.empty() && !ended_;) {
      Result<std::size_t> used = consume(rest);
      if (!used) {
        local_going_ = false;  // a normal GO_AWAY may have been sent before
        go_away(GoAway::protocol_error);
        while (outbound() > 0 && !ended_) {
          Result<void> waited = co_await drained_.wait();
          if (!waited) break;
        }
        terminate(used.error());
        co_return;
      }
      rest = rest.subspan(*used);
      // Each of many small frames may cause an answer.
      while (answers_full() && !ended_) {
        Result<void> waited = co_await out_space_.wait();
        if (!waited) co_return;
      }
    }
    // Readers whose buffers are full run first, so that they wait again when the next bytes arrive.
    if (*got >= kMaxChunk) co_await yield_turn(lane_);
    if (*got >= buffer.size())
      buffer.grow();
    else
      buffer.used(*got);
  }
}

/// Takes a header or a piece of payload from `bytes`; returns its size.
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
    rtts_.push_back(lane_.now() - last_ping_);
    next_ping_of_series();
  }
}

void Session::on_go_away(const FrameHeader& header) {
  remote_going_ = true;
  remote_reason_ = static_cast<GoAway>(header.length);
  may_open_.notify_all();
}

/// A frame for an unknown stream: refused, ended, or released before its sender had ended it.
void Session::on_orphan(const FrameHeader& header) {
  const bool data = header.type == FrameType::data && header.length > 0;
  // Its sender has ended it, or is answered with RST.
  const bool done = data || header.has(kFin) || header.has(kRst);
  if (const auto outbound = lingering_.find(header.stream); outbound != lingering_.end()) {
    if (header.has(kAck) && !std::exchange(outbound->second.acknowledged, true)) acknowledged();
    if (!done) return;
    forget_lingering(header.stream);
  } else if (done) {
    const auto inbound = std::ranges::find(released_, header.stream);
    if (inbound == released_.end()) return;
    released_.erase(inbound);
  }
  if (data) queue({FrameType::window_update, kRst, header.stream, 0});
}

/// A new stream, or null if it was refused with a reset.
Result<Session::StatePtr> Session::on_syn(const FrameHeader& header) {
  const bool from_dialer = header.stream % 2 == 1;
  if (from_dialer == (side_ == Side::dialer))
    return fail(Errc::invalid_argument, "yamux: the peer opened stream {}, whose parity belongs to this side",
                header.stream);
  if (streams_.contains(header.stream) || std::ranges::find(released_, header.stream) != released_.end())
    return fail(Errc::invalid_argument, "yamux: stream {} was opened twice", header.stream);
  // Streams that were opened and reset before they were accepted count only until the backlog is full.
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

/// The peer's writing half has ended.
void Session::on_ended(StreamState& state) {
  state.fin_received = true;
  state.readable.notify_all();
  drop_if_done(state);
}

/// A piece of the current frame's payload. Its end may be the end of the peer's half.
void Session::on_data(BytesView bytes) {
  const StatePtr state = payload_of_;
  if (payload_left_ == 0) payload_of_.reset();
  if (!state || state->session == nullptr) return;
  if (!bytes.empty()) {
    // A reader waits only if nothing is queued before these bytes.
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
