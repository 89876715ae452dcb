#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "groma/box.h"
#include "groma/error.h"
#include "groma/image.h"
#include "groma/mask.h"

namespace groma {

enum class Device { kCpu, kCuda };
/// What the model computes in. kInt8 and kInt4 quantise the language model's weights, half and a
/// quarter of bfloat16's memory; all else is then bfloat16.
enum class DType { kAuto, kFloat32, kBFloat16, kFloat16, kInt8, kInt4 };

/// Which picture resize feeds the network: the original's single-image script uses bicubic (PIL),
/// its evaluation bilinear (OpenCV).
enum class Resize { kBicubic, kBilinear };

struct LoadOptions {
  Device device = Device::kCpu;
  DType dtype = DType::kAuto;  ///< kAuto: as the files; bf16 where they are bf16 or fp16
  int threads = 0;             ///< compute threads of a call; 0: all cores
  /// Folder that keeps what sessions have seen of pictures, for later runs of a program: features,
  /// regions and what the decoder read of them. Empty: none. Files in it can be removed any time.
  std::string cache;
  std::function<void(double done)> on_progress = nullptr;  ///< called while loading, done in [0, 1]
};

/// How the candidate regions of an image are chosen. Unset fields come from config.json.
struct RegionOptions {
  std::optional<float> box_score;  ///< proposals must score above this, [0, 1]; published 0.15
  std::optional<float> nms_iou;    ///< of two boxes overlapping more, the worse goes; published 0.6
  std::optional<int> max_regions;  ///< 1..100 (the number of region tokens of the model)
  Resize resize = Resize::kBicubic;
  std::optional<std::uint64_t> shuffle_seed;  ///< number regions in random order, as in training
  /// Propose also from the picture cut into tiles x tiles overlapping parts, for small objects;
  /// 0: parts as large as the network's input, at most 4 x 4.
  int tiles = 1;
  /// Read each region from the part that shows all of it, nearest to the part's middle, instead of
  /// from the whole picture: finer, and every part costs what the picture costs.
  bool tile_features = false;
};

struct ChatOptions {
  int max_new_tokens = 512;
  double temperature = 0;  ///< 0: greedy
  double top_p = 1;        ///< (0, 1]: sample from the most probable tokens that hold this much
  int top_k = 0;           ///< sample from this many tokens; 0: from all
  std::uint64_t seed = 0;  ///< of sampling
  bool grounded = false;   ///< ask for phrases with boxes ("[grounding]" before the question)
  bool constrain = true;   ///< only existing regions can be named, an open <roi> is closed
  /// Gets complete UTF-8 without tags as it is generated; returning false ends the answer.
  std::function<bool(std::string_view piece)> on_text = nullptr;
};

/// One candidate: its number K is its place in `ChatResult::regions`, and never changes in a
/// session.
struct Region {
  Box box;
  float score = 0;     ///< proposal score in [0, 1]; 1 for a box given by the user
  bool given = false;  ///< came from the user
};

/// A region that the answer names.
struct NamedRegion {
  int region = 0;  ///< index into `ChatResult::regions`
  Box box;
  float score = 0;  ///< proposal score, [0, 1]
  /// Natural logarithm of the probability of its token when it was generated; NaN where no token
  /// named it, as in a list of proposals.
  float logprob = 0;
};

/// A piece of the answer together with the regions it speaks of.
struct Phrase {
  std::string text;       ///< empty when regions stand alone, as in answers to "Locate ..."
  std::size_t begin = 0;  ///< span [begin, end) in UTF-8 bytes of `ChatResult::text`
  std::size_t end = 0;
  std::vector<NamedRegion> regions;
};

enum class Finish {
  kStop,       ///< the model ended its answer
  kLength,     ///< max_new_tokens or the context was reached
  kCancelled,  ///< on_text returned false
};

/// Milliseconds of each stage; 0 for a stage whose result was already there.
struct Timings {
  double preprocess_ms = 0;
  double vision_ms = 0;
  double proposer_ms = 0;
  double regions_ms = 0;
  double prefill_ms = 0;
  double decode_ms = 0;
  int prompt_positions = 0;  ///< length of the sequence before the answer
  int reused_positions = 0;  ///< of these, taken from the key-value cache of an earlier turn
  int generated_tokens = 0;
};

struct ChatResult {
  std::string text;                      ///< the answer, tags removed
  std::vector<Phrase> phrases;           ///< in order of appearance
  std::vector<Region> regions;           ///< all regions the model saw, by number
  std::string tagged;                    ///< the answer as generated, with <p>, <roi> and <rK>
  std::vector<std::int64_t> prompt_ids;  ///< before image and regions are expanded
  std::vector<std::int64_t> generated_ids;
  Finish finish = Finish::kStop;
  Timings timings;
};

/// A region among all of its picture, by how well it fits an expression.
struct RankedRegion {
  int region = 0;  ///< its number
  Box box;
  float score = 0;        ///< proposal score, [0, 1]
  float probability = 0;  ///< of the model naming it first; all add up to 1
};

/// What an expression may mean.
struct Ranking {
  std::vector<RankedRegion> regions;  ///< all, best first
  float present = 0;  ///< probability that the model begins its answer by naming a region
};

/// A conversation about one image. The image is encoded once; regions keep their numbers.
///
/// Used by one thread at a time. Keeps the model alive; may outlive the `Groma` it came from.
class Session {
 public:
  /// Asks the next question.
  ///
  /// prompt    plain words; every "<box>" stands for the next of `boxes`. Nothing else in it is
  /// ever
  ///           read as a control token.
  /// boxes     pixels. With no "<box>" in the prompt they only join the regions; otherwise the
  ///           counts must match. From the second turn on a box takes the best region with
  ///           IoU > 0.6, else is appended.
  /// throws    Error on a bad option or box, when counts differ, when the region tokens or the
  ///           context are used up. The session stays as it was.
  ChatResult chat(const std::string& prompt, const std::vector<Box>& boxes = {},
                  const ChatOptions& options = {});

  /// All regions so far, by number; chooses them first if no question was asked yet.
  const std::vector<Region>& regions();

  /// All proposals, before scores and overlaps choose among them, best first.
  std::vector<Region> proposals();

  /// Takes these as the regions, numbered as they come: `regions` filtered, added to or reordered.
  ///
  /// masks     by number, for some: what lies outside does not reach the region's features; only
  ///           for models that read these where the region is (roi_geometry exact)
  /// throws    Error after the first question, when there are none or more than the model has
  ///           tokens for, or when a box or mask is not one of this picture
  void choose(const std::vector<Region>& regions, const std::map<int, Mask>& masks = {});

  /// Ranks all regions by how well they fit an expression ("the red cup"). Is no turn: it leaves
  /// the conversation as it was.
  Ranking rank(const std::string& expression);

  /// The conversation as a JSON text for `restore`: the picture's checksum, regions and turns.
  std::string save() const;

  /// Takes up a saved conversation about this very picture, in place of this one.
  ///
  /// name      stands for the text in messages
  /// throws    Error when the text is damaged or of another picture
  void restore(const std::string& saved, const std::string& name = "session");

  /// Forgets the questions, the answers and the regions; the picture is not encoded again.
  void clear();

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  struct Impl;  ///< internal
  explicit Session(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

/// What a checkpoint is, for display.
struct ModelInfo {
  struct Stage {
    std::string
        name;  ///< "vision encoder", "proposer", "region encoder", "projector", "language model"
    std::int64_t parameters = 0;
  };
  std::vector<Stage> stages;
  std::int64_t parameters = 0;
  std::string file_dtype;     ///< of most weights in the files
  std::string compute_dtype;  ///< of the language model as loaded
  /// Bytes of the weights by each dtype that they can be loaded as: "fp32", "bf16" (as fp16),
  /// "int8", "int4".
  std::map<std::string, std::int64_t> memory;
  int image_size = 0;  ///< pixels a side of the network's input
  int image_tokens = 0;
  int queries = 0;           ///< proposals before selection
  int region_tokens = 0;     ///< most regions in a conversation
  int context = 0;           ///< most positions of a sequence
  std::string roi_geometry;  ///< "released" or "exact"
};

/// A loaded model. Immutable; its methods are safe to call from several threads.
class Groma {
 public:
  /// Loads a checkpoint directory: config.json, weights (safetensors or .bin), tokenizer files.
  ///
  /// throws    Error that lists all that is missing, unexpected or misshapen
  static Groma load(const std::string& directory, const LoadOptions& options = {});

  /// Answers one question about an image; see Session::chat.
  ChatResult chat(const Image& image, const std::string& prompt, const std::vector<Box>& boxes = {},
                  const ChatOptions& options = {}, const RegionOptions& regions = {}) const;

  /// The candidate regions of an image, best first, after selection.
  std::vector<Region> propose(const Image& image, const RegionOptions& regions = {}) const;

  /// Begins a conversation about an image.
  Session start(const Image& image, const RegionOptions& regions = {}) const;

  ModelInfo info() const;

  struct Impl;  ///< internal

 private:
  explicit Groma(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

/// Describes a checkpoint from its config and weight headers without loading the weights.
ModelInfo describe(const std::string& directory);

}  // namespace groma
