#include "libp2p/records/peer_record.hpp"

#include <algorithm>

#include "libp2p/protobuf.hpp"

namespace dms::libp2p {
namespace {

constexpr std::uint32_t kPeerId = 1, kSeq = 2, kAddresses = 3;
constexpr std::uint32_t kMultiaddr = 1;  // of AddressInfo

Result<std::optional<Multiaddr>> read_address_info(BytesView message) {
  std::optional<Multiaddr> address;
  ProtoReader reader(message);
  for (;;) {
    TRY(auto field, reader.next());
    if (!field) return address;
    if (!field->is_bytes(kMultiaddr)) continue;
    auto read = Multiaddr::from_bytes(field->bytes);
    address = read ? std::optional(std::move(*read)) : std::nullopt;
  }
}

}  // namespace

Bytes PeerRecord::encode() const {
  ProtoWriter out;
  out.bytes(kPeerId, peer.bytes());
  out.varint(kSeq, seq);
  for (const Multiaddr& address : addresses) {
    ProtoWriter info;
    info.bytes(kMultiaddr, address.bytes());
    out.bytes(kAddresses, info.take());
  }
  return out.take();
}

Result<PeerRecord> PeerRecord::decode(BytesView message) {
  PeerRecord record;
  ProtoReader reader(message);
  for (;;) {
    TRY(auto field, reader.next());
    if (!field) break;
    if (field->is_bytes(kPeerId)) {
      TRY(record.peer, crypto::PeerId::from_bytes(field->bytes));
    } else if (field->is_varint(kSeq)) {
      record.seq = field->value;
    } else if (field->is_bytes(kAddresses)) {
      TRY(auto address, read_address_info(field->bytes));
      if (address && record.addresses.size() < kMaxAddresses) record.addresses.push_back(std::move(*address));
    }
  }
  if (record.peer.empty()) return fail(Errc::invalid_argument, "peer record: field peer_id is missing");
  return record;
}

Result<CertifiedRecord> CertifiedRecord::make(const crypto::PrivateKey& key, PeerRecord record) {
  if (!record.peer.matches(key.public_key()))
    return fail(Errc::permission_denied, "peer record: {} can only be signed by itself", record.peer.to_string());
  TRY(auto envelope, SignedEnvelope::seal(key, PeerRecord::kDomain, PeerRecord::kType, record.encode()));
  return CertifiedRecord{std::move(record), envelope.marshal()};
}

Result<CertifiedRecord> CertifiedRecord::open(BytesView envelope) {
  TRY(auto opened, SignedEnvelope::open(envelope, PeerRecord::kDomain, PeerRecord::kType));
  TRY(auto record, PeerRecord::decode(opened.payload()));
  if (!record.peer.matches(opened.signer()))
    return fail(Errc::permission_denied, "peer record: it describes {}, which has not signed it",
                record.peer.to_string());
  return CertifiedRecord{std::move(record), to_bytes(envelope)};
}

Result<CertifiedRecord> RecordIssuer::issue(const std::vector<Multiaddr>& addresses, UnixTime now) {
  if (last_ && last_->record.addresses == addresses) return *last_;
  PeerRecord record;
  record.peer = crypto::PeerId::from(key_.public_key());
  record.seq = std::max(now.nanos, last_seq_ + 1);
  record.addresses = addresses;
  TRY(last_, CertifiedRecord::make(key_, std::move(record)));
  last_seq_ = last_->record.seq;
  return *last_;
}

}  // namespace dms::libp2p
