#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace groma::io {

/// Parses a JSON text that may come from anywhere.
///
/// name      stands for the text in messages
/// throws    Error when it is not JSON, nests deeper than 64 or names a key twice in one object
nlohmann::json parse_json(const std::string& text, const std::string& name);

/// What the parser says is wrong, without its own name, in ASCII.
std::string reason_of(const nlohmann::json::exception& error);

/// Whether a whole number is written that the type can hold.
template <typename Whole, typename Json>
bool holds_whole(const Json& json) {
  return json.is_number_unsigned()
             ? std::in_range<Whole>(json.template get<std::uint64_t>())
             : json.is_number_integer() && std::in_range<Whole>(json.template get<std::int64_t>());
}

/// What a list holds; void for all other types.
template <typename Value>
struct ListItem {
  using type = void;
};
template <typename Item>
struct ListItem<std::vector<Item>> {
  using type = Item;
};

/// A value of the type asked for, as get<Value>() gives it, but whole numbers, also those of a
/// list, only where they are written and the type can hold them: get<int>() of 1e300 is undefined,
/// of 1.5 and true it is 1.
///
/// throws    nlohmann::json::exception
template <typename Value, typename Json>
Value value_as(const Json& json) {
  using Item = typename ListItem<Value>::type;
  if constexpr (!std::is_void_v<Item>) {
    Value values;
    for (const auto& item : json.template get_ref<const typename Json::array_t&>()) {
      values.push_back(value_as<Item>(item));
    }
    return values;
  } else if constexpr (std::is_integral_v<Value> && !std::is_same_v<Value, bool>) {
    if (holds_whole<Value>(json)) return json.template get<Value>();
    throw nlohmann::json::type_error::create(
        302,
        "type must be a whole number within its limits, but is " +
            (json.is_number() ? json.dump() : std::string(json.type_name())),
        nullptr);
  } else {
    return json.template get<Value>();
  }
}

/// Reads and parses a file of at most `max_bytes`.
nlohmann::json read_json(const std::string& path, std::size_t max_bytes = 10'000'000);

}  // namespace groma::io
