#include "ucan/held_tokens.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace dms::ucan {
namespace {

/// Reasons in one message: enough to see the pattern, too few to fill a log.
constexpr std::size_t kMaxReasons = 4;

}  // namespace

std::string join(const std::vector<Error>& reasons) {
  std::string text;
  for (std::size_t i = 0; i < reasons.size() && i < kMaxReasons; ++i)
    text += fmt::format("{}({}) {}", i == 0 ? "" : "; ", i + 1, reasons[i].to_string());
  if (reasons.size() > kMaxReasons) text += fmt::format("; and {} more", reasons.size() - kMaxReasons);
  return text;
}

const std::vector<HeldTokens::Held>& HeldTokens::of(const did::Did& subject) const {
  static const std::vector<Held> kNone;
  const auto it = by_subject_.find(subject);
  return it == by_subject_.end() ? kNone : it->second;
}

std::optional<HeldTokens::Use> HeldTokens::find(const Token& token) {
  const auto it = by_subject_.find(token.subject());
  if (it == by_subject_.end()) return std::nullopt;
  const auto held = std::ranges::find(it->second, token, &Held::token);
  if (held == it->second.end()) return std::nullopt;
  ++held->uses;
  return Use{token.subject(), held->id};
}

std::size_t HeldTokens::held_of(const did::Did& origin) const {
  const auto it = by_origin_.find(origin);
  return it == by_origin_.end() ? 0 : it->second;
}

bool HeldTokens::full(const did::Did& origin) const {
  return count_ >= kMaxConsumed || held_of(origin) >= kMaxConsumedPerOrigin;
}

HeldTokens::Use HeldTokens::add(Token token, const did::Did& origin) {
  ++count_;
  ++by_origin_[origin];
  const Use use{token.subject(), ++last_id_};
  by_subject_[use.subject].push_back({std::move(token), origin, use.id});
  return use;
}

void HeldTokens::release(const Use& use) {
  const auto it = by_subject_.find(use.subject);
  if (it == by_subject_.end()) return;
  const auto held = std::ranges::find(it->second, use.id, &Held::id);
  if (held == it->second.end() || --held->uses > 0) return;
  forget(*held);
  it->second.erase(held);
  if (it->second.empty()) by_subject_.erase(it);
}

void HeldTokens::forget(const Held& held) {
  const auto origin = by_origin_.find(held.origin);
  DMS_ASSERT(origin != by_origin_.end() && count_ > 0, "a held token is not counted");
  --count_;
  if (--origin->second == 0) by_origin_.erase(origin);
}

Consumed& Consumed::operator=(Consumed&& other) noexcept {
  if (this == &other) return *this;
  release();
  store_ = std::move(other.store_);
  uses_ = std::move(other.uses_);
  refused_ = std::move(other.refused_);
  return *this;
}

std::string Consumed::explain() const {
  if (refused_.empty()) return fmt::format("{} tokens are valid", kept());
  return fmt::format("{} tokens are valid, {} are not: {}", kept(), refused_.size(), join(refused_));
}

void Consumed::release() {
  if (!store_) return;
  for (const HeldTokens::Use& use : uses_) store_->release(use);
  uses_.clear();
}

}  // namespace dms::ucan
