// A buffer for reading or writing that is large under load and small otherwise.
//
// Model
//  1. It starts at `min` bytes and grows on request, fourfold or more, up to `max`. It shrinks to `min` when its
//     ShrinkPolicy says so, with `min` as the small size.
//  2. grow() keeps the content; used() may drop it.
//
// Cost: an idle connection holds `min`; a busy one allocates a handful of times on its way to `max`.
#pragma once

#include <algorithm>

#include "base/bytes.hpp"

namespace dms::libp2p {

/// Decides when a large buffer is no longer needed: after kUses uses in a row of at most `small` bytes.
class ShrinkPolicy {
 public:
  static constexpr int kUses = 2;

  explicit ShrinkPolicy(std::size_t small) : small_(small) {}
  /// Records a use of `count` bytes. True if the buffer should shrink.
  bool shrink_after(std::size_t count) {
    uses_ = count <= small_ ? std::min(uses_ + 1, kUses) : 0;
    return uses_ == kUses;
  }
  void reset() { uses_ = 0; }

 private:
  std::size_t small_;
  int uses_ = 0;
};

class ElasticBuffer {
 public:
  ElasticBuffer(std::size_t min, std::size_t max) : min_(min), max_(max), bytes_(min), policy_(min) {}

  [[nodiscard]] MutableBytes view() { return bytes_; }
  [[nodiscard]] BytesView view() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

  /// To four times its size, or to `at_least` if that is more, but never beyond `max`.
  void grow(std::size_t at_least = 0) {
    bytes_.resize(std::min(std::max(4 * bytes_.size(), at_least), std::max(max_, bytes_.size())));
    policy_.reset();
  }
  /// Records a use of `count` bytes; the content is no longer needed.
  void used(std::size_t count) {
    if (policy_.shrink_after(count) && bytes_.size() > min_) Bytes(min_).swap(bytes_);
  }

 private:
  std::size_t min_;
  std::size_t max_;
  Bytes bytes_;
  ShrinkPolicy policy_;
};

}  // namespace dms::libp2p
