// yamux: many streams over one connection, each with its own flow control.
//
// Model
//  1. A stream's sender never has more bytes under way than its window, which the receiver opens again as its reader
//     reads. Windows start at 256 KiB. A window of which half is used up within two round trips sets the pace, rather
//     than the wire or the reader: it doubles, up to max_window, as long as the sum of all that is granted beyond the
//     start stays below max_window_total and the connection's memory scope agrees. So it comes to rest between four and
//     eight times what the path holds; where segments are lost, what is sent during a stall is part of that. The round
//     trip is the least of the last kRttSamples pings: one at the start, then one every kRttInterval while streams are
//     read, and kRttSeries in turn when a stream ends whose window has grown. So those that stood in queues, or waited for a
//     sleeper, do not count for long.
//  2. Frames leave through one buffer. A writer puts at most kMaxChunk bytes into it and then queues behind the others,
//     so streams share the wire evenly; the buffer is written whole, many frames in one write.
//  3. A stream is announced with its first frame, so not always in the order of ids, and acknowledged when it is accepted.
//     Its halves close apart (FIN); RST ends those that are still open: what had arrived before a FIN stays readable to its
//     end, what had arrived without one is dropped. So a message is whole also if its sender has let go of the stream and
//     answers a late reply, which it does not want, with RST.
//  4. What arrives for a stream that we have let go is dropped (connection.hpp, model 2) and answered with RST once, so
//     that its sender does not wait for a window for ever. A stream of ours that the other side has not ended
//     kLetGoGrace after we have let it go is reset and forgotten.
//  5. A frame that breaks the rules (unknown version or type, more data than the window, a stream id of the wrong
//     parity) ends the session with GO_AWAY "protocol error". Flags that the specification does not name are ignored.
//  6. After GO_AWAY, ours or theirs, no stream is opened and those that are open go on to their end.
//  7. A session that has heard nothing for keep_alive asks with a ping and ends when there is no answer for as long
//     again.
//
// Threads: one lane. Destruction: only after close() (Nursery).
//
// Bounds. Streams: max_inbound_streams of theirs, of them accept_backlog not yet accepted (more are answered with RST);
// max_outbound_streams of ours, of them max_unacknowledged that the other side has not yet accepted (open_stream()
// waits). Each pair is one number by default, kMaxStreams and kMaxUnaccepted, so that no stream of a sender with the
// same bounds is refused: a stream of ours counts until the other side must have forgotten it, so one that we have let
// go until its FIN or RST comes, but not for longer than kLetGoGrace, or a peer that never ends streams would keep all
// places. Bytes: max_buffered bytes received and unread over all streams, those included that have ended and are still
// held (the stream that would exceed it is reset), max_outbound bytes waiting to be written (writers wait) and
// kMaxAnswers above it (a peer that makes us answer without reading our answers is not read from any more, and its
// connection ends at write_timeout).
//
// Memory (count_memory_in()). Unread bytes, grown windows and outbound bytes beyond kUncounted are reserved in the
// connection's scope (memory.hpp). Where that refuses, windows do not grow, writers wait until the buffer is nearly
// empty, and a stream whose unread bytes would exceed it is reset, but never within the first Memory::kPromised of the
// session; the connection goes on.
//
// Attacks: opening streams in bulk, pings in bulk, windows never opened, frames never finished: each meets one of the
// bounds above and costs the attacker his own connection. Data is buffered only as it arrives, whatever a header
// announces.
//
// Cost: a byte is copied once on its way out, into the buffer that the wire writes, and once on its way in, from the
// wire's buffer to its reader, if the reader waits; twice if not. An idle session holds a read buffer of kIdleRead
// bytes.
//
// Specification: libp2p yamux.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "runtime/nursery.hpp"
#include "libp2p/muxers/yamux/frame.hpp"
#include "libp2p/muxers/yamux/memory.hpp"
#include "libp2p/transports/connection.hpp"
#include "libp2p/transports/elastic_buffer.hpp"

namespace dms::libp2p::yamux {

inline constexpr std::string_view kProtocol = "/yamux/1.0.0";
inline constexpr std::uint32_t kInitialWindow = 256 * 1024;
inline constexpr std::size_t kMaxUnaccepted = 256;  ///< of kMaxStreams

struct Options {
  std::size_t max_inbound_streams = kMaxStreams;
  std::size_t max_outbound_streams = kMaxStreams;
  std::size_t max_unacknowledged = kMaxUnaccepted;
  std::size_t accept_backlog = kMaxUnaccepted;
  std::uint32_t max_window = 16 * 1024 * 1024;
  std::size_t max_window_total = 32 * 1024 * 1024;
  std::size_t max_buffered = 48 * 1024 * 1024;
  std::size_t max_outbound = 128 * 1024;
  Duration keep_alive = 30s;     ///< 0: never asks
  Duration write_timeout = 60s;  ///< a wire that takes nothing for so long is dead
  Duration linger = 2s;          ///< how long close() waits for what is already written to leave
};

/// What is under way for one stream; shared by the session and the stream's object.
struct StreamState;

class Session final : public Muxer {
 public:
  static constexpr std::size_t kMaxChunk = 32 * 1024;
  static constexpr std::size_t kMaxAnswers = 256 * 1024;
  static constexpr std::size_t kUncounted = 64 * 1024;  ///< of the bytes to be written, more than one frame
  static constexpr std::size_t kIdleRead = 1024;
  static constexpr std::size_t kBusyRead = 128 * 1024;
  static constexpr std::size_t kRttSamples = 64;
  static constexpr Duration kRttInterval = 5s;
  static constexpr int kRttSeries = 3;
  /// How long the other side may take to end a stream of ours that we have let go. What it has not read by then it still
  /// can (model 3); only its reply would fail, which nobody waits for.
  static constexpr Duration kLetGoGrace = 1min;
  static constexpr std::size_t kMaxLetGo = 256;  ///< of their streams, let go by us, whose sender may still be told

  Session(Lane& lane, std::unique_ptr<ByteStream> wire, Side side, Options options = {});
  ~Session() override;

  Task<Result<std::unique_ptr<ByteStream>>> open_stream() override;
  Task<Result<std::unique_ptr<ByteStream>>> accept_stream() override;
  [[nodiscard]] std::size_t streams() const override { return streams_.size(); }
  [[nodiscard]] bool closing() const override { return dead_ || remote_going_ || local_going_; }
  void on_end(Callback callback) override;
  void count_memory_in(std::shared_ptr<MemoryScope> scope) override { memory_->count_in(std::move(scope)); }
  void abort() override;
  Task<void> close() override;

  /// Tells the other side that we take no more streams, and why; those that are open go on.
  void go_away(GoAway reason);
  /// What the other side has said, if it has: one of GoAway, or a number that we do not know.
  [[nodiscard]] std::optional<GoAway> remote_reason() const { return remote_reason_; }
  /// The round trip: the least of the last few pings, if any was answered.
  [[nodiscard]] std::optional<Duration> rtt() const;
  /// Bytes received and not yet read, over all streams.
  [[nodiscard]] std::size_t buffered() const { return memory_->unread(); }
  /// What the windows of all streams have been granted beyond kInitialWindow.
  [[nodiscard]] std::size_t extra_windows() const { return memory_->windows(); }
  [[nodiscard]] std::size_t outbound() const { return out_.size() + writing_; }

 private:
  friend class YamuxStream;
  using StatePtr = std::shared_ptr<StreamState>;

  // The tasks.
  Task<void> read_loop();
  Task<void> write_loop();
  Task<void> keep_alive_loop();
  Task<void> end_lingering();

  // What arrives.
  Result<std::size_t> consume(BytesView bytes);
  Result<void> on_header(const FrameHeader& header);
  Result<void> on_stream_header(const FrameHeader& header);
  Result<StatePtr> on_syn(const FrameHeader& header);
  void on_data(BytesView bytes);
  void on_ping(const FrameHeader& header);
  void on_go_away(const FrameHeader& header);
  void on_orphan(const FrameHeader& header);
  void forget_lingering(std::uint32_t id);
  void on_ended(StreamState& state);

  // What leaves.
  void queue(const FrameHeader& header, BytesView payload = {});
  void queue_for(StreamState& state, FrameType type, std::uint16_t flags, std::uint32_t length, BytesView payload = {});
  void send_ping();
  /// Once the one before is answered.
  void next_ping_of_series();
  Result<void> reserve_outbound(std::size_t bytes, MemoryScope::Use use);
  /// Writers stop at max_outbound; what is above it are answers to a peer that asks without reading.
  [[nodiscard]] bool answers_full() const { return outbound() >= options_.max_outbound + kMaxAnswers; }

  /// Our streams that the other side may still have on its books.
  [[nodiscard]] std::size_t outbound_streams() const { return streams_.size() - inbound_ + lingering_.size(); }

  // What streams ask for.
  Task<Result<std::size_t>> read_stream(StatePtr state, MutableBytes into);
  Task<Result<void>> write_stream(StatePtr state, BytesView from);
  Result<void> finish_stream(StreamState& state);
  void release_stream(const StatePtr& state);
  void reset_stream(StreamState& state);
  void reopen_window(StreamState& state);

  void drop_if_done(StreamState& state);
  void forget(StreamState& state);
  void acknowledged();
  void die(Error why);
  Task<Result<void>> part();

  Lane& lane_;
  std::unique_ptr<ByteStream> wire_;
  Side side_;
  Options options_;

  std::map<std::uint32_t, StatePtr> streams_;
  std::deque<StatePtr> backlog_;
  /// Half closed by us, then let go: theirs, the oldest first, and ours.
  struct Lingering {
    bool acknowledged = false;
    SteadyTime until{};
  };
  std::vector<std::uint32_t> let_go_;
  std::map<std::uint32_t, Lingering> lingering_;
  bool ending_lingering_ = false;  ///< there is a task for it, as long as there is one of them
  std::uint32_t next_id_;
  std::size_t inbound_ = 0;
  std::size_t unacknowledged_ = 0;
  std::shared_ptr<Memory> memory_;

  // The frame being received.
  std::array<std::uint8_t, FrameHeader::kSize> header_{};
  std::size_t header_size_ = 0;
  std::uint32_t payload_left_ = 0;
  StatePtr payload_of_;
  bool payload_fin_ = false;

  Bytes out_;
  Patience patience_{kIdleRead};  ///< with large buffers for writing
  std::size_t writing_ = 0;
  std::shared_ptr<std::size_t> writers_ = std::make_shared<std::size_t>(0);  ///< calls of write_stream under way
  SteadyTime heard_{};
  SteadyTime pinged_{};
  std::uint32_t ping_value_ = 0;
  bool ping_open_ = false;
  int pings_left_ = 0;          ///< of a series
  std::vector<Duration> rtts_;  ///< the last few, oldest first

  bool dead_ = false;
  bool local_going_ = false;
  bool remote_going_ = false;
  std::optional<GoAway> remote_reason_;
  std::optional<Error> reason_;
  Callback on_end_;
  Notify out_ready_;  ///< for the write loop
  Notify out_room_;   ///< for those who fill the buffer
  Notify accepted_;   ///< a stream in the backlog, or death
  Notify may_open_;   ///< a stream fewer of ours, or unacknowledged, or death
  Notify drained_;    ///< for close()
  Notify ended_;      ///< death
  Nursery nursery_;
};

}  // namespace dms::libp2p::yamux
