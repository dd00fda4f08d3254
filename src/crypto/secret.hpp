// Bytes that are wiped when they are destroyed: private keys, passphrases, derived keys.
//
// Movable but not copyable, so that each copy of a secret is explicit in the code. It never grows, because reallocation
// would leave the old bytes in freed memory.
#pragma once

#include <openssl/crypto.h>

#include <string>

#include "base/bytes.hpp"

namespace dms::crypto {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t size) : bytes_(size) {}
  explicit Secret(BytesView copy_of) : bytes_(copy_of.begin(), copy_of.end()) {}
  explicit Secret(std::string_view copy_of) : Secret(as_bytes(copy_of)) {}
  /// Takes ownership of the bytes without a copy.
  explicit Secret(Bytes&& taken) noexcept : bytes_(std::move(taken)) {}
  /// A copy of `text`, which is wiped.
  static Secret take(std::string& text) {
    Secret secret{std::string_view(text)};
    OPENSSL_cleanse(text.data(), text.size());
    text.clear();
    return secret;
  }
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) { other.bytes_.clear(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      bytes_ = std::move(other.bytes_);
      other.bytes_.clear();
    }
    return *this;
  }
  ~Secret() { wipe(); }

  [[nodiscard]] BytesView view() const { return bytes_; }
  [[nodiscard]] MutableBytes mutable_view() { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  operator BytesView() const { return bytes_; }  // NOLINT(google-explicit-constructor): a secret is read like any bytes

 private:
  void wipe() {
    if (!bytes_.empty()) OPENSSL_cleanse(bytes_.data(), bytes_.size());
  }
  Bytes bytes_;
};

}  // namespace dms::crypto
