// Inside of yamux: the state of one stream, shared by its session and its ByteStream.
#pragma once

#include <cstring>
#include <list>

#include "libp2p/muxers/yamux/session.hpp"

namespace dms::libp2p::yamux {

/// Bytes in arrival order, in pieces: memory follows the contents, is never moved, and goes as they are read. They count
/// as unread as long as they are here.
class ByteQueue {
 public:
  explicit ByteQueue(std::shared_ptr<Memory> memory) : memory_(std::move(memory)) {}
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue() { clear(); }

  Result<void> push(BytesView bytes) {
    TRY_VOID(memory_->add_unread(bytes.size()));
    const std::size_t held = size_;
    size_ += bytes.size();
    if (!pieces_.empty()) {
      Bytes& last = pieces_.back();
      const std::size_t fits = std::min(last.capacity() - last.size(), bytes.size());
      append(last, bytes.first(fits));
      bytes = bytes.subspan(fits);
    }
    if (bytes.empty()) return {};
    // As much again as is held: many small frames cost few pieces, and one small frame no large one.
    pieces_.emplace_back().reserve(std::max(bytes.size(), std::min(held, kPiece)));
    append(pieces_.back(), bytes);
    return {};
  }
  std::size_t pop(MutableBytes into) {
    std::size_t count = 0;
    while (count < into.size() && !pieces_.empty()) {
      const BytesView rest = BytesView(pieces_.front()).subspan(begin_);
      const std::size_t n = std::min(into.size() - count, rest.size());
      std::memcpy(into.data() + count, rest.data(), n);
      count += n;
      begin_ += n;
      if (n < rest.size()) break;
      pieces_.pop_front();
      begin_ = 0;
    }
    size_ -= count;
    memory_->remove_unread(count);
    return count;
  }
  void clear() {
    pieces_.clear();
    memory_->remove_unread(size_);
    begin_ = size_ = 0;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kPiece = 64 * 1024;
  std::shared_ptr<Memory> memory_;
  std::list<Bytes> pieces_;
  std::size_t begin_ = 0;  ///< of the first piece
  std::size_t size_ = 0;
};

struct StreamState {
  explicit StreamState(std::shared_ptr<Memory> memory) : received(std::move(memory)) {}

  std::uint32_t id = 0;
  bool inbound = false;
  Session* session = nullptr;  ///< null once the session has died or let the stream go

  std::uint16_t pending_flags = 0;  ///< to go out with the next frame: SYN
  bool announced = false;           ///< the other side knows of this stream
  bool acknowledged = false;
  bool fin_sent = false;
  bool fin_received = false;
  bool read_reset = false;  ///< RST has come before FIN, or we have aborted: what has arrived is gone
  bool write_reset = false;
  bool released = false;  ///< nobody will read or write any more

  std::uint32_t send_window = kInitialWindow;
  std::uint32_t receive_window = kInitialWindow;  ///< what the other side may still send
  std::uint32_t target_window = kInitialWindow;   ///< what it may have under way at most
  SteadyTime reopened{};                          ///< when the window was last opened
  ByteQueue received;

  // A reader that waits has left its buffer here, so that what arrives is copied once.
  MutableBytes wanted;
  std::size_t given = 0;  ///< of wanted, filled

  Notify readable;
  Notify writable;
};

/// Lets everybody else who is ready on this lane go first.
inline Task<void> yield_turn(Lane& lane) {
  Notify turn;
  bool come = false;
  lane.post([&] {
    come = true;
    turn.notify_all();
  });
  while (!come) (void)co_await turn.wait_shielded();
}

}  // namespace dms::libp2p::yamux
