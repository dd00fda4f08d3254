#include "libp2p/protocols/identify/message.hpp"

#include "base/varint.hpp"
#include "libp2p/protobuf.hpp"

namespace dms::libp2p {
namespace {

constexpr std::uint32_t kPublicKey = 1, kListenAddress = 2, kProtocol = 3, kObservedAddress = 4, kProtocolVersion = 5,
                        kAgentVersion = 6, kSignedRecord = 8;

std::string short_text(BytesView bytes) { return std::string(as_text(bytes).substr(0, IdentifyInfo::kMaxText)); }

}  // namespace

Bytes IdentifyInfo::encode() const {
  ProtoWriter out;
  if (!public_key.empty()) out.bytes(kPublicKey, public_key);
  for (const Multiaddr& address : listen_addresses) out.bytes(kListenAddress, address.bytes());
  for (const std::string& name : protocols) out.text(kProtocol, name);
  if (observed_address) out.bytes(kObservedAddress, observed_address->bytes());
  if (!protocol_version.empty()) out.text(kProtocolVersion, protocol_version);
  if (!agent_version.empty()) out.text(kAgentVersion, agent_version);
  if (!signed_record.empty()) out.bytes(kSignedRecord, signed_record);
  return out.take();
}

Bytes IdentifyInfo::encode_delimited() const {
  Bytes whole = encode();
  if (whole.size() <= kOneMessage || signed_record.empty()) return delimited(whole);
  IdentifyInfo first = *this, second;
  second.signed_record = std::exchange(first.signed_record, {});
  Bytes out = delimited(first.encode());
  append(out, delimited(second.encode()));
  return out;
}

Result<void> IdentifyInfo::merge(BytesView message) {
  ProtoReader reader(message);
  for (;;) {
    TRY(auto field, reader.next());
    if (!field) return {};
    if (field->type != ProtoField::Type::bytes) continue;
    switch (field->number) {
      case kPublicKey: public_key = to_bytes(field->bytes); break;
      case kProtocolVersion: protocol_version = short_text(field->bytes); break;
      case kAgentVersion: agent_version = short_text(field->bytes); break;
      case kSignedRecord: signed_record = to_bytes(field->bytes); break;
      case kProtocol:
        if (protocols.size() < kMaxProtocols && field->bytes.size() <= kMaxText)
          protocols.emplace_back(as_text(field->bytes));
        break;
      case kListenAddress:
        if (listen_addresses.size() < kMaxAddresses)
          if (auto address = Multiaddr::from_bytes(field->bytes)) listen_addresses.push_back(std::move(*address));
        break;
      case kObservedAddress:
        if (auto address = Multiaddr::from_bytes(field->bytes)) observed_address = std::move(*address);
        break;
      default: break;
    }
  }
}

Result<IdentifyInfo> IdentifyInfo::decode_delimited(BytesView messages, std::size_t max_parts) {
  auto info = decode_parts(messages, max_parts);
  if (!info && IdentifyInfo().merge(messages))
    return fail(Errc::invalid_argument, "identify: the message is not length-prefixed");
  return info;
}

Result<IdentifyInfo> IdentifyInfo::decode_parts(BytesView messages, std::size_t max_parts) {
  IdentifyInfo info;
  for (std::size_t part = 0; !messages.empty(); ++part) {
    if (part == max_parts) return fail(Errc::limit_exceeded, "identify: more than {} messages", max_parts);
    TRY(const Varint size, parse_varint(messages));
    messages = messages.subspan(size.size);
    if (size.value > messages.size()) return fail(Errc::invalid_argument, "identify: a message is cut short");
    TRY_VOID(info.merge(messages.first(static_cast<std::size_t>(size.value))));
    messages = messages.subspan(static_cast<std::size_t>(size.value));
  }
  return info;
}

void IdentifyInfo::update(const IdentifyInfo& newer) {
  if (!newer.protocol_version.empty()) protocol_version = newer.protocol_version;
  if (!newer.agent_version.empty()) agent_version = newer.agent_version;
  if (!newer.public_key.empty()) public_key = newer.public_key;
  if (!newer.listen_addresses.empty()) listen_addresses = newer.listen_addresses;
  if (newer.observed_address) observed_address = newer.observed_address;
  if (!newer.protocols.empty()) protocols = newer.protocols;
  if (!newer.signed_record.empty()) signed_record = newer.signed_record;
}

}  // namespace dms::libp2p
