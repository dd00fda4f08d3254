// The encrypted stream after a TLS handshake (tls.hpp, model 4). libssl ends with the handshake: here are the records, and
// what may still be said in them beside text.
//
// Model
//  1. Text is sent in records of up to 16 KiB without padding.
//  2. close_write() says close_notify and then closes the wire's half; reading goes on, as TLS 1.3 has it. An end of
//     the wire without the other side's close_notify is an error (Errc::closed): somebody may have cut it. Any other alert
//     but user_canceled ends the stream and says why.
//  3. The other side's KeyUpdate is obeyed. If it asks for one of ours, that leaves before the next text:
//     one, however often it was asked for. Keys that have sealed records_per_key records are changed before more text,
//     before they have seen as much as AES-GCM can bear.
//  4. Session tickets are skipped, in up to kMaxEmpty records: sessions are not resumed. A message that a side must not send after
//     the handshake, or records of other content between the pieces of a message, end the stream.
//
// Specification: RFC 8446, sections 4.6, 5, 6 and 7.2.
#pragma once

#include <array>

#include "libp2p/security/sealed_stream.hpp"
#include "libp2p/security/tls/record_cipher.hpp"
#include "libp2p/transports/connection.hpp"

namespace dms::libp2p::tls {

class TlsStream final : public SealedStream {
 public:
  /// RFC 8446, section 5.5, allows 2^24.5 full records of AES-GCM.
  static constexpr std::uint64_t kRecordsPerKey = 1ULL << 24;

  struct Ciphers {
    RecordCipher send;
    RecordCipher receive;
    std::size_t max_text = RecordCipher::kMaxText;  ///< of a record that the peer takes (RFC 6066, section 4)
  };
  /// `arrived` is what came after the handshake, at most kBusyBuffer bytes.
  TlsStream(std::unique_ptr<ByteStream> raw, Side side, Ciphers ciphers, BytesView arrived = {},
            std::uint64_t records_per_key = kRecordsPerKey)
      : SealedStream(std::move(raw),
                     {"tls", RecordCipher::kHeader, RecordCipher::kOverhead, ciphers.max_text, "close_notify"},
                     arrived),
        side_(side),
        ciphers_(std::move(ciphers)),
        records_per_key_(records_per_key) {}

  Task<Result<void>> write(BytesView from) override;
  Task<Result<void>> close_write() override;

 private:
  [[nodiscard]] Result<std::size_t> record_size(BytesView header) const override;
  Result<MutableBytes> open(BytesView header, MutableBytes sealed, MutableBytes into) override;
  Result<void> seal(BytesView text, MutableBytes record) override;

  Result<void> on_alert(BytesView alert);
  Result<void> on_handshake(BytesView text);
  Result<void> on_message_start();
  Result<void> on_key_update(std::uint8_t request);
  [[nodiscard]] bool within_message() const { return message_size_ > 0 || skip_ > 0; }
  Task<Result<void>> write_record(ContentType type, Bytes content);
  Task<Result<void>> change_keys();

  Side side_;
  Ciphers ciphers_;
  std::uint64_t records_per_key_;
  bool update_requested_ = false;  ///< by the other side, of us
  bool finished_ = false;          ///< close_notify has been said

  // The message after the handshake that is being received: its header and, of a KeyUpdate, its one byte.
  std::array<std::uint8_t, 5> message_{};
  std::size_t message_size_ = 0;
  std::size_t skip_ = 0;  ///< bytes left of a message that says nothing to us
};

}  // namespace dms::libp2p::tls
