// A peer's own list of its addresses, signed so that other peers can pass it on.
//
// Model
//  1. Of two records of one peer the one with the greater `seq` counts; RecordIssuer counts upwards over restarts
//     because it starts from the clock.
//  2. A CertifiedRecord that exists is signed by the peer that it describes.
//
// Attacks: records come from untrusted peers. Unreadable addresses are skipped, at most kMaxAddresses are kept;
// addresses are claims about the peer itself only, and a dial proves them.
//
// Specification: libp2p RFC 0003 as implemented elsewhere: domain `libp2p-peer-record`, payload type 0x0301.
#pragma once

#include <array>
#include <vector>

#include "crypto/peer_id.hpp"
#include "libp2p/multiaddr/multiaddr.hpp"
#include "libp2p/records/signed_envelope.hpp"

namespace dms::libp2p {

struct PeerRecord {
  static constexpr std::string_view kDomain = "libp2p-peer-record";
  static constexpr std::array<std::uint8_t, 2> kType{0x03, 0x01};
  static constexpr std::size_t kMaxAddresses = 64;

  crypto::PeerId peer;
  std::uint64_t seq = 0;
  std::vector<Multiaddr> addresses;

  [[nodiscard]] Bytes encode() const;
  static Result<PeerRecord> decode(BytesView message);
  friend bool operator==(const PeerRecord&, const PeerRecord&) = default;
};

struct CertifiedRecord {
  PeerRecord record;
  Bytes envelope;  ///< as received, to be passed on

  static Result<CertifiedRecord> make(const crypto::PrivateKey& key, PeerRecord record);
  /// Errc::permission_denied unless the peer that it describes has signed it.
  static Result<CertifiedRecord> open(BytesView envelope);
};

/// Makes the records of one peer, each newer than the last.
class RecordIssuer {
 public:
  explicit RecordIssuer(crypto::PrivateKey key) : key_(std::move(key)) {}
  /// The last record if `addresses` have not changed, otherwise a new one.
  Result<CertifiedRecord> issue(const std::vector<Multiaddr>& addresses, UnixTime now);

 private:
  crypto::PrivateKey key_;
  std::uint64_t last_seq_ = 0;
  std::optional<CertifiedRecord> last_;
};

}  // namespace dms::libp2p
