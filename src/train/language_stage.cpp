#include "train/language_stage.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "check.h"
#include "io/file.h"
#include "train/detection_stage.h"
#include "train/language_losses.h"

namespace groma::train {
namespace {

/// The sorts of questions that a recipe can ask for, by name.
int* count_named(QuestionCounts& counts, const std::string& name) {
  if (name == "attribute") return &counts.attribute;
  if (name == "relation") return &counts.relation;
  if (name == "superlative") return &counts.superlative;
  if (name == "ordinal") return &counts.ordinal;
  if (name == "ground") return &counts.ground;
  if (name == "caption") return &counts.caption;
  if (name == "describe") return &counts.describe;
  if (name == "count") return &counts.count;
  if (name == "yes_no") return &counts.yes_no;
  if (name == "absent") return &counts.absent;
  if (name == "dialogue") return &counts.dialogue;
  return nullptr;
}

constexpr QuestionCounts kNone{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

/// Draws how many questions of each sort a scene is asked.
QuestionCounts draw_counts(const Phase& phase, int total, Random& random) {
  QuestionCounts counts = kNone;
  double sum = 0;
  for (const auto& [name, share] : phase.questions) sum += share;
  for (int i = 0; i < total; ++i) {
    double x = random.uniform() * sum;
    for (const auto& [name, share] : phase.questions) {
      x -= share;
      if (x > 0) continue;
      ++*count_named(counts, name);
      break;
    }
  }
  return counts;
}

class LanguageStage {
 public:
  LanguageStage(const Recipe& recipe, const ModelConfig& config, const Tokenizer& tokenizer,
                const StageData& data, uint64_t seed, at::Device device)
      : recipe_(recipe),
        config_(config),
        data_(data),
        seed_(seed),
        device_(device),
        words_(world_named(recipe.world), config.language.hidden, device),
        writer_(tokenizer) {
    world_.world = world_named(recipe.world);
    world_.size = static_cast<int>(config.vision.image_size);
    world_.small_share = recipe.small_share;
    world_.hidden_share = recipe.hidden_share;
    const bool draws = data.training->draws_worlds();
    require(!recipe_.phases.empty() || !draws,
            "train: the recipe has no \"phases\" that say what is asked");
    require(!recipe_.oracle_features || data.training->draws_only_worlds(),
            "train: \"oracle_features\" know drawn scenes alone; leave them out for own data");
    if (recipe_.phases.empty()) recipe_.phases.emplace_back();
    for (const auto& phase : recipe_.phases) {
      for (const auto& [name, share] : phase.questions) {
        QuestionCounts counts;
        require(count_named(counts, name), "train: the recipe asks for questions of the sort ",
                io::quote(name, 60), ", which does not exist");
      }
    }
  }

  Losses losses(GromaModelImpl& model, const Work& work) const;
  Metrics validate(GromaModelImpl& model, int64_t first, int64_t count) const;

 private:
  struct Sample {
    SceneBatch batch;
    std::vector<SceneRegions> regions;
    std::vector<PackedQuestions> packs;
    Proposals proposals;  // with gradients where the recipe trains detection along
  };
  Sample sample(GromaModelImpl& model, SceneBatch batch, const Phase& phase, int questions,
                bool training, Random& random) const;
  const Phase& phase_at(double progress) const;
  Losses weigh(GromaModelImpl& model, const Sample& sample, const PackedOutput& output) const;

  Recipe recipe_;
  ModelConfig config_;
  StageData data_;
  uint64_t seed_;
  at::Device device_;
  WorldOptions world_;
  WordTable words_;
  QuestionWriter writer_;
};

const Phase& LanguageStage::phase_at(double progress) const {
  for (const auto& phase : recipe_.phases) {
    if (progress < phase.until) return phase;
  }
  return recipe_.phases.back();
}

LanguageStage::Sample LanguageStage::sample(GromaModelImpl& model, SceneBatch batch,
                                            const Phase& phase, int questions, bool training,
                                            Random& random) const {
  Sample sample;
  sample.batch = std::move(batch);
  sample.batch.move_to(device_);
  const auto& scenes = sample.batch.scenes;
  if (recipe_.oracle_features) {
    for (const auto& scene : scenes) {
      sample.regions.push_back(oracle_regions(model, scene, words_, random));
    }
  } else {
    const bool detects = training && recipe_.loss("detection") > 0 && sample.batch.complete;
    sample.regions =
        seen_regions(model, sample.batch, training, random, detects ? &sample.proposals : nullptr);
  }
  for (size_t b = 0; b < scenes.size(); ++b) {
    auto& regions = sample.regions[b];
    // Hidden image tokens shorten half of the sequences and teach to read the regions.
    if (training && !random.chance(recipe_.image_token_share)) regions.image_tokens = at::Tensor();
    const auto counts = questions > 0 ? draw_counts(phase, questions, random) : QuestionCounts{};
    std::vector<QuestionRows> rows;
    const auto asked = sample.batch.is_own(b) ? sample.batch.asked[b]
                                              : train::questions(scenes[b], random, counts);
    for (const auto& question : asked) {
      QuestionRows one;
      const bool steps = random.chance(0.5), marked = random.chance(recipe_.marked_share);
      if (writer_.write(scenes[b], question, regions.region_of, steps, marked, one))
        rows.push_back(one);
    }
    const auto image_tokens = regions.image_tokens.defined() ? regions.image_tokens.size(0) : 0;
    sample.packs.push_back(
        pack_questions(writer_, image_tokens, regions.boxes_cxcywh.size(0), rows, device_));
  }
  return sample;
}

Losses LanguageStage::weigh(GromaModelImpl& model, const Sample& sample,
                            const PackedOutput& output) const {
  Losses losses;
  const auto answers = answer_loss(model, sample.packs, output);
  losses.add("answer", answers.loss, recipe_.loss("answer"));
  double pointing = 0, pointers = 0;
  for (size_t b = 0; b < sample.packs.size(); ++b) {
    for (const auto& pointer : sample.packs[b].pointers) {
      if (!pointer.last) continue;
      pointing += answers.right[b][pointer.position].item<bool>();
      ++pointers;
    }
  }
  losses.metrics["pointing"] = pointing / std::max(pointers, 1.0);
  if (recipe_.loss("copy") > 0) {
    losses.add("copy",
               copy_loss(model, sample.packs, output, writer_.tokenizer().special().region_first),
               recipe_.loss("copy"));
  }
  if (recipe_.loss("attention") > 0) {
    losses.add("attention", attention_loss(model, sample.packs, output), recipe_.loss("attention"));
  }
  std::vector<at::Tensor> tokens;
  std::vector<const SceneObject*> objects;
  std::vector<std::vector<std::vector<int64_t>>> words_of(sample.packs.size());
  for (size_t b = 0; b < sample.packs.size(); ++b) {
    const auto& regions = sample.regions[b];
    for (size_t k = 0; k < regions.object_of.size(); ++k) {
      words_of[b].emplace_back();
      if (regions.object_of[k] < 0) continue;
      const auto& object = sample.batch.scenes[b].objects[regions.object_of[k]];
      words_of[b].back() = writer_.words_of(object);
      tokens.push_back(regions.tokens[static_cast<int64_t>(k)]);
      objects.push_back(&object);
    }
  }
  if (recipe_.loss("bag") > 0) {
    losses.add("bag", bag_loss(model, sample.packs, output, words_of), recipe_.loss("bag"));
  }
  if (recipe_.loss("words") > 0 && !tokens.empty()) {
    losses.add("words", words_.loss(at::stack(tokens), objects), recipe_.loss("words"));
  }
  if (recipe_.loss("places") > 0) {
    std::vector<at::Tensor> all, boxes;
    for (const auto& regions : sample.regions) {
      all.push_back(regions.tokens);
      boxes.push_back(regions.boxes_cxcywh);
    }
    losses.add("places", place_loss(at::cat(all), at::cat(boxes)), recipe_.loss("places"));
  }
  if (sample.proposals.boxes_cxcywh.defined()) {
    losses.add("detection",
               detection_loss(*model.proposer, sample.proposals, sample.batch.truth, {},
                              ScoreHeads::kQuality)
                   .total,
               recipe_.loss("detection"));
  }
  return losses;
}

Losses LanguageStage::losses(GromaModelImpl& model, const Work& work) const {
  const auto& phase = phase_at(work.progress);
  auto world = world_;
  world.max_objects = phase.max_objects;
  Random random(entry_seed(work.seed ^ 0x7175657374696f6eull, work.first));
  const int questions = recipe_.questions_per_image;
  const auto drawn =
      sample(model, data_.training->batch(world, work.seed, work.first, work.count, questions),
             phase, questions, /*training=*/true, random);
  const auto output = run_packed(model, drawn.packs, drawn.regions, recipe_.autocast);
  return weigh(model, drawn, output);
}

Metrics LanguageStage::validate(GromaModelImpl& model, int64_t first, int64_t count) const {
  auto world = world_;
  world.test = true;
  Metrics metrics;
  for (int64_t i = first; i < first + count; ++i) {
    Random random(entry_seed(seed_ ^ 0x76616c6964617465ull, i));
    const auto drawn = sample(
        model, data_.validation->batch(world, seed_, i, 1, recipe_.questions_per_image), Phase{}, 0,
        /*training=*/false, random);
    const auto& pack = drawn.packs[0];
    const auto output = run_packed(model, drawn.packs, drawn.regions, recipe_.autocast);
    const auto right = answer_loss(model, drawn.packs, output).right[0];
    std::vector<bool> all(pack.kinds.size(), true);
    for (int64_t row = 0; row < pack.rows(); ++row) {
      if (!right[row].item<bool>()) all[pack.question_of[row]] = false;
    }
    for (size_t q = 0; q < all.size(); ++q) {
      metrics["exact " + pack.kinds[q]] += all[q] ? 1 : 0;
      metrics["n.exact " + pack.kinds[q]] += 1;
    }
    for (size_t p = 0; p < pack.pointers.size(); ++p) {
      if (!pack.pointers[p].last) continue;
      const auto& kind = pack.kinds[pack.pointer_question[p]];
      metrics["point " + kind] += right[pack.pointers[p].position].item<bool>() ? 1 : 0;
      metrics["n.point " + kind] += 1;
    }
  }
  return metrics;
}

}  // namespace

Stage language_stage(const Recipe& recipe, const ModelConfig& config, const Tokenizer& tokenizer,
                     const StageData& data, uint64_t seed, at::Device device) {
  const auto language =
      std::make_shared<LanguageStage>(recipe, config, tokenizer, data, seed, device);
  Stage stage;
  stage.losses = [language](GromaModelImpl& model, const Work& work) {
    return language->losses(model, work);
  };
  if (!data.validation) return stage;
  stage.validate = [language](GromaModelImpl& model, int64_t first, int64_t count) {
    return language->validate(model, first, count);
  };
  return stage;
}

}  // namespace groma::train
