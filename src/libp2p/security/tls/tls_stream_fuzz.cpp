// Two sessions after a handshake, driven by the input: writes, key updates, close_notify, deliveries cut anywhere, and
// altered bytes of the wire. Each side reads exactly what the other has written, in order, up to the first alteration.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/random.hpp"
#include "crypto/keys.hpp"
#include "libp2p/security/tls/certificate.hpp"
#include "libp2p/security/tls/session.hpp"

namespace dms::libp2p::tls {
namespace {

SSL_CTX& context() {
  static const SslContextPtr made = [] {
    SeededRandom random(1);
    const auto identity = crypto::PrivateKey::generate(random);
    Certificate certificate = make_certificate(identity, {1'760'000'000ULL * 1'000'000'000ULL}).value();
    SslContextPtr out(SSL_CTX_new(TLS_method()));
    SSL_CTX_set_min_proto_version(out.get(), TLS1_3_VERSION);
    SSL_CTX_set_mode(out.get(), SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_use_certificate(out.get(), certificate.x509.get());
    SSL_CTX_use_PrivateKey(out.get(), certificate.key.get());
    return out;
  }();
  return *made;
}

struct End {
  std::unique_ptr<Session> session;
  Bytes wire;            ///< sent by this end and not delivered
  Bytes written;         ///< text
  Bytes read;            ///< text of the peer
  bool altered = false;  ///< a byte of this end's wire
  bool finished = false;
  bool failed = false;
  void collect() { append(wire, std::exchange(session->output(), {})); }
};

/// Gives `to` up to `count` bytes of what `from` has sent, and reads in pieces.
void deliver(End& from, End& to, std::size_t count, std::size_t piece) {
  from.collect();
  count = std::min(count, from.wire.size());
  Bytes text(piece);
  while (count > 0 && !to.failed) {
    const MutableBytes into = to.session->input();
    const std::size_t some = std::min(count, into.size());
    std::copy_n(from.wire.begin(), some, into.begin());
    from.wire.erase(from.wire.begin(), from.wire.begin() + static_cast<std::ptrdiff_t>(some));
    to.session->received(some);
    count -= some;
    if (SSL_is_init_finished(&to.session->ssl()) == 0) {
      // A session that has failed counts as one whose handshake is not finished.
      to.failed = !to.session->handshake();
      if (to.failed && !from.altered && !to.altered) std::abort();
      // A key update that was asked for is sent as a handshake; what has arrived is read after it.
      if (to.failed || SSL_is_init_finished(&to.session->ssl()) == 0) continue;
    }
    for (;;) {
      const auto got = to.session->read(text);
      to.failed = !got;
      if (!got || !*got || **got == 0) break;
      append(to.read, BytesView(text).first(**got));
    }
  }
}

void act(std::uint8_t what, std::uint8_t number, End& end, End& peer, std::size_t piece) {
  switch (what % 6) {
    case 0: {
      const Bytes text(std::size_t{number} * 64, number);
      if (!end.finished && !end.failed && end.session->write(text)) append(end.written, text);
      break;
    }
    case 1: deliver(end, peer, std::size_t{number} * 16 + 1, piece); break;
    case 2: deliver(end, peer, static_cast<std::size_t>(-1), piece); break;
    case 3:
      end.collect();
      if (end.wire.empty()) break;
      end.wire[number % end.wire.size()] ^= static_cast<std::uint8_t>(1 + number % 255);
      end.altered = true;
      break;
    case 4:
      // Sent at once, as Session does: an update that waits could not follow a close_notify.
      if (!end.finished && !end.failed && SSL_key_update(&end.session->ssl(), number % 2) == 1)
        end.failed = !end.session->handshake();
      if (end.failed && !end.altered && !peer.altered) std::abort();
      break;
    default:
      if (!end.finished && !end.failed && end.session->finish()) end.finished = true;
  }
}

void check(const End& reader, const End& writer) {
  if (reader.read.size() > writer.written.size() ||
      !std::equal(reader.read.begin(), reader.read.end(), writer.written.begin()))
    std::abort();
}

}  // namespace
}  // namespace dms::libp2p::tls

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::libp2p;
  using namespace dms::libp2p::tls;
  if (size == 0) return 0;
  End a{Session::create(context(), Side::dialer).value()}, b{Session::create(context(), Side::listener).value()};
  for (int i = 0; i < 3; ++i) {
    if (!a.session->handshake() || !b.session->handshake()) std::abort();
    deliver(a, b, static_cast<std::size_t>(-1), 64);
    deliver(b, a, static_cast<std::size_t>(-1), 64);
  }
  const std::size_t piece = 1 + data[0];
  for (std::size_t at = 1; at + 1 < size; at += 2) {
    const bool from_a = data[at] < 128;
    act(data[at], data[at + 1], from_a ? a : b, from_a ? b : a, piece);
    check(a, b);
    check(b, a);
  }
  deliver(a, b, static_cast<std::size_t>(-1), piece);
  deliver(b, a, static_cast<std::size_t>(-1), piece);
  check(a, b);
  check(b, a);
  if (!a.altered && !b.altered && !a.failed && !b.failed && (a.read != b.written || b.read != a.written)) std::abort();
  return 0;
}
