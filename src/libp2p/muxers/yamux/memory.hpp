// Internal to yamux: the bytes that a session and its streams hold, bounded, and reserved in the connection's scope.
//
// Model
//  1. Reserved is max(unread, windows) + outbound: windows granted beyond the initial ones are space for bytes that may
//     arrive, and bytes that arrive fill it first. So what is held never exceeds what is reserved, and nothing counts
//     twice.
//  2. kGuaranteed unread bytes are never refused, so a stream with an initial window always works. More unread bytes
//     are required (a stream is lost where they are refused); larger windows and more outbound bytes are optional.
//  3. What was held before there was a scope is reserved with the next reservation.
//
// Lifetime: shared by the session and its streams, which may outlive it; the scope exists as long.
#pragma once

#include <algorithm>
#include <memory>

#include "libp2p/transports/connection.hpp"

namespace dms::libp2p::yamux {

class Memory {
 public:
  static constexpr std::size_t kGuaranteed = 256 * 1024;  ///< an initial window

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
      return fail(Errc::limit_exceeded, "yamux: {} bytes are unread, the limit is {}", unread_, max_unread_);
    return take(unread_, more, use_of(unread_ + more));
  }
  void remove_unread(std::size_t less) { give(unread_, less); }

  Result<void> grow_windows(std::size_t more) { return take(windows_, more, MemoryScope::Use::optional); }
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
    return unread <= kGuaranteed ? MemoryScope::Use::guaranteed : MemoryScope::Use::required;
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
  std::size_t outbound_ = 0;  ///< beyond kUncounted (session.hpp)
  std::size_t reserved_ = 0;
  std::shared_ptr<MemoryScope> scope_;
};

}  // namespace dms::libp2p::yamux
