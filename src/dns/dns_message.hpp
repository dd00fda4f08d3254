// Reads the answer of a name server: the text records in a DNS message. The message is parsed by glibc's libresolv
// (ns_initparse); docs/decisions/0804-dns.md gives the reasons.
//
// Model: every record of type TXT and class IN in the answer section counts, whatever its owner, because the server has
// followed aliases already. The strings of one record are one text.
//
// Attacks: an attacker on the path can answer. At most kMaxTextRecords records are returned; a message that is cut, has
// bytes left over, reaches beyond its end, or is not an answer, is refused with Errc::invalid_argument. libresolv
// bounds the expansion of compressed names. dns_message_fuzz.cpp covers both.
//
// Specification: RFC 1035, sections 3.3.14 and 4.1.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms {

inline constexpr std::size_t kMaxTextRecords = 64;

/// Errc::not_found if the name does not exist, Errc::io if the server reports a failure. An answer without records is
/// none.
Result<std::vector<std::string>> parse_text_records(BytesView message);

}  // namespace dms
