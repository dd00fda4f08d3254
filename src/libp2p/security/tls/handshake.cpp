#include "libp2p/security/tls/handshake.hpp"

#include <openssl/bio.h>

#include "encoding/multibase.hpp"

namespace dms::libp2p::tls {
namespace {

BytesView content(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return as_bytes(std::string_view(data, size <= 0 ? 0 : static_cast<std::size_t>(size)));
}

/// What stands in a line of the key log behind `label` and the client's random bytes, both followed by a space.
std::optional<crypto::Secret> secret_in(std::string_view line, std::string_view label) {
  if (!line.starts_with(label) || line.size() <= label.size() || line[label.size()] != ' ') return std::nullopt;
  auto secret = decode(Base::hex, line.substr(line.rfind(' ') + 1));
  if (!secret) return std::nullopt;
  return crypto::Secret(std::move(*secret));
}

}  // namespace

int Handshake::secrets_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

void Handshake::on_key_log(const SSL* ssl, const char* line) {
  auto* secrets = static_cast<Secrets*>(SSL_get_ex_data(ssl, secrets_index()));
  if (secrets == nullptr) return;
  if (auto secret = secret_in(line, "CLIENT_TRAFFIC_SECRET_0")) secrets->client = std::move(*secret);
  if (auto secret = secret_in(line, "SERVER_TRAFFIC_SECRET_0")) secrets->server = std::move(*secret);
}

void Handshake::prepare(SSL_CTX& context) { SSL_CTX_set_keylog_callback(&context, on_key_log); }

Result<Handshake> Handshake::create(SSL_CTX& context, Side side) {
  ERR_clear_error();
  Handshake made(side, SslPtr(SSL_new(&context)));
  BioPtr in(BIO_new(BIO_s_mem())), out(BIO_new(BIO_s_mem()));
  if (!made.ssl_ || !in || !out || SSL_set_ex_data(made.ssl_.get(), secrets_index(), made.secrets_.get()) != 1)
    return fail(Errc::internal, "tls: a session could not be made: {}", take_ssl_error());
  SSL_set_bio(made.ssl_.get(), in.release(), out.release());
  if (side == Side::dialer)
    SSL_set_connect_state(made.ssl_.get());
  else
    SSL_set_accept_state(made.ssl_.get());
  return made;
}

Result<void> Handshake::arrived(BytesView bytes) {
  std::size_t taken = 0;
  if (BIO_write_ex(SSL_get_rbio(ssl_.get()), bytes.data(), bytes.size(), &taken) == 1 && taken == bytes.size())
    return {};
  return fail(Errc::internal, "tls: no memory for what has arrived");
}

Result<bool> Handshake::advance() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) return true;
  if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ) return false;
  return fail(Errc::closed, "tls: handshake: {}", take_ssl_error());
}

Bytes Handshake::take_out() {
  BIO* out = SSL_get_wbio(ssl_.get());
  Bytes taken = to_bytes(content(out));
  (void)BIO_reset(out);
  return taken;
}

BytesView Handshake::unread() const { return content(SSL_get_rbio(ssl_.get())); }

Result<TlsStream::Ciphers> Handshake::split() {
  const SSL_CIPHER* agreed = SSL_get_current_cipher(ssl_.get());
  if (SSL_is_init_finished(ssl_.get()) == 0 || agreed == nullptr)
    return fail(Errc::internal, "tls: split before the end of the handshake");
  const auto suite = static_cast<Suite>(SSL_CIPHER_get_protocol_id(agreed));
  TRY(RecordCipher client, RecordCipher::create(suite, std::move(secrets_->client)));
  TRY(RecordCipher server, RecordCipher::create(suite, std::move(secrets_->server)));
  // A dialer may ask for shorter records, and libssl agrees unasked: 1 for 512 bytes, up to 4 for 4,096.
  const unsigned shorter = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl_.get()));
  const std::size_t max_text = shorter == 0 ? RecordCipher::kMaxText : std::size_t{256} << shorter;
  if (side_ == Side::dialer) return TlsStream::Ciphers{std::move(client), std::move(server), max_text};
  return TlsStream::Ciphers{std::move(server), std::move(client), max_text};
}

}  // namespace dms::libp2p::tls
