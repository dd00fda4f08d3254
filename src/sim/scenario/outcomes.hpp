// What became of each deployment, counted in the report by its end and reason. What fails between honest parties
// without a cause (causes.hpp) is a finding, and so is an update that ends a run which it does not change.
//
// Threads: none.
#pragma once

#include "sim/scenario/causes.hpp"
#include "sim/scenario/orders.hpp"
#include "sim/scenario/report.hpp"

namespace dms::sim {

class Outcomes {
 public:
  Outcomes(const Causes& causes, Report& report) : causes_(causes), report_(report) {}

  /// `user`: the machine to which the order was given, here and below.
  void not_taken(const Order& order, const crypto::PeerId& user, SteadyTime now);
  void ended(const Order& order, const crypto::PeerId& user, const protocol::DeploymentStatusReply& status,
             SteadyTime now);
  /// Takes Order::disturbed.
  void disturbed(Order& order, const crypto::PeerId& user, SteadyTime now);
  /// Whether something explains that an order fails.
  [[nodiscard]] Cause cause(const Order& order, const crypto::PeerId& user, const std::string& reason,
                            SteadyTime now) const;

 private:
  void failed(const Order& order, Cause cause, std::string_view property, const std::string& reason, SteadyTime now);

  const Causes& causes_;
  Report& report_;
};

}  // namespace dms::sim
