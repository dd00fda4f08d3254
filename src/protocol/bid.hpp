// Bid requests of an orchestrator and signed bids of providers, as on the wire.
//
// Model
//  1. One EnsembleBidRequest carries one NodeRequest for each node of the ensemble that has no machine yet.
//  2. A provider answers with at most one Bid for each request message. Its signature, by the key of the peer id in it,
//     covers "dms-bid-" and the Go JSON of V1 with Signature null. V1 names one node. `also` of the Offer names the
//     others of the request that the machine would serve instead, kMaxAlso at most; of these nodes it serves one. A bid
//     with more of them, or with one twice, is not read. Without `also`, with a full one, and with `more`, the machine may
//     be able to serve others too.
//  3. A received bid is verified over the members that were received, in their order: newer nodes add members to V1,
//     and their signatures cover them.
//  4. A bid of a compute gateway may be a promise: the machine is made once it is chosen. The message that would have
//     it made is not known, so orchestrators do not count such bids; providers here make none.
//  5. Beside V1, a bid carries an Offer: its free resources, its price and load, what it honours beyond DMS 0.5.x, and
//     within which limits; other implementations ignore it. The resources are a hint for matching; the commit is
//     authoritative. The Offer has a signature of its own, as other implementations verify V1 over the members that
//     they know: it covers "dms-offer-", the signature of V1 in hex, "-" and the JSON of the Offer as received. An
//     Offer without a signature is of an older version of this implementation: it states no price and no load.
//  6. A request that DMS 0.5.x, or a stranger, makes of a provider beyond what is declared here is not read, but known
//     by the path of its member, however deep: `beyond`. Members that are unset (encoding/unset.hpp), edges without
//     limits and version V1 ask for nothing. A form of another version beside V1 is an alternative.
//
// Attacks: a bid in the name of another machine needs that machine's key; the auction drops a bid for another ensemble
// or node; a false Offer leads to a refused commit; an Offer counts with the V1 that it was made for alone.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actor/handle.hpp"
#include "capability/capability.hpp"
#include "capability/location.hpp"
#include "crypto/keys.hpp"
#include "encoding/json.hpp"
#include "encoding/named_enum.hpp"
#include "protocol/declaration.hpp"

namespace dms::protocol {

struct PublicPorts {
  std::vector<int> fixed;  // "static" on the wire
  int dynamic = 0;
  static constexpr auto json_fields() {
    return std::tuple(json::field("static", &PublicPorts::fixed, json::omit_empty),
                      json::field("dynamic", &PublicPorts::dynamic, json::omit_empty));
  }
};

struct GeneralRequirements {
  bool privileged_docker = false;
  static constexpr auto json_fields() {
    return std::tuple(json::field("privileged_docker", &GeneralRequirements::privileged_docker, json::omit_empty));
  }
};

/// What is read of the requirements of one node of an ensemble: the sum over its allocations.
struct NodeRequestV1 {
  std::string node_id;
  std::vector<std::string> executors;
  capability::Resources resources;
  capability::LocationConstraints location;
  PublicPorts public_ports;
  GeneralRequirements general_requirements;
  // Not in DMS 0.5.x.
  std::int64_t lease_ns = 0;        ///< that the ensemble insists on; 0: any
  std::uint64_t results_limit = 0;  ///< bytes, the largest of its allocations; 0: none has results
  static constexpr auto json_fields() {
    using R = NodeRequestV1;
    return std::tuple(json::field("node_id", &R::node_id), json::field("executors", &R::executors),
                      json::field("resources", &R::resources), json::field("location", &R::location),
                      json::field("public_ports", &R::public_ports),
                      json::field("general_requirements", &R::general_requirements),
                      json::field("lease", &R::lease_ns, json::omit_empty),
                      json::field("results_limit", &R::results_limit, json::omit_empty));
  }
};
struct NodeRequest : NodeRequestV1 {
  static void json_fields() = delete;
  std::string beyond;  ///< see (6); not written
  void to_json(json::Writer& writer) const;
  static Result<NodeRequest> from_json(const json::Value& value);
};

struct BidRequest {
  std::optional<NodeRequest> v1;
  static constexpr auto json_fields() { return std::tuple(json::field("V1", &BidRequest::v1)); }
};

struct EnsembleBidRequestMembers {
  std::string id;           // of the ensemble
  std::uint64_t nonce = 0;  // of the round: a provider answers each round once
  std::vector<BidRequest> request;
  std::vector<std::string> peer_exclusion;
  static constexpr auto json_fields() {
    using R = EnsembleBidRequestMembers;
    return std::tuple(json::field("id", &R::id), json::field("nonce", &R::nonce), json::field("request", &R::request),
                      json::field("peer_exclusion", &R::peer_exclusion, json::omit_empty));
  }
};
struct EnsembleBidRequest : EnsembleBidRequestMembers {
  static void json_fields() = delete;
  std::string beyond;  ///< of the whole request, see (6); not written
  void to_json(json::Writer& writer) const;
  static Result<EnsembleBidRequest> from_json(const json::Value& value);
};

/// What a provider honours of an ensemble beyond DMS 0.5.x. A bid without the features that a node needs is dropped.
enum class Feature { lease, health, inputs, results, edges };
NAMED_ENUM(Feature, {Feature::lease, "lease"}, {Feature::health, "health"}, {Feature::inputs, "inputs"},
           {Feature::results, "results"}, {Feature::edges, "edges"});

/// Beyond it a price counts as this: sums of many stay exact.
inline constexpr std::uint64_t kMaxPrice = 1'000'000'000'000'000;

/// Another node of the request than that of V1, see (2). What the Offer states beside this holds for it as well.
struct OtherNode {
  std::string node_id;
  std::uint64_t price = 0;
  std::uint64_t results_limit = 0;
  std::optional<capability::Resources> free;  ///< where it is not that of the Offer
  std::optional<std::uint32_t> load;          ///< as above
  std::map<std::string, std::string> unenforced;
  static constexpr auto json_fields() {
    using N = OtherNode;
    return std::tuple(json::field("node_id", &N::node_id), json::field("price", &N::price, json::omit_empty),
                      json::field("results_limit", &N::results_limit, json::omit_empty),
                      json::field("free", &N::free, json::omit_empty), json::field("load", &N::load, json::omit_empty),
                      json::field("unenforced_limits", &N::unenforced, json::omit_empty));
  }
};
inline constexpr std::size_t kMaxAlso = 31;

struct Offer {
  capability::Resources free;
  std::vector<std::string> features;  ///< names of Feature; unknown ones are ignored
  std::int64_t max_lease_ns = 0;
  std::uint64_t results_limit = 0;                ///< granted to each allocation: what was asked for, or less
  std::uint64_t price = 0;                        ///< of the node, millionths an hour; without a price it is free
  std::optional<std::uint32_t> load;              ///< thousandths of what the machine offers that are in use
  std::map<std::string, std::string> unenforced;  ///< by executor of the node, which limits it does not hold there
  std::optional<std::vector<OtherNode>> also;     ///< see (2)
  bool more = false;                              ///< it would serve others as well that `also` leaves out
  static constexpr auto json_fields() {
    return std::tuple(
        json::field("free", &Offer::free), json::field("features", &Offer::features, json::omit_empty),
        json::field("max_lease", &Offer::max_lease_ns, json::omit_empty),
        json::field("results_limit", &Offer::results_limit, json::omit_empty),
        json::field("price", &Offer::price, json::omit_empty), json::field("load", &Offer::load, json::omit_empty),
        json::field("unenforced_limits", &Offer::unenforced, json::omit_empty),
        json::field("also", &Offer::also, json::omit_empty), json::field("more", &Offer::more, json::omit_empty));
  }
};

class Bid {
 public:
  std::string ensemble_id;
  std::string node_id;
  std::string peer;
  capability::Location location;
  actor::Handle handle;
  Bytes signature;
  std::optional<Offer> offer;
  Bytes offer_signature;
  // Of DMS 0.5.x; read, not written.
  std::vector<std::string> pub_addresses;
  bool is_promise = false;  ///< of a gateway, which would have to make a machine for it first

  /// The offer as well, if there is one.
  Result<void> sign(const crypto::PrivateKey& key);
  /// Errc::permission_denied if a signature is not the peer's.
  Result<void> verify() const;
  /// A bid for each of its nodes with the terms of that, the node of V1 first: not signed, without `also` and features.
  [[nodiscard]] std::vector<Bid> by_node() const;

  void to_json(json::Writer& writer) const;
  static Result<Bid> from_json(const json::Value& value);

 private:
  [[nodiscard]] std::string signed_text() const;
  [[nodiscard]] std::string signed_offer_text() const;
  std::string received_text_;   // what the signature of a received bid covers
  std::string received_offer_;  // of a received bid, as it was written
};

/// Of the public addresses in a bid, and bytes of each; others are left out.
inline constexpr std::size_t kMaxPubAddresses = 16;
inline constexpr std::size_t kMaxPubAddress = 256;

inline constexpr std::string_view kDeploymentTopic = "/nunet/deployment";

/// Answered at kBid, by a provider that can serve one of the nodes. Time limit: of one bidding round.
inline constexpr Behaviour<EnsembleBidRequest, Bid> kBidRequest{
    {.path = "/dms/deployment/request", .help = "Ask providers for bids", .timeout = 5s, .topic = kDeploymentTopic}};
inline constexpr Behaviour<Bid, Nothing> kBid{{.path = "/dms/deployment/bid", .help = "Bid for a node of an ensemble"}};

}  // namespace dms::protocol
