// One end of a TLS 1.3 session as a state machine without I/O: bytes from the wire in, bytes for the wire out. OpenSSL
// performs the handshake and protects the records.
//
// Model
//  1. input() is the buffer for the next bytes of the wire, received() says how many were read into it. It is used only
//     when handshake() or read() need more bytes: OpenSSL has then taken everything that it held.
//  2. Bytes to send collect in output() in order. Reading may add to them: the answer to a key update, an alert.
//  3. Keys that have protected kRecordsPerKey records are replaced before more text is encrypted (SSL_key_update):
//     AES-GCM must not protect more (RFC 8446, section 5.5), and OpenSSL leaves that to its user. Key updates of the
//     peer are OpenSSL's work.
//  4. More than kMaxEmpty records in a row without text (key updates, tickets, empty records) end the session with
//     Errc::limit_exceeded: they cost the receiver work and carry nothing.
//  5. After a failure every call returns it; output() may hold an alert for the peer.
//
// Cost: a byte received is copied once, decrypted in place and copied once more; a byte sent is copied, encrypted in
// place and copied to output(). Memory: tls.hpp.
//
// Specification: RFC 8446.
#pragma once

#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "libp2p/security/tls/openssl.hpp"
#include "libp2p/transports/connection.hpp"
#include "libp2p/transports/elastic_buffer.hpp"

namespace dms::libp2p::tls {

class Session {
 public:
  static constexpr std::size_t kIdleBuffer = 1024;
  static constexpr std::size_t kBusyBuffer = 128 * 1024;
  static constexpr std::uint64_t kRecordsPerKey = 1ULL << 24;
  static constexpr int kMaxEmpty = 32;

  static Result<std::unique_ptr<Session>> create(SSL_CTX& context, Side side);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() = default;

  [[nodiscard]] SSL& ssl() { return *ssl_; }

  MutableBytes input();
  void received(std::size_t count) { end_ = count; }

  /// True once the handshake is finished, false if it needs more bytes.
  Result<bool> handshake();
  /// Decrypts as much as has arrived and fits. 0 after the peer's close_notify; nothing if more bytes are needed.
  Result<std::optional<std::size_t>> read(MutableBytes into);
  /// Encrypts all of `text` into output().
  Result<void> write(BytesView text);
  /// Puts close_notify into output(). Reading continues.
  Result<void> finish();

  [[nodiscard]] Bytes& output() { return output_; }
  void set_records_per_key(std::uint64_t records) { records_per_key_ = records; }

 private:
  Session() = default;
  static const BIO_METHOD* bio_method();
  static int bio_read(BIO* bio, char* into, std::size_t size, std::size_t* count);
  static int bio_write(BIO* bio, const char* from, std::size_t size, std::size_t* count);
  static long bio_control(BIO* bio, int command, long number, void* pointer);
  static void on_message(int sent, int version, int type, const void* data, std::size_t size, SSL* ssl, void* session);
  [[nodiscard]] bool too_many_empty() const { return records_since_text_ > kMaxEmpty + 1; }
  std::unexpected<Error> failed(const char* during);
  Result<void> renew_keys(std::size_t text);

  ElasticBuffer input_{kIdleBuffer, kBusyBuffer};  ///< [begin_, end_) has arrived and is not yet taken by OpenSSL
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  Bytes output_;
  int records_since_text_ = 0;      ///< received, the one under way included
  std::uint64_t sent_records_ = 0;  ///< under the current keys
  std::uint64_t records_per_key_ = kRecordsPerKey;
  std::optional<Error> failure_;
  SslPtr ssl_;  ///< the last member: its destructor may still use the BIO
};

}  // namespace dms::libp2p::tls
