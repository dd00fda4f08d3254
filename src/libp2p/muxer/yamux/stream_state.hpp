// Inside of yamux: the state of one stream, shared by its session and its ByteStream.
#pragma once

#include <cstring>

#include "libp2p/muxer/yamux/session.hpp"

namespace dms::libp2p::yamux {

/// Bytes in arrival order. Memory follows the contents and is returned when they have been read.
class ByteQueue {
 public:
  void push(BytesView bytes) {
    if (begin_ > 0 && begin_ >= bytes_.size() / 2) {
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_));
      begin_ = 0;
    }
    append(bytes_, bytes);
  }
  std::size_t pop(MutableBytes into) {
    const std::size_t count = std::min(into.size(), size());
    std::memcpy(into.data(), bytes_.data() + begin_, count);
    begin_ += count;
    if (begin_ == bytes_.size()) clear();
    return count;
  }
  void clear() {
    if (bytes_.capacity() > kKeep) Bytes().swap(bytes_);
    bytes_.clear();
    begin_ = 0;
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size() - begin_; }

 private:
  static constexpr std::size_t kKeep = 4096;
  Bytes bytes_;
  std::size_t begin_ = 0;
};

struct StreamState {
  std::uint32_t id = 0;
  bool inbound = false;
  Session* session = nullptr;  ///< null once the session has died or let the stream go

  std::uint16_t pending_flags = 0;  ///< to go out with the next frame: SYN
  bool announced = false;           ///< the other side knows of this stream
  bool acknowledged = false;
  bool fin_sent = false;
  bool fin_received = false;
  bool reset = false;
  bool released = false;  ///< nobody will read or write any more

  std::uint32_t send_window = kInitialWindow;
  std::uint32_t receive_window = kInitialWindow;  ///< what the other side may still send
  std::uint32_t target_window = kInitialWindow;   ///< what it may have under way at most
  SteadyTime reopened{};                          ///< when the window was last opened
  ByteQueue received;

  Notify readable;
  Notify writable;
};

}  // namespace dms::libp2p::yamux
