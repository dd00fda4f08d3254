#include "jobs/ensemble/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <cmath>
#include <sstream>

namespace dms::jobs {
namespace {

/// Thrown through the YAML parser and caught in read_yaml: the parser offers no other way to stop.
struct Stop {
  Error error;
  std::optional<int> line = std::nullopt;  ///< where a template may be the cause
};

/// An error at a place of the text, which its message begins with.
Error at_mark(Errc code, const YAML::Mark& mark, std::string_view message) {
  const std::string place = fmt::format("line {}, column {}", mark.line + 1, mark.column + 1);
  return Error(code, fmt::format("{}: {}", place, message)).at(place);
}

template <class... Args>
[[noreturn]] void stop(Errc code, const YAML::Mark& mark, fmt::format_string<Args...> format, Args&&... args) {
  throw Stop{at_mark(code, mark, fmt::format(format, std::forward<Args>(args)...))};
}

/// What a value counts against the limit: one, and one more for every 32 bytes of text.
std::size_t weigh_text(std::string_view text) { return 1 + text.size() / 32; }

std::size_t weigh(const json::Value& value) {
  if (const auto* text = value.if_string()) return weigh_text(*text);
  std::size_t weight = 1;
  if (const auto* array = value.if_array())
    for (const auto& item : *array) weight += weigh(item);
  if (const auto* object = value.if_object())
    for (const auto& member : *object) weight += weigh_text(member.key()) + weigh(member.value());
  return weight;
}

std::optional<json::Value> read_whole(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.size() > 2 && text[0] == '0') {
    base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : text[1] == 'b' ? 2 : 10;
    if (base != 10) text.remove_prefix(2);
  }
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != '_' || i == 0 || i + 1 == text.size()) digits += text[i];
  if (digits.empty() || digits.front() == '-' || digits.front() == '+') return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (!negative) return value <= INT64_MAX ? json::Value(static_cast<std::int64_t>(value)) : json::Value(value);
  if (value > static_cast<std::uint64_t>(INT64_MAX) + 1) return std::nullopt;
  return json::Value(static_cast<std::int64_t>(0 - value));
}

std::optional<json::Value> read_number(std::string_view text) {
  // from_chars also reads "inf" and "nan" and takes no plus sign; YAML writes the former differently and JSON has
  // neither.
  if (text.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return std::nullopt;
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text.find_first_of("0123456789") == std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return json::Value(value);
}

json::Value read_plain(std::string_view text, Scalars scalars) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (scalars == Scalars::text) return json::Value(boost::json::string(text.data(), text.size()));
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (auto whole = read_whole(text)) return *std::move(whole);
  if (auto number = read_number(text)) return *std::move(number);
  return json::Value(boost::json::string(text.data(), text.size()));
}

/// Builds the tree from the parser's events.
class Builder final : public YAML::EventHandler {
 public:
  Builder(YamlLimits limits, Scalars scalars) : limits_(limits), scalars_(scalars) {}

  YamlDocument take() { return {std::move(root_), std::move(aliased_)}; }
  [[nodiscard]] bool complete() const { return complete_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, anchor, nullptr); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) stop(Errc::invalid_argument, mark, "an alias inside the value it refers to");
    if (!known->second.root_key.empty()) aliased_.insert(known->second.root_key);
    spend(mark, known->second.weight);
    place(mark, known->second.value);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    if (!json::is_utf8(text)) stop(Errc::invalid_argument, mark, "expected text in UTF-8");
    const bool plain = tag == "?" || tag.empty();
    const bool as_text = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!plain && !as_text) stop(Errc::unsupported, mark, "the tag {} is not supported here", tag.substr(0, 64));
    const bool is_key = !frames_.empty() && frames_.back().is_object && !frames_.back().key;
    add(mark, anchor, plain && !is_key ? read_plain(text, scalars_) : json::Value(boost::json::string(text)));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor, json::Array(), false);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor, json::Object(), true);
  }
  void OnMapEnd() override {
    merge(frames_.back());
    close();
  }

 private:
  struct Frame {
    YAML::Mark mark;
    YAML::anchor_t anchor;
    json::Value value;
    bool is_object;
    std::optional<std::string> key;
    std::vector<json::Value> merges;
  };
  struct Anchor {
    json::Value value;
    std::size_t weight;
    std::string root_key;  ///< if it is the value of a key of the root
  };

  void spend(const YAML::Mark& mark, std::size_t weight) {
    spent_ += weight;
    if (spent_ > limits_.nodes)
      stop(Errc::limit_exceeded, mark, "more than {} values, aliases counted in full", limits_.nodes);
  }

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, json::Value value, bool is_object) {
    if (frames_.size() >= limits_.depth)
      stop(Errc::limit_exceeded, mark, "nested deeper than {} levels", limits_.depth);
    if (!frames_.empty() && frames_.back().is_object && !frames_.back().key)
      throw Stop{at_mark(Errc::invalid_argument, mark, "expected a name as key, found a list or a map"), mark.line};
    spend(mark, 1);
    frames_.push_back({mark, anchor, std::move(value), is_object, std::nullopt, {}});
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    remember(frame.anchor, frame.value);
    place(frame.mark, std::move(frame.value));
  }

  void add(const YAML::Mark& mark, YAML::anchor_t anchor, json::Value value) {
    spend(mark, weigh(value));
    remember(anchor, value);
    place(mark, std::move(value));
  }

  void remember(YAML::anchor_t anchor, const json::Value& value) {
    if (anchor == YAML::NullAnchor) return;
    const bool in_root = frames_.size() == 1 && frames_.front().key;
    anchors_.insert_or_assign(anchor, Anchor{value, weigh(value), in_root ? *frames_.front().key : ""});
  }

  void place(const YAML::Mark& mark, json::Value value) {
    if (frames_.empty()) {
      root_ = std::move(value);
      complete_ = true;
      return;
    }
    Frame& frame = frames_.back();
    if (!frame.is_object) {
      frame.value.get_array().push_back(std::move(value));
    } else if (!frame.key) {
      if (!value.is_string()) stop(Errc::invalid_argument, mark, "expected a name as key");
      frame.key = std::string(value.get_string());
    } else if (*frame.key == "<<") {
      frame.key.reset();
      frame.merges.push_back(std::move(value));
    } else {
      const auto [at, fresh] = frame.value.get_object().emplace(*frame.key, std::move(value));
      if (!fresh) stop(Errc::invalid_argument, mark, "the key {} is here twice", frame.key->substr(0, 64));
      frame.key.reset();
    }
  }

  /// `<<: *a` or `<<: [*a, *b]`: members that the map does not have itself; earlier sources win.
  void merge(Frame& frame) {
    for (const json::Value& source : frame.merges) {
      const json::Array one{source};
      for (const json::Value& part : source.is_array() ? source.get_array() : one) {
        if (!part.is_object()) stop(Errc::invalid_argument, frame.mark, "<< merges a map or a list of maps");
        for (const auto& member : part.get_object()) frame.value.get_object().emplace(member.key(), member.value());
      }
    }
  }

  YamlLimits limits_;
  Scalars scalars_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Anchor> anchors_;
  std::set<std::string> aliased_;
  std::size_t spent_ = 0;
  json::Value root_;
  bool complete_ = false;
};

/// The template expressions of a line, without those in a comment: `{{ x }}`, `{% if x %}` and a lone `{$x}`.
std::vector<std::string_view> template_expressions(std::string_view line) {
  std::vector<std::string_view> found;
  line = line.substr(0, line.starts_with('#') ? 0 : line.find(" #"));
  for (std::size_t at = line.find('{'); at != std::string_view::npos && at + 1 < line.size();
       at = line.find('{', at + 1)) {
    const std::string_view rest = line.substr(at);
    const std::string_view close = rest[1] == '{' ? "}}" : rest[1] == '%' ? "%}" : rest[1] == '$' ? "}" : "";
    const auto end = close.empty() ? std::string_view::npos : rest.find(close);
    if (end == std::string_view::npos) continue;
    const bool alone = line.find_first_not_of(' ') == at && line.find_last_not_of(" \r") == at + end;
    if (rest[1] == '$' && !alone) continue;
    found.push_back(rest.substr(0, end + close.size()));
    at += end;
  }
  return found;
}

/// If the line that the parser stopped at has a template expression, all of the text, each with its line.
std::optional<Error> unrendered(std::string_view text, int stopped_at) {
  std::vector<std::string> found;
  bool is_template = false;
  int number = 0;
  for (std::size_t from = 0; from <= text.size(); ++number) {
    const auto to = std::min(text.find('\n', from), text.size());
    for (const auto expression : template_expressions(text.substr(from, to - from))) {
      is_template = is_template || number == stopped_at;
      found.push_back(fmt::format("line {}: {} is not filled in", number + 1, expression.substr(0, 128)));
    }
    from = to + 1;
  }
  if (!is_template) return std::nullopt;
  if (found.size() == 1) return Error(Errc::invalid_argument, found.front() + "; render the template first");
  return Error(Errc::invalid_argument,
               fmt::format("this is a template; render it first:\n  {}", fmt::join(found, "\n  ")));
}

}  // namespace

Result<YamlDocument> read_yaml(std::string_view text, Scalars scalars, YamlLimits limits) {
  if (text.size() > limits.bytes)
    return fail(Errc::limit_exceeded, "the text has {} bytes; at most {} are read", text.size(), limits.bytes);
  const auto refuse = [&](std::optional<int> line, Error error) {
    if (auto found = line ? unrendered(text, *line) : std::nullopt) return std::unexpected(*std::move(found));
    return std::unexpected(std::move(error));
  };
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    Builder builder(limits, scalars);
    if (!parser.HandleNextDocument(builder) || !builder.complete())
      return fail(Errc::invalid_argument, "the text holds no document");
    YamlDocument document = builder.take();
    Builder more(limits, scalars);
    if (parser.HandleNextDocument(more)) return fail(Errc::invalid_argument, "expected one document, found a second");
    return document;
  } catch (const Stop& stopped) {
    return refuse(stopped.line, stopped.error);
  } catch (const YAML::Exception& wrong) {
    return refuse(wrong.mark.line, at_mark(Errc::invalid_argument, wrong.mark, wrong.msg));
  } catch (const std::exception& wrong) {
    return fail(Errc::invalid_argument, "the YAML cannot be read: {}", wrong.what());
  }
}

}  // namespace dms::jobs
