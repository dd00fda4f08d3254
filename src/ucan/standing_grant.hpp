// An ephemeral grant that lasts as long as its object: a delegation by the context, renewed while it is needed and
// withdrawn at the end. It is never written to disk.
// A provider grants an orchestrator control of its ensemble and allocations, an orchestrator lets its allocations
// report to it, a child lets its supervisor query its health.
//
// Threads: the lane of the context.
#pragma once

#include <memory>
#include <optional>

#include "ucan/context.hpp"

namespace dms::ucan {

inline constexpr Duration kStandingGrantTime = std::chrono::hours(1);
/// How often to renew; also once the wall clock is set (sleep_unless_clock_is_set()), which may end a grant at once.
inline constexpr Duration kStandingGrantRenewal = kStandingGrantTime / 2;

class StandingGrant {
 public:
  /// Lets `subject` invoke everything below `scope` at `audience`, the key DID of an actor of this node.
  static Result<StandingGrant> give(std::shared_ptr<CapabilityContext> context, did::Did subject, did::Did audience,
                                    std::string_view scope, UnixTime now);
  StandingGrant(StandingGrant&&) noexcept = default;
  StandingGrant& operator=(StandingGrant&& other) noexcept;
  ~StandingGrant() { withdraw(); }

  /// For another kStandingGrantTime from `now`.
  Result<void> renew(UnixTime now);

 private:
  StandingGrant(std::shared_ptr<CapabilityContext> context, Grant grant)
      : context_(std::move(context)), grant_(std::move(grant)) {}
  void withdraw();

  std::shared_ptr<CapabilityContext> context_;  // null once moved from
  Grant grant_;
  std::optional<Token> token_;
};

}  // namespace dms::ucan
