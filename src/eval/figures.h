#pragma once

#include <string>
#include <vector>

#include "groma/evaluate.h"

namespace groma::eval {

/// Sum by halves: the rounding error hardly grows with the number of terms.
double pairwise_sum(const std::vector<double>& values);

// Intervals end where a figure's range does: at 0 and at 1, or at `most`.

/// A mean sum / count; `terms` are the independent values that its interval is made from.
Figure mean_figure(const std::string& name, double sum, double count,
                   const std::vector<double>& terms, const std::string& interval_kind,
                   double most = 1);

/// The same from the sum of the terms' squares.
Figure mean_figure(const std::string& name, double sum, double count, double squares,
                   const std::string& interval_kind);

/// Mean of `terms` with a normal interval.
Figure mean_figure(const std::string& name, const std::vector<double>& terms, double most = 1);

/// A ratio of two sums over independent samples, with the interval of its linear part (the delta
/// method): that of the mean of top - ratio * bottom.
///
/// source    Cochran 1977, Sampling Techniques, section 2.11
Figure ratio_figure(const std::string& name, const std::vector<double>& tops,
                    const std::vector<double>& bottoms);

/// A share hits / count with Wilson's interval.
///
/// source    Wilson 1927
Figure share_figure(const std::string& name, double hits, double count);

}  // namespace groma::eval
