#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace groma::io {

/// Parses a JSON text that may come from anywhere.
///
/// name      stands for the text in messages
/// throws    Error when it is not JSON, nests deeper than 64 or names a key twice in one object
nlohmann::json parse_json(const std::string& text, const std::string& name);

/// What the parser says is wrong, without its own name, in ASCII.
std::string reason_of(const nlohmann::json::exception& error);

/// Reads and parses a file of at most `max_bytes`.
nlohmann::json read_json(const std::string& path, std::size_t max_bytes = 10'000'000);

}  // namespace groma::io
