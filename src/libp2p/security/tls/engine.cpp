#include "libp2p/security/tls/engine.hpp"

#include <openssl/bio.h>

#include <algorithm>
#include <cstring>

namespace dms::libp2p::tls {
namespace {

constexpr std::size_t kRecordOverhead = 5 + 1 + 16;  // header, content type, tag

}  // namespace

// ---- the wire as libssl sees it -------------------------------------------------------------------------------------

int Engine::wire_read(BIO* bio, char* into, std::size_t size, std::size_t* count) {
  auto& self = *static_cast<Engine*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *count = std::min(size, self.end_ - self.begin_);
  if (*count == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(into, self.in_.view().data() + self.begin_, *count);
  self.begin_ += *count;
  return 1;
}

int Engine::wire_write(BIO* bio, const char* from, std::size_t size, std::size_t* count) {
  auto& self = *static_cast<Engine*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  append(self.out_, as_bytes(std::string_view(from, size)));
  *count = size;
  return 1;
}

long Engine::wire_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* Engine::wire_method() {
  static const std::unique_ptr<BIO_METHOD, Release<BIO_meth_free>> method = [] {
    std::unique_ptr<BIO_METHOD, Release<BIO_meth_free>> made(
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "engine"));
    if (!made || BIO_meth_set_read_ex(made.get(), wire_read) != 1 ||
        BIO_meth_set_write_ex(made.get(), wire_write) != 1 || BIO_meth_set_ctrl(made.get(), wire_control) != 1)
      made.reset();
    return made;
  }();
  return method.get();
}

// ---- the session ----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Engine>> Engine::create(SSL_CTX& context, Side side) {
  ERR_clear_error();
  std::unique_ptr<Engine> engine(new Engine);
  engine->ssl_.reset(SSL_new(&context));
  BioPtr bio(wire_method() == nullptr ? nullptr : BIO_new(wire_method()));
  if (!engine->ssl_ || !bio) return fail(Errc::internal, "tls: a session could not be made: {}", take_ssl_error());
  BIO_set_data(bio.get(), engine.get());
  BIO_set_init(bio.get(), 1);
  BIO* shared = bio.release();
  SSL_set_bio(engine->ssl_.get(), shared, shared);
  if (side == Side::dialer)
    SSL_set_connect_state(engine->ssl_.get());
  else
    SSL_set_accept_state(engine->ssl_.get());
  return engine;
}

MutableBytes Engine::room() {
  if (end_ == in_.size())
    in_.grow();  // filled to the brim: somebody sends much
  else
    in_.took(end_);
  begin_ = end_ = 0;
  return in_.view();
}

std::unexpected<Error> Engine::broken(const char* during) {
  failure_ = Error(Errc::closed, fmt::format("tls: {}: {}", during, take_ssl_error()));
  return std::unexpected(*failure_);
}

Result<bool> Engine::handshake() {
  if (failure_) return std::unexpected(*failure_);
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) return true;
  if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ) return false;
  return broken("handshake");
}

Result<std::optional<std::size_t>> Engine::read(MutableBytes into) {
  if (failure_) return std::unexpected(*failure_);
  std::size_t total = 0;
  while (!into.empty()) {
    ERR_clear_error();
    std::size_t count = 0;
    const int done = SSL_read_ex(ssl_.get(), into.data(), into.size(), &count);
    if (done == 1) {
      total += count;
      into = into.subspan(count);
      continue;
    }
    const int why = SSL_get_error(ssl_.get(), done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_ZERO_RETURN) {
      auto error = broken("reading");
      if (total == 0) return error;  // else the next call tells
      break;
    }
    if (total > 0) break;
    if (why == SSL_ERROR_ZERO_RETURN) return std::optional<std::size_t>(0);
    return std::optional<std::size_t>();
  }
  return std::optional(total);
}

Result<void> Engine::write(BytesView text) {
  if (failure_) return std::unexpected(*failure_);
  ERR_clear_error();
  if (text.empty()) return {};
  std::size_t count = 0;
  out_.reserve(out_.size() + text.size() + (text.size() / SSL3_RT_MAX_PLAIN_LENGTH + 1) * kRecordOverhead);
  if (SSL_write_ex(ssl_.get(), text.data(), text.size(), &count) != 1) return broken("writing");
  return {};
}

Result<void> Engine::finish() {
  if (failure_) return std::unexpected(*failure_);
  ERR_clear_error();
  // 0 and 1 only tell whether the other side has finished too.
  if (SSL_shutdown(ssl_.get()) < 0) return broken("closing");
  return {};
}

}  // namespace dms::libp2p::tls
