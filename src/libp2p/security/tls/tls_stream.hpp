// The encrypted stream after a TLS handshake (tls.hpp, model 4): carries a Session's bytes over the raw stream.
//
// Model
//  1. write() encrypts up to kBatch bytes and sends all their records in one write; read_some() returns the text of as
//     many records as have arrived and fit.
//  2. close_write() sends close_notify and then closes the raw stream's half; reading continues, as in TLS 1.3. An end
//     of the raw stream without the peer's close_notify is an error (Errc::closed): an attacker may have cut it.
//  3. Bytes that reading has to send (answers to key updates) leave with the next write, before its text. If more than
//     kMaxAnswers bytes of them are waiting, the stream ends with Errc::limit_exceeded.
//  4. The first failure ends the stream for good. Text that was authentic before it is still read.
//
// Cancellation, and one read beside one write: as ByteStream specifies.
#pragma once

#include "libp2p/security/tls/session.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p::tls {

class TlsStream final : public ByteStream {
 public:
  static constexpr std::size_t kBatch = 128 * 1024;
  static constexpr std::size_t kMaxAnswers = 4 * 1024;

  /// `session` has finished its handshake.
  TlsStream(std::unique_ptr<ByteStream> raw, std::unique_ptr<Session> session)
      : raw_(std::move(raw)), session_(std::move(session)) {}

  Task<Result<std::size_t>> read_some(MutableBytes into) override;
  Task<Result<void>> write(BytesView from) override;
  Task<Result<void>> close_write() override;
  void abort() override { raw_->abort(); }

 private:
  Task<Result<void>> flush();

  std::unique_ptr<ByteStream> raw_;
  std::unique_ptr<Session> session_;
  Bytes sending_;
  ShrinkPolicy shrink_{Session::kIdleBuffer};  ///< with a large sending_
  bool finished_ = false;                      ///< close_notify has been sent
};

}  // namespace dms::libp2p::tls
