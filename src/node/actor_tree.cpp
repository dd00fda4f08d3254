#include "node/actor_tree.hpp"

#include "base/text.hpp"
#include "protocol/serve.hpp"

namespace dms::node {

using namespace protocol;
namespace {

constexpr std::size_t kMaxName = 64;  ///< bytes, in an error

bool belongs_to(const actor::Registry::Info& known, const std::string& deployment) {
  return known.handle.address.inbox == deployment ||
         (known.supervisor && known.supervisor->address.inbox == deployment);
}

}  // namespace

Result<void> ActorTree::start() { return serve(root_, kActorTree, *this, &ActorTree::tree); }

ActorInfo ActorTree::info(const actor::Registry::Info& known) const {
  ActorInfo info;
  info.handle = known.handle;
  if (known.parent) info.parent = known.parent->address.inbox;
  info.supervisor = known.supervisor;
  describe_(info);
  return info;
}

Task<ActorTreeReply> ActorTree::tree(ActorTreeRequest request, const actor::Envelope&) {
  ActorTreeReply reply;
  const std::map<std::string, actor::Registry::Info>& actors = root_.system().registry.actors();
  const std::string& root = root_.handle().address.inbox;
  std::string last;
  std::size_t bytes = 0;
  for (auto it = actors.upper_bound(request.after); it != actors.end(); ++it) {
    const auto& [inbox, known] = *it;
    if (inbox == root || (!request.deployment.empty() && !belongs_to(known, request.deployment))) continue;
    ActorInfo next = info(known);
    bytes += json::encode(next).size();
    if (!last.empty() && bytes > kMaxView) {
      reply.next = last;
      break;
    }
    last = inbox;
    reply.actors.push_back(std::move(next));
  }
  if (!request.after.empty()) co_return reply;
  if (!request.deployment.empty() && reply.actors.empty())
    reply.error = fmt::format(
        "no actor here is of a deployment '{}'; one that has ended has none; `nunet deployment list` shows "
        "the deployments",
        shortened(request.deployment, kMaxName));
  else if (const auto own = actors.find(root); own != actors.end())
    reply.actors.insert(reply.actors.begin(), info(own->second));
  co_return reply;
}

}  // namespace dms::node
