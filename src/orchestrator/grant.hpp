// A capability given to another for as long as something lasts: a delegation among our own `require` anchors, renewed while it is
// needed and taken back when this object goes.
//
// A provider gives an orchestrator power over its ensemble and its allocations, an orchestrator lets its allocations report to
// it. Without taking back, every deployment would leave anchors behind until they expire.
#pragma once

#include <memory>

#include "ucan/context.hpp"

namespace dms::orchestrator {

inline constexpr Duration kGrantTime = 1h;

class StandingGrant {
 public:
  /// Lets `subject` invoke everything below `scope` at `audience`, an actor's key DID of ours.
  static Result<StandingGrant> give(std::shared_ptr<ucan::CapabilityContext> context, did::Did subject, did::Did audience,
                                    std::string_view scope, UnixTime now);
  StandingGrant(StandingGrant&&) noexcept = default;
  StandingGrant& operator=(StandingGrant&& other) noexcept;
  ~StandingGrant() { take_back(); }

  /// For another kGrantTime from `now`.
  Result<void> renew(UnixTime now);

 private:
  StandingGrant(std::shared_ptr<ucan::CapabilityContext> context, ucan::Grant grant)
      : context_(std::move(context)), grant_(std::move(grant)) {}
  void take_back();

  std::shared_ptr<ucan::CapabilityContext> context_;  // null once moved from
  ucan::Grant grant_;
  ucan::Anchors anchored_;
};

}  // namespace dms::orchestrator
