#include "libp2p/protocols/gossipsub/rpc.hpp"

#include "libp2p/protobuf.hpp"

namespace dms::libp2p {
namespace {

constexpr std::string_view kSignaturePrefix = "libp2p-pubsub:";

namespace rpc_field {
constexpr std::uint32_t kSubscription = 1, kPublish = 2, kControl = 3;
constexpr std::uint32_t kSubscribe = 1, kTopic = 2;
}  // namespace rpc_field
namespace message_field {
constexpr std::uint32_t kFrom = 1, kData = 2, kSeqno = 3, kTopic = 4, kSignature = 5, kKey = 6;
}  // namespace message_field
namespace control_field {
constexpr std::uint32_t kIHave = 1, kIWant = 2, kGraft = 3, kPrune = 4;
constexpr std::uint32_t kIHaveTopic = 1, kIHaveIds = 2, kIWantIds = 1, kTopic = 1, kBackoff = 3;
}  // namespace control_field

/// Calls `visit` for each field of `message`.
template <class Visit>
Result<void> each_field(BytesView message, Visit visit) {
  ProtoReader reader(message);
  for (;;) {
    TRY(auto field, reader.next());
    if (!field) return {};
    TRY_VOID(visit(*field));
  }
}

Result<void> read_subscription(BytesView bytes, RpcView& rpc) {
  RpcView::Subscription out;
  TRY_VOID(each_field(bytes, [&](const ProtoField& field) -> Result<void> {
    if (field.is_varint(rpc_field::kSubscribe)) out.subscribe = field.value != 0;
    if (field.is_bytes(rpc_field::kTopic)) out.topic = as_text(field.bytes);
    return {};
  }));
  if (!out.topic.empty() && out.topic.size() <= kMaxTopic && rpc.subscriptions.size() < RpcView::kMaxSubscriptions)
    rpc.subscriptions.push_back(out);
  return {};
}

Result<void> read_ihave(BytesView bytes, RpcView& rpc) {
  RpcView::IHave out;
  TRY_VOID(each_field(bytes, [&](const ProtoField& field) -> Result<void> {
    if (field.is_bytes(control_field::kIHaveTopic)) out.topic = as_text(field.bytes);
    if (field.is_bytes(control_field::kIHaveIds) && out.ids.size() < RpcView::kMaxIds) out.ids.push_back(field.bytes);
    return {};
  }));
  if (rpc.ihave.size() < RpcView::kMaxControl) rpc.ihave.push_back(std::move(out));
  return {};
}

/// GRAFT and PRUNE: a topic and, in the latter, a backoff.
Result<RpcView::Prune> read_topic(BytesView bytes) {
  RpcView::Prune out;
  TRY_VOID(each_field(bytes, [&](const ProtoField& field) -> Result<void> {
    if (field.is_bytes(control_field::kTopic)) out.topic = as_text(field.bytes);
    if (field.is_varint(control_field::kBackoff)) out.backoff_seconds = field.value;
    return {};
  }));
  return out;
}

Result<void> read_control(BytesView bytes, RpcView& rpc) {
  return each_field(bytes, [&](const ProtoField& field) -> Result<void> {
    if (field.is_bytes(control_field::kIHave)) return read_ihave(field.bytes, rpc);
    if (field.is_bytes(control_field::kGraft)) {
      TRY(RpcView::Prune graft, read_topic(field.bytes));
      if (rpc.graft.size() < RpcView::kMaxControl) rpc.graft.push_back(graft.topic);
    }
    if (field.is_bytes(control_field::kPrune)) {
      TRY(RpcView::Prune prune, read_topic(field.bytes));
      if (rpc.prune.size() < RpcView::kMaxControl) rpc.prune.push_back(prune);
    }
    return {};
  });
}

Result<void> check_key(const crypto::PublicKey& key, const crypto::PeerId& author) {
  if (!author.matches(key))
    return fail(Errc::permission_denied, "pubsub: the key is not that of the author {}", author.to_string());
  return {};
}

Result<crypto::PublicKey> author_key(const crypto::PeerId& author, BytesView key_field) {
  if (!key_field.empty()) {
    TRY(auto key, crypto::PublicKey::unmarshal(key_field));
    TRY_VOID(check_key(key, author));
    return key;
  }
  auto key = author.public_key();
  if (!key) return fail(Errc::permission_denied, "pubsub: the author's id does not contain a key and none was sent");
  return *key;
}

}  // namespace

Result<MessageView> MessageView::decode(BytesView raw) {
  MessageView out;
  out.raw = raw;
  TRY_VOID(each_field(raw, [&](const ProtoField& field) -> Result<void> {
    if (field.type != ProtoField::Type::bytes) return {};
    switch (field.number) {
      case message_field::kFrom: out.from = field.bytes; break;
      case message_field::kData: out.data = field.bytes; break;
      case message_field::kSeqno: out.seqno = field.bytes; break;
      case message_field::kTopic: out.topic = as_text(field.bytes); break;
      case message_field::kSignature: out.signature = field.bytes; break;
      case message_field::kKey: out.key = field.bytes; break;
      default: break;
    }
    return {};
  }));
  return out;
}

std::string MessageView::id() const { return std::string(as_text(from)) + std::string(as_text(seqno)); }

Result<crypto::PeerId> MessageView::verify() const {
  if (from.empty() || seqno.size() != 8 || signature.empty())
    return fail(Errc::permission_denied, "pubsub: author, sequence number or signature is missing or malformed");
  TRY(crypto::PeerId author, crypto::PeerId::from_bytes(from));
  TRY(crypto::PublicKey public_key, author_key(author, key));
  Bytes signed_bytes = to_bytes(kSignaturePrefix);
  signed_bytes.reserve(signed_bytes.size() + raw.size());
  TRY_VOID(each_field(raw, [&](const ProtoField& field) -> Result<void> {
    if (field.number != message_field::kSignature && field.number != message_field::kKey)
      append(signed_bytes, field.raw);
    return {};
  }));
  if (!public_key.verify(signed_bytes, signature))
    return fail(Errc::permission_denied, "pubsub: the signature of {} is wrong", author.to_string());
  return author;
}

Result<Bytes> sign_message(const crypto::PrivateKey& author, std::uint64_t seqno, std::string_view topic,
                           BytesView data) {
  const crypto::PeerId from = crypto::PeerId::from(author.public_key());
  Bytes number(8);
  for (int i = 0; i < 8; ++i) number[i] = static_cast<std::uint8_t>(seqno >> (56 - 8 * i));
  ProtoWriter out;
  out.bytes(message_field::kFrom, from.bytes());
  out.bytes(message_field::kData, data);
  out.bytes(message_field::kSeqno, number);
  out.text(message_field::kTopic, topic);
  Bytes message = out.take();
  Bytes signed_bytes = to_bytes(kSignaturePrefix);
  append(signed_bytes, message);
  TRY(Bytes signature, author.sign(signed_bytes));
  ProtoWriter rest;
  rest.bytes(message_field::kSignature, signature);
  if (!from.public_key()) rest.bytes(message_field::kKey, author.public_key().marshal());
  append(message, rest.take());
  return message;
}

Result<RpcView> RpcView::decode(BytesView bytes) {
  RpcView rpc;
  TRY_VOID(each_field(bytes, [&](const ProtoField& field) -> Result<void> {
    if (field.is_bytes(rpc_field::kSubscription)) return read_subscription(field.bytes, rpc);
    if (field.is_bytes(rpc_field::kControl)) return read_control(field.bytes, rpc);
    if (field.is_bytes(rpc_field::kPublish)) {
      TRY(MessageView message, MessageView::decode(field.bytes));
      if (rpc.messages.size() < kMaxMessages) rpc.messages.push_back(message);
    }
    return {};
  }));
  return rpc;
}

Bytes RpcBuilder::encode() const {
  ProtoWriter out;
  for (const auto& [subscribe, topic] : subscriptions) {
    ProtoWriter one;
    one.varint(rpc_field::kSubscribe, subscribe ? 1 : 0);
    one.text(rpc_field::kTopic, topic);
    out.bytes(rpc_field::kSubscription, one.take());
  }
  for (BytesView message : messages) out.bytes(rpc_field::kPublish, message);
  ProtoWriter control;
  if (!iwant.empty()) {
    ProtoWriter ids;
    for (const std::string& id : iwant) ids.text(control_field::kIWantIds, id);
    control.bytes(control_field::kIWant, ids.take());
  }
  for (const std::string& topic : graft) {
    ProtoWriter one;
    one.text(control_field::kTopic, topic);
    control.bytes(control_field::kGraft, one.take());
  }
  for (const Prune& one : prune) {
    ProtoWriter body;
    body.text(control_field::kTopic, one.topic);
    body.varint(control_field::kBackoff, one.backoff_seconds);
    control.bytes(control_field::kPrune, body.take());
  }
  if (control.size() > 0) out.bytes(rpc_field::kControl, control.take());
  return out.take();
}

}  // namespace dms::libp2p
