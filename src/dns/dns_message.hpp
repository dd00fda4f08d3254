// Reads the answer of a name server: the text records in a DNS message.
//
// Model: every record of type TXT and class IN in the answer section counts, whoever owns it, because the server has
// followed aliases already. The strings of one record are one text. Owners' names are skipped, not expanded, so that
// compression cannot loop.
//
// Attacks: anybody on the way can answer. Parsing is linear, at most kMaxTextRecords records are returned, and
// everything that reaches beyond the message, or is not an answer, is refused with Errc::invalid_argument.
//
// Specification: RFC 1035, sections 3.3.14 and 4.1.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms {

inline constexpr std::size_t kMaxTextRecords = 64;

/// Errc::not_found if the name does not exist, Errc::io if the server says that it has failed. No record is no failure.
Result<std::vector<std::string>> parse_text_records(BytesView message);

}  // namespace dms
