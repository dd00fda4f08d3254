// All settings of the program: those that its modules declare, and those only in files of existing nodes.
#pragma once

#include <memory>

#include "config/config.hpp"

namespace dms {

[[nodiscard]] std::shared_ptr<const config::Registry> node_settings();

}  // namespace dms
