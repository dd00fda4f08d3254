#include "libp2p/swarm/upgrader.hpp"

#include "libp2p/multistream/multistream.hpp"
#include "libp2p/security/noise/noise.hpp"
#include "libp2p/security/tls/tls.hpp"

namespace dms::libp2p {
namespace {

Task<Result<void>> agree_on_muxer(ByteStream& stream, Side side, std::string protocol) {
  if (side == Side::dialer) {
    std::vector<std::string> proposal;
    proposal.push_back(std::move(protocol));
    CO_TRY_VOID(co_await multistream::propose(stream, std::move(proposal)));
    co_return Result<void>();
  }
  std::function<bool(std::string_view)> supports = [&protocol](std::string_view name) { return name == protocol; };
  CO_TRY_VOID(co_await multistream::answer(stream, std::move(supports)));
  co_return Result<void>();
}

}  // namespace

Security* StandardUpgrader::find(std::string_view protocol) const {
  for (const auto& security : securities_)
    if (security->protocol() == protocol) return security.get();
  return nullptr;
}

/// The security protocol that both sides agree on. Replaces `raw` by a lazy stream where the answer is not waited for.
Task<Result<Security*>> StandardUpgrader::choose(std::unique_ptr<ByteStream>& raw, Side side) {
  if (side == Side::listener) {
    std::function<bool(std::string_view)> supports = [this](std::string_view name) { return find(name) != nullptr; };
    CO_TRY(std::string agreed, co_await multistream::answer(*raw, std::move(supports)));
    co_return find(agreed);
  }
  if (proposed_.empty()) co_return fail(Errc::invalid_argument, "no security protocol is configured for dialing");
  for (const std::string& name : proposed_)
    if (find(name) == nullptr) co_return fail(Errc::invalid_argument, "unknown security protocol '{}'", name);
  if (proposed_.size() > 1) {
    CO_TRY(std::string agreed, co_await multistream::propose(*raw, proposed_));
    co_return find(agreed);
  }
  raw = multistream::propose_lazily(std::move(raw), proposed_.front());
  co_return find(proposed_.front());
}

Task<Result<Connection>> StandardUpgrader::upgrade(std::unique_ptr<ByteStream> raw, Side side,
                                                   std::optional<crypto::PeerId> expected) {
  const std::string muxer(yamux::kProtocol);
  CO_TRY(Security * security, co_await choose(raw, side));
  std::vector<std::string> muxers;
  muxers.push_back(muxer);
  CO_TRY(Secured secured, co_await security->secure(std::move(raw), side, expected, std::move(muxers)));
  if (secured.muxer.empty()) CO_TRY_VOID(co_await agree_on_muxer(*secured.stream, side, muxer));
  Connection connection;
  connection.side = side;
  connection.peer = secured.peer;
  connection.key = std::move(secured.key);
  connection.security = security->protocol();
  connection.muxer_protocol = muxer;
  connection.muxer = std::make_unique<yamux::Session>(lane_, std::move(secured.stream), side, muxer_);
  co_return std::move(connection);
}

StandardUpgrader::Securities standard_securities(const crypto::PrivateKey& identity, Lane& lane) {
  StandardUpgrader::Securities out;
  out.push_back(std::make_unique<noise::Noise>(identity, lane.random()));
  out.push_back(std::make_unique<tls::Tls>(identity, lane.unix_now()));
  return out;
}

}  // namespace dms::libp2p
