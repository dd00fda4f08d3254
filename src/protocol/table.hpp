// Every declared behaviour, in the order in which documents and the command line list them.
#pragma once

#include <span>
#include <string>

#include "protocol/declaration.hpp"

namespace dms::protocol {

struct TableEntry {
  const Declaration* declaration;
  std::string_view request;  ///< name of the payload type
  std::string_view reply;
};

[[nodiscard]] std::span<const TableEntry> behaviour_table();

/// The table as the page docs/behaviours.md.
[[nodiscard]] std::string behaviours_page();

}  // namespace dms::protocol
