#include "train/training_data.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "check.h"
#include "groma/image.h"
#include "io/file.h"
#include "train/detection_stage.h"
#include "train/recipe.h"
#include "train/worlds/turns.h"

namespace groma::train {
namespace {

constexpr std::int64_t kBlock = 1000;  // entries in which the shares are exact
constexpr std::uint64_t kOrderTag = 0x6f72646572000000ull;
constexpr std::uint64_t kQuestionTag = 0x6f776e7175657374ull;

/// A question with the words that surround what the file says.
Question spoken(const OwnQuestion& own, Random& random) {
  Question question;
  question.task = own.task;
  question.targets = own.objects;
  question.expression = own.text;
  switch (own.task) {
    case Task::kRefer:
      question.kind = "rec";
      question.turns = {refer_turn(own.text, own.objects[0], {}, random)};
      break;
    case Task::kGround:
      question.kind = "ground";
      question.turns = {ground_turn(own.text, own.objects, random)};
      break;
    case Task::kCaption:
      question.kind = "caption";
      question.turns = {caption_turn(own.text, own.objects[0], random)};
      break;
    case Task::kDescribe:
      question.kind = "describe";
      question.turns = {describe_turn(own.turns[0].answer, random)};
      break;
    default:
      question.kind = "chat";
      question.turns = own.turns;
  }
  return question;
}

/// The picture's truth on the squashed square that the network sees.
Scene scene_of(const OwnImage& image, const OwnImages& all, std::int64_t side) {
  Scene scene;
  scene.size = static_cast<int>(side);
  const double across = static_cast<double>(side) / image.width;
  const double down = static_cast<double>(side) / image.height;
  const auto scaled = [](float value, double scale) { return static_cast<float>(value * scale); };
  for (const auto& own : image.objects) {
    SceneObject object;
    if (own.kind >= 0) object.kind = all.kinds[own.kind];
    object.box = {scaled(own.xyxy[0], across), scaled(own.xyxy[1], down),
                  scaled(own.xyxy[2], across), scaled(own.xyxy[3], down)};
    object.full_box = object.box;
    scene.objects.push_back(std::move(object));
  }
  return scene;
}

at::Tensor pixels_of(const OwnImage& own, std::int64_t side, const PixelNorm& norm) {
  const auto image = [&] {
    try {
      return Image::open(own.file);
    } catch (const Error& error) {
      require(false, own.where, ": ", error.what());
      throw;
    }
  }();
  require(image.width() == own.width && image.height() == own.height, own.where, ": ",
          io::quote(own.file), " is ", image.width(), " x ", image.height(),
          " pixels, the annotations say ", own.width, " x ", own.height,
          "; mend it or give --skip-wrong");
  return normalize_pixels(resize_image(image, side, Resize::kBicubic), norm);
}

/// A round of a Feistel network: any function will do, this one mixes well.
std::uint64_t mixed(std::uint64_t half, std::uint64_t key) { return Random(half ^ key).next(); }

}  // namespace

std::int64_t permuted(std::int64_t index, std::int64_t size, std::uint64_t seed) {
  constexpr int kRounds = 4;
  int half_bits = 1;
  while ((std::int64_t{1} << (2 * half_bits)) < size) ++half_bits;
  const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
  auto value = static_cast<std::uint64_t>(index);
  do {  // the network permutes a power of four: go on until inside
    auto left = value >> half_bits, right = value & mask;
    for (int round = 0; round < kRounds; ++round) {
      const auto next = left ^ (mixed(right, seed + static_cast<std::uint64_t>(round)) & mask);
      left = right;
      right = next;
    }
    value = left << half_bits | right;
  } while (value >= static_cast<std::uint64_t>(size));
  return static_cast<std::int64_t>(value);
}

TrainingData::TrainingData(Options options) : options_(std::move(options)) {
  for (const auto& from : options_.sources) {
    Source source{from, {}, 0};
    if (from.world.empty()) {
      source.own =
          read_own_images(from, options_.with_questions, options_.skip_wrong, options_.on_note);
      source.from.segments |= source.own.segments;
      if (options_.with_questions) {
        std::erase_if(source.own.images, [](const auto& one) { return one.questions.empty(); });
        require(!source.own.images.empty(), "train: ", io::quote(from.path),
                " asks nothing about its pictures; stages 2 and 3 need expressions, captions, "
                "categories with names or conversations");
      }
    } else {
      world_named(from.world);
    }
    sources_.push_back(std::move(source));
  }
  if (!sources_.empty()) share_out();
}

void TrainingData::share_out() {
  const bool shared = std::any_of(sources_.begin(), sources_.end(),
                                  [](const Source& source) { return source.from.share > 0; });
  std::vector<double> shares;
  for (const auto& source : sources_) {
    const auto size = static_cast<double>(source.own.images.size());
    shares.push_back(shared ? source.from.share : size);
    const auto name = io::quote(source.from.path + source.from.world);
    require(source.from.share >= 0, "train: the source ", name, " has a share of ",
            source.from.share, "; give a number above 0");
    require(shares.back() > 0, "train: the source ", name,
            " has no share; where worlds take part or one source has a share, all need one");
  }
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  double until = 0;
  for (size_t s = 0; s < sources_.size(); ++s) {
    until += shares[s] / sum;
    const auto end = static_cast<std::int64_t>(std::llround(until * kBlock));
    while (static_cast<std::int64_t>(slots_.size()) < end || sources_[s].slots == 0) {
      slots_.push_back({static_cast<int>(s), sources_[s].slots++});
    }
  }
  Random random(kOrderTag);
  random.shuffle(slots_);
}

bool TrainingData::draws_worlds() const {
  return sources_.empty() || std::any_of(sources_.begin(), sources_.end(), [](const auto& source) {
           return !source.from.world.empty();
         });
}

bool TrainingData::draws_only_worlds() const {
  return std::all_of(sources_.begin(), sources_.end(),
                     [](const Source& source) { return !source.from.world.empty(); });
}

bool TrainingData::has_segments() const {
  return std::any_of(sources_.begin(), sources_.end(),
                     [](const Source& source) { return source.from.segments; });
}

void TrainingData::add_own(SceneBatch& batch, std::vector<at::Tensor>& pixels, const Source& source,
                           std::int64_t turn, std::uint64_t seed, int questions) const {
  constexpr int kTries = 100;  // pictures in a row that may be damaged
  const auto size = static_cast<std::int64_t>(source.own.images.size());
  for (int tries = 0;; ++tries) {
    const auto round = (turn + tries) / size;
    const auto& image =
        source.own
            .images[permuted((turn + tries) % size, size, entry_seed(seed ^ kOrderTag, round))];
    try {
      pixels.push_back(pixels_of(image, options_.image_size, options_.norm));
    } catch (const Error&) {
      if (!options_.skip_wrong || tries == kTries) throw;
      continue;
    }
    batch.scenes.push_back(scene_of(image, source.own, options_.image_size));
    batch.truth.push_back({truth_boxes(batch.scenes.back()), source.from.segments});
    batch.own.push_back(true);
    batch.complete &= source.own.complete;
    Random random(entry_seed(seed ^ kQuestionTag, turn));
    std::vector<int> order(image.questions.size());
    std::iota(order.begin(), order.end(), 0);
    random.shuffle(order);
    order.resize(std::min<size_t>(order.size(), questions));
    batch.asked.emplace_back();
    for (const int q : order) batch.asked.back().push_back(spoken(image.questions[q], random));
    return;
  }
}

SceneBatch TrainingData::batch(const WorldOptions& world, std::uint64_t seed, std::int64_t first,
                               std::int64_t count, int questions) const {
  if (sources_.empty()) return draw_batch(world, seed, first, count);
  SceneBatch batch;
  std::vector<at::Tensor> pixels;
  const auto block = static_cast<std::int64_t>(slots_.size());
  for (std::int64_t i = first; i < first + count; ++i) {
    const auto& slot = slots_[i % block];
    const auto& source = sources_[slot.source];
    const auto turn = i / block * source.slots + slot.rank;
    if (source.from.world.empty()) {
      add_own(batch, pixels, source, turn, seed, questions);
      continue;
    }
    auto own_world = world;
    own_world.world = world_named(source.from.world);
    auto drawn = draw_batch(own_world, seed, turn, 1);
    pixels.push_back(drawn.pixels);
    batch.scenes.push_back(std::move(drawn.scenes[0]));
    batch.truth.push_back(std::move(drawn.truth[0]));
    batch.own.push_back(false);
    batch.asked.emplace_back();
  }
  batch.pixels = at::cat(pixels);
  return batch;
}

std::string TrainingData::outline() const {
  std::vector<std::string> parts;
  for (const auto& [from, own, slots] : sources_) {
    parts.push_back(from.world.empty()
                        ? from.path + " (" + std::to_string(own.images.size()) + " pictures)"
                        : "world " + from.world);
  }
  return listed(parts);
}

std::string TrainingData::description() const {
  std::string text;
  for (const auto& source : sources_) {
    text += source.from.path + source.from.world + " " + std::to_string(source.own.images.size()) +
            " " + std::to_string(source.slots) + "\n";
  }
  return text;
}

}  // namespace groma::train
