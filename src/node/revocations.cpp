#include "node/revocations.hpp"

#include "base/log.hpp"
#include "protocol/serve.hpp"

namespace dms::node {

using namespace protocol;
namespace {

/// Messages that together hold all of `revocations`.
std::vector<RevocationsMessage> pages_of(const ucan::TokenList& revocations) {
  std::vector<RevocationsMessage> pages;
  std::size_t bytes = 0;
  for (const ucan::Token& revocation : revocations.tokens) {
    const std::size_t size = revocation.text().size() + 1;
    if (pages.empty() || bytes + size > kMaxRevocationsText || pages.back().token.size() >= kMaxRevocations) {
      pages.emplace_back();
      bytes = 0;
    }
    pages.back().token.tokens.push_back(revocation);
    bytes += size;
  }
  return pages;
}

/// Differs where the anchors differ that decide which revocations are kept.
std::size_t fingerprint(const ucan::CapabilityContext& context) {
  const ucan::Anchors anchors = context.anchors();
  std::size_t print = 0;
  const auto add = [&print](const std::string& text) { print = print * 31 + std::hash<std::string>()(text); };
  for (const did::Did& root : anchors.roots) add(root.uri());
  for (const ucan::Token& token : anchors.require.tokens) add(token.text());
  for (const ucan::Token& token : anchors.provide.tokens) add(token.text());
  return print;
}

/// A random part of `range`.
Duration part_of(Lane& lane, Duration range) {
  return Duration(static_cast<Duration::rep>(lane.random().below(static_cast<std::uint64_t>(range.count()))));
}

}  // namespace

Result<void> Revocations::start() {
  TRY_VOID(serve(root_, kCapBroadcast, *this, &Revocations::broadcast));
  TRY_VOID(serve(root_, kRevocations, *this, &Revocations::receive));
  TRY_VOID(root_.subscribe(std::string(kRevocationTopic)));
  root_.spawn(republish());
  root_.spawn(look_for_peers());
  return {};
}

Task<CapBroadcastReply> Revocations::broadcast(CapBroadcastRequest request, Request) {
  CapBroadcastReply reply;
  if (!request.context.empty() && request.context != file_.name()) {
    reply.error = fmt::format(
        "Context: this node has the context '{}' only; hand it the revocations of others as Token", file_.name());
    co_return reply;
  }
  ucan::TokenList revocations = request.token;
  Result<void> done;
  if (!revocations.empty()) {
    ucan::Anchors more;
    more.revoke = revocations;
    Task<Result<void>> anchoring = file_.anchor(std::move(more));
    done = co_await std::move(anchoring);
  } else {
    revocations = file_.context().revocations().list();
  }
  const std::size_t count = revocations.size();
  if (done) {
    Task<Result<void>> publishing = publish(std::move(revocations));
    done = co_await std::move(publishing);
  }
  reply.ok = done.has_value();
  if (done)
    reply.tokens_count = count;
  else
    reply.error = done.error().to_string();
  co_return reply;
}

Task<Nothing> Revocations::receive(RevocationsMessage message, Request request) {
  const actor::Handle from = request.from;
  const bool broadcast = request.is_broadcast();
  if (message.token.empty()) {
    const ucan::TokenList mine = file_.context().revocations().list();
    if (!broadcast && !mine.empty() && may_answer(from.address.host)) root_.spawn(tell(from, mine));
    co_return Nothing{};
  }
  if (message.token.size() > kMaxRevocations) co_return Nothing{};
  const ucan::TokenList revocations = message.token;
  Task<std::size_t> learning = file_.learn(std::move(message.token));
  const std::size_t added = co_await std::move(learning);
  if (added > 0) log::info("node", "{} revocations by {} take effect", added, from.address.host);
  if (!broadcast) co_return Nothing{};
  for (const ucan::Token& revocation : revocations.tokens)
    if (file_.context().revocations().contains(revocation)) heard_.insert(revocation.revocation_key());
  co_return Nothing{};
}

Task<Result<void>> Revocations::publish(ucan::TokenList revocations) {
  for (const RevocationsMessage& page : pages_of(revocations)) {
    actor::MessageOptions options;
    options.timeout = kRevocations.timeout;
    options.topic = kRevocationTopic;
    actor::Envelope envelope = root_.broadcast(std::string(kRevocations.path), actor::to_payload(page), options);
    Task<Result<void>> publishing = root_.publish(std::move(envelope));
    CO_TRY_VOID(co_await std::move(publishing));
  }
  co_return Result<void>();
}

Task<void> Revocations::republish() {
  for (;;) {
    heard_.clear();
    const Duration wait = kRepublish / 2 + part_of(root_.lane(), kRepublish / 2);
    const Result<void> waited = co_await sleep_for(wait);
    if (!waited) co_return;
    file_.context().drop_expired(root_.lane().unix_now());
    ucan::TokenList mine = file_.context().revocations().list();
    std::erase_if(mine.tokens, [&](const ucan::Token& each) { return heard_.contains(each.revocation_key()); });
    Task<Result<void>> publishing = publish(std::move(mine));
    const Result<void> published = co_await std::move(publishing);
    if (!published) log::debug("node", "publishing revocations: {}", published.error().to_string());
    const Result<void> rested = co_await sleep_for(kRepublish - wait);
    if (!rested) co_return;
  }
}

Task<void> Revocations::look_for_peers() {
  bool alone = true;
  std::size_t anchors = 0;
  Duration pause = 1s;
  for (;;) {
    const Result<void> slept = co_await sleep_for(pause);
    if (!slept) co_return;
    std::vector<crypto::PeerId> peers = root_.system().network.peers();
    pause = peers.empty() ? std::min(pause * 2, kLookForPeers) : kLookForPeers;
    const bool none = peers.empty();
    const std::size_t print = fingerprint(file_.context());
    const bool changed = print != std::exchange(anchors, print);
    if (!none && (alone || changed)) ask(std::move(peers));
    alone = none;
  }
}

void Revocations::ask(std::vector<crypto::PeerId> peers) {
  for (std::size_t asked = 0; asked < kAsked && !peers.empty(); ++asked) {
    const std::size_t drawn = root_.lane().random().below(peers.size());
    if (const auto peer = actor::Handle::from(peers[drawn])) root_.spawn(tell(*peer, {}));
    peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(drawn));
  }
}

bool Revocations::may_answer(const std::string& host) {
  const SteadyTime now = root_.lane().now();
  std::erase_if(answered_, [&](const auto& entry) { return now - entry.second >= kAnswerPause; });
  if (answered_.size() >= kMaxAnswered) return false;
  return answered_.emplace(host, now).second;
}

/// Without revocations: asks for them.
Task<void> Revocations::tell(actor::Handle to, ucan::TokenList revocations) {
  std::vector<RevocationsMessage> pages = pages_of(revocations);
  if (pages.empty()) pages.emplace_back();
  for (const RevocationsMessage& page : pages) {
    Task<Result<void>> sending = root_.send(message(root_, kRevocations, to, page));
    const Result<void> sent = co_await std::move(sending);
    if (sent) continue;
    log::debug("node", "revocations to {}: {}", to.address.host, sent.error().to_string());
    co_return;
  }
}

}  // namespace dms::node
