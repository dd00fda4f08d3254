#include "libp2p/security/tls/tls_stream.hpp"

#include <openssl/ssl.h>

#include <algorithm>

namespace dms::libp2p::tls {
namespace {

enum class HandshakeType : std::uint8_t { new_session_ticket = 4, key_update = 24 };
constexpr std::size_t kMessageHeader = 4;
constexpr std::uint8_t kWarning = 1;
constexpr std::uint8_t kUpdateNotRequested = 0;
constexpr std::uint8_t kUpdateRequested = 1;

}  // namespace

// ---- reading --------------------------------------------------------------------------------------------------------

Result<std::size_t> TlsStream::record_size(BytesView header) const {
  // The version is a relic that receivers ignore.
  if (header[0] != static_cast<std::uint8_t>(ContentType::application_data))
    return fail(Errc::invalid_argument, "a record of type {} that is not encrypted", header[0]);
  const std::size_t size = static_cast<std::size_t>(header[3] << 8 | header[4]);
  if (size <= crypto::Aead::kTagSize || size > RecordCipher::kMaxSealed)
    return fail(Errc::invalid_argument, "a record of {} bytes, expected {} to {}", size, crypto::Aead::kTagSize + 1,
                RecordCipher::kMaxSealed);
  return RecordCipher::kHeader + size;
}

Result<MutableBytes> TlsStream::open(BytesView header, MutableBytes sealed, MutableBytes into) {
  TRY(const RecordCipher::Opened opened, ciphers_.receive.open(header, sealed, into));
  if (opened.type != ContentType::handshake && within_message())
    return fail(Errc::invalid_argument, "a record of type {} within a handshake message",
                static_cast<int>(opened.type));
  switch (opened.type) {
    case ContentType::application_data: return opened.text;
    case ContentType::alert: TRY_VOID(on_alert(opened.text)); break;
    case ContentType::handshake: TRY_VOID(on_handshake(opened.text)); break;
    default: return fail(Errc::invalid_argument, "a record of type {}", static_cast<int>(opened.type));
  }
  return opened.text.first(0);
}

Result<void> TlsStream::on_alert(BytesView alert) {
  if (alert.size() != 2) return fail(Errc::invalid_argument, "an alert of {} bytes", alert.size());
  switch (alert[1]) {
    case SSL_AD_CLOSE_NOTIFY: end_text(); return {};
    case SSL_AD_USER_CANCELLED: return {};
    default: return fail(Errc::closed, "the peer ends with an alert: {}", SSL_alert_desc_string_long(alert[1]));
  }
}

/// Messages may be cut into records anywhere.
Result<void> TlsStream::on_handshake(BytesView text) {
  if (text.empty()) return fail(Errc::invalid_argument, "a handshake record of no bytes");
  while (!text.empty()) {
    if (skip_ > 0) {
      const std::size_t count = std::min(skip_, text.size());
      skip_ -= count;
      text = text.subspan(count);
      continue;
    }
    message_[message_size_++] = text.front();
    text = text.subspan(1);
    if (message_size_ == kMessageHeader) TRY_VOID(on_message_start());
    if (message_size_ <= kMessageHeader) continue;
    message_size_ = 0;
    if (!text.empty()) return fail(Errc::invalid_argument, "{} bytes behind a key update", text.size());
    TRY_VOID(on_key_update(message_[kMessageHeader]));
  }
  return {};
}

Result<void> TlsStream::on_message_start() {
  const auto type = static_cast<HandshakeType>(message_[0]);
  const std::size_t size = static_cast<std::size_t>(message_[1] << 16 | message_[2] << 8 | message_[3]);
  if (type == HandshakeType::key_update && size == 1) return {};
  if (type != HandshakeType::new_session_ticket || side_ != Side::dialer)
    return fail(Errc::invalid_argument, "a handshake message of type {} and {} bytes after the handshake", message_[0],
                size);
  message_size_ = 0;
  skip_ = size;
  return {};
}

Result<void> TlsStream::on_key_update(std::uint8_t request) {
  if (request > kUpdateRequested) return fail(Errc::invalid_argument, "a key update with request {}", request);
  if (request == kUpdateRequested) update_requested_ = true;
  return ciphers_.receive.update();
}

// ---- writing --------------------------------------------------------------------------------------------------------

Result<void> TlsStream::seal(BytesView text, MutableBytes record) {
  return ciphers_.send.seal(ContentType::application_data, text, record);
}

Task<Result<void>> TlsStream::write_record(ContentType type, Bytes content) {
  Bytes record(content.size() + RecordCipher::kOverhead);
  CO_TRY_VOID(ciphers_.send.seal(type, content, record));
  co_return co_await raw().write(record);
}

Task<Result<void>> TlsStream::write(BytesView from) {
  if (finished_) co_return fail(Errc::closed, "tls: this half of the stream is closed");
  while (!from.empty()) {
    if (update_requested_ || ciphers_.send.records() >= records_per_key_) CO_TRY_VOID(co_await change_keys());
    const BytesView text = from.first(std::min(from.size(), batch()));
    CO_TRY_VOID(co_await SealedStream::write(text));
    from = from.subspan(text.size());
  }
  co_return Result<void>();
}

Task<Result<void>> TlsStream::change_keys() {
  update_requested_ = false;
  Bytes message{static_cast<std::uint8_t>(HandshakeType::key_update), 0, 0, 1, kUpdateNotRequested};
  CO_TRY_VOID(co_await write_record(ContentType::handshake, std::move(message)));
  co_return ciphers_.send.update();
}

Task<Result<void>> TlsStream::close_write() {
  if (!std::exchange(finished_, true)) {
    Bytes alert{kWarning, SSL_AD_CLOSE_NOTIFY};
    CO_TRY_VOID(co_await write_record(ContentType::alert, std::move(alert)));
  }
  co_return co_await raw().close_write();
}

}  // namespace dms::libp2p::tls
