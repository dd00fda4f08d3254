// Owning pointers for OpenSSL's objects, and its errors as text.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace dms::libp2p::tls {

template <auto release>
struct Release {
  template <class T>
  void operator()(T* object) const {
    release(object);
  }
};
using SslPtr = std::unique_ptr<SSL, Release<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Release<SSL_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Release<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Release<X509_free>>;
using EvpKeyPtr = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;

/// The oldest error in the thread's error queue; empties the queue.
inline std::string take_ssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "OpenSSL gave no reason" : reason;
}

}  // namespace dms::libp2p::tls
