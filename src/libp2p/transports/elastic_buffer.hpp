// A buffer for reading or writing that is large while there is much to do and small while there is little.
//
// Model
//  1. It starts at `min` bytes and grows when its user asks, fourfold or more, up to `max`. It falls back to `min`
//     once its Patience is at an end, with `min` for little.
//  2. grow() keeps what the buffer holds; took() may drop it.
//
// Cost: a connection that carries nothing holds `min`; a busy one allocates a handful of times on its way to `max`.
#pragma once

#include <algorithm>

#include "base/bytes.hpp"

namespace dms::libp2p {

/// Says when a large buffer has had its time: after kUses uses in a row of `little` bytes at most.
class Patience {
 public:
  static constexpr int kUses = 2;

  explicit Patience(std::size_t little) : little_(little) {}
  /// A use is over that needed `count` bytes. True if patience is at an end.
  bool ends_after(std::size_t count) {
    uses_ = count <= little_ ? std::min(uses_ + 1, kUses) : 0;
    return uses_ == kUses;
  }
  void renew() { uses_ = 0; }

 private:
  std::size_t little_;
  int uses_ = 0;
};

class ElasticBuffer {
 public:
  ElasticBuffer(std::size_t min, std::size_t max) : min_(min), max_(max), bytes_(min), patience_(min) {}

  [[nodiscard]] MutableBytes view() { return bytes_; }
  [[nodiscard]] BytesView view() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

  /// To four times its size, or to `at_least` if that is more, but never beyond `max`.
  void grow(std::size_t at_least = 0) {
    bytes_.resize(std::min(std::max(4 * bytes_.size(), at_least), std::max(max_, bytes_.size())));
    patience_.renew();
  }
  /// A use is over that needed `count` bytes; what the buffer holds is of no more interest.
  void took(std::size_t count) {
    if (patience_.ends_after(count) && bytes_.size() > min_) Bytes(min_).swap(bytes_);
  }

 private:
  std::size_t min_;
  std::size_t max_;
  Bytes bytes_;
  Patience patience_;
};

}  // namespace dms::libp2p
