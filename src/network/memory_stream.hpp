// A stream inside one process: two ends in memory, for a node that reaches itself and for networks in tests.
//
// Model
//  1. What is written at one end is read at the other, after the link's latency. At most kWindow bytes are unread in
//     each direction; a writer waits for more.
//  2. A gate sees what is written, may change it, and may refuse it: that resets the link, as abort() does. What has
//     not been read is then lost.
//
// Threads: the lanes of both ends run on one thread. Each end belongs to its lane.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>

#include "runtime/lane.hpp"
#include "runtime/stream.hpp"

namespace dms::network {

class MemoryLink : public std::enable_shared_from_this<MemoryLink> {
 public:
  static constexpr std::size_t kWindow = std::size_t{4} << 20;
  /// `forth`: written by the end that opened the link.
  using Gate = std::function<bool(bool forth, MutableBytes data)>;

  MemoryLink(Lane& opener, Lane& listener, Duration latency = {}, Gate gate = {})
      : lanes_{&opener, &listener}, latency_(latency), gate_(std::move(gate)) {}

  /// The opener's end or the listener's; each is taken once.
  std::unique_ptr<ByteStream> end(bool opener);
  void reset();

 private:
  class End;
  struct Direction {
    std::deque<Bytes> arrived;
    std::size_t taken = 0;   // of arrived.front()
    std::size_t unread = 0;  // in flight and arrived
    bool closed = false;     // by its writer
    bool ended = false;      // the end has arrived
    Notify readable;
    Notify writable;
  };
  void deliver(bool forth, Bytes data);
  void arrive(bool forth, Bytes data);

  std::array<Lane*, 2> lanes_;
  Duration latency_;
  Gate gate_;
  std::array<Direction, 2> directions_;
  bool broken_ = false;
};

}  // namespace dms::network
