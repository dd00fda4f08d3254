// Internal to yamux: the state of one stream, shared by its session and its ByteStream.
#pragma once

#include <cstring>
#include <list>

#include "libp2p/muxers/yamux/session.hpp"

namespace dms::libp2p::yamux {

/// Bytes in arrival order, in pieces: memory follows the content, is never moved, and is freed as it is read. The bytes
/// count as unread while they are here.
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
    // Doubles what is held: many small frames take few pieces, and one small frame no large piece.
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
  Session* session = nullptr;  ///< null once the session has ended or forgotten the stream

  std::uint16_t pending_flags = 0;  ///< sent with the next frame: SYN
  bool announced = false;           ///< the peer knows of this stream
  bool acknowledged = false;
  bool fin_sent = false;
  bool fin_received = false;
  bool read_reset = false;  ///< RST arrived before FIN, or the stream was aborted: what had arrived is dropped
  bool write_reset = false;
  bool released = false;  ///< the ByteStream was destroyed

  std::uint32_t send_window = kInitialWindow;
  std::uint32_t receive_window = kInitialWindow;  ///< what the peer may still send
  std::uint32_t target_window = kInitialWindow;   ///< the most that it may have under way
  SteadyTime reopened{};                          ///< when the window was last opened
  ByteQueue received;

  // The buffer of a waiting reader, so that what arrives is copied once.
  MutableBytes wanted;
  std::size_t given = 0;  ///< bytes of wanted that are filled

  Notify readable;
  Notify writable;
};

/// Lets every other ready task of this lane run first.
inline Task<void> yield_turn(Lane& lane) {
  Notify turn;
  bool resumed = false;
  lane.post([&] {
    resumed = true;
    turn.notify_all();
  });
  while (!resumed) (void)co_await turn.wait_shielded();
}

}  // namespace dms::libp2p::yamux
