// yamux: many streams over one connection, each with its own flow control.
//
// Model
//  1. A sender never has more bytes under way than its window, which the receiver reopens as its reader reads. Windows
//     start at 256 KiB. A window of which half is used up within two round trips limits the throughput: it doubles, up
//     to max_window, as long as the sum of everything granted beyond the initial windows stays below max_window_total
//     and the connection's memory scope agrees. It settles between four and eight times the bandwidth-delay product;
//     where segments are lost, what is sent during a stall is part of that. The round trip is the minimum of the last
//     kRttSamples pings: one at the start, one every kRttInterval while streams are read, and kRttSeries in turn when a
//     stream with a grown window ends. So pings that waited in queues do not count for long.
//  2. Frames leave through one buffer. A writer puts at most kMaxChunk bytes into it and then queues behind the others,
//     so streams share the connection evenly; the buffer is written whole, many frames in one write.
//  3. A stream is announced with its first frame, so not always in the order of ids, and acknowledged when it is
//     accepted. Its halves close separately (FIN); RST ends the halves that are still open: what had arrived before a
//     FIN stays readable to its end, what had arrived without one is dropped. So a message is complete even if its
//     sender has released the stream and answers a late reply with RST.
//  4. What arrives for a released stream is dropped (connection.hpp, model 2) and answered with RST once, so that its
//     sender does not wait for a window for ever. A stream opened here that the peer has not ended kReleaseGrace after
//     its release is reset and forgotten.
//  5. A frame that breaks the rules (unknown version or type, more data than the window, a stream id of the wrong
//     parity) ends the session with GO_AWAY "protocol error". Flags that the specification does not name are ignored.
//  6. After GO_AWAY of either side no stream is opened; open streams continue to their end.
//  7. A session that has received nothing for keep_alive sends a ping and ends when there is no answer for as long
//     again. prove_alive() does so at once, with a limit of its own.
//
// Threads: one lane. Destruction: only after close() (Nursery).
//
// Bounds. Streams: max_inbound_streams of the peer, of them accept_backlog not yet accepted (more are answered with
// RST); max_outbound_streams opened here, of them max_unacknowledged not yet accepted by the peer (open_stream()
// waits). Each pair is one number by default, kMaxStreams and kMaxUnaccepted, so that no stream of a sender with the
// same bounds is refused: an outbound stream counts until the peer must have forgotten it, so a released one counts
// until its FIN or RST arrives, but not longer than kReleaseGrace, or a peer that never ends streams would block new
// ones. Bytes: max_buffered bytes received and unread over all streams, including ended streams that are still held
// (the stream that would exceed it is reset), max_outbound bytes waiting to be written (writers wait) and kMaxAnswers
// above it (a peer that causes answers without reading them is no longer read from, and its connection ends at
// write_timeout).
//
// Memory (count_memory_in()): unread bytes, grown windows and outbound bytes beyond kUncounted are reserved in the
// connection's scope (memory.hpp). Where that refuses, windows do not grow, writers wait until the buffer is nearly
// empty, and a stream whose unread bytes would exceed it is reset, but never within the first Memory::kGuaranteed of
// the session; the connection continues.
//
// Attacks: streams or pings in bulk, windows never opened, frames never finished: each meets one of the bounds above
// and costs the attacker its own connection. Data is buffered only as it arrives, whatever a header announces.
//
// Cost: a byte sent is copied once, into the write buffer; a byte received is copied once, from the read buffer to a
// waiting reader, or twice if no reader waits. An idle session holds a read buffer of kIdleRead bytes.
//
// Specification: libp2p yamux.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "base/metrics.hpp"
#include "libp2p/muxers/yamux/frame.hpp"
#include "libp2p/muxers/yamux/memory.hpp"
#include "libp2p/transports/connection.hpp"
#include "libp2p/transports/elastic_buffer.hpp"
#include "runtime/nursery.hpp"

namespace dms::libp2p::yamux {

inline constexpr std::string_view kProtocol = "/yamux/1.0.0";
inline constexpr std::uint32_t kInitialWindow = 256 * 1024;
inline constexpr std::size_t kMaxUnaccepted = 256;  ///< of kMaxStreams

struct Options {
  metrics::Counter* bytes_received = nullptr;  ///< counts the bytes of the connection; outlives the session
  metrics::Counter* bytes_sent = nullptr;
  std::size_t max_inbound_streams = kMaxStreams;
  std::size_t max_outbound_streams = kMaxStreams;
  std::size_t max_unacknowledged = kMaxUnaccepted;
  std::size_t accept_backlog = kMaxUnaccepted;
  std::uint32_t max_window = 16 * 1024 * 1024;
  std::size_t max_window_total = 32 * 1024 * 1024;
  std::size_t max_buffered = 48 * 1024 * 1024;
  std::size_t max_outbound = 128 * 1024;
  Duration keep_alive = 30s;     ///< 0: no pings
  Duration write_timeout = 60s;  ///< a connection that accepts nothing for so long has failed
  Duration linger = 2s;          ///< how long close() waits for written bytes to leave
};

/// The state of one stream; shared by the session and the ByteStream.
struct StreamState;

class Session final : public Muxer {
 public:
  static constexpr std::size_t kMaxChunk = 32 * 1024;
  static constexpr std::size_t kMaxAnswers = 256 * 1024;
  static constexpr std::size_t kUncounted = 64 * 1024;  ///< of the outbound bytes; more than one frame
  static constexpr std::size_t kIdleRead = 1024;
  static constexpr std::size_t kBusyRead = 128 * 1024;
  static constexpr std::size_t kRttSamples = 64;
  static constexpr Duration kRttInterval = 5s;
  static constexpr int kRttSeries = 3;
  /// How long the peer may take to end an outbound stream after its release. What it has not read by then stays
  /// readable (model 3); only its reply fails, for which there is no reader.
  static constexpr Duration kReleaseGrace = 1min;
  static constexpr std::size_t kMaxReleased =
      256;  ///< released inbound streams whose sender may still be answered with RST

  Session(Lane& lane, std::unique_ptr<ByteStream> wire, Side side, Options options = {});
  ~Session() override;

  Task<Result<std::unique_ptr<ByteStream>>> open_stream() override;
  Task<Result<std::unique_ptr<ByteStream>>> accept_stream() override;
  [[nodiscard]] std::size_t streams() const override { return streams_.size(); }
  [[nodiscard]] bool closing() const override { return ended_ || remote_going_ || local_going_; }
  void on_end(Callback callback) override;
  void count_memory_in(std::shared_ptr<MemoryScope> scope) override { memory_->count_in(std::move(scope)); }
  void abort() override;
  void prove_alive(Duration limit) override;
  Task<void> close() override;

  /// Announces that no more streams are accepted, and why; open streams continue.
  void go_away(GoAway reason);
  /// The reason of the peer's GO_AWAY, if any: one of GoAway, or an unknown number.
  [[nodiscard]] std::optional<GoAway> remote_reason() const { return remote_reason_; }
  /// The round trip: the minimum of the last few pings, if any was answered.
  [[nodiscard]] std::optional<Duration> rtt() const;
  /// Bytes received and not yet read, over all streams.
  [[nodiscard]] std::size_t buffered() const { return memory_->unread(); }
  /// The sum of what windows have been granted beyond kInitialWindow.
  [[nodiscard]] std::size_t extra_windows() const { return memory_->windows(); }
  [[nodiscard]] std::size_t outbound() const { return out_.size() + writing_; }

 private:
  friend class YamuxStream;
  using StatePtr = std::shared_ptr<StreamState>;

  // The tasks.
  Task<void> read_loop();
  Task<void> write_loop();
  Task<void> keep_alive_loop();
  Task<void> await_sign_of_life(Duration limit);
  Task<void> end_lingering();

  // Receiving.
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

  // Sending.
  void queue(const FrameHeader& header, BytesView payload = {});
  void queue_for(StreamState& state, FrameType type, std::uint16_t flags, std::uint32_t length, BytesView payload = {});
  void send_ping();
  /// Sent once the previous one is answered.
  void next_ping_of_series();
  Result<void> reserve_outbound(std::size_t bytes, MemoryScope::Use use);
  /// Writers stop at max_outbound; what is above it are answers to a peer that does not read them.
  [[nodiscard]] bool answers_full() const { return outbound() >= options_.max_outbound + kMaxAnswers; }

  /// Outbound streams that the peer may still count.
  [[nodiscard]] std::size_t outbound_streams() const { return streams_.size() - inbound_ + lingering_.size(); }

  // Operations of streams.
  Task<Result<std::size_t>> read_stream(StatePtr state, MutableBytes into);
  Task<Result<void>> write_stream(StatePtr state, BytesView from);
  Result<void> finish_stream(StreamState& state);
  void release_stream(const StatePtr& state);
  void reset_stream(StreamState& state);
  void reopen_window(StreamState& state);

  void drop_if_done(StreamState& state);
  void forget(StreamState& state);
  void acknowledged();
  void terminate(Error why);
  Task<Result<void>> shut_down();

  Lane& lane_;
  std::unique_ptr<ByteStream> wire_;
  Side side_;
  Options options_;

  std::map<std::uint32_t, StatePtr> streams_;
  std::deque<StatePtr> backlog_;
  /// Half closed here, then released: inbound ones, the oldest first, and outbound ones.
  struct Lingering {
    bool acknowledged = false;
    SteadyTime until{};
  };
  std::vector<std::uint32_t> released_;
  std::map<std::uint32_t, Lingering> lingering_;
  bool ending_lingering_ = false;  ///< end_lingering() runs
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
  ShrinkPolicy shrink_{kIdleRead};  ///< of the buffers for writing
  std::size_t writing_ = 0;
  std::shared_ptr<std::size_t> writers_ = std::make_shared<std::size_t>(0);  ///< calls of write_stream() under way
  SteadyTime last_received_{};
  SteadyTime last_ping_{};
  std::uint32_t ping_value_ = 0;
  bool ping_open_ = false;
  bool proving_ = false;        ///< await_sign_of_life() runs
  int pings_left_ = 0;          ///< of a series
  std::vector<Duration> rtts_;  ///< the last few, oldest first

  bool ended_ = false;
  bool local_going_ = false;
  bool remote_going_ = false;
  std::optional<GoAway> remote_reason_;
  std::optional<Error> reason_;
  Callback on_end_;
  Notify out_ready_;  ///< for the write loop
  Notify out_space_;  ///< for writers that wait for space
  Notify accepted_;   ///< a stream in the backlog, or the end
  Notify may_open_;   ///< fewer outbound or unacknowledged streams, or the end
  Notify drained_;    ///< for close()
  Notify end_;        ///< the session has ended
  Nursery nursery_;
};

}  // namespace dms::libp2p::yamux
