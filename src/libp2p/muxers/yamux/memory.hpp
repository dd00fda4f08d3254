// Inside of yamux: the bytes that a session and its streams hold, bounded, and reserved in the connection's scope.
//
// Model
//  1. Reserved is max(unread, windows) + outbound: what windows were granted beyond the start is room for bytes that may
//     come, and bytes that come fill it first. So what is held never exceeds what is reserved, and nothing counts twice.
//  2. kPromised unread bytes are never refused: whatever others hold, a stream with an initial window goes on. More of
//     them are needed, what is refused is lost. Larger windows and more outbound bytes only make things faster.
//  3. What was held before there was a scope is reserved with what comes next.
//
// Lifetime: shared by the session and its streams, which may outlive it; the scope lives as long.
#pragma once

#include <algorithm>
#include <memory>

#include "libp2p/transports/connection.hpp"

namespace dms::libp2p::yamux {

class Memory {
 public:
  static constexpr std::size_t kPromised = 256 * 1024;  ///< an initial window

  explicit Memory(std::size_t max_unread) : max_unread_(max_unread) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (scope_) scope_->release_memory(reserved_);
  }

  void count_in(std::shared_ptr<MemoryScope> scope) {
    scope_ = std::move(scope);
    (void)take(unread_, 0, use_of(unread_));
  }

  Result<void> add_unread(std::size_t more) {
    if (more > max_unread_ - unread_)
      return fail(Errc::limit_exceeded, "yamux: {} bytes are unread and {} is the limit", unread_, max_unread_);
    return take(unread_, more, use_of(unread_ + more));
  }
  void remove_unread(std::size_t less) { give(unread_, less); }

  Result<void> grow_windows(std::size_t more) { return take(windows_, more, MemoryScope::Use::faster); }
  void shrink_windows(std::size_t less) { give(windows_, less); }

  Result<void> set_outbound(std::size_t now, MemoryScope::Use use) {
    if (now > outbound_) return take(outbound_, now - outbound_, use);
    give(outbound_, outbound_ - now);
    return {};
  }

  [[nodiscard]] std::size_t unread() const { return unread_; }
  [[nodiscard]] std::size_t windows() const { return windows_; }

 private:
  static MemoryScope::Use use_of(std::size_t unread) {
    return unread <= kPromised ? MemoryScope::Use::promised : MemoryScope::Use::needed;
  }
  [[nodiscard]] std::size_t needed() const { return std::max(unread_, windows_) + outbound_; }
  Result<void> take(std::size_t& of, std::size_t more, MemoryScope::Use use) {
    of += more;
    if (!scope_ || needed() <= reserved_) return {};
    Result<void> reserved = scope_->reserve_memory(needed() - reserved_, use);
    if (reserved)
      reserved_ = needed();
    else
      of -= more;
    return reserved;
  }
  void give(std::size_t& of, std::size_t less) {
    of -= less;
    if (needed() >= reserved_) return;
    scope_->release_memory(reserved_ - needed());
    reserved_ = needed();
  }

  std::size_t max_unread_;
  std::size_t unread_ = 0;
  std::size_t windows_ = 0;   ///< granted beyond the initial ones
  std::size_t outbound_ = 0;  ///< beyond what a connection may always have
  std::size_t reserved_ = 0;
  std::shared_ptr<MemoryScope> scope_;
};

}  // namespace dms::libp2p::yamux
