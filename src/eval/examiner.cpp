#include "eval/examiner.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "eval/questions.h"
#include "language/generate.h"
#include "regions/boxes.h"
#include "regions/given_boxes.h"

namespace groma::eval {
namespace {

FloatBox floats_of(const Box& box) { return {box.x1, box.y1, box.x2, box.y2}; }

std::vector<Candidate> candidates_of(const at::Tensor& boxes_cxcywh, const at::Tensor& scores,
                                     const Image& image) {
  const auto boxes = to_pixel_boxes(boxes_cxcywh, image.width(), image.height());
  const auto values = scores.to(at::kCPU, at::kFloat).contiguous();
  std::vector<Candidate> out;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    out.push_back({floats_of(boxes[i]), values.const_data_ptr<float>()[i]});
  }
  return out;
}

/// The part of a box that lies on the picture.
Box on_picture(const XywhBox& box, const Image& image) {
  const auto inside = [](double value, int side) {
    return static_cast<float>(std::clamp<double>(value, 0, side));
  };
  return {inside(box[0], image.width()), inside(box[1], image.height()),
          inside(box[0] + box[2], image.width()), inside(box[1] + box[3], image.height())};
}

/// A prediction that the run folder can hold; of any other, that it failed.
Prediction checked(Prediction prediction) {
  if (all_finite(prediction)) return prediction;
  Prediction failed;
  failed.error =
      "the model gave a box, score or probability that is not finite; check the checkpoint, or try "
      "--dtype fp32";
  return failed;
}

}  // namespace

Examiner::Examiner(std::shared_ptr<const Groma::Impl> engine, const RunOptions& options)
    : engine_(std::move(engine)), protocol_(options.protocol), regions_(options.regions) {
  regions_.resize = Resize::kBilinear;  // as the original evaluates
  regions_.shuffle_seed.reset();
  chat_.max_new_tokens = answer_length(options.protocol);
  chat_.constrain = options.constrain;
}

std::unique_ptr<Session::Impl> Examiner::see(const Image& image, Timings& timings) const try {
  const CallScope scope(*engine_);
  auto picture = std::make_unique<Session::Impl>(engine_, image, regions_);
  if (protocol_ != Protocol::kProposals) picture->read_picture(timings);
  // A referred box is a candidate itself: there the regions differ from question to question.
  if (protocol_ != Protocol::kCaption) picture->look(at::empty({0, 4}), timings);
  return picture;
} catch (...) {
  rethrow_with_advice("see a picture");
}

Prediction Examiner::proposals_of(const Session::Impl& picture) const {
  Prediction out;
  out.proposals = candidates_of(picture.proposed_boxes, picture.proposed_scores, picture.image);
  out.candidates =
      candidates_of(picture.regions.boxes_cxcywh, picture.regions.scores, picture.image);
  out.regions_kept = static_cast<int>(out.candidates.size());
  return out;
}

Prediction Examiner::prediction_of(const OpenQuestion& open, const Session::Impl& session,
                                   const ChatResult& said) const {
  Prediction out;
  out.ids = said.generated_ids;
  out.text = said.tagged;
  out.regions_kept = static_cast<int>(said.regions.size());
  const auto network = session.regions.boxes_cxcywh.to(at::kCPU, at::kFloat).contiguous();
  const auto name = [&](int region, float logprob) {
    const float* b = network.const_data_ptr<float>() + 4 * region;
    out.regions.push_back({region,
                           {b[0], b[1], b[2], b[3]},
                           floats_of(said.regions[region].box),
                           said.regions[region].score,
                           logprob});
  };
  if (protocol_ == Protocol::kGroundedChat) {
    for (const Phrase& phrase : said.phrases) {
      PredictedPhrase part{phrase.text, {}};
      for (const NamedRegion& named : phrase.regions) {
        part.regions.push_back(static_cast<int>(out.regions.size()));
        name(named.region, named.logprob);
      }
      out.phrases.push_back(std::move(part));
    }
  } else {
    // Every <rK> counts, whatever tags stand around it.
    const auto first = engine_->tokenizer.special().region_first;
    for (std::size_t i = 0; i < open.task.ids.size(); ++i) {
      const auto region = open.task.ids[i] - first;
      if (region < 0 || region >= out.regions_kept) continue;
      name(static_cast<int>(region), open.task.logprobs[i]);
    }
  }
  out.candidates =
      candidates_of(session.regions.boxes_cxcywh, session.regions.scores, session.image);
  return out;
}

std::vector<ExamAnswer> Examiner::ask(const std::vector<ExamQuestion>& questions) const try {
  const CallScope scope(*engine_);
  std::vector<ExamAnswer> answers(questions.size());
  std::vector<std::unique_ptr<Session::Impl>> sessions(questions.size());
  std::vector<std::optional<OpenQuestion>> open(questions.size());
  std::vector<AnswerTask*> tasks;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const ExamQuestion& question = questions[i];
    if (protocol_ == Protocol::kProposals) {
      answers[i].prediction = checked(proposals_of(*question.picture));
      continue;
    }
    try {
      const Image& image = question.picture->image;
      std::vector<Box> boxes;
      if (question.box) boxes.push_back(on_picture(*question.box, image));
      validate_boxes(boxes, image.width(), image.height());
      sessions[i] = question.picture->fork(question.shuffle_seed);
      open[i] = sessions[i]->open(question.pieces,
                                  to_network_boxes(boxes, image.width(), image.height()), chat_);
      tasks.push_back(&open[i]->task);
    } catch (const Error& error) {
      answers[i].prediction.error = error.what();
    }
  }
  Timings together;
  {
    const Stopwatch watch(together.decode_ms);
    if (!tasks.empty()) generate(*engine_->model, engine_->tokenizer.special(), tasks);
  }
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (!open[i]) continue;
    const ChatResult said = sessions[i]->close(*open[i]);
    answers[i].prediction = checked(prediction_of(*open[i], *sessions[i], said));
    answers[i].timings = said.timings;
    answers[i].timings.decode_ms = together.decode_ms / static_cast<double>(tasks.size());
  }
  return answers;
} catch (...) {
  rethrow_with_advice("ask");
}

}  // namespace groma::eval
