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
  withdraw();
  context_ = std::move(other.context_);
  grant_ = std::move(other.grant_);
  token_ = std::move(other.token_);
  return *this;
}

Result<void> StandingGrant::renew(UnixTime now) {
  grant_.expires = now + kStandingGrantTime;
  TRY(Token next, context_->grant(Action::delegate, grant_));
  TRY_VOID(context_->add_ephemeral(next, now));
  if (token_) context_->remove_ephemeral(*token_);
  token_ = std::move(next);
  return {};
}

void StandingGrant::withdraw() {
  if (context_ && token_) context_->remove_ephemeral(*token_);
}

}  // namespace dms::ucan
