#include "libp2p/security/tls/session.hpp"

#include <openssl/bio.h>

#include <algorithm>
#include <cstring>

namespace dms::libp2p::tls {
namespace {

constexpr std::size_t kRecordOverhead = 5 + 1 + 16;  // header, content type, tag

std::size_t records_of(std::size_t text) { return (text + SSL3_RT_MAX_PLAIN_LENGTH - 1) / SSL3_RT_MAX_PLAIN_LENGTH; }

}  // namespace

// ---- the wire as OpenSSL sees it ------------------------------------------------------------------------------------

int Session::bio_read(BIO* bio, char* into, std::size_t size, std::size_t* count) {
  auto& self = *static_cast<Session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *count = 0;
  if (self.too_many_empty()) return 0;  // failed() names the reason
  *count = std::min(size, self.end_ - self.begin_);
  if (*count == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(into, self.input_.view().data() + self.begin_, *count);
  self.begin_ += *count;
  return 1;
}

int Session::bio_write(BIO* bio, const char* from, std::size_t size, std::size_t* count) {
  auto& self = *static_cast<Session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  append(self.output_, as_bytes(std::string_view(from, size)));
  *count = size;
  return 1;
}

long Session::bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* Session::bio_method() {
  static const std::unique_ptr<BIO_METHOD, Release<BIO_meth_free>> method = [] {
    std::unique_ptr<BIO_METHOD, Release<BIO_meth_free>> made(
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "session"));
    if (!made || BIO_meth_set_read_ex(made.get(), bio_read) != 1 || BIO_meth_set_write_ex(made.get(), bio_write) != 1 ||
        BIO_meth_set_ctrl(made.get(), bio_control) != 1)
      made.reset();
    return made;
  }();
  return method.get();
}

/// OpenSSL reports the header of each record before it decrypts the record.
void Session::on_message(int sent, int, int type, const void*, std::size_t, SSL*, void* session) {
  if (sent == 0 && type == SSL3_RT_HEADER) ++static_cast<Session*>(session)->records_since_text_;
}

// ---- the session ----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Session>> Session::create(SSL_CTX& context, Side side) {
  ERR_clear_error();
  std::unique_ptr<Session> session(new Session);
  session->ssl_.reset(SSL_new(&context));
  BioPtr bio(bio_method() == nullptr ? nullptr : BIO_new(bio_method()));
  if (!session->ssl_ || !bio) return fail(Errc::internal, "tls: cannot create a session: {}", take_ssl_error());
  BIO_set_data(bio.get(), session.get());
  BIO_set_init(bio.get(), 1);
  BIO* shared = bio.release();
  SSL_set_bio(session->ssl_.get(), shared, shared);
  if (side == Side::dialer)
    SSL_set_connect_state(session->ssl_.get());
  else
    SSL_set_accept_state(session->ssl_.get());
  return session;
}

MutableBytes Session::input() {
  if (end_ == input_.size())
    input_.grow();  // the last read filled it: the peer sends a lot
  else
    input_.used(end_);
  begin_ = end_ = 0;
  return input_.view();
}

std::unexpected<Error> Session::failed(const char* during) {
  failure_ = too_many_empty() ? Error(Errc::limit_exceeded,
                                      fmt::format("tls: more than {} records in a row without text", kMaxEmpty))
                              : Error(Errc::closed, fmt::format("tls: {}: {}", during, take_ssl_error()));
  ERR_clear_error();
  return std::unexpected(*failure_);
}

Result<bool> Session::handshake() {
  if (failure_) return std::unexpected(*failure_);
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) {
    SSL_set_block_padding(ssl_.get(), 0);
    SSL_set_msg_callback(ssl_.get(), on_message);
    SSL_set_msg_callback_arg(ssl_.get(), this);
    return true;
  }
  if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ) return false;
  return failed("handshake");
}

Result<std::optional<std::size_t>> Session::read(MutableBytes into) {
  if (failure_) return std::unexpected(*failure_);
  std::size_t total = 0;
  while (!into.empty()) {
    ERR_clear_error();
    std::size_t count = 0;
    const int done = SSL_read_ex(ssl_.get(), into.data(), into.size(), &count);
    if (done == 1) {
      records_since_text_ = 0;
      total += count;
      into = into.subspan(count);
      continue;
    }
    const int why = SSL_get_error(ssl_.get(), done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_ZERO_RETURN) {
      auto error = failed("reading");
      if (total == 0) return error;  // otherwise the next call returns it
      break;
    }
    if (total > 0) break;
    if (why == SSL_ERROR_ZERO_RETURN) return std::optional<std::size_t>(0);
    return std::optional<std::size_t>();
  }
  return std::optional(total);
}

Result<void> Session::renew_keys(std::size_t text) {
  if (sent_records_ >= records_per_key_) {
    if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return failed("key update");
    sent_records_ = 0;
  }
  sent_records_ += records_of(text);
  return {};
}

Result<void> Session::write(BytesView text) {
  if (failure_) return std::unexpected(*failure_);
  ERR_clear_error();
  if (text.empty()) return {};
  TRY_VOID(renew_keys(text.size()));
  std::size_t count = 0;
  output_.reserve(output_.size() + text.size() + records_of(text.size()) * kRecordOverhead);
  if (SSL_write_ex(ssl_.get(), text.data(), text.size(), &count) != 1) return failed("writing");
  return {};
}

Result<void> Session::finish() {
  if (failure_) return std::unexpected(*failure_);
  ERR_clear_error();
  // 0 and 1 differ only in whether the peer has sent its close_notify.
  if (SSL_shutdown(ssl_.get()) < 0) return failed("closing");
  return {};
}

}  // namespace dms::libp2p::tls
