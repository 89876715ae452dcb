#include "eval/html_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "eval/error_analysis.h"
#include "eval/image_finder.h"
#include "eval/readable_facts.h"
#include "eval/write_annotations.h"
#include "io/file.h"
#include "io/markup.h"

namespace groma::eval {
namespace {

constexpr const char* kHead = R"(<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>groma eval</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;
background:#fff;overflow-wrap:anywhere}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
td:first-child,th:first-child{text-align:left;white-space:normal;overflow-wrap:normal}
td.words{text-align:left;white-space:normal}
figure{display:inline-block;width:18rem;margin:1rem 1rem 1rem 0;vertical-align:top}
figure img,figure svg{width:100%;display:block}
.shot{position:relative}
.shot svg{position:absolute;inset:0;height:100%;filter:drop-shadow(0 0 1px #000)}
.shot rect{fill:none;vector-effect:non-scaling-stroke}
.truth{stroke:#0c0;stroke-width:3}.said{stroke:#f22;stroke-width:3}.other{stroke:#fff;stroke-width:1}
.key b{color:#080}.key b+b{color:#c00}.key b+b+b{color:#777;font-weight:normal}
figure.plot{width:15rem}.plot path{fill:none;stroke:#888}.plot text{font-size:8px}.bar{fill:#48c8}
@media(max-width:40rem){body{font-size:14px;margin:1rem auto}td,th{padding:.2rem .35rem}
td:first-child,th:first-child{padding-left:0}figure{width:100%;margin:1rem 0}}
</style>
)";

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.5g", value);
  return text;
}

/// Every value with as many digits, so that a column can be read from top to bottom.
std::string fixed(double value, int digits) {
  char text[400];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

/// A count in full, a sum with two digits.
std::string amount(double value) { return fixed(value, value == std::floor(value) ? 0 : 2); }

/// A name that a narrow table may break where its words end.
std::string breakable(const std::string& name) {
  std::string out;
  for (const char c : io::escape_markup(name)) {
    out += c;
    if (c == '_') out += "<wbr>";
  }
  return out;
}

std::string rect(const XywhBox& box, const char* kind) {
  return std::string("<rect class=\"") + kind + "\" x=\"" + number(box[0]) + "\" y=\"" +
         number(box[1]) + "\" width=\"" + number(box[2]) + "\" height=\"" + number(box[3]) + "\"/>";
}

/// The picture with boxes on top; the browser turns it as EXIF says, which is our frame too.
std::string shot(const Entry& entry, const WrongAnswer& error, const std::string& picture) {
  const auto file = io::MappedFile::open(picture);
  std::string out = "<div class=\"shot\"><img alt=\"\" src=\"" + io::data_address(file->bytes()) +
                    "\"><svg viewBox=\"0 0 " + std::to_string(entry.width) + " " +
                    std::to_string(entry.height) + "\" preserveAspectRatio=\"none\">";
  const Prediction& said = *error.answer->prediction;
  for (const Candidate& box : said.candidates) out += rect(xywh_of(box.xyxy), "other");
  for (const XywhBox& box : error.targets) out += rect(box, "truth");
  for (const PredictedRegion& region : said.regions) out += rect(xywh_of(region.xyxy), "said");
  return out + "</svg></div>";
}

std::string spreads_table(const ScoreReport& report) {
  const auto spreads = spreads_of(report);
  if (spreads.empty()) return "";
  std::string out =
      "<div class=\"wide\"><table><tr><th>over runs<th>mean<th>standard deviation<th>runs\n";
  for (const Spread& spread : spreads) {
    out += "<tr><td>" + breakable(spread.name) + "<td>" + fixed(spread.mean, 4) + "<td>" +
           fixed(spread.standard_deviation, 4) + "<td>" + std::to_string(spread.runs) + "\n";
  }
  return out + "</table></div>\n";
}

std::string figures_table(const ScoreReport& report) {
  std::string out = "<div class=\"wide\"><table><tr><th>figure<th>value<th>95 % interval<th>of\n";
  for (const Figure& figure : report.figures) {
    out += "<tr><td>" + breakable(figure.name) + "<td>" +
           (figure.denominator == 0 ? "-" : fixed(figure.value, 4)) + "<td>";
    if (figure.interval) {
      out += fixed((*figure.interval)[0], 3) + " to " + fixed((*figure.interval)[1], 3);
    }
    out += "<td>" + amount(figure.numerator) + " / " + amount(figure.denominator) + "\n";
  }
  return out + "</table></div>\n" + spreads_table(report);
}

/// Calibration as a drawing: how often answers of a score were right, against the score.
std::string calibration_plot(const std::string& title, const Json& bins) {
  std::string out =
      "<figure class=\"plot\"><svg viewBox=\"-12 -4 120 118\">"
      "<path d=\"M0 0V100H100M0 100L100 0\"/>";
  for (const Json& bin : bins) {
    const double x = 100 * bin["from"].get<double>(), right = bin["accuracy"].get<double>();
    out += "<rect class=\"bar\" x=\"" + number(x) + "\" y=\"" + number(100 - 100 * right) +
           "\" width=\"9\" height=\"" + number(100 * right) + "\"><title>" +
           number(bin["count"].get<double>()) + " answers</title></rect>";
  }
  return out +
         "<text x=\"0\" y=\"110\">0</text><text x=\"96\" y=\"110\">1</text>"
         "<text x=\"-10\" y=\"6\">1</text></svg><figcaption>" +
         io::escape_markup(title) +
         ": share of right answers by confidence</figcaption></figure>\n";
}

std::string facts_table(const ScoreReport& report) {
  std::string out = "<table>\n", plots;
  for (const auto& [name, words] : readable_facts(report)) {
    out += "<tr><td>" + breakable(name) + "<td class=\"words\">" + io::escape_markup(words) + "\n";
  }
  for (const auto& [name, text] : report.facts) {
    if (name.starts_with("calibration")) plots += calibration_plot(name, Json::parse(text));
  }
  return out + "</table>\n" + plots;
}

std::string error_figure(const Dataset& dataset, const WrongAnswer& error, ImageFinder& finder) {
  const Entry& entry = dataset.entries[error.answer->sample->entry];
  const Prediction& said = *error.answer->prediction;
  std::string out = "<figure>";
  const auto picture = finder.find(entry.image);
  if (picture && entry.width > 0 && entry.height > 0) out += shot(entry, error, *picture);
  return out + "<figcaption><b>" + io::escape_markup(query_text(dataset, entry)) + "</b> " +
         io::escape_markup(said.key) + ": " + io::escape_markup(error.why) + ", score " +
         number(error.overlap) + "<br>" + io::escape_markup(said.text) + "</figcaption></figure>\n";
}

}  // namespace

void write_html_report(const std::string& path, const ScoreReport& report, const Dataset& dataset,
                       std::vector<WrongAnswer> wrong, const std::vector<std::string>& images,
                       int count) {
  std::stable_sort(wrong.begin(), wrong.end(), [](const WrongAnswer& a, const WrongAnswer& b) {
    return a.overlap < b.overlap;
  });
  const std::size_t all = wrong.size();
  if (all > static_cast<std::size_t>(count)) wrong.resize(count);
  ImageFinder finder(images);
  io::AtomicFile file(path);
  file.write(kHead);
  file.write("<h1>groma eval</h1>\n" + figures_table(report) + facts_table(report));
  for (const std::string& warning : report.warnings)
    file.write("<p>" + io::escape_markup(warning) + "\n");
  file.write("<h2>The worst " + std::to_string(wrong.size()) + " of " + std::to_string(all) +
             " errors</h2>\n");
  if (!wrong.empty()) {
    file.write("<p class=\"key\"><b>target</b>, <b>answer</b>, <b>other boxes</b>\n");
  }
  for (const WrongAnswer& error : wrong) file.write(error_figure(dataset, error, finder));
  file.commit();
}

}  // namespace groma::eval
