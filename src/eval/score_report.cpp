#include <algorithm>
#include <cstdio>

#include "eval/json_text.h"
#include "eval/readable_facts.h"
#include "groma/evaluate.h"

namespace groma::eval {
namespace {

std::string in_words(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string out;
  if (value.is_array()) {
    if (value.empty() || value[0].is_structured()) return std::to_string(value.size());
    for (const Json& part : value) out += (out.empty() ? "" : ", ") + in_words(part);
    return out;
  }
  if (!value.is_object()) return value.dump();
  for (const auto& [name, part] : value.items()) {
    if (part.is_structured()) return "";
    out += (out.empty() ? "" : ", ") + name + " " + in_words(part);
  }
  return out;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> readable_facts(const ScoreReport& report) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, text] : report.facts) {
    if (name.starts_with("calibration")) continue;  // bins say something only when drawn
    std::string words = in_words(Json::parse(text));
    if (!words.empty()) out.emplace_back(name, std::move(words));
  }
  return out;
}

std::vector<Spread> spreads_of(const ScoreReport& report) {
  std::vector<Spread> out;
  for (const auto& [name, text] : report.facts) {
    if (name != "over_runs") continue;
    const Json spreads = Json::parse(text);
    for (const auto& [figure, part] : spreads.items()) {
      out.push_back({figure, part["mean"], part["standard_deviation"], part["runs"]});
    }
  }
  return out;
}

std::string ScoreReport::json() const {
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
  for (const auto& [name, words] : readable_facts(*this)) out += name + ": " + words + "\n";
  if (!out.empty()) out += "\n";
  char line[256];
  for (const Figure& figure : figures) {
    std::snprintf(line, sizeof(line), figure.denominator == 0 ? "%-*s          -" : "%-*s  %9.5f",
                  static_cast<int>(width), figure.name.c_str(), figure.value);
    out += line;
    if (figure.interval) {
      std::snprintf(line, sizeof(line), "  [%.5f, %.5f]", (*figure.interval)[0],
                    (*figure.interval)[1]);
      out += line;
    }
    std::snprintf(line, sizeof(line), "  %.10g / %.10g\n", figure.numerator, figure.denominator);
    out += line;
  }
  const auto spreads = spreads_of(*this);
  if (!spreads.empty()) out += "\nmean and standard deviation over runs:\n";
  for (const Spread& spread : spreads) {
    std::snprintf(line, sizeof(line), "%-*s  %9.5f  +- %.5f  of %zu\n", static_cast<int>(width),
                  spread.name.c_str(), spread.mean, spread.standard_deviation, spread.runs);
    out += line;
  }
  return out;
}

}  // namespace groma::eval
