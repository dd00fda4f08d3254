// A reason that users read: several of them in one text, and names in it.
//
// A reason is stored with each allocation that it concerns, so its length does not grow with their number: it has at
// most kMaxReasons bytes and "...", whatever is added to it, and names few_of() many.
//
// A reply with the reasons of a thousand allocations has to be one message: fit() cuts the longest of them, all to the
// same length, until their JSON is as long as there is room; each ends with the number of bytes that are left out.
//
// Threads: values.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "encoding/json.hpp"
#include "orchestrator/deployment/provider_client.hpp"

namespace dms::orchestrator {

/// A reason of a provider, and what is added to it here.
inline constexpr std::size_t kMaxReasons = 2 * kMaxReportedText;
inline constexpr std::size_t kShownNames = 3;

inline void add_reason(std::string& reasons, std::string_view more) {
  if (more.empty() || reasons.size() >= kMaxReasons) return;
  if (!reasons.empty()) reasons += "; ";
  reasons += more;
  if (reasons.size() > kMaxReasons) reasons = shortened(std::move(reasons), kMaxReasons) + "...";
}

/// Bytes of JSON without the quotes.
inline std::size_t json_size(const std::string& text) { return json::encode(text).size() - 2; }

/// To `most` bytes of JSON, and the end that says so.
inline void cut(std::string& text, std::size_t most) {
  std::size_t keep = std::min(text.size(), most);
  std::string kept = shortened(text, keep);
  while (json_size(kept) > most) {  // what is escaped takes more than one byte
    keep = std::min(keep - 1, keep * most / json_size(kept));
    kept = shortened(text, keep);
  }
  text = fmt::format("{}... ({} more bytes)", kept, text.size() - kept.size());
}

inline void fit(const std::vector<std::string*>& texts, std::size_t room) {
  constexpr std::size_t kEnd = std::string_view("... (1234567 more bytes)").size();
  std::vector<std::size_t> sizes;
  std::size_t all = 0;
  for (const std::string* text : texts) all += sizes.emplace_back(json_size(*text));
  if (all <= room) return;
  // Those below their share leave the rest to the others.
  std::vector<std::size_t> sorted = sizes;
  std::ranges::sort(sorted);
  std::size_t share = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    share = room / (sorted.size() - i);
    if (sorted[i] > share) break;
    room -= sorted[i];
  }
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (sizes[i] > share) cut(*texts[i], share - std::min(share, kEnd));
}

/// Cuts `texts`, which are those of `reply`, so that it has at most `most` bytes of JSON if the rest of it has.
template <class Reply>
void fit_texts(const Reply& reply, const std::vector<std::string*>& texts, std::size_t most) {
  const std::size_t size = json::encode(reply).size();
  if (size <= most) return;
  std::size_t others = size;
  for (const std::string* text : texts) others -= json_size(*text);
  fit(texts, most - std::min(others, most));
}

/// "a, b, c and 57 others"
template <class Names>
std::string few_of(const Names& names) {
  std::string text;
  std::size_t shown = 0;
  for (const std::string& name : names) {
    if (shown == kShownNames) break;
    text += (shown++ == 0 ? "" : ", ") + name;
  }
  const std::size_t others = names.size() - shown;
  if (others > 0) text += fmt::format(" and {} {}", others, others == 1 ? "other" : "others");
  return text;
}

}  // namespace dms::orchestrator
