// A buffer for reading or writing that is large while there is much to do and small while there is little.
//
// Model
//  1. It starts at `min` bytes and grows when its user asks, fourfold or more, up to `max`. It falls back to `min`
//     after kPatience uses in a row that `min` would have been enough for.
//  2. grow() keeps what the buffer holds; took() may drop it.
//
// Cost: a connection that carries nothing holds `min`; a busy one allocates a handful of times on its way to `max`.
#pragma once

#include <algorithm>

#include "base/bytes.hpp"

namespace dms::libp2p {

class ElasticBuffer {
 public:
  static constexpr int kPatience = 2;

  ElasticBuffer(std::size_t min, std::size_t max) : min_(min), max_(max), bytes_(min) {}

  [[nodiscard]] MutableBytes view() { return bytes_; }
  [[nodiscard]] BytesView view() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

  /// To four times its size, or to `at_least` if that is more, but never beyond `max`.
  void grow(std::size_t at_least = 0) {
    bytes_.resize(std::min(std::max(4 * bytes_.size(), at_least), std::max(max_, bytes_.size())));
    little_ = 0;
  }
  /// A use is over that needed `count` bytes; what the buffer holds is of no more interest.
  void took(std::size_t count) {
    if (count > min_) {
      little_ = 0;
    } else if (bytes_.size() > min_ && ++little_ >= kPatience) {
      Bytes(min_).swap(bytes_);
      little_ = 0;
    }
  }

 private:
  std::size_t min_;
  std::size_t max_;
  Bytes bytes_;
  int little_ = 0;
};

}  // namespace dms::libp2p
