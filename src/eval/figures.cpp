#include "eval/figures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace groma::eval {
namespace {

constexpr double kZ = 1.959963984540054;  // 97.5 % quantile of the normal distribution

double sum_range(const double* values, std::size_t count) {
  if (count <= 16) return std::accumulate(values, values + count, 0.0);
  const std::size_t half = count / 2;
  return sum_range(values, half) + sum_range(values + half, count - half);
}

/// A normal interval; of a figure that lies in [0, most] it goes no further.
std::array<double, 2> interval_around(double value, double half, double most = 1) {
  return {std::max(0.0, value - half), std::min(most, value + half)};
}

}  // namespace

double pairwise_sum(const std::vector<double>& values) {
  return sum_range(values.data(), values.size());
}

Figure mean_figure(const std::string& name, double sum, double count,
                   const std::vector<double>& terms, const std::string& interval_kind,
                   double most) {
  Figure out{name, -1, sum, count, std::nullopt, ""};
  if (count > 0) out.value = sum / count;
  const auto n = static_cast<double>(terms.size());
  if (terms.size() < 2) return out;
  const double mean = pairwise_sum(terms) / n;
  std::vector<double> squares;
  squares.reserve(terms.size());
  for (const double term : terms) squares.push_back((term - mean) * (term - mean));
  const double half = kZ * std::sqrt(pairwise_sum(squares) / (n - 1) / n);
  out.interval = interval_around(mean, half, most);
  out.interval_kind = interval_kind;
  return out;
}

Figure mean_figure(const std::string& name, double sum, double count, double squares,
                   const std::string& interval_kind) {
  Figure out{name, count > 0 ? sum / count : -1, sum, count, std::nullopt, ""};
  if (count < 2) return out;
  const double spread = std::max(0.0, squares - count * out.value * out.value);
  const double half = kZ * std::sqrt(spread / (count - 1) / count);
  out.interval = interval_around(out.value, half);
  out.interval_kind = interval_kind;
  return out;
}

Figure mean_figure(const std::string& name, const std::vector<double>& terms, double most) {
  return mean_figure(name, pairwise_sum(terms), static_cast<double>(terms.size()), terms, "normal",
                     most);
}

Figure ratio_figure(const std::string& name, const std::vector<double>& tops,
                    const std::vector<double>& bottoms) {
  const double top = pairwise_sum(tops), bottom = pairwise_sum(bottoms);
  Figure out{name, bottom > 0 ? top / bottom : -1, top, bottom, std::nullopt, ""};
  const auto n = static_cast<double>(tops.size());
  if (bottom <= 0 || tops.size() < 2) return out;
  std::vector<double> squares;
  squares.reserve(tops.size());
  for (std::size_t i = 0; i < tops.size(); ++i) {
    const double rest = tops[i] - out.value * bottoms[i];
    squares.push_back(rest * rest);
  }
  const double half = kZ * std::sqrt(pairwise_sum(squares) * n / (n - 1)) / bottom;
  out.interval = interval_around(out.value, half);
  out.interval_kind = "normal, of a ratio over pictures";
  return out;
}

Figure share_figure(const std::string& name, double hits, double count) {
  Figure out{name, -1, hits, count, std::nullopt, ""};
  if (count <= 0) return out;
  const double p = hits / count, z2 = kZ * kZ;
  const double centre = (p + z2 / (2 * count)) / (1 + z2 / count);
  const double half =
      kZ / (1 + z2 / count) * std::sqrt(p * (1 - p) / count + z2 / (4 * count * count));
  out.value = p;
  out.interval = {std::max(0.0, centre - half), std::min(1.0, centre + half)};
  out.interval_kind = "Wilson";
  return out;
}

}  // namespace groma::eval
