// All settings of the program: what its modules declare, and what only the files of existing nodes hold.
#pragma once

#include <memory>

#include "config/config.hpp"

namespace dms {

[[nodiscard]] std::shared_ptr<const config::Registry> node_settings();

}  // namespace dms
