// One end of a TLS handshake as a pure state machine: bytes from the wire in, bytes for the wire out. libssl does the
// work.
//
// Model
//  1. advance() goes as far as what has arrived allows. What it wants sent, an alert after a failure too, is taken with
//     take_out().
//  2. Once it is finished, split() gives the keys of both directions, and unread() what has arrived behind the handshake.
//     Libssl's session can go then: it would keep 13 KiB for as long as the connection lasts.
//
// Libssl tells its traffic secrets only to its key log, so that is where they are taken from. They go into wiped memory
// and nowhere else.
//
// Specification: RFC 8446.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/security/tls/openssl.hpp"
#include "libp2p/security/tls/tls_stream.hpp"

namespace dms::libp2p::tls {

class Handshake {
 public:
  /// Once for each context.
  static void prepare(SSL_CTX& context);
  static Result<Handshake> create(SSL_CTX& context, Side side);

  [[nodiscard]] SSL& ssl() { return *ssl_; }

  Result<void> arrived(BytesView bytes);
  /// True once it is finished, false if more bytes are needed.
  Result<bool> advance();
  [[nodiscard]] Bytes take_out();

  Result<TlsStream::Ciphers> split();
  [[nodiscard]] BytesView unread() const;

 private:
  struct Secrets {
    crypto::Secret client;
    crypto::Secret server;
  };
  static int secrets_index();
  static void on_key_log(const SSL* ssl, const char* line);

  Handshake(Side side, SslPtr ssl) : side_(side), ssl_(std::move(ssl)) {}

  Side side_;
  std::unique_ptr<Secrets> secrets_ = std::make_unique<Secrets>();
  SslPtr ssl_;  ///< reads and writes memory
};

}  // namespace dms::libp2p::tls
