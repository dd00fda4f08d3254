#include "libp2p/host/upgrader.hpp"

#include "libp2p/multistream/multistream.hpp"

namespace dms::libp2p {
namespace {

Task<Result<void>> agree(ByteStream& stream, Side side, std::string protocol) {
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

Task<Result<Connection>> StandardUpgrader::upgrade(std::unique_ptr<ByteStream> raw, Side side,
                                                   std::optional<crypto::PeerId> expected) {
  const std::string security(security_.protocol());
  const std::string muxer(yamux::kProtocol);
  if (side == Side::dialer) {
    CO_TRY(raw, co_await multistream::propose_lazily(std::move(raw), security));
  } else {
    CO_TRY_VOID(co_await agree(*raw, side, security));
  }
  std::vector<std::string> muxers;
  muxers.push_back(muxer);
  CO_TRY(Secured secured, co_await security_.secure(std::move(raw), side, expected, std::move(muxers)));
  if (secured.muxer.empty()) CO_TRY_VOID(co_await agree(*secured.stream, side, muxer));
  Connection connection;
  connection.side = side;
  connection.peer = secured.peer;
  connection.key = std::move(secured.key);
  connection.muxer = std::make_unique<yamux::Session>(lane_, std::move(secured.stream), side, muxer_);
  co_return std::move(connection);
}

}  // namespace dms::libp2p
