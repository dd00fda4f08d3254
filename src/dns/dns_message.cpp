#include "dns/dns_message.hpp"

#include <arpa/nameser.h>

namespace dms {
namespace {

std::unexpected<Error> malformed() { return fail(Errc::invalid_argument, "the name server's answer is malformed"); }

/// The strings of a record, each with its length in front, as one text.
Result<std::string> joined_strings(BytesView data) {
  std::string text;
  while (!data.empty()) {
    const std::size_t length = data[0];
    if (length >= data.size()) return malformed();
    text += as_text(data.subspan(1, length));
    data = data.subspan(1 + length);
  }
  return text;
}

}  // namespace

Result<std::vector<std::string>> parse_text_records(BytesView message) {
  ns_msg parsed;
  if (message.size() > NS_MAXMSG || ns_initparse(message.data(), static_cast<int>(message.size()), &parsed) != 0 ||
      ns_msg_getflag(parsed, ns_f_qr) == 0)
    return malformed();
  const int code = ns_msg_getflag(parsed, ns_f_rcode);
  if (code == ns_r_nxdomain) return fail(Errc::not_found, "there is no such name");
  if (code != ns_r_noerror) return fail(Errc::io, "the name server answers with error {}", code);
  std::vector<std::string> texts;
  const int answers = ns_msg_count(parsed, ns_s_an);
  for (int i = 0; i < answers && texts.size() < kMaxTextRecords; ++i) {
    ns_rr record;
    if (ns_parserr(&parsed, ns_s_an, i, &record) != 0) return malformed();
    if (ns_rr_type(record) != ns_t_txt || ns_rr_class(record) != ns_c_in) continue;
    TRY(std::string text, joined_strings(BytesView(ns_rr_rdata(record), ns_rr_rdlen(record))));
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace dms
