#include "crypto/remember_verified.hpp"

namespace dms::crypto {
namespace {
thread_local RememberVerified* latest = nullptr;
}  // namespace

RememberVerified::RememberVerified() : before_(latest) { latest = this; }

RememberVerified::~RememberVerified() { latest = before_; }

RememberVerified* RememberVerified::current() { return latest; }

Digest256 RememberVerified::name(BytesView key, BytesView message, BytesView signature) {
  Sha256 all;
  all.add(key);
  all.add(signature);
  all.add(message);
  return all.digest();
}

bool RememberVerified::contains(const Digest256& name) {
  const bool known = known_.contains(name);
  if (known) ++hits_;
  return known;
}

void RememberVerified::add(const Digest256& name) {
  if (known_.size() >= kMost) known_.clear();
  known_.insert(name);
}

}  // namespace dms::crypto
