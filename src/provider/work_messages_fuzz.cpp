// What work writes to the socket of its actor: the lines are the same however they are cut, a request that is read is
// within its limits, and what is written about it is one line.
#include "base/assert.hpp"
#include "provider/work_messages.hpp"

namespace {

using namespace dms;

std::vector<std::string> lines_of(std::string_view text, std::size_t step) {
  provider::LineSplitter splitter;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size(); at += step) {
    splitter.add(text.substr(at, step));
    for (;;) {
      const auto line = splitter.next();
      if (!line) return lines;
      if (!*line) break;
      lines.push_back(**line);
    }
  }
  return lines;
}

bool is_one_line(const std::string& text) { return text.find('\n') == text.size() - 1; }

void check_line(const std::string& line) {
  const auto parsed = provider::parse_work_request(line);
  if (const auto* bad = std::get_if<provider::BadWorkRequest>(&parsed)) {
    DMS_ASSERT(is_one_line(provider::work_refusal(bad->id, bad->error)), "a refusal is not one line");
    return;
  }
  const auto& request = std::get<provider::WorkRequest>(parsed);
  DMS_ASSERT(request.timeout_ms > 0 && request.timeout_ms <= provider::kMaxWorkTimeout, "a timeout beyond its limit");
  if (!request.topic.empty())
    DMS_ASSERT(provider::check_work_name("topic", request.topic).has_value(), "a topic that is no name");
  DMS_ASSERT(is_one_line(provider::work_answer(request.id, request.payload)), "an answer is not one line");
  const auto call = provider::work_call({request.call, request.behaviour, request.to, request.payload});
  DMS_ASSERT(!call || is_one_line(*call), "a call is not one line");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<std::string> lines = lines_of(text, std::size_t{1} + data[0]);
  DMS_ASSERT(lines == lines_of(text, 4096), "lines depend on how they are cut");
  for (const std::string& line : lines) check_line(line);
  return 0;
}
