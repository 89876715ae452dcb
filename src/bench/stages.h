#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine.h"

namespace groma::bench {

/// One line of the table: a piece of work, its time, and what of the machine it used.
struct Row {
  std::string name;
  double seconds = 0;
  double flops = 0;         ///< multiplications and additions, from the shapes
  double bytes = 0;         ///< weights read; 0 where that is not what bounds it
  double tokens = 0;        ///< 0 where none are counted
  double others_cores = 0;  ///< kept busy by other programs meanwhile
};

struct BenchOptions {
  int prefill = 512;           ///< positions
  int decode = 16;             ///< tokens a run
  int follow_up = 60;          ///< positions of a further question
  int repeats = 3;             ///< runs, of which the fastest counts
  bool stages = false;         ///< the picture's stages and whole turns too
  std::optional<Image> image;  ///< for the stages; a grey one where there is none
};

/// Times the language model, and with `stages` everything from the picture to the first token and
/// the next question.
///
/// on_row    called with each line as soon as it is known
std::vector<Row> run(std::shared_ptr<const Groma::Impl> engine, const BenchOptions& options,
                     const std::function<void(const Row&)>& on_row);

}  // namespace groma::bench
