// The encrypted stream after a TLS handshake (tls.hpp, model 4).
//
// Model
//  1. write() encrypts up to kBatch bytes and hands all their records to the wire in one write; read_some() returns the
//     text of as many records as have arrived and fit.
//  2. close_write() says close_notify and then closes the wire's half; reading goes on, as TLS 1.3 has it. An end of
//     the wire without the other side's close_notify is an error (Errc::closed): somebody may have cut it.
//  3. What reading wants sent (the answer to a key update) leaves with the next write, before its text. A peer that
//     asks for more than kMaxAnswers bytes of answers before that is at its end.
//
// Cancellation, and one read beside one write: as ByteStream has it.
#pragma once

#include "base/stream.hpp"
#include "libp2p/security/tls/engine.hpp"

namespace dms::libp2p::tls {

class TlsStream final : public ByteStream {
 public:
  static constexpr std::size_t kBatch = 128 * 1024;
  static constexpr std::size_t kMaxAnswers = 4 * 1024;

  /// `engine` has finished its handshake.
  TlsStream(std::unique_ptr<ByteStream> raw, std::unique_ptr<Engine> engine)
      : raw_(std::move(raw)), engine_(std::move(engine)) {}

  Task<Result<std::size_t>> read_some(MutableBytes into) override;
  Task<Result<void>> write(BytesView from) override;
  Task<Result<void>> close_write() override;
  void abort() override { raw_->abort(); }

 private:
  Task<Result<void>> flush();

  std::unique_ptr<ByteStream> raw_;
  std::unique_ptr<Engine> engine_;
  Bytes sending_;
  Patience patience_{Engine::kIdleRoom};  ///< with a large sending_
  bool finished_ = false;                 ///< close_notify has been said
};

}  // namespace dms::libp2p::tls
