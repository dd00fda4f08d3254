// Remembers the signatures that a thread has verified: for simulations, in which hundreds of machines of one process
// verify the same broadcasts.
//
// Model
//  1. While one exists, PublicKey::verify() of its thread is true at once for an Ed25519 key, message and signature
//     that it has verified before. They are known by the SHA-256 of all three; key and signature have fixed lengths, so
//     no two of them have the same text.
//  2. What was not verified is never remembered. At most kMost are; then all are forgotten.
//
// Threads: one; the latest of a thread counts, until it ends. Nothing in a daemon makes one.
#pragma once

#include <cstdint>
#include <set>

#include "base/bytes.hpp"
#include "crypto/hash.hpp"

namespace dms::crypto {

class RememberVerified {
 public:
  static constexpr std::size_t kMost = 1 << 17;

  RememberVerified();
  RememberVerified(const RememberVerified&) = delete;
  RememberVerified& operator=(const RememberVerified&) = delete;
  ~RememberVerified();

  /// That of this thread; null if there is none.
  [[nodiscard]] static RememberVerified* current();
  [[nodiscard]] static Digest256 name(BytesView key, BytesView message, BytesView signature);

  [[nodiscard]] bool contains(const Digest256& name);
  void add(const Digest256& name);
  /// How often contains() was true.
  [[nodiscard]] std::uint64_t hits() const { return hits_; }

 private:
  RememberVerified* before_;
  std::set<Digest256> known_;
  std::uint64_t hits_ = 0;
};

}  // namespace dms::crypto
