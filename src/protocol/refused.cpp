#include "protocol/refused.hpp"

#include <array>

#include "base/log.hpp"
#include "protocol/allocation.hpp"

namespace dms::protocol {
namespace {

constexpr std::string_view kNoSubnets =
    "there are no subnets yet; an ensemble without one says `subnet: {join: false}` and names no ports";
constexpr std::string_view kNoVolumes =
    "there are no volumes yet; `inputs` bring files to an allocation, `results` bring them back";
constexpr std::string_view kNoContracts =
    "there are no contracts yet; who may use a provider is decided by capabilities alone, see `nunet cap grant`";

constexpr std::array kRefused{
    RefusedBehaviour{"/dms/node/peers/dht",
                     "this node keeps no table of a distributed hash table yet; /dms/node/peers/list lists the peers "
                     "that it is connected to"},
    RefusedBehaviour{
        "/dms/node/peers/score",
        "publish/subscribe of this node keeps no scores of peers yet; /dms/node/peers/list lists the peers "
        "that it is connected to"},
    RefusedBehaviour{"/dms/volume/create", kNoVolumes},
    RefusedBehaviour{"/dms/volume/delete", kNoVolumes},
    RefusedBehaviour{"/dms/volume/start", kNoVolumes},
    RefusedBehaviour{"/dms/node/subnet/create", kNoSubnets},
    RefusedBehaviour{"/dms/node/subnet/destroy", kNoSubnets},
    RefusedBehaviour{"/dms/node/subnet/join", kNoSubnets},
    RefusedBehaviour{"/dms/ensemble/{ensemble}/node/subnet/create", kNoSubnets, Holder::ensemble},
    RefusedBehaviour{"/dms/ensemble/{ensemble}/node/subnet/destroy", kNoSubnets, Holder::ensemble},
    RefusedBehaviour{"/dms/ensemble/{ensemble}/node/subnet/join", kNoSubnets, Holder::ensemble},
    RefusedBehaviour{"/dms/allocation/subnet/add-peer", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/remove-peers", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/remove-peer", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/accept-peers", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/accept-peer", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/map-port", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/unmap-port", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/dns/add-records", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/dns/remove-records", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/allocation/subnet/dns/remove-record", kNoSubnets, Holder::allocation},
    RefusedBehaviour{"/dms/tokenomics/contract/create", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/propose", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/approve_local", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/list_incoming", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/usages/calculate", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/terminate", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/complete", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/state", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/settle", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/validate", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/sign", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/events", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/payment/validate", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/payment/validation/request", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/payment/status", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/usage", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/transaction", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/transactions/list", kNoContracts},
    RefusedBehaviour{"/dms/tokenomics/contract/transactions/confirm", kNoContracts}};

std::string path_at(const RefusedBehaviour& refused, std::string_view ensemble) {
  return path_of(Declaration{.path = refused.path, .help = refused.reason}, ensemble);
}

Task<void> answer(actor::Actor& actor, const RefusedBehaviour& refused, actor::Envelope envelope) {
  if (envelope.options.reply_to.empty()) co_return;
  Ack reply;
  reply.error = refusal_of(envelope.behaviour, refused);
  const Result<void> sent = co_await actor.reply(envelope, reply);
  if (!sent) log::debug("protocol", "replying to {}: {}", envelope.behaviour, sent.error().to_string());
}

}  // namespace

std::span<const RefusedBehaviour> refused_behaviours() { return kRefused; }

std::string refusal_of(std::string_view path, const RefusedBehaviour& refused) {
  return fmt::format("{} is not served yet: {}", path, refused.reason);
}

Result<void> refuse_behaviours(actor::Actor& actor, Holder holder, std::string_view ensemble) {
  for (const RefusedBehaviour& refused : kRefused)
    if (refused.holder == holder)
      TRY_VOID(actor.add_behaviour(path_at(refused, ensemble), [&actor, &refused](actor::Envelope envelope) {
        return answer(actor, refused, std::move(envelope));
      }));
  return {};
}

void stop_refusing(actor::Actor& actor, Holder holder, std::string_view ensemble) {
  for (const RefusedBehaviour& refused : kRefused)
    if (refused.holder == holder) actor.remove_behaviour(path_at(refused, ensemble));
}

}  // namespace dms::protocol
