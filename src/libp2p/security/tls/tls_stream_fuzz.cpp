// Whatever an authenticated peer may say after a TLS handshake. The input is a list of records: a byte for the type, one for
// the size, then so many bytes of content, which are sealed with the peer's keys; a type of 0 puts the content on the wire
// as it stands. After a key update the peer goes on with its new keys. Text comes out as it went in, up to the end.
#include <cstdlib>

#include "simulation/scripted_stream.hpp"
#include "simulation/sim_world.hpp"
#include "libp2p/security/tls/tls_stream.hpp"

namespace dms::libp2p::tls {
namespace {

RecordCipher cipher() {
  return *RecordCipher::create(Suite::aes_128_gcm_sha256, crypto::Secret(BytesView(Bytes(32, 1))));
}

struct Script {
  Bytes wire;
  Bytes text;  ///< all that may come out, at most
};

Script write_script(BytesView input) {
  Script out;
  RecordCipher peer = cipher();
  while (input.size() >= 2) {
    const auto type = static_cast<ContentType>(input[0]);
    const BytesView content = input.subspan(2, std::min<std::size_t>(input[1], input.size() - 2));
    input = input.subspan(2 + content.size());
    if (static_cast<int>(type) == 0) {
      append(out.wire, content);
      continue;
    }
    Bytes record(content.size() + RecordCipher::kOverhead);
    if (!peer.seal(type, content, record)) std::abort();
    append(out.wire, record);
    if (type == ContentType::application_data) append(out.text, content);
    const bool update = type == ContentType::handshake && content.size() == 5 && content[0] == 24;
    if (update && !peer.update()) std::abort();
  }
  return out;
}

Task<void> listen(Side side, std::size_t piece, const Script& script) {
  TlsStream stream(std::make_unique<ScriptedStream>(script.wire), side, {cipher(), cipher()});
  Bytes buffer(piece);
  Bytes heard;
  for (;;) {
    Result<std::size_t> got = co_await stream.read_some(buffer);
    if (!got || *got == 0) break;
    append(heard, BytesView(buffer).first(*got));
    Result<void> answered = co_await stream.write(BytesView(buffer).first(*got));
    if (!answered) break;
  }
  if (heard.size() > script.text.size() || !std::equal(heard.begin(), heard.end(), script.text.begin())) std::abort();
}

}  // namespace
}  // namespace dms::libp2p::tls

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::libp2p;
  if (size == 0) return 0;
  const tls::Script script = tls::write_script(dms::BytesView(data, size).subspan(1));
  dms::SimWorld world(1);
  dms::SimNode& node = world.add_node("n");
  world.run(node, tls::listen(data[0] % 2 == 0 ? Side::listener : Side::dialer, 1 + data[0] / 2, script));
  return 0;
}
