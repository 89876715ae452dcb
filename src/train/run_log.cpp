#include "train/run_log.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "io/file.h"

namespace groma::train {
namespace {

constexpr const char* kHeader = "step,name,value\n";

template <typename Points>
std::string table(const Points& points) {
  std::ostringstream out;
  out << kHeader;
  for (const auto& point : points)
    out << point.step << ',' << point.name << ',' << point.value << '\n';
  return out.str();
}

/// A line plot as SVG.
std::string plot(const std::string& name, const std::vector<std::pair<int64_t, double>>& points) {
  constexpr double kWidth = 420, kHeight = 160;
  double low = points[0].second, high = low;
  for (const auto& point : points) {
    low = std::min(low, point.second);
    high = std::max(high, point.second);
  }
  const double span = high > low ? high - low : 1;
  const auto last = static_cast<double>(std::max<int64_t>(points.back().first, 1));
  std::ostringstream out;
  out << "<figure><figcaption>" << name << ": " << points.back().second
      << "</figcaption><svg width='" << kWidth << "' height='" << kHeight
      << "'><polyline fill='none' stroke='#1560bd' points='";
  for (const auto& [step, value] : points) {
    out << kWidth * static_cast<double>(step) / last << ','
        << (kHeight - 4) * (1 - (value - low) / span) + 2 << ' ';
  }
  out << "'/></svg><small>" << low << " to " << high << ", step " << points.back().first
      << "</small></figure>\n";
  return out.str();
}

}  // namespace

RunLog::RunLog(std::string out, int64_t step)
    : out_(std::move(out)), events_(out_ + "/tensorboard", step) {
  read("train.csv", step, training_);
  read("validation.csv", step, validation_);
}

void RunLog::read(const char* file, int64_t step, std::vector<Point>& points) const {
  std::ifstream in(std::filesystem::path(out_) / file);
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    const auto first = line.find(','), second = line.rfind(',');
    if (first == std::string::npos || second == first) continue;
    const Point point{std::atoll(line.c_str()), line.substr(first + 1, second - first - 1),
                      std::atof(line.c_str() + second + 1)};
    if (point.step <= step) points.push_back(point);
  }
}

void RunLog::add(const TrainProgress& progress) {
  const auto add_to = [&](std::vector<Point>& points, const std::string& name, double value) {
    points.push_back({progress.step, name, value});
    events_.add(progress.step, (&points == &training_ ? "train/" : "validation/") + name, value);
  };
  add_to(training_, "loss", progress.loss);
  add_to(training_, "rate", progress.rate);
  for (const auto& [name, value] : progress.metrics) add_to(training_, name, value);
  for (const auto& [name, value] : progress.validation) add_to(validation_, name, value);
  events_.flush();
  write();
}

void RunLog::write() const {
  io::write_file(out_ + "/train.csv", table(training_));
  std::ostringstream page;
  page << "<!doctype html><meta charset='utf-8'><title>Training</title>"
          "<style>figure{display:inline-block;margin:1em;font:14px sans-serif}</style>\n";
  for (const auto* points : {&validation_, &training_}) {
    std::map<std::string, std::vector<std::pair<int64_t, double>>> lines;
    for (const auto& point : *points) {
      if (std::isfinite(point.value)) lines[point.name].push_back({point.step, point.value});
    }
    for (const auto& [name, line] : lines) page << plot(name, line);
    page << "<hr>\n";
  }
  io::write_file(out_ + "/plots.html", page.str());
  if (!validation_.empty()) io::write_file(out_ + "/validation.csv", table(validation_));
}

}  // namespace groma::train
