// What a protocol uses of a host: streams to and from peers, and notice of connects and disconnects. Swarm and Host
// implement it; their headers say how each call behaves.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crypto/keys.hpp"
#include "crypto/peer_id.hpp"
#include "libp2p/swarm/stream.hpp"
#include "runtime/stream.hpp"

namespace dms::libp2p {

enum class NotificationId : std::uint64_t {};

using StreamHandler = std::function<Task<void>(std::unique_ptr<Stream>)>;
using PeerCallback = std::function<void(const crypto::PeerId&)>;

class ProtocolHost {
 public:
  virtual ~ProtocolHost() = default;

  [[nodiscard]] virtual const crypto::PeerId& self() const = 0;
  [[nodiscard]] virtual const crypto::PrivateKey& key() const = 0;
  [[nodiscard]] virtual Runtime runtime() const = 0;

  /// Connects first if need be. Errc::unsupported if the peer speaks none of the protocols.
  virtual Task<Result<std::unique_ptr<Stream>>> new_stream(crypto::PeerId peer, std::vector<std::string> protocols) = 0;
  /// The same over an existing connection; never dials. Errc::closed if there is none.
  virtual Task<Result<std::unique_ptr<Stream>>> new_stream_if_connected(crypto::PeerId peer,
                                                                        std::vector<std::string> protocols) = 0;
  /// Replaces a handler of the same name. Any text of 1 to 256 printable characters is a protocol name.
  virtual void set_stream_handler(std::string protocol, StreamHandler handler) = 0;
  /// New streams are refused; handlers that run continue.
  virtual void remove_stream_handler(const std::string& protocol) = 0;

  [[nodiscard]] virtual std::vector<crypto::PeerId> peers() const = 0;
  virtual NotificationId on_peer_connected(PeerCallback callback) = 0;
  virtual NotificationId on_peer_disconnected(PeerCallback callback) = 0;
  /// The callback is not called once this returns. Unknown ids are ignored.
  virtual void remove_notification(NotificationId id) = 0;

  /// new_stream() for a single protocol.
  Task<Result<std::unique_ptr<Stream>>> new_stream(crypto::PeerId peer, std::string protocol) {
    std::vector<std::string> protocols;
    protocols.push_back(std::move(protocol));
    return new_stream(peer, std::move(protocols));
  }
};

}  // namespace dms::libp2p
