#include "groma/groma.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <exception>
#include <new>

#include "check.h"
#include "engine.h"
#include "regions/boxes.h"
#include "regions/given_boxes.h"
#include "regions/select.h"
#include "session.h"
#include "tiles.h"

namespace groma {
namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Stopwatch::Stopwatch(double& sum) : sum_(sum), start_ns_(now_ns()) {}
Stopwatch::~Stopwatch() { sum_ += static_cast<double>(now_ns() - start_ns_) * 1e-6; }

struct CallScope::State {
  c10::InferenceMode inference;
};

CallScope::CallScope(const Groma::Impl& engine) : state_(std::make_unique<State>()) {
  // A setting of the calling thread: other threads keep their own.
  if (at::get_num_threads() != engine.threads) at::set_num_threads(engine.threads);
}

CallScope::~CallScope() = default;

void rethrow_with_advice(const char* doing) {
  constexpr const char* kAdvice =
      ": not enough memory; use fewer regions (max_regions), fewer new tokens or a smaller dtype";
  try {
    throw;
  } catch (const std::bad_alloc&) {
    throw Error(std::string(doing) + kAdvice);
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    const bool memory = what.find("can't allocate memory") != std::string::npos ||
                        what.find("out of memory") != std::string::npos;
    if (memory) throw Error(std::string(doing) + kAdvice);
    throw;
  }
}

constexpr double kSmallShare = 0.3;  // of the regions, where tiles look for small things

SelectConfig select_config(const Groma::Impl& engine, const RegionOptions& options) {
  auto config = engine.model->config.select;
  if (options.box_score) config.box_score = *options.box_score;
  if (options.nms_iou) config.nms_iou = *options.nms_iou;
  if (options.max_regions) config.max_regions = *options.max_regions;
  if (options.tiles != 1) config.small_share = kSmallShare;
  require(config.box_score >= 0 && config.box_score <= 1, "regions: box_score is ",
          config.box_score, "; give a value in [0, 1]");
  require(config.nms_iou >= 0 && config.nms_iou <= 1, "regions: nms_iou is ", config.nms_iou,
          "; give a value in [0, 1]");
  const auto limit = engine.tokenizer.special().region_count;
  require(config.max_regions >= 1 && config.max_regions <= limit, "regions: max_regions is ",
          config.max_regions, "; give 1 to ", limit, ", the model's number of region tokens");
  return config;
}

at::Tensor network_picture(const Groma::Impl& engine, const Image& image, Resize resize,
                           Timings& timings) {
  Stopwatch watch(timings.preprocess_ms);
  return resize_image(image, engine.model->config.vision.image_size, resize);
}

SeenImage see_picture(const Groma::Impl& engine, const at::Tensor& pixels_u8, Timings& timings) {
  auto& model = *engine.model;
  at::Tensor pixels;
  {
    Stopwatch watch(timings.preprocess_ms);
    pixels = normalize_pixels(pixels_u8, engine.pixel_norm).to(engine.device);
  }
  SeenImage seen;
  {
    Stopwatch watch(timings.vision_ms);
    seen.hidden = model.see(pixels);
  }
  Stopwatch watch(timings.proposer_ms);
  const auto proposals = model.propose(seen.hidden);
  seen.boxes_cxcywh = proposals.boxes_cxcywh.squeeze(0);
  seen.scores = fuse_scores(proposals.coco_logits, proposals.sa1b_logits).squeeze(0);
  return seen;
}

Groma::Groma(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Groma Groma::load(const std::string& directory, const LoadOptions& options) try {
  return Groma(load_engine(directory, options));
} catch (...) {
  rethrow_with_advice("load");
}

ChatResult Groma::chat(const Image& image, const std::string& prompt, const std::vector<Box>& boxes,
                       const ChatOptions& options, const RegionOptions& regions) const {
  return start(image, regions).chat(prompt, boxes, options);
}

std::vector<Region> Groma::propose(const Image& image, const RegionOptions& options) const try {
  const CallScope scope(*impl_);
  const auto config = select_config(*impl_, options);
  Timings timings;
  const auto picture = network_picture(*impl_, image, options.resize, timings);
  auto seen = see_picture(*impl_, picture, timings);
  see_tiles(*impl_, image, options, seen, timings);
  const auto chosen = select_regions(seen.boxes_cxcywh, seen.scores,
                                     at::empty({0, 4}, seen.boxes_cxcywh.options()), config);
  const auto boxes = to_pixel_boxes(chosen.boxes_cxcywh, image.width(), image.height());
  const auto scores = chosen.scores.to(at::kCPU).contiguous();
  std::vector<Region> list(boxes.size());
  for (size_t i = 0; i < boxes.size(); ++i) {
    list[i] = {boxes[i], scores.const_data_ptr<float>()[i], false};
  }
  return list;
} catch (...) {
  rethrow_with_advice("propose");
}

Session Groma::start(const Image& image, const RegionOptions& regions) const {
  return Session(std::make_unique<Session::Impl>(impl_, image, regions));
}

ModelInfo Groma::info() const { return impl_->info; }

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

void Session::clear() { impl_->clear(); }

ChatResult Session::chat(const std::string& prompt, const std::vector<Box>& boxes,
                         const ChatOptions& options) try {
  const CallScope scope(*impl_->engine);
  validate_boxes(boxes, impl_->image.width(), impl_->image.height());
  const auto question = user_question(prompt, static_cast<int64_t>(boxes.size()), options.grounded);
  return impl_->ask(question, to_network_boxes(boxes, impl_->image.width(), impl_->image.height()),
                    options);
} catch (...) {
  rethrow_with_advice("chat");
}

const std::vector<Region>& Session::regions() try {
  const CallScope scope(*impl_->engine);
  Timings timings;
  impl_->look(at::empty({0, 4}, at::kFloat), timings);
  impl_->described = impl_->describe();
  return impl_->described;
} catch (...) {
  rethrow_with_advice("regions");
}

}  // namespace groma
