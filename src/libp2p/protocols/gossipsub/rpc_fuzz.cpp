// Any bytes as a gossipsub RPC. What verifies as a message must be one that its author could have signed.
#include <cstdlib>

#include "libp2p/protocols/gossipsub/rpc.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dms::libp2p::RpcView;
  auto rpc = RpcView::decode(dms::BytesView(data, size));
  if (!rpc) return 0;
  for (const auto& message : rpc->messages) {
    (void)message.id();
    if (auto author = message.verify(); author && author->bytes().size() != message.from.size()) std::abort();
  }
  for (const auto& subscription : rpc->subscriptions)
    if (subscription.topic.empty() || subscription.topic.size() > dms::libp2p::kMaxTopic) std::abort();
  return 0;
}
