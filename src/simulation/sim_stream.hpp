// Streams between simulated nodes. They behave as TCP does: bytes arrive in order, late, and not at all while the link
// is cut; what is cut for longer than SimLink::give_up is reset. Made by SimNet; tests see ByteStream.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "runtime/stream.hpp"
#include "simulation/sim_clock.hpp"
#include "simulation/sim_links.hpp"

namespace dms {

class SimStream;
class SimListener;

/// What one simulated node has open.
struct SimSockets {
  std::uint32_t node = 0;  ///< its number, from 1
  IpAddress address;
  bool alive = true;
  std::map<std::uint16_t, SimListener*> listeners;
  std::map<std::string, SimListener*> unix_listeners;
  std::optional<UserId> user;                   ///< of the processes that connect and listen from now on
  std::map<std::uint64_t, SimStream*> streams;  ///< in the order they were made, so that a seed replays
  std::uint64_t last_stream = 0;
  std::uint16_t last_port = kLastPort;

  static constexpr std::uint16_t kFirstPort = 40000, kLastPort = 65535;
  /// A port that no listener has.
  std::uint16_t ephemeral_port();
};

/// One direction of a stream.
class SimPipe : public std::enable_shared_from_this<SimPipe> {
 public:
  SimPipe(SimClock& clock, SimLinks& links, const SimSockets& from, const SimSockets& to)
      : clock_(clock), links_(links), from_(from), to_(to) {}
  /// Two pipes for one stream: from `a` to `b` and back.
  static std::pair<std::shared_ptr<SimPipe>, std::shared_ptr<SimPipe>> pair(SimClock& clock, SimLinks& links,
                                                                            const SimSockets& a, const SimSockets& b);

  // The writer's end.
  /// How many bytes may be sent now, at most `wanted`; 0 while the window is full.
  [[nodiscard]] std::size_t writable_bytes(std::size_t wanted) const;
  /// The next place in the bandwidth: when the bytes leave, and when they enter the queue in front of it.
  struct Place {
    SteadyTime enters;
    SteadyTime leaves;
  };
  Place reserve(std::size_t bytes);
  /// No data is the end of the stream.
  void send(Bytes data, SteadyTime leaves);
  /// A reset by the writer; it travels like a segment, and is lost if the link is cut.
  void send_reset();

  // The reader's end.
  [[nodiscard]] bool has_data() const { return !arrived_.empty(); }
  [[nodiscard]] bool ended() const { return ended_; }
  std::size_t take(MutableBytes into);
  /// The reading node has restarted and does not know the stream.
  void orphan();

  [[nodiscard]] bool broken() const { return broken_; }
  /// Reset: what is under way is lost.
  void break_up();

  [[nodiscard]] Notify& readable() { return readable_; }
  [[nodiscard]] Notify& writable() { return writable_; }
  [[nodiscard]] SteadyTime now() const { return clock_.now(); }

 private:
  struct Segment {
    Bytes data;  // empty: the end of the stream
    SteadyTime arrives;
    SteadyTime sent;
  };
  [[nodiscard]] const SimLink& link() const { return links_.link(from_.node, to_.node); }
  void schedule_delivery();
  void deliver();
  void break_both();

  SimClock& clock_;
  SimLinks& links_;
  const SimSockets& from_;
  const SimSockets& to_;
  std::weak_ptr<SimPipe> back_;  // the other direction of the same stream
  std::deque<Segment> in_flight_;
  std::deque<Bytes> arrived_;
  std::size_t taken_ = 0;   // of arrived_.front()
  std::size_t unread_ = 0;  // in flight and arrived
  bool ended_ = false;
  bool broken_ = false;
  bool orphan_ = false;
  bool delivery_scheduled_ = false;
  Notify readable_;
  Notify writable_;
};

/// One node's end of a stream.
class SimStream final : public ByteStream {
 public:
  using PipePtr = std::shared_ptr<SimPipe>;
  SimStream(SimSockets& node, PipePtr in, PipePtr out, std::optional<UserId> peer_user = std::nullopt);
  ~SimStream() override;

  Task<Result<std::size_t>> read_some(MutableBytes into) override;
  Task<Result<void>> write(BytesView from) override;
  Task<Result<void>> close_write() override;
  void abort() override;
  [[nodiscard]] std::optional<UserId> peer_user() override { return peer_user_; }
  /// This node has lost power. The other node's ends stay as they are.
  void power_off();

 private:
  [[nodiscard]] Result<void> may_write() const;

  SimSockets& node_;
  std::uint64_t number_;
  PipePtr in_;
  PipePtr out_;
  std::optional<UserId> peer_user_;
  bool closed_ = false;
  bool powered_off_ = false;
};

}  // namespace dms
