#include "orchestrator/grant.hpp"

namespace dms::orchestrator {

Result<StandingGrant> StandingGrant::give(std::shared_ptr<ucan::CapabilityContext> context, did::Did subject, did::Did audience,
                                          std::string_view scope, UnixTime now) {
  ucan::Grant grant;
  grant.subject = std::move(subject);
  grant.audience = std::move(audience);
  TRY(ucan::Capability capability, ucan::Capability::parse(scope));
  grant.capabilities.push_back(std::move(capability));
  StandingGrant made(std::move(context), std::move(grant));
  TRY_VOID(made.renew(now));
  return made;
}

StandingGrant& StandingGrant::operator=(StandingGrant&& other) noexcept {
  if (this == &other) return *this;
  take_back();
  context_ = std::move(other.context_);
  grant_ = std::move(other.grant_);
  anchored_ = std::move(other.anchored_);
  return *this;
}

Result<void> StandingGrant::renew(UnixTime now) {
  grant_.expires = now + kGrantTime;
  TRY(ucan::Token token, context_->grant(ucan::Action::delegate, grant_));
  ucan::Anchors next;
  next.require.tokens.push_back(std::move(token));
  TRY_VOID(context_->anchor(next, now));
  context_->remove(anchored_);
  anchored_ = std::move(next);
  return {};
}

void StandingGrant::take_back() {
  if (context_) context_->remove(anchored_);
}

}  // namespace dms::orchestrator
