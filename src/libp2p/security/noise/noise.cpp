#include "libp2p/security/noise/noise.hpp"

#include <algorithm>

#include "libp2p/security/noise/handshake.hpp"
#include "libp2p/security/noise/noise_stream.hpp"

namespace dms::libp2p::noise {
namespace {

Task<Result<void>> send(ByteStream& raw, Handshake& handshake, BytesView payload) {
  CO_TRY(Bytes message, handshake.write_message(payload));
  Bytes framed{static_cast<std::uint8_t>(message.size() >> 8), static_cast<std::uint8_t>(message.size())};
  append(framed, message);
  co_return co_await raw.write(framed);
}

Task<Result<Bytes>> receive(ByteStream& raw, Handshake& handshake) {
  std::array<std::uint8_t, 2> header{};
  CO_TRY_VOID(co_await read_exactly(raw, header));
  const std::size_t size = static_cast<std::size_t>(header[0] << 8 | header[1]);
  if (size > Noise::kMaxHandshakeMessage)
    co_return fail(Errc::limit_exceeded, "noise: a handshake message of {} bytes; at most {} are accepted", size,
                   Noise::kMaxHandshakeMessage);
  Bytes message(size);
  CO_TRY_VOID(co_await read_exactly(raw, message));
  co_return handshake.read_message(message);
}

struct Proved {
  crypto::PublicKey key;
  std::vector<std::string> muxers;
};

Result<Proved> check(BytesView message, const Handshake& handshake, const std::optional<crypto::PeerId>& expected) {
  TRY(Payload payload, Payload::decode(message));
  TRY(crypto::PublicKey key, payload.verify(handshake.remote_static()));
  if (expected && !expected->matches(key))
    return fail(Errc::permission_denied, "expected peer {}, found {}", expected->to_string(),
                crypto::PeerId::from(key).to_string());
  return Proved{std::move(key), std::move(payload.muxers)};
}

/// The first of the dialer's muxers that both have. Without an offer of one side multistream-select decides.
Result<std::string> choose_muxer(const std::vector<std::string>& dialer, const std::vector<std::string>& listener) {
  if (dialer.empty() || listener.empty()) return std::string();
  for (const std::string& name : dialer)
    if (std::ranges::find(listener, name) != listener.end()) return name;
  return fail(Errc::unsupported, "noise: no stream muxer in common");
}

Task<Result<Proved>> exchange(ByteStream& raw, Handshake& handshake, Side side, Payload mine,
                              std::optional<crypto::PeerId> expected) {
  const Bytes payload = mine.encode();
  if (side == Side::dialer) {
    CO_TRY_VOID(co_await send(raw, handshake, BytesView()));
    CO_TRY(Bytes payload_in, co_await receive(raw, handshake));
    CO_TRY(Proved proved, check(payload_in, handshake, expected));
    CO_TRY_VOID(co_await send(raw, handshake, payload));
    co_return std::move(proved);
  }
  CO_TRY(Bytes empty, co_await receive(raw, handshake));
  CO_TRY_VOID(co_await send(raw, handshake, payload));
  CO_TRY(Bytes payload_in, co_await receive(raw, handshake));
  co_return check(payload_in, handshake, expected);
}

}  // namespace

Noise::Noise(const crypto::PrivateKey& identity, Random& random)
    : random_(random),
      static_key_(crypto::X25519Key::generate(random)),
      proof_(Payload::create(identity, static_key_.public_key())) {}

Task<Result<Secured>> Noise::secure(std::unique_ptr<ByteStream> raw, Side side, std::optional<crypto::PeerId> expected,
                                    std::vector<std::string> muxers) {
  if (!proof_) co_return fail(proof_.error(), "noise handshake");
  Payload mine = *proof_;
  mine.muxers = muxers;
  Handshake handshake(side, static_key_, crypto::X25519Key::generate(random_));
  Result<Proved> proved = co_await exchange(*raw, handshake, side, std::move(mine), expected);
  if (!proved) co_return fail(proved.error(), "noise handshake");
  const bool dialer = side == Side::dialer;
  CO_TRY(std::string muxer, choose_muxer(dialer ? muxers : proved->muxers, dialer ? proved->muxers : muxers));
  CO_TRY(Handshake::Ciphers ciphers, handshake.split());
  std::unique_ptr<ByteStream> stream = std::make_unique<NoiseStream>(std::move(raw), std::move(ciphers));
  const crypto::PeerId peer = crypto::PeerId::from(proved->key);
  Secured secured{std::move(stream), std::move(proved->key), peer, std::move(muxer)};
  co_return std::move(secured);
}

}  // namespace dms::libp2p::noise
