#include "ucan/standing_grant.hpp"

namespace dms::ucan {

Result<StandingGrant> StandingGrant::give(std::shared_ptr<CapabilityContext> context, did::Did subject,
                                          did::Did audience, std::string_view scope, UnixTime now) {
  Grant grant;
  grant.subject = std::move(subject);
  grant.audience = std::move(audience);
  TRY(Capability capability, Capability::parse(scope));
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
  lent_ = std::move(other.lent_);
  return *this;
}

Result<void> StandingGrant::renew(UnixTime now) {
  grant_.expires = now + kStandingGrantTime;
  TRY(Token next, context_->grant(Action::delegate, grant_));
  TRY_VOID(context_->lend(next, now));
  if (lent_) context_->take_back(*lent_);
  lent_ = std::move(next);
  return {};
}

void StandingGrant::take_back() {
  if (context_ && lent_) context_->take_back(*lent_);
}

}  // namespace dms::ucan
