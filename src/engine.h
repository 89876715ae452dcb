#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "groma/groma.h"
#include "image/preprocess.h"
#include "language/tokenizer.h"
#include "model.h"
#include "picture_cache.h"

namespace groma {

/// What a loaded model is made of; shared by all sessions, never changed.
struct Groma::Impl {
  std::shared_ptr<GromaModelImpl> model;
  Tokenizer tokenizer;
  PixelNorm pixel_norm;
  at::Device device;
  int threads = 0;
  ModelInfo info;
  std::optional<PictureCache> pictures;  ///< what was seen of pictures in earlier runs
};

/// Reads and checks a checkpoint; see Groma::load.
std::shared_ptr<const Groma::Impl> load_engine(const std::string& directory,
                                               const LoadOptions& options);

/// What the network sees in one picture, before any question.
struct SeenImage {
  std::vector<at::Tensor> hidden;  ///< the last hidden states, each [1, 1 + N, D]
  at::Tensor boxes_cxcywh;         ///< [Q, 4] proposals in [0, 1]
  at::Tensor scores;               ///< [Q]
};

/// The picture at the network's size, [S, S, 3] uint8.
at::Tensor network_picture(const Groma::Impl& engine, const Image& image, Resize resize,
                           Timings& timings);

/// Runs vision encoder and proposer.   pixels_u8 [S, S, 3]
SeenImage see_picture(const Groma::Impl& engine, const at::Tensor& pixels_u8, Timings& timings);

/// The selection's thresholds: config.json's where `options` leaves them open.
///
/// throws    Error when one is out of range
SelectConfig select_config(const Groma::Impl& engine, const RegionOptions& options);

/// Adds the milliseconds of its own life to `sum`.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum);
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& sum_;
  int64_t start_ns_;
};

/// How every public call runs: without gradients and on the engine's number of threads.
class CallScope {
 public:
  explicit CallScope(const Groma::Impl& engine);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Rethrows the exception in flight: lack of memory as an Error with advice, all else unchanged.
[[noreturn]] void rethrow_with_advice(const char* doing);

}  // namespace groma
