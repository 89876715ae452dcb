#include "session.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "answer/grounding.h"
#include "check.h"
#include "language/stream_decoder.h"
#include "regions/boxes.h"
#include "regions/select.h"

namespace groma {
namespace {

constexpr double kSameRegion = 0.6;  // a later box takes a region that overlaps it more

/// How many boxes the question names by <refer_box>.
size_t named_boxes(const std::vector<TextPiece>& question) {
  constexpr std::string_view kToken = "<refer_box>";
  size_t count = 0;
  for (const auto& piece : question) {
    if (!piece.tagged) continue;
    for (auto at = piece.text.find(kToken); at != std::string::npos;
         at = piece.text.find(kToken, at + kToken.size())) {
      ++count;
    }
  }
  return count;
}

/// Kept regions in a random order that depends on the seed alone.
at::Tensor shuffled(const at::Tensor& kept, uint64_t seed) {
  std::vector<int64_t> order(kept.const_data_ptr<int64_t>(),
                             kept.const_data_ptr<int64_t>() + kept.numel());
  std::mt19937_64 random(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return at::tensor(order, at::kLong);
}

}  // namespace

Session::Impl::Impl(std::shared_ptr<const Groma::Impl> engine_, const Image& image,
                    const RegionOptions& options)
    : engine(std::move(engine_)),
      image(image),
      options(options),
      cache_(engine->model->config.language, engine->model->lm_head->weight.options(),
             engine->model->lm_head->weight.is_cuda()) {
  select_config(*engine, options);  // only checks
}

void Session::Impl::encode(Timings& timings) {
  auto& model = *engine->model;
  const auto picture = network_picture(*engine, image, options.resize, timings);
  if (recall(picture)) return;
  auto seen = see_picture(*engine, picture, timings);
  tiles = see_tiles(*engine, image, options, seen, timings);
  at::Tensor tokens;
  {
    Stopwatch watch(timings.vision_ms);
    tokens = model.image_tokens(seen.hidden).squeeze(0);
  }
  Stopwatch watch(timings.regions_ms);
  maps = model.fuse_maps(seen.hidden);
  proposed_boxes = seen.boxes_cxcywh;
  proposed_scores = seen.scores;
  image_tokens = tokens;
}

std::string Session::Impl::region_settings() const {
  const auto config = select_config(*engine, options);
  std::ostringstream text;
  text << std::hexfloat << config.box_score << ' ' << config.nms_iou << ' ' << config.max_regions;
  if (options.shuffle_seed) text << " seed " << *options.shuffle_seed;
  return text.str();
}

bool Session::Impl::recall(const at::Tensor& pixels_u8) {
  // What tiles propose depends on more than the pixels that the key is made of.
  if (!engine->pictures || options.tiles != 1) return false;
  kept_key_ = engine->pictures->key(pixels_u8);
  auto picture = engine->pictures->find(kept_key_, region_settings());
  if (!picture) return false;
  const auto here = [&](const at::Tensor& tensor) { return tensor.to(engine->device); };
  for (const auto& map : picture->maps) maps.push_back(here(map));
  proposed_boxes = here(picture->proposed_boxes);
  proposed_scores = here(picture->proposed_scores);
  image_tokens = here(picture->image_tokens);
  cached_ = picture->prefix;
  cache_.restore(picture->keys_and_values);
  if (!picture->regions.tokens.defined()) return true;
  kept_regions_ = picture->regions;
  for (auto* tensor : {&kept_regions_.boxes_cxcywh, &kept_regions_.scores, &kept_regions_.tokens}) {
    *tensor = here(*tensor);
  }
  kept_ = true;
  return true;
}

void Session::Impl::remember() {
  const auto& given = regions.given;
  const bool own = std::find(given.begin(), given.end(), true) != given.end();
  if (kept_ || kept_key_.empty() || own) return;
  const auto first_turn =
      expand_prompt(engine->tokenizer.encode(conversation({})), engine->tokenizer.special(),
                    image_tokens.size(0), regions.boxes_cxcywh.size(0), {});
  int64_t length = 0;
  const auto most = static_cast<int64_t>(std::min(first_turn.ids.size(), cached_.ids.size()));
  while (length < most && first_turn.ids[length] == cached_.ids[length] &&
         first_turn.feature_of[length] == cached_.feature_of[length]) {
    ++length;
  }
  auto prefix = cached_;
  prefix.ids.resize(length);
  prefix.feature_of.resize(length);
  engine->pictures->keep(kept_key_, region_settings(),
                         {image_tokens, maps, proposed_boxes, proposed_scores, regions, prefix,
                          cache_.stored(length)});
  kept_ = true;
}

void Session::Impl::look(const at::Tensor& boxes_cxcywh, Timings& timings) {
  if (!image_tokens.defined()) encode(timings);
  if (regions.tokens.defined()) return;
  if (kept_regions_.tokens.defined() && boxes_cxcywh.size(0) == 0) {
    regions = kept_regions_;
    return;
  }
  forget_from(picture_end(cached_));  // the regions may be others than were read
  Stopwatch watch(timings.regions_ms);
  const auto chosen = select_regions(proposed_boxes, proposed_scores, boxes_cxcywh,
                                     select_config(*engine, options));
  auto kept = chosen.kept.to(at::kCPU);
  if (options.shuffle_seed) kept = shuffled(kept, *options.shuffle_seed);
  const auto index = kept.to(engine->device);
  RegionSet set;
  set.boxes_cxcywh = chosen.candidate_boxes.index_select(0, index);
  set.scores = chosen.candidate_scores.index_select(0, index);
  for (int64_t i = 0; i < kept.numel(); ++i) {
    set.given.push_back(kept.const_data_ptr<int64_t>()[i] >= proposed_scores.size(0));
  }
  set.tokens = region_tokens(*engine->model, maps, tiles, set.boxes_cxcywh);
  regions = std::move(set);
}

void Session::Impl::clear() {
  turns.clear();
  regions = {};
  forget_from(picture_end(cached_));  // the next regions may be others
}

void Session::Impl::forget_from(int64_t length) {
  cache_.truncate(length);
  cached_.ids.resize(length);
  cached_.feature_of.resize(length);
}

void Session::Impl::read_picture(Timings& timings) {
  if (!image_tokens.defined()) encode(timings);
  if (cache_.length() > 0) return;
  Stopwatch watch(timings.prefill_ms);
  cached_ = expand_prompt(engine->tokenizer.encode(conversation({})), engine->tokenizer.special(),
                          image_tokens.size(0), 0, {});
  const auto length = picture_end(cached_);
  cached_.ids.resize(length);
  cached_.feature_of.resize(length);
  cache_.reserve(length);
  feed(cached_, 0);
}

std::unique_ptr<Session::Impl> Session::Impl::fork(std::optional<uint64_t> shuffle_seed) const {
  auto copy = std::make_unique<Impl>(engine, image, options);
  copy->options.shuffle_seed = shuffle_seed;
  copy->image_tokens = image_tokens;
  copy->maps = maps;
  copy->tiles = tiles;
  copy->proposed_boxes = proposed_boxes;
  copy->proposed_scores = proposed_scores;
  copy->cached_ = cached_;
  copy->cache_ = cache_.copy(cache_.length());
  copy->forget_from(picture_end(cached_));
  if (turns.empty() && regions.tokens.defined()) copy->regions = regions;
  if (!copy->regions.tokens.defined() || !shuffle_seed) return copy;
  auto& set = copy->regions;
  const auto order = shuffled(at::arange(set.scores.size(0)), *shuffle_seed);
  const auto index = order.to(engine->device);
  set.boxes_cxcywh = set.boxes_cxcywh.index_select(0, index);
  set.scores = set.scores.index_select(0, index);
  set.tokens = set.tokens.index_select(0, index);
  for (int64_t i = 0; i < order.numel(); ++i) {
    set.given[i] = regions.given[order.const_data_ptr<int64_t>()[i]];
  }
  return copy;
}

std::vector<Region> Session::Impl::describe() const {
  const auto boxes = to_pixel_boxes(regions.boxes_cxcywh, image.width(), image.height());
  const auto scores = regions.scores.to(at::kCPU, at::kFloat).contiguous();
  std::vector<Region> list(boxes.size());
  for (size_t i = 0; i < boxes.size(); ++i) {
    list[i] = {boxes[i], scores.const_data_ptr<float>()[i], regions.given[i]};
  }
  return list;
}

std::vector<int64_t> Session::Impl::place_boxes(const at::Tensor& boxes_cxcywh,
                                                bool were_candidates, Timings& timings) {
  if (boxes_cxcywh.size(0) == 0) return {};
  const auto wanted = boxes_cxcywh.to(regions.boxes_cxcywh.options());
  if (were_candidates) return match_regions(wanted, regions.boxes_cxcywh);
  std::vector<int64_t> places;
  auto boxes = regions.boxes_cxcywh;
  for (int64_t i = 0; i < wanted.size(0); ++i) {
    const auto box = wanted.narrow(0, i, 1);
    const auto overlaps = pairwise_iou(cxcywh_to_xyxy(box), cxcywh_to_xyxy(boxes))[0];
    const auto best = overlaps.argmax().item<int64_t>();
    if (overlaps[best].item<float>() > kSameRegion) {
      places.push_back(best);
    } else {
      places.push_back(boxes.size(0));
      boxes = at::cat({boxes, box});
    }
  }
  const auto added = boxes.size(0) - regions.boxes_cxcywh.size(0);
  if (added == 0) return places;
  const auto limit = engine->tokenizer.special().region_count;
  require(boxes.size(0) <= limit, "chat: the boxes would make ", boxes.size(0),
          " regions, the model has tokens for ", limit, "; begin a new session");
  Stopwatch watch(timings.regions_ms);
  const auto fresh = boxes.narrow(0, regions.boxes_cxcywh.size(0), added);
  regions.tokens = at::cat({regions.tokens, region_tokens(*engine->model, maps, tiles, fresh)});
  regions.scores = at::cat({regions.scores, at::ones({added}, regions.scores.options())});
  regions.given.insert(regions.given.end(), added, true);
  regions.boxes_cxcywh = boxes;
  return places;
}

ExpandedPrompt Session::Impl::prompt_for(const std::vector<TextPiece>& question,
                                         const std::vector<int64_t>& matches,
                                         std::vector<int64_t>& ids) const {
  auto all = turns;
  all.push_back({question, {}, {}});
  // The boxes of earlier turns were matched then.
  std::vector<int64_t> places;
  for (auto& turn : all) places.insert(places.end(), turn.regions.begin(), turn.regions.end());
  places.insert(places.end(), matches.begin(), matches.end());
  ids = engine->tokenizer.encode(conversation(all));
  return expand_prompt(ids, engine->tokenizer.special(), image_tokens.size(0),
                       regions.boxes_cxcywh.size(0), places);
}

at::Tensor Session::Impl::embed(const ExpandedPrompt& prompt, int64_t from) const {
  const std::vector<int64_t> ids(prompt.ids.begin() + from, prompt.ids.end());
  auto rows = engine->model->embed(at::tensor(ids, at::kLong).to(engine->device));
  std::vector<int64_t> image_rows, image_sources, region_rows, region_sources;
  for (size_t i = from; i < prompt.ids.size(); ++i) {
    const auto feature = prompt.feature_of[i];
    const auto row = static_cast<int64_t>(i) - from;
    if (feature == -1) continue;
    (feature < 0 ? image_rows : region_rows).push_back(row);
    (feature < 0 ? image_sources : region_sources).push_back(feature < 0 ? -2 - feature : feature);
  }
  const auto put = [&](const std::vector<int64_t>& to, const at::Tensor& table,
                       const std::vector<int64_t>& source) {
    if (to.empty()) return;
    const auto index = [&](const std::vector<int64_t>& x) {
      return at::tensor(x, at::kLong).to(engine->device);
    };
    rows.index_copy_(0, index(to), table.index_select(0, index(source)).to(rows.options()));
  };
  put(image_rows, image_tokens, image_sources);
  put(region_rows, regions.tokens, region_sources);
  return rows;
}

at::Tensor Session::Impl::feed(const ExpandedPrompt& prompt, int64_t from) {
  const auto rows = embed(prompt, from);
  const Pack pack = {{rows.size(0), &cache_, {}}};
  return engine->model->llm(rows, next_positions(pack).to(engine->device), pack);
}

int64_t Session::Impl::keep_shared(const ExpandedPrompt& prompt, int64_t most) {
  int64_t same = 0;
  const auto stored = std::min(most, cache_.length());
  while (same < stored && cached_.ids[same] == prompt.ids[same] &&
         cached_.feature_of[same] == prompt.feature_of[same]) {
    ++same;
  }
  forget_from(same);
  return same;
}

at::Tensor Session::Impl::logits_from(const ExpandedPrompt& conversation, int64_t first) {
  const auto same = keep_shared(conversation, first);
  cache_.reserve(static_cast<int64_t>(conversation.ids.size()));
  const auto hidden = feed(conversation, same);
  cached_ = conversation;
  const auto skipped = first - same;
  return engine->model->logits(hidden.narrow(0, skipped, hidden.size(0) - skipped)).to(at::kCPU);
}

at::Tensor Session::Impl::prefill(const ExpandedPrompt& prompt, const ChatOptions& options,
                                  Timings& timings) {
  Stopwatch watch(timings.prefill_ms);
  auto& model = *engine->model;
  const auto length = static_cast<int64_t>(prompt.ids.size());
  const auto context = model.config.language.max_positions;
  require(length < context, "chat: the conversation takes ", length, " positions (",
          image_tokens.size(0), " of the picture, ", 2 * regions.boxes_cxcywh.size(0),
          " of regions), the model's context is ", context,
          "; shorten the prompt, lower max_regions or begin a new session");
  const auto same = keep_shared(prompt, length - 1);
  cached_ = prompt;
  cache_.reserve(std::min<int64_t>(context, length + options.max_new_tokens));
  timings.prompt_positions = static_cast<int>(length);
  timings.reused_positions = static_cast<int>(same);
  const auto hidden = feed(prompt, same);
  return model.logits(hidden.narrow(0, hidden.size(0) - 1, 1)).squeeze(0).to(at::kCPU).contiguous();
}

OpenQuestion Session::Impl::open(const std::vector<TextPiece>& question,
                                 const at::Tensor& boxes_cxcywh, const ChatOptions& options) {
  OpenQuestion open;
  open.question = question;
  auto& timings = open.result.timings;
  const bool were_candidates = !regions.tokens.defined();
  look(boxes_cxcywh, timings);
  open.matches = place_boxes(boxes_cxcywh, were_candidates, timings);
  const auto named = named_boxes(question);
  require(named <= open.matches.size(), "chat: the prompt names ", named, " boxes, ",
          open.matches.size(), " are given; give one box for each");
  open.matches.resize(named);
  const auto prompt = prompt_for(question, open.matches, open.result.prompt_ids);
  open.task.logits = prefill(prompt, options, timings);
  open.task.cache = &cache_;
  open.task.regions = regions.boxes_cxcywh.size(0);
  open.task.options = &options;
  return open;
}

ChatResult Session::Impl::close(OpenQuestion& open) {
  const auto& tokenizer = engine->tokenizer;
  const auto& task = open.task;
  // All but the last token were fed; their positions can be taken up by the next turn.
  const auto fed = cache_.length() - static_cast<int64_t>(cached_.ids.size());
  cached_.ids.insert(cached_.ids.end(), task.ids.begin(), task.ids.begin() + fed);
  cached_.feature_of.insert(cached_.feature_of.end(), fed, -1);

  ChatResult result = std::move(open.result);
  result.regions = describe();
  result.generated_ids = task.ids;
  result.finish = task.finish;
  result.timings.generated_tokens = static_cast<int>(task.ids.size());
  auto ids = task.ids;
  if (!ids.empty() && ids.back() == tokenizer.special().eos) ids.pop_back();
  result.tagged = tokenizer.decode(ids);
  auto grounded = parse_answer(tokenizer, task.ids, task.logprobs, result.regions);
  result.text = std::move(grounded.text);
  result.phrases = std::move(grounded.phrases);
  turns.push_back({open.question, tokenizer.decode_pieces(task.ids), open.matches});
  return result;
}

ChatResult Session::Impl::answer(const std::vector<TextPiece>& question,
                                 const at::Tensor& boxes_cxcywh, const ChatOptions& options) {
  auto asked = open(question, boxes_cxcywh, options);
  auto& task = asked.task;
  StreamDecoder stream(engine->tokenizer);
  if (options.on_text) {
    task.on_token = [&](int64_t id) {
      const auto piece = stream.feed(id);
      return piece.empty() || options.on_text(piece);
    };
  }
  {
    Stopwatch watch(asked.result.timings.decode_ms);
    generate(*engine->model, engine->tokenizer.special(), {&task});
  }
  if (options.on_text && task.finish != Finish::kCancelled) {
    if (const auto rest = stream.finish(); !rest.empty()) options.on_text(rest);
  }
  remember();
  return close(asked);
}

ChatResult Session::Impl::ask(const std::vector<TextPiece>& question,
                              const at::Tensor& boxes_cxcywh, const ChatOptions& options) {
  validate(options);
  const auto limit = engine->tokenizer.special().region_count;
  require(boxes_cxcywh.size(0) <= limit, "chat: ", boxes_cxcywh.size(0),
          " boxes, the model has tokens for ", limit, " regions; give fewer boxes");
  const auto regions_before = regions;
  try {
    return answer(question, boxes_cxcywh, options);
  } catch (...) {
    regions = regions_before;
    cache_.truncate(0);
    cached_ = {};
    throw;
  }
}

}  // namespace groma
