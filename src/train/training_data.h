#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "image/preprocess.h"
#include "train/own_images.h"
#include "train/scene_batch.h"

namespace groma::train {

/// Where the pictures of a run come from: worlds that are drawn, and files of one's own.
///
/// Entry i of the endless list is the same at every call; each source's pictures come in an order
/// of their own in every round, none twice in a round. Safe from several threads.
class TrainingData {
 public:
  struct Options {
    std::vector<DataSource> sources;  ///< empty: the world that `batch` is given
    std::int64_t image_size = 224;
    PixelNorm norm;
    bool with_questions = false;  ///< stages 2 and 3
    bool skip_wrong = false;
    std::function<void(const std::string&)> on_note;
  };
  explicit TrainingData(Options options);

  bool draws_worlds() const;
  bool draws_only_worlds() const;
  bool has_segments() const;

  /// Entries `first` to `first + count - 1` of the list that belongs to `seed`.
  ///
  /// world      of pictures that are drawn
  /// questions  at most so many of a picture of one's own
  /// throws     Error naming a picture that cannot be read or is of another size than its file says
  SceneBatch batch(const WorldOptions& world, std::uint64_t seed, std::int64_t first,
                   std::int64_t count, int questions = 0) const;

  /// What there is to learn from, for people: "a.json (120 pictures), world shapes"; empty without
  /// sources.
  std::string outline() const;

  /// What identifies the data: a resumed run must have the same.
  std::string description() const;

 private:
  struct Source {
    DataSource from;
    OwnImages own;  ///< empty for a world
    std::int64_t slots = 0;
  };
  struct Slot {
    int source = 0;
    std::int64_t rank = 0;  ///< among the slots of its source
  };
  void share_out();
  void add_own(SceneBatch& batch, std::vector<at::Tensor>& pixels, const Source& source,
               std::int64_t turn, std::uint64_t seed, int questions) const;

  Options options_;
  std::vector<Source> sources_;
  std::vector<Slot> slots_;  ///< who gives the entries of a block
};

/// Place `index` of a permutation of 0 .. size - 1 that belongs to `seed`.
std::int64_t permuted(std::int64_t index, std::int64_t size, std::uint64_t seed);

}  // namespace groma::train
