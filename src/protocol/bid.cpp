#include "protocol/bid.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <set>

#include "crypto/peer_id.hpp"
#include "encoding/multibase.hpp"
#include "encoding/unknown.hpp"

namespace dms::json {

/// A form of another version is no more than an alternative.
template <>
struct Unknown<protocol::BidRequest> {
  static std::string in(const Value&) { return {}; }
};

}  // namespace dms::json

namespace dms::protocol {
namespace {

/// Names of Go's structures and of their JSON forms alike.
std::string folded(std::string_view name) {
  std::string text;
  for (const char c : name)
    if (c != '_') text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

/// Of edges between nodes: without a limit they ask for nothing.
bool limits(const json::Value& edges) {
  if (const auto* list = edges.if_array()) return std::ranges::any_of(*list, limits);
  const auto* edge = edges.if_object();
  if (edge == nullptr) return !json::is_unset(edges);
  return std::ranges::any_of(*edge, [](const auto& member) {
    const std::string name = folded(member.key());
    return (name == "rtt" || name == "bw") && !json::is_unset(member.value());
  });
}

/// Members that nothing reads, and that ask for something by their values only.
bool is_judged(std::string_view name) { return name == "edges" || name == "edgeconstraints" || name == "version"; }

bool asks(std::string_view name, const json::Value& value) {
  if (name == "version") return !json::is_unset(value) && !(value == "V1" || value == "v1");
  return is_judged(name) && limits(value);
}

/// The first member that asks for what nothing here reads, as it is written; empty if there is none.
template <class Read>
std::string first_beyond(const json::Value& value) {
  if (const auto* object = value.if_object())
    for (const auto& member : *object)
      if (asks(folded(std::string_view(member.key()).substr(0, 64)), member.value()))
        return std::string(member.key().substr(0, 64));
  return json::first_unknown<Read>(value, [](std::string_view name) { return is_judged(folded(name.substr(0, 64))); });
}

}  // namespace

void NodeRequest::to_json(json::Writer& writer) const { json::write(writer, static_cast<const NodeRequestV1&>(*this)); }

Result<NodeRequest> NodeRequest::from_json(const json::Value& value) {
  NodeRequest request;
  TRY(static_cast<NodeRequestV1&>(request), json::from_value<NodeRequestV1>(value));
  request.beyond = first_beyond<NodeRequestV1>(value);
  return request;
}

void EnsembleBidRequest::to_json(json::Writer& writer) const {
  json::write(writer, static_cast<const EnsembleBidRequestMembers&>(*this));
}

Result<EnsembleBidRequest> EnsembleBidRequest::from_json(const json::Value& value) {
  EnsembleBidRequest request;
  TRY(static_cast<EnsembleBidRequestMembers&>(request), json::from_value<EnsembleBidRequestMembers>(value));
  request.beyond = first_beyond<EnsembleBidRequestMembers>(value);
  return request;
}

namespace {

constexpr std::string_view kSignaturePrefix = "dms-bid-";
constexpr std::string_view kOfferPrefix = "dms-offer-";

void write_body(json::Writer& w, const Bid& bid, const Bytes* signature) {
  w.begin_object();
  w.key("EnsembleID").string(bid.ensemble_id);
  w.key("NodeID").string(bid.node_id);
  w.key("Peer").string(bid.peer);
  w.key("Location");
  bid.location.to_json(w);
  w.key("Handle");
  json::write(w, bid.handle);
  w.key("Signature");
  if (signature != nullptr)
    w.bytes(*signature);
  else
    w.null();
  w.end_object();
}

struct Body {
  std::string ensemble_id;
  std::string node_id;
  std::string peer;
  capability::Location location;
  actor::Handle handle;
  Bytes signature;
  static constexpr auto json_fields() {
    return std::tuple(json::field("EnsembleID", &Body::ensemble_id), json::field("NodeID", &Body::node_id),
                      json::field("Peer", &Body::peer), json::field("Location", &Body::location),
                      json::field("Handle", &Body::handle), json::field("Signature", &Body::signature));
  }
};

Result<void> check_also(const std::optional<std::vector<OtherNode>>& also, const std::string& node) {
  if (!also) return {};
  if (also->size() > kMaxAlso)
    return fail(Errc::invalid_argument, "Offer.also: at most {} are expected, found {}", kMaxAlso, also->size());
  std::set<std::string_view> nodes{node};
  for (const OtherNode& other : *also)
    if (!nodes.insert(other.node_id).second)
      return fail(Errc::invalid_argument, "Offer.also: a node is named twice: {}", other.node_id.substr(0, 64));
  return {};
}

std::vector<std::string> addresses_in(const json::Value* value) {
  std::vector<std::string> addresses;
  const auto add = [&](const json::Value& one) {
    const auto* text = one.if_string();
    if (text != nullptr && !text->empty() && text->size() <= kMaxPubAddress && addresses.size() < kMaxPubAddresses)
      addresses.emplace_back(*text);
  };
  if (value == nullptr) return addresses;
  if (const auto* list = value->if_array())
    for (const json::Value& one : *list) add(one);
  else
    add(*value);
  return addresses;
}

}  // namespace

std::string Bid::signed_text() const {
  if (!received_text_.empty()) return received_text_;
  json::Writer writer;
  write_body(writer, *this, nullptr);
  return std::string(kSignaturePrefix) + writer.text();
}

std::string Bid::signed_offer_text() const {
  return fmt::format("{}{}-{}", kOfferPrefix, encode(Base::hex, signature),
                     received_offer_.empty() ? json::encode(*offer) : received_offer_);
}

Result<void> Bid::sign(const crypto::PrivateKey& key) {
  received_text_.clear();
  received_offer_.clear();
  TRY(signature, key.sign(as_bytes(signed_text())));
  if (offer) {
    TRY(offer_signature, key.sign(as_bytes(signed_offer_text())));
  }
  return {};
}

Result<void> Bid::verify() const {
  TRY(const crypto::PeerId id, crypto::PeerId::parse(peer));
  const auto key = id.public_key();
  if (!key) return fail(Errc::permission_denied, "the bid's peer id {} does not contain its key", peer);
  if (!key->verify(as_bytes(signed_text()), signature))
    return fail(Errc::permission_denied, "the bid is not signed by its peer {}", peer);
  if (!offer) return {};
  if (offer_signature.empty() && offer->price == 0 && !offer->load && !offer->also) return {};
  if (!key->verify(as_bytes(signed_offer_text()), offer_signature))
    return fail(Errc::permission_denied, "the offer of the bid is not signed by its peer {}", peer);
  return {};
}

std::vector<Bid> Bid::by_node() const {
  Bid first;
  first.ensemble_id = ensemble_id;
  first.node_id = node_id;
  first.peer = peer;
  first.location = location;
  first.handle = handle;
  if (!offer) return {first};
  Offer& terms = first.offer.emplace();
  terms.free = offer->free;
  terms.max_lease_ns = offer->max_lease_ns;
  terms.results_limit = offer->results_limit;
  terms.price = offer->price;
  terms.load = offer->load;
  terms.unenforced = offer->unenforced;
  std::vector<Bid> all{first};
  if (!offer->also) return all;
  for (const OtherNode& other : *offer->also) {
    Bid& made = all.emplace_back(first);
    made.node_id = other.node_id;
    made.offer->results_limit = other.results_limit;
    made.offer->price = other.price;
    made.offer->unenforced = other.unenforced;
    if (other.free) made.offer->free = *other.free;
    if (other.load) made.offer->load = other.load;
  }
  return all;
}

void Bid::to_json(json::Writer& w) const {
  w.begin_object().key("V1");
  write_body(w, *this, &signature);
  if (offer) {
    w.key("Offer");
    json::write(w, *offer);
    if (!offer_signature.empty()) w.key("OfferSignature").bytes(offer_signature);
  }
  w.end_object();
}

Result<Bid> Bid::from_json(const json::Value& value) {
  const json::Object* outer = value.if_object();
  if (outer == nullptr) return json::wrong_kind("an object", value);
  const json::Value* v1 = json::find_member(*outer, "V1");
  if (v1 == nullptr || !v1->is_object()) return fail(Errc::invalid_argument, "V1: a bid of version 1 is expected");
  Result<Body> body = json::from_value<Body>(*v1);
  if (!body) return std::unexpected(json::at_member("V1", body.error()));

  json::Value unsigned_body = *v1;
  for (auto& member : unsigned_body.get_object())
    if (member.key() == "Signature") member.value() = nullptr;

  Bid bid;
  bid.ensemble_id = std::move(body->ensemble_id);
  bid.node_id = std::move(body->node_id);
  bid.peer = std::move(body->peer);
  bid.location = std::move(body->location);
  bid.handle = std::move(body->handle);
  bid.signature = std::move(body->signature);
  bid.pub_addresses = addresses_in(json::find_member(v1->get_object(), "PubAddress"));
  bid.is_promise = json::find_set(v1->get_object(), "PromiseBid") != nullptr;
  bid.received_text_ = std::string(kSignaturePrefix) + json::write(unsigned_body);
  if (const json::Value* offer = json::find_member(*outer, "Offer"); offer != nullptr && !offer->is_null()) {
    Result<Offer> read = json::from_value<Offer>(*offer);
    if (!read) return std::unexpected(json::at_member("Offer", read.error()));
    TRY_VOID(check_also(read->also, bid.node_id));
    bid.offer = *std::move(read);
    bid.received_offer_ = json::write(*offer);
    if (const json::Value* by = json::find_member(*outer, "OfferSignature"); by != nullptr && !by->is_null()) {
      Result<Bytes> signature = json::from_value<Bytes>(*by);
      if (!signature) return std::unexpected(json::at_member("OfferSignature", signature.error()));
      bid.offer_signature = *std::move(signature);
    }
  }
  return bid;
}

}  // namespace dms::protocol
