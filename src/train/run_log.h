#pragma once

#include <string>
#include <vector>

#include "groma/train.h"
#include "train/event_file.h"

namespace groma::train {

/// Keeps `out`/train.csv, `out`/validation.csv, a page of plots, `out`/plots.html, and
/// `out`/tensorboard.
///
/// Lines are "step,name,value": any spreadsheet or data frame reads them.
class RunLog {
 public:
  /// step  where the run goes on; what was logged after it is dropped, as it is written again
  RunLog(std::string out, int64_t step);

  void add(const TrainProgress& progress);

 private:
  struct Point {
    int64_t step;
    std::string name;
    double value;
  };
  void read(const char* file, int64_t step, std::vector<Point>& points) const;
  void write() const;

  std::string out_;
  std::vector<Point> training_, validation_;
  EventFile events_;
};

}  // namespace groma::train
