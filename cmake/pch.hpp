// Precompiled for the modules below `protocol`: the standard headers, fmt, and this project's headers that nearly every file
// includes. A source includes what it uses all the same: the lint build and the header check compile without this file.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/value.hpp>
#include <chrono>
#include <compare>
#include <coroutine>
#include <cstdint>
#include <cstring>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "encoding/json.hpp"
#include "runtime/stream.hpp"
#include "runtime/task.hpp"
