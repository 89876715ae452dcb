#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "groma/evaluate.h"

namespace groma::eval {

std::string ScoreReport::json() const {
  using Json = nlohmann::ordered_json;
  Json out = Json::object();
  for (const auto& [name, text] : facts) out[name] = Json::parse(text);
  for (const Figure& figure : figures) {
    Json entry = {{"value", figure.value},
                  {"numerator", figure.numerator},
                  {"denominator", figure.denominator},
                  {"interval", nullptr}};
    if (figure.interval) {
      entry["interval"] = *figure.interval;
      entry["interval_kind"] = figure.interval_kind;
    }
    out[figure.name] = std::move(entry);
  }
  out["warnings"] = warnings;
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ScoreReport::table() const {
  std::size_t width = 0;
  for (const Figure& figure : figures) width = std::max(width, figure.name.size());
  std::string out;
  char line[256];
  for (const Figure& figure : figures) {
    std::snprintf(line, sizeof(line), "%-*s  %9.5f", static_cast<int>(width), figure.name.c_str(),
                  figure.value);
    out += line;
    if (figure.interval) {
      std::snprintf(line, sizeof(line), "  [%.5f, %.5f]", (*figure.interval)[0],
                    (*figure.interval)[1]);
      out += line;
    }
    std::snprintf(line, sizeof(line), "  %.10g / %.10g\n", figure.numerator, figure.denominator);
    out += line;
  }
  return out;
}

}  // namespace groma::eval
