#include "io/json.h"

#include <set>
#include <string_view>
#include <vector>

#include "check.h"
#include "io/file.h"

namespace groma::io {

using nlohmann::json;

std::string reason_of(const json::exception& error) {
  const std::string_view text = error.what();  // "[json.exception.parse_error.101] ..."
  const auto end = text.find("] ");
  // What it quotes may end within a character.
  return printable(end == std::string_view::npos ? text : text.substr(end + 2), true, true);
}

nlohmann::json parse_json(const std::string& text, const std::string& name) {
  constexpr int kDeepest = 64;
  constexpr std::size_t kLongestReason = 300;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      require(depth < kDeepest, "parse ", quote(name), ": nested deeper than ", kDeepest,
              " levels; check that this is the right file");
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      require(keys.back().insert(key).second, "parse ", quote(name), ": key ", quote(key),
              " stands twice in one object; remove one");
    }
    return true;
  };
  json parsed;
  std::string problem;
  try {
    parsed = json::parse(text, watch);
  } catch (const json::exception& error) {
    problem = reason_of(error).substr(0, kLongestReason);
  }
  require(problem.empty(), "parse ", quote(name), ": not valid JSON (", problem,
          "); mend or replace the file");
  return parsed;
}

nlohmann::json read_json(const std::string& path, std::size_t max_bytes) {
  return parse_json(read_regular_file(path, max_bytes), path);
}

}  // namespace groma::io
