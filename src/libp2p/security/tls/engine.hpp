// One end of a TLS session as a pure state machine: bytes from the wire in, bytes for the wire out. libssl does the
// work.
//
// Model
//  1. Before the wire is read, room() says where to; arrived() says how much came. room() is asked for only when
//     nothing of what came before is left, which is what handshake() and read() mean by "more bytes are needed".
//  2. What has to be sent collects in out(), in order; whoever sends takes it out. Reading may add to it too: the
//     answer to a key update, an alert.
//  3. After a failure the session is of no use, but for sending the alert that lies in out().
//
// Cost: a byte read is copied once, decrypted in place and copied once more; a byte written is copied, encrypted in
// place and copied to out(). Records carry up to 16 KiB. Memory: see tls.hpp.
//
// Specification: RFC 8446.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/security/tls/openssl.hpp"
#include "libp2p/transport/connection.hpp"
#include "libp2p/transport/elastic_buffer.hpp"

namespace dms::libp2p::tls {

class Engine {
 public:
  static constexpr std::size_t kIdleRoom = 1024;
  static constexpr std::size_t kBusyRoom = 64 * 1024;

  static Result<std::unique_ptr<Engine>> create(SSL_CTX& context, Side side);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() = default;

  [[nodiscard]] SSL& ssl() { return *ssl_; }

  MutableBytes room();
  void arrived(std::size_t count) { end_ = count; }

  /// True once it is finished, false if more bytes are needed.
  Result<bool> handshake();
  /// Decrypts as much as fits and is there. 0 if the other side has said that it sends no more; nothing if more bytes are
  /// needed.
  Result<std::optional<std::size_t>> read(MutableBytes into);
  /// Encrypts all of `text` into out().
  Result<void> write(BytesView text);
  /// Puts "I send no more" into out(). Reading goes on.
  Result<void> finish();

  [[nodiscard]] Bytes& out() { return out_; }

 private:
  Engine() = default;
  static const BIO_METHOD* wire_method();
  static int wire_read(BIO* bio, char* into, std::size_t size, std::size_t* count);
  static int wire_write(BIO* bio, const char* from, std::size_t size, std::size_t* count);
  static long wire_control(BIO* bio, int command, long number, void* pointer);
  std::unexpected<Error> broken(const char* during);

  ElasticBuffer in_{kIdleRoom, kBusyRoom};  ///< [begin_, end_) has arrived and is not yet with libssl
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  Bytes out_;
  std::optional<Error> failure_;
  SslPtr ssl_;  ///< last: its end may still look at the rest
};

}  // namespace dms::libp2p::tls
