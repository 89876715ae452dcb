#pragma once

#include <string>
#include <vector>

#include "groma/train.h"

namespace groma::train {

/// Keeps `out`/train.csv, `out`/validation.csv and a page of plots, `out`/plots.html.
///
/// Lines are "step,name,value": any spreadsheet or data frame reads them.
class RunLog {
 public:
  explicit RunLog(std::string out);

  /// Drops what was logged after `step`: a resumed run writes it again.
  void cut(int64_t step);
  void add(const TrainProgress& progress);

 private:
  struct Point {
    int64_t step;
    std::string name;
    double value;
  };
  void write() const;

  std::string out_;
  std::vector<Point> training_, validation_;
};

}  // namespace groma::train
