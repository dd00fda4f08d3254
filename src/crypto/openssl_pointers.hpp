// Owners of what OpenSSL allocates, for the sources of this module.
#pragma once

#include <openssl/evp.h>

#include <memory>

namespace dms::crypto {

template <class T, void (*release)(T*)>
struct Release {
  void operator()(T* p) const { release(p); }
};
using EvpKey = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY, EVP_PKEY_free>>;

}  // namespace dms::crypto
